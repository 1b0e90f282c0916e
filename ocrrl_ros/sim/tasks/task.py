# SPDX-License-Identifier: Apache-2.0
"""What a task is: objects, start states, staged reward, success and failure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
import hashlib

import numpy as np
from ocrrl_ros.robot import fr3
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.object_shapes import Drawer, FreeShape
from ocrrl_ros.sim.truth import InitialState, TaskState

SUCCESS_VERSION = 1
#: Joints of a drawer in a cabinet, in the order of `Drawer.pose`.
DRAWER_JOINTS = ('cabinet_x', 'cabinet_y', 'cabinet_yaw', 'drawer_opening')
REST_SPEED_M_S = 0.020
REST_TURN_RAD_S = 0.2
RELEASED_GAP_M = 0.060
RELEASED_DISTANCE_M = 0.050


@dataclass(frozen=True, kw_only=True)
class ObjectSpec:
    """
    Nominal shape and mass of one object; a domain scales both.

    A :class:`Drawer` moves on the joints of ``DRAWER_JOINTS``, everything else freely.
    """

    object_id: str
    shape: FreeShape | Drawer
    mass_kg: float

    @property
    def half_extents_m(self) -> tuple[float, float, float]:
        """Return half the edges of the nominal bounding box, m, object frame."""
        return self.shape.half_extents_m

    @property
    def is_free(self) -> bool:
        """Return whether the object moves freely."""
        return not isinstance(self.shape, Drawer)


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Box in the base frame; an object whose centre leaves it has failed the episode."""

    low_m: tuple[float, float, float] = (0.22, -0.35, -0.03)
    high_m: tuple[float, float, float] = (0.78, 0.35, 0.60)


class Task(ABC):
    """
    One task; stateless, so one instance serves any number of worlds.

    A task file keeps this order: constants, class attributes, start state, reward, success.
    """

    name: str
    """Name in commands, results and bundles."""
    instruction: str
    """The sentence that a language-conditioned base policy is given."""
    objects: tuple[ObjectSpec, ...]
    """Task objects; index k of every (N, K, ...) array."""
    horizon_s: float
    """The episode fails when it lasts this long."""
    hold_ticks: int
    """20 Hz ticks for which the success predicate must hold."""
    reward_weights: dict[str, float]
    """Weight of each reward term; they sum to 1."""
    workspace: Workspace = Workspace()

    @property
    def object_ids(self) -> tuple[str, ...]:
        """Return the ids of the task objects in array order."""
        return tuple(item.object_id for item in self.objects)

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Return the joints of objects that are not free, in the order of their states."""
        return tuple(
            name for item in self.objects if not item.is_free for name in DRAWER_JOINTS)

    @abstractmethod
    def sample_initial(self, rng: np.random.Generator, domain: Domain) -> InitialState:
        """Draw a start state; always the same number of draws from ``rng``."""

    @abstractmethod
    def reward(self, state: TaskState) -> dict[str, np.ndarray]:
        """Return the unweighted named terms (N,), each in [0, 1]."""

    @abstractmethod
    def success_now(self, state: TaskState) -> np.ndarray:
        """Return (N,) bool, whether the success predicate holds in this tick."""

    def failed(self, state: TaskState) -> np.ndarray:
        """Return (N,) bool, whether an object has left the workspace."""
        position = state.object_poses[..., :3]
        inside = (position >= self.workspace.low_m) & (position <= self.workspace.high_m)
        return ~inside.all(axis=(1, 2))

    def total_reward(self, terms: dict[str, np.ndarray]) -> np.ndarray:
        """Return the weighted sum of the terms (N,), in [0, 1]."""
        return sum(self.reward_weights[name] * value for name, value in terms.items())


def at_rest(state: TaskState, index: int) -> np.ndarray:
    """Return (N,) bool, whether an object moves slower than 20 mm/s and 0.2 rad/s."""
    speed = np.linalg.norm(state.object_linear[:, index], axis=1)
    turn = np.linalg.norm(state.object_angular[:, index], axis=1)
    return (speed < REST_SPEED_M_S) & (turn < REST_TURN_RAD_S)


def released(state: TaskState, index: int) -> np.ndarray:
    """Return (N,) bool: no finger touches the object, the hand is open and away from it."""
    touched = state.finger_contact[:, index].any(axis=1)
    distance = np.linalg.norm(
        state.object_poses[:, index, :3] - state.base_T_tcp[:, :3], axis=1)
    is_open = state.width > RELEASED_GAP_M
    return ~touched & is_open & (distance > RELEASED_DISTANCE_M)


def held(state: TaskState, index: int) -> np.ndarray:
    """Return (N,) bool, whether both fingers touch the object."""
    return state.finger_contact[:, index].all(axis=1)


def tilt_rad(poses: np.ndarray) -> np.ndarray:
    """Return the angle (...) between the z axes of poses (..., 7) and the vertical, rad."""
    x, y = poses[..., 3], poses[..., 4]
    return np.arccos(np.clip(1.0 - 2.0 * (x * x + y * y), -1.0, 1.0))


def reach(state: TaskState, index: int, scale_m: float = 0.10) -> np.ndarray:
    """Return (N,) in [0, 1]: 1 with the TCP at the object's centre, falling over ``scale_m``."""
    distance = np.linalg.norm(
        state.object_poses[:, index, :3] - state.base_T_tcp[:, :3], axis=1)
    return 1.0 - np.tanh(distance / scale_m)


