# SPDX-License-Identifier: Apache-2.0
"""What scripted policies share: truth, an ideal arm for targets, hands that point down."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.policy.base_policy import BaseInputs, BasePolicy, ChunkBatch
from ocrrl_ros.sim.truth import TruthState

#: Hand pointing straight down, fingers opening along the base's y axis.
DOWN = np.array([1.0, 0.0, 0.0, 0.0])


class TruthPolicy(BasePolicy):
    """Plans from simulator truth, which it finds in ``inputs.privileged``."""

    needs_images = False

    def infer(self, inputs: BaseInputs) -> ChunkBatch:
        """
        Return one chunk per world.

        :raises InputError: the inputs carry no simulator truth.
        """
        truth = inputs.privileged
        if not isinstance(truth, TruthState):
            raise InputError(
                f'the scripted expert needs simulator truth; privileged is {type(truth).__name__}')
        return self.plan(truth)

    @abstractmethod
    def plan(self, truth: TruthState) -> ChunkBatch:
        """Return one chunk per world of the truth."""


@dataclass(frozen=True, kw_only=True)
class MotionConfig:
    """Speed of an ideal arm."""

    speed_m_s: float = field(default=0.25, metadata={'description': 'TCP speed in m/s'})
    turn_rad_s: float = field(default=1.2, metadata={'description': 'TCP turn rate in rad/s'})
    lead_s: float = field(
        default=0.05, metadata={'description': 'how far targets run ahead of the arm, s'})

    def __post_init__(self) -> None:
        """Refuse speeds that the arm cannot follow."""
        if not 0.0 < self.speed_m_s <= 1.0:
            raise ConfigError(f'speed_m_s is {self.speed_m_s} m/s; allowed: 0 .. 1 m/s')


def advance(poses: np.ndarray, targets: np.ndarray, config: MotionConfig, dt_s: float,
            slow: np.ndarray | float = 1.0) -> np.ndarray:
    """
    Return where an ideal TCP gets to in a step.

    :param poses: base_T_tcp (N, 7) now.
    :param targets: base_T_tcp (N, 7) to head for.
    :param slow: share (N,) of the speeds.
    """
    way = targets[:, :3] - poses[:, :3]
    distance = np.linalg.norm(way, axis=1)
    share = np.minimum(1.0, slow * config.speed_m_s * dt_s / np.maximum(distance, 1e-9))
    angle = se3.quat_angle(poses[:, 3:], targets[:, 3:])
    turn = np.minimum(1.0, slow * config.turn_rad_s * dt_s / np.maximum(angle, 1e-9))
    return se3.pose(
        poses[:, :3] + share[:, None] * way,
        se3.quat_slerp(poses[:, 3:], targets[:, 3:], turn))


def down_with_yaw(yaw: np.ndarray) -> np.ndarray:
    """Return orientations (N, 4) of a hand that points down, its x axis at ``yaw`` (N,) rad."""
    spin = np.zeros((len(yaw), 3))
    spin[:, 2] = yaw
    return se3.quat_multiply(
        se3.quat_from_rotvec(spin), np.broadcast_to(DOWN, (len(yaw), 4)))


def yaw_of(quaternions: np.ndarray, axis: int = 0) -> np.ndarray:
    """Return the heading (N,) of a frame's axis seen from above, rad."""
    vector = np.zeros(3)
    vector[axis] = 1.0
    along = se3.quat_rotate(quaternions, vector)
    return np.arctan2(along[:, 1], along[:, 0])


def nearest_yaw(
        wanted: np.ndarray, present: np.ndarray, period_rad: float, limit_rad: float,
) -> np.ndarray:
    """
    Return the yaw (N,) equal to ``wanted`` up to the period that is nearest to ``present``.

    :param limit_rad: yaws beyond this are brought back by a period, to spare the wrist.
    """
    turn = (wanted - present + 0.5 * period_rad) % period_rad - 0.5 * period_rad
    yaw = present + turn
    yaw = np.where(yaw > limit_rad, yaw - period_rad, yaw)
    return np.where(yaw < -limit_rad, yaw + period_rad, yaw)
