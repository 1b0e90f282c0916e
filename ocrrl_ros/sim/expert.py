# SPDX-License-Identifier: Apache-2.0
"""Scripted base policies that see simulator truth: expert, calibrated stand-in, random."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.policy.base_policy import ChunkBatch
from ocrrl_ros.sim.scripted_motion import DOWN, TruthPolicy
from ocrrl_ros.sim.truth import TruthState


@dataclass(frozen=True, kw_only=True)
class ExpertConfig:
    """Geometry and speed of the scripted grasp."""

    speed_m_s: float = field(default=0.25, metadata={'description': 'TCP speed in m/s'})
    turn_rad_s: float = field(default=1.2, metadata={'description': 'TCP turn rate in rad/s'})
    lead_s: float = field(
        default=0.05, metadata={'description': 'how far targets run ahead of the arm, s'})
    hover_m: float = field(
        default=0.10, metadata={'description': 'TCP above the object before descending, m'})
    lift_m: float = field(
        default=0.12, metadata={'description': 'object centre above the table at the end, m'})
    corridor_m: float = field(
        default=0.010, metadata={'description': 'xy error within which it may descend, m'})
    corridor_rad: float = field(
        default=0.10, metadata={'description': 'yaw error within which it may descend, rad'})
    grasp_height_m: float = field(
        default=0.006, metadata={'description': 'height error at which fingers close, m'})
    closed_gap_m: float = field(
        default=0.010, metadata={'description': 'gap below which nothing is held, m'})
    stopped_m_s: float = field(
        default=0.005, metadata={'description': 'gap rate below which fingers rest, m/s'})

    def __post_init__(self) -> None:
        """Refuse speeds that the arm cannot follow."""
        if not 0.0 < self.speed_m_s <= 1.0:
            raise ConfigError(f'speed_m_s is {self.speed_m_s} m/s; allowed: 0 .. 1 m/s')


def grasp_quaternions(object_quat: np.ndarray, tcp_quat: np.ndarray) -> np.ndarray:
    """
    Return the downward TCP orientations (N, 4) that align the fingers with a box.

    Of the four yaws that the box's symmetry allows, the nearest to the present TCP is taken.

    :param object_quat: (N, 4) of boxes that lie on any face.
    :param tcp_quat: (N, 4).
    """
    axes = se3.quat_to_matrix(object_quat)
    vertical = np.abs(axes[:, 2, :]).argmax(axis=1)
    level = axes[np.arange(len(axes)), :, (vertical + 1) % 3]
    object_yaw = np.arctan2(level[:, 1], level[:, 0])
    x_axis = se3.quat_rotate(tcp_quat, np.array([1.0, 0.0, 0.0]))
    tcp_yaw = np.arctan2(x_axis[:, 1], x_axis[:, 0])
    quarter = np.pi / 2
    turn = (object_yaw - tcp_yaw + quarter / 2) % quarter - quarter / 2
    yaw = tcp_yaw + turn
    # Keep the wrist within half a turn of the ready posture.
    yaw = np.where(yaw > 0.75 * np.pi, yaw - quarter, yaw)
    yaw = np.where(yaw < -0.75 * np.pi, yaw + quarter, yaw)
    spin = np.zeros((len(yaw), 3))
    spin[:, 2] = yaw
    return se3.quat_multiply(se3.quat_from_rotvec(spin), np.broadcast_to(DOWN, (len(yaw), 4)))


class ScriptedExpert(TruthPolicy):
    """
    Grasp from above and lift, decided anew from geometry in every call.

    Needs ``inputs.privileged`` to be a :class:`TruthState`. Within one chunk it plays its own
    rule forward on an ideal arm, so chunks stay right for as long as they are executed.
    """

    def __init__(self, config: ExpertConfig | None = None):
        """Keep the settings; the defaults when None."""
        self._config = config or ExpertConfig()

    def plan(self, truth: TruthState) -> ChunkBatch:
        """Return chunks from truth: play the rule forward on an ideal arm."""
        config = self._config
        n = len(truth)
        position, quaternion = truth.base_T_tcp[:, :3].copy(), truth.base_T_tcp[:, 3:].copy()
        goal_quat = grasp_quaternions(truth.object_poses[:, 0, 3:], quaternion)
        held = self._held(truth)
        ready = held & (np.abs(truth.width_speed) < config.stopped_m_s)
        closing = held | self._at_grasp(truth, goal_quat)
        poses = np.empty((n, self.horizon, 7))
        for index in range(self.horizon):
            # The first target already runs ahead of the arm, which lags behind it.
            dt = config.lead_s if index == 0 else self.step_s
            target = self._target(truth, position, quaternion, goal_quat, closing, ready)
            position, quaternion = self._advance(position, quaternion, target, goal_quat, dt)
            poses[:, index] = se3.pose(position, quaternion)
        grippers = np.repeat(np.where(closing, 0.0, 1.0)[:, None], self.horizon, axis=1)
        return ChunkBatch(poses=poses, grippers=grippers)

    def _held(self, truth: TruthState) -> np.ndarray:
        """Return (N,) bool: both fingers touch the object and it is between them."""
        return truth.finger_contact[:, 0].all(axis=1) & (truth.width > self._config.closed_gap_m)

    def _at_grasp(self, truth: TruthState, goal_quat: np.ndarray) -> np.ndarray:
        """Return (N,) bool: the TCP is where the fingers may close."""
        config = self._config
        error = truth.object_poses[:, 0, :3] - truth.base_T_tcp[:, :3]
        level = np.linalg.norm(error[:, :2], axis=1)
        turn = se3.quat_angle(goal_quat, truth.base_T_tcp[:, 3:])
        # While closing, the fingers may push the object or the arm a little.
        slack = np.where(truth.width < 0.07, 2.0, 1.0)
        open_enough = truth.width > config.closed_gap_m
        near = level < slack * config.corridor_m
        near &= np.abs(error[:, 2]) < slack * config.grasp_height_m
        return near & (turn < slack * config.corridor_rad) & open_enough

    def _target(
            self, truth: TruthState, position: np.ndarray, quaternion: np.ndarray,
            goal_quat: np.ndarray, closing: np.ndarray, ready: np.ndarray) -> np.ndarray:
        """Return where the ideal TCP at ``position`` should head (N, 3)."""
        config = self._config
        cube = truth.object_poses[:, 0, :3]
        offset = position - cube
        level = np.linalg.norm(offset[:, :2], axis=1)
        turn = se3.quat_angle(goal_quat, quaternion)
        aligned = (level < config.corridor_m) & (turn < config.corridor_rad)
        aligned &= truth.width > 0.06
        target = cube.copy()
        target[:, 2] += np.where(aligned | closing, 0.0, config.hover_m)
        # Too low and beside the object: straight up first, so as not to sweep it away.
        low = ~aligned & ~closing & (offset[:, 2] < 0.7 * config.hover_m)
        target[low, :2] = position[low, :2]
        lifted = truth.base_T_tcp[:, :3] + 0.0
        lifted[:, 2] += config.lift_m - cube[:, 2]
        return np.where(ready[:, None], lifted, target)

    def _advance(
            self, position: np.ndarray, quaternion: np.ndarray, target: np.ndarray,
            goal_quat: np.ndarray, dt_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Move an ideal TCP towards its target within the speed limits."""
        config = self._config
        way = target - position
        distance = np.linalg.norm(way, axis=1, keepdims=True)
        share = np.minimum(1.0, config.speed_m_s * dt_s / np.maximum(distance, 1e-9))
        angle = se3.quat_angle(quaternion, goal_quat)
        turn = np.minimum(1.0, config.turn_rad_s * dt_s / np.maximum(angle, 1e-9))
        return position + share * way, se3.quat_slerp(quaternion, goal_quat, turn)
