# SPDX-License-Identifier: Apache-2.0
"""A scripted expert that grasps an object, brings it to its place and lets go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.policy.base_policy import ChunkBatch
from ocrrl_ros.sim.scripted_motion import advance, MotionConfig, TruthPolicy
from ocrrl_ros.sim.truth import TruthState

_UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class PlaceConfig:
    """Geometry of grasping, carrying and letting go."""

    motion: MotionConfig = field(default_factory=MotionConfig)
    hover_m: float = field(
        default=0.10, metadata={'description': 'TCP before the grasp, along the approach, m'})
    clearance_m: float = field(
        default=0.13, metadata={'description': 'carried this much above the place, m'})
    retreat_m: float = field(
        default=0.12, metadata={'description': 'distance from the object at the end, m'})
    corridor_m: float = field(
        default=0.008, metadata={'description': 'sideways error within which it approaches, m'})
    corridor_rad: float = field(
        default=0.08, metadata={'description': 'angle error within which it approaches, rad'})
    grasp_depth_m: float = field(
        default=0.006, metadata={'description': 'depth error at which fingers close, m'})
    closed_gap_m: float = field(
        default=0.010, metadata={'description': 'gap below which nothing is held, m'})
    stopped_m_s: float = field(
        default=0.005, metadata={'description': 'gap rate below which fingers rest, m/s'})
    lowering: float = field(
        default=0.5, metadata={'description': 'share of the speed while putting down'})


class PlaceRule(Protocol):
    """What a task tells the expert; object 0 is the one that is carried."""

    def grasp(self, truth: TruthState) -> np.ndarray:
        """Return base_T_tcp (N, 7) of the grasp; it is approached along its z axis."""

    def goal(self, truth: TruthState, tcp_T_object: np.ndarray) -> np.ndarray:
        """Return base_T_tcp (N, 7) at which an object held like this is at its place."""

    def done(self, truth: TruthState) -> np.ndarray:
        """Return (N,) bool, whether the object is at its place, held or not."""


class PlaceExpert(TruthPolicy):
    """
    Decides anew from geometry in every call, as `ScriptedExpert` does.

    Needs ``inputs.privileged`` to be a :class:`TruthState`.
    """

    def __init__(self, rule: PlaceRule, config: PlaceConfig | None = None):
        """Keep the task's rule and the settings; the defaults when None."""
        self._rule = rule
        self._config = config or PlaceConfig()

    def plan(self, truth: TruthState) -> ChunkBatch:
        """Return chunks from truth: play the rule forward on an ideal arm."""
        config = self._config
        tcp = truth.base_T_tcp
        grasp = self._rule.grasp(truth)
        tcp_T_object = se3.pose_multiply(se3.pose_inverse(tcp), truth.object_poses[:, 0])
        goal = self._rule.goal(truth, tcp_T_object)
        done = self._rule.done(truth)
        held = truth.finger_contact[:, 0].all(axis=1) & (truth.width > config.closed_gap_m) & ~done
        ready = held & (np.abs(truth.width_speed) < config.stopped_m_s)
        closing = (held | self._at_grasp(truth, grasp)) & ~done
        poses = np.empty((len(truth), self.horizon, 7))
        for index in range(self.horizon):
            dt_s = config.motion.lead_s if index == 0 else self.step_s
            carried, slow = self._carry(tcp, goal, tcp_T_object)
            target = np.where(
                done[:, None], self._retreat(truth),
                np.where(ready[:, None], carried, self._approach(truth, tcp, grasp, closing)))
            tcp = advance(tcp, target, config.motion, dt_s, np.where(ready, slow, 1.0))
            poses[:, index] = tcp
        grippers = np.repeat(np.where(closing, 0.0, 1.0)[:, None], self.horizon, axis=1)
        return ChunkBatch(poses=poses, grippers=grippers)

    def _at_grasp(self, truth: TruthState, grasp: np.ndarray) -> np.ndarray:
        """Return (N,) bool: the TCP is where the fingers may close."""
        config = self._config
        offset = se3.pose_multiply(se3.pose_inverse(grasp), truth.base_T_tcp)
        level = np.linalg.norm(offset[:, :2], axis=1)
        turn = se3.quat_angle(grasp[:, 3:], truth.base_T_tcp[:, 3:])
        # While closing, the fingers may push the object or the arm a little.
        slack = np.where(truth.width < 0.07, 2.0, 1.0)
        near = level < slack * config.corridor_m
        near &= np.abs(offset[:, 2]) < slack * config.grasp_depth_m
        return near & (turn < slack * config.corridor_rad) & (truth.width > config.closed_gap_m)

    def _approach(
            self, truth: TruthState, tcp: np.ndarray, grasp: np.ndarray, closing: np.ndarray,
    ) -> np.ndarray:
        """Return where an empty hand at ``tcp`` should head, base_T_tcp (N, 7)."""
        config = self._config
        offset = se3.pose_multiply(se3.pose_inverse(grasp), tcp)
        level = np.linalg.norm(offset[:, :2], axis=1)
        turn = se3.quat_angle(grasp[:, 3:], tcp[:, 3:])
        aligned = (level < config.corridor_m) & (turn < config.corridor_rad)
        aligned &= truth.width > 0.06
        back = np.zeros((len(tcp), 3))
        back[:, 2] = np.where(aligned | closing, 0.0, -config.hover_m)
        # Too near and beside the grasp: back first, so as not to sweep the object away.
        near = ~aligned & ~closing & (offset[:, 2] > -0.7 * config.hover_m)
        back[near, :2] = offset[near, :2]
        quaternion = np.where(near[:, None], tcp[:, 3:], grasp[:, 3:])
        return se3.pose(se3.pose_transform(grasp, back), quaternion)

    def _carry(
            self, tcp: np.ndarray, goal: np.ndarray, tcp_T_object: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return where a hand that holds the object should head, and the share of its speed."""
        config = self._config
        level = np.linalg.norm(tcp[:, :2] - goal[:, :2], axis=1)
        turn = se3.quat_angle(tcp[:, 3:], goal[:, 3:])
        aligned = (level < config.corridor_m) & (turn < config.corridor_rad)
        high = goal[:, 2] + config.clearance_m
        rise = ~aligned & (tcp[:, 2] < high - 0.015)
        target = goal.copy()
        target[~aligned, 2] = high[~aligned]
        target[rise, :2] = tcp[rise, :2]
        target[rise, 3:] = tcp[rise, 3:]
        return target, np.where(aligned, config.lowering, 1.0)

    def _retreat(self, truth: TruthState) -> np.ndarray:
        """Return where the hand should head after letting go: back along its approach."""
        config = self._config
        distance = np.linalg.norm(
            truth.object_poses[:, 0, :3] - truth.base_T_tcp[:, :3], axis=1)
        leaves = (truth.width > 0.065) & (distance < config.retreat_m)
        back = np.zeros((len(truth), 3))
        back[:, 2] = np.where(leaves, -config.retreat_m, 0.0)
        return se3.pose(
            se3.pose_transform(truth.base_T_tcp, back), truth.base_T_tcp[:, 3:])


def upright(tcp: np.ndarray, tcp_T_object: np.ndarray) -> np.ndarray:
    """
    Return orientations (N, 4) near those of ``tcp`` that hold the object's z axis vertical.

    :param tcp: orientations of the hand (N, 4).
    :param tcp_T_object: (N, 7), how the object is held.
    """
    axis = se3.quat_rotate(se3.quat_multiply(tcp, tcp_T_object[:, 3:]), _UP)
    cross = np.cross(axis, _UP)
    sine = np.linalg.norm(cross, axis=1, keepdims=True)
    angle = np.arctan2(sine[:, 0], axis[:, 2])
    turn = cross / np.maximum(sine, 1e-9) * angle[:, None]
    return se3.quat_multiply(se3.quat_from_rotvec(turn), tcp)
