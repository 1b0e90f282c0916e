# SPDX-License-Identifier: Apache-2.0
"""
How an object is carried before the camera in each kind of sequence.

What the tracker must bear: ``free``, ``face_on``, ``view`` (one frame of anything), ``vanish``
(taken out of the picture for a while) and ``long`` (minutes of going round). What it cannot
always follow, so that it errs and must say so (protocol section 8): ``occlusion`` (plates sweep
across), ``speed`` (beyond the specified one), ``look_alike`` (a larger or smaller one of the same
colour passes close by), ``swap`` (one of those takes the object's place), ``stress`` (speed,
knocks and plates together).
"""
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from ocrrl_ros.core import se3

MAX_SPEED_M_S = 0.3
MAX_TURN_RAD_S = np.pi / 2
OUT_OF_VIEW_M = (0.5, 0.0, 3.0)
KNOCK_M, KNOCK_RAD = 0.06, np.pi / 3


@dataclass(frozen=True, kw_only=True)
class CarryKind:
    """One kind of sequence in which an object is carried."""

    length_s: float = field(default=1.0, metadata={'description': 'at least one frame, s'})
    speeds: tuple[float, ...] = field(
        default=(1.0,), metadata={'description': 'factors on the specified speed, all alike'})
    plate_share: float = field(
        default=0.0, metadata={'description': 'share of sequences with a plate sweeping across'})
    knock_share: float = field(
        default=0.0, metadata={'description': 'share of frames before which it is knocked'})
    look_alike: Literal['', 'passes', 'replaces'] = ''
    vanishes: bool = field(
        default=False, metadata={'description': 'out of the picture for a while'})


CARRY_KINDS = {
    'free': CarryKind(),
    'face_on': CarryKind(),
    'view': CarryKind(length_s=0.0, speeds=(0.0,)),
    'vanish': CarryKind(length_s=2.0, speeds=(0.3, 1.0), vanishes=True),
    'long': CarryKind(length_s=600.0),
    # Half of the sequences are slow, so that plates and knocks are seen alone as well.
    'stress': CarryKind(length_s=1.5, speeds=(5.0, 0.3), plate_share=0.7, knock_share=0.03),
    'occlusion': CarryKind(length_s=1.5, speeds=(0.3, 1.0), plate_share=1.0),
    'speed': CarryKind(length_s=1.5, speeds=(3.0, 5.0, 8.0)),
    'look_alike': CarryKind(length_s=1.5, speeds=(0.3, 1.0), look_alike='passes'),
    'swap': CarryKind(length_s=1.5, speeds=(0.3, 1.0), look_alike='replaces'),
}
HARD_ROWS = ('stress', 'occlusion', 'speed', 'look_alike', 'swap')
"""Kinds in which the tracker errs."""


@dataclass(frozen=True, kw_only=True)
class Motion:
    """``pose`` base_T_object (7,) at time 0, ``velocity`` (3,) m/s, ``spin`` (3,) rad/s."""

    pose: np.ndarray
    velocity: np.ndarray
    spin: np.ndarray

    def at(self, time_s: float) -> np.ndarray:
        """Return the pose (7,) at a time."""
        turn = se3.quat_from_rotvec(self.spin * time_s)
        return se3.pose(
            self.pose[:3] + self.velocity * time_s, se3.quat_multiply(turn, self.pose[3:]))

    def moved(self, pose: np.ndarray, time_s: float) -> 'Motion':
        """Return the same motion through another pose (7,) at a time."""
        back = se3.quat_from_rotvec(-self.spin * time_s)
        start = se3.pose(
            pose[:3] - self.velocity * time_s, se3.quat_multiply(back, pose[3:]))
        return Motion(pose=start, velocity=self.velocity, spin=self.spin)

    @property
    def speed(self) -> np.ndarray:
        """Return how fast it goes (2,), m/s and rad/s."""
        return np.array([np.linalg.norm(self.velocity), np.linalg.norm(self.spin)])


@dataclass(frozen=True, kw_only=True)
class Round:
    """
    Going round a point for ever while turning.

    ``pose`` (7,) at time 0, whose place is the middle; ``radii`` (3,) m; ``turn_rad_s`` of going
    round; ``spin`` (3,) rad/s of turning.
    """

    pose: np.ndarray
    radii: np.ndarray
    turn_rad_s: float
    spin: np.ndarray

    def at(self, time_s: float) -> np.ndarray:
        """Return the pose (7,) at a time."""
        angle = self.turn_rad_s * time_s
        offset = self.radii * np.array([np.cos(angle), np.sin(angle), np.sin(0.5 * angle)])
        turn = se3.quat_from_rotvec(self.spin * time_s)
        return se3.pose(self.pose[:3] + offset, se3.quat_multiply(turn, self.pose[3:]))

    @property
    def speed(self) -> np.ndarray:
        """Return how fast it goes at most (2,), m/s and rad/s."""
        return np.array(
            [np.linalg.norm(self.radii) * self.turn_rad_s, np.linalg.norm(self.spin)])


def random_round(rng: np.random.Generator) -> Round:
    """Return a way round the middle of the table, at up to 0.17 m/s and 45 deg/s."""
    middle = np.array([0.50, 0.0, 0.16])
    return Round(
        pose=se3.pose(middle, se3.quat_normalize(rng.normal(size=4))),
        radii=np.array([0.08, 0.12, 0.08]) * rng.uniform(0.7, 1.0, 3),
        turn_rad_s=rng.uniform(0.5, 1.0), spin=direction(rng) * rng.uniform(0.3, np.pi / 4))


def direction(rng: np.random.Generator) -> np.ndarray:
    """Return a random unit vector (3,)."""
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def random_pose(rng: np.random.Generator) -> np.ndarray:
    """Return a pose (7,) in the air over the table, any orientation."""
    return se3.pose(
        rng.uniform([0.40, -0.20, 0.06], [0.62, 0.20, 0.32]),
        se3.quat_normalize(rng.normal(size=4)))


def random_motion(kind: CarryKind, rng: np.random.Generator) -> Motion:
    """Return a motion of the kind from anywhere."""
    pose = random_pose(rng)
    factor = kind.speeds[0]
    if len(kind.speeds) > 1:
        factor = kind.speeds[int(rng.random() * len(kind.speeds))]
    velocity = direction(rng) * rng.uniform(0.0, MAX_SPEED_M_S) * factor
    return Motion(
        pose=pose, velocity=velocity,
        spin=direction(rng) * rng.uniform(0.0, MAX_TURN_RAD_S) * factor)


def knocked(pose: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a pose (7,) knocked by up to 60 mm and 60 deg."""
    turn = se3.quat_from_rotvec(direction(rng) * rng.uniform(0.0, KNOCK_RAD))
    shift = direction(rng) * rng.uniform(0.0, KNOCK_M)
    return se3.pose(pose[:3] + shift, se3.quat_multiply(turn, pose[3:]))