def sample_arm(rng: np.random.Generator, spread_rad: float = 0.02) -> np.ndarray:
    """Return joint positions (7,) near the ready posture, uniform within ``spread_rad``."""
    return np.array(fr3.READY_POSITION) + rng.uniform(-spread_rad, spread_rad, 7)


def sample_apart(
        rng: np.random.Generator, centre_m: tuple[float, float], spread_m: tuple[float, float],
        apart_m: float) -> np.ndarray:
    """
    Return two places (2, 2) in the table's plane more than ``apart_m`` from each other, m.

    Draws pairs from a generator of its own, so that however many it refuses, ``rng`` moves on
    by one draw.
    """
    draws = np.random.default_rng(int(rng.integers(2 ** 63)))
    while True:
        places = np.array(centre_m) + draws.uniform(-1.0, 1.0, (2, 2)) * spread_m
        if np.linalg.norm(places[0] - places[1]) > apart_m:
            return places


def lowest_points(poses: np.ndarray, half_extents: np.ndarray) -> np.ndarray:
    """
    Return the height (...) of the lowest corner of boxes, m.

    :param poses: base_T_box (..., 7).
    :param half_extents: (..., 3) in m, box frame.
    """
    x, y, z, w = np.moveaxis(poses[..., 3:], -1, 0)
    down = np.stack(
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], axis=-1)
    return poses[..., 2] - (np.abs(down) * half_extents).sum(axis=-1)


def initial_sha256(initial: InitialState) -> str:
    """Return the hash of a start state; equal hashes mean a paired episode."""
    digest = hashlib.sha256()
    arrays = [initial.q, [initial.opening], initial.object_poses]
    if len(initial.joint_positions):
        arrays.append(initial.joint_positions)
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype='<f8').tobytes())
    return digest.hexdigest()


class SuccessCounter:
    """Count consecutive ticks of the success predicate in N worlds."""

    def __init__(self, n: int, hold_ticks: int):
        """Start all counts at zero."""
        self._counts = np.zeros(n, dtype=int)
        self._hold_ticks = hold_ticks

    def update(self, success_now: np.ndarray) -> np.ndarray:
        """Take one 20 Hz tick (N,) bool and return (N,) bool, held long enough."""
        self._counts = np.where(success_now, self._counts + 1, 0)
        return self._counts >= self._hold_ticks

    def reset(self, indices: np.ndarray | None = None) -> None:
        """Forget the ticks of the given worlds, of all when None."""
        self._counts[slice(None) if indices is None else indices] = 0
