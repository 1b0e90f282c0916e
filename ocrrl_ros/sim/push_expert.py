# SPDX-License-Identifier: Apache-2.0
"""A scripted expert that pushes a drawer shut with closed fingers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.policy.base_policy import ChunkBatch
from ocrrl_ros.sim.object_shapes import Drawer
from ocrrl_ros.sim.scripted_motion import (
    advance, down_with_yaw, MotionConfig, nearest_yaw, TruthPolicy, yaw_of)
from ocrrl_ros.sim.truth import TruthState


@dataclass(frozen=True, kw_only=True)
class PushConfig:
    """Geometry of the push; lengths along the drawer's x axis, from its front."""

    motion: MotionConfig = field(default_factory=lambda: MotionConfig(speed_m_s=0.20))
    before_m: float = field(
        default=0.08, metadata={'description': 'where the hand comes down, m before the front'})
    hover_m: float = field(
        default=0.10, metadata={'description': 'height above the handle while moving there, m'})
    finger_m: float = field(
        default=0.010, metadata={'description': 'half thickness of the fingertips, m'})
    overrun_m: float = field(
        default=0.006, metadata={'description': 'target beyond the closed front, m'})
    corridor_m: float = field(
        default=0.015, metadata={'description': 'sideways and height error while pushing, m'})
    corridor_rad: float = field(
        default=0.15, metadata={'description': 'angle error while pushing, rad'})
    pushing: float = field(
        default=0.6, metadata={'description': 'share of the speed while pushing'})


class PushExpert(TruthPolicy):
    """
    Comes down before the handle and pushes; decides anew from geometry in every call.

    Needs ``inputs.privileged`` to be a :class:`TruthState`.
    """

    def __init__(self, shape: Drawer, config: PushConfig | None = None):
        """Keep the drawer's shape and the settings; the defaults when None."""
        self._shape = shape
        self._config = config or PushConfig()

    def plan(self, truth: TruthState) -> ChunkBatch:
        """Return chunks from truth: play the rule forward on an ideal arm."""
        config = self._config
        front = truth.object_poses[:, 0]
        closed = self._shape.closed_pose(truth.joint_positions)
        yaw = nearest_yaw(
            yaw_of(front[:, 3:]), yaw_of(truth.base_T_tcp[:, 3:]), np.pi, 0.75 * np.pi)
        quaternion = down_with_yaw(yaw)
        tcp = truth.base_T_tcp
        poses = np.empty((len(truth), self.horizon, 7))
        for index in range(self.horizon):
            dt_s = config.motion.lead_s if index == 0 else self.step_s
            target, slow = self._target(tcp, front, closed, quaternion)
            tcp = advance(tcp, target, config.motion, dt_s, slow)
            poses[:, index] = tcp
        return ChunkBatch(poses=poses, grippers=np.zeros((len(truth), self.horizon)))

    def _target(
            self, tcp: np.ndarray, front: np.ndarray, closed: np.ndarray,
            quaternion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where the hand should head (N, 7) and the share of its speed (N,)."""
        config = self._config
        offset = se3.pose_multiply(se3.pose_inverse(front), tcp)[:, :3]
        touch_m = self._shape.handle_m + config.finger_m
        turn = se3.quat_angle(quaternion, tcp[:, 3:])
        beside = np.abs(offset[:, 1]) < config.corridor_m
        before = offset[:, 0] < -0.5 * touch_m
        pushes = beside & before & (np.abs(offset[:, 2]) < config.corridor_m)
        pushes &= turn < config.corridor_rad
        # Above the place before the handle the hand may come down.
        over = beside & (np.abs(offset[:, 0] + config.before_m) < config.corridor_m)
        over &= turn < config.corridor_rad
        low = ~pushes & ~over & (offset[:, 2] < 0.7 * config.hover_m)
        wanted = np.zeros((len(tcp), 3))
        wanted[:, 0] = -config.before_m
        wanted[:, 2] = np.where(over, 0.0, config.hover_m)
        wanted[low, :2] = offset[low, :2]
        target = se3.pose_transform(front, wanted)
        push = np.zeros((len(tcp), 3))
        push[:, 0] = config.overrun_m - touch_m
        target = np.where(pushes[:, None], se3.pose_transform(closed, push), target)
        return se3.pose(target, quaternion), np.where(pushes, config.pushing, 1.0)
