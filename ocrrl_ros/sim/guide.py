# SPDX-License-Identifier: Apache-2.0
"""
What leads a residual while it learns: the scripted experts, made so that they can be learned.

An expert that decides by thresholds, descends at 8 mm of error and rises at 9, tells a network
that sees poses with errors of some millimetres two opposite things about the same picture. A guide
goes down as it gets nearer instead, and turns as it gets higher (docs/notes/residual.md, "A guide
that can be learned"). And it is in no greater hurry than the base that it corrects: an expert that
is always ahead keeps the residual at its bounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.policy.base_policy import BasePolicy
from ocrrl_ros.sim.experts import BlockToBowl, box_grasp, keep_level, PLACE_RULES
from ocrrl_ros.sim.place_expert import PlaceExpert, PlaceRule
from ocrrl_ros.sim.tasks import Task
from ocrrl_ros.sim.tasks.close_drawer import CloseDrawer
from ocrrl_ros.sim.tasks.pick_place import PickPlace
from ocrrl_ros.sim.truth import TruthState


@dataclass(frozen=True, kw_only=True)
class FunnelConfig:
    """How the height above a place falls with the error; a hand that is too low goes up first."""

    inner_m: float = field(
        default=0.004, metadata={'description': 'sideways error at which it is all the way down'})
    wide_m: float = field(
        default=0.030, metadata={'description': 'further error at which it is all the way up'})
    inner_rad: float = field(
        default=0.04, metadata={'description': 'angle error at which it is all the way down'})
    wide_rad: float = field(
        default=0.25, metadata={'description': 'further error at which it is all the way up'})
    slack_m: float = field(
        default=0.010, metadata={'description': 'lack of height that does not slow it down'})
    brake_m: float = field(
        default=0.035, metadata={'description': 'further lack at which it moves up alone'})

    def height(self, level_m: np.ndarray, turn_rad: np.ndarray) -> np.ndarray:
        """Return the share (N,) of the full height that errors (N,) ask for."""
        return np.clip(np.maximum(
            (level_m - self.inner_m) / self.wide_m, (turn_rad - self.inner_rad) / self.wide_rad),
            0.0, 1.0)

    def brake(self, lack_m: np.ndarray) -> np.ndarray:
        """Return the share (N,) of the sideways way and turn that waits for height (N,)."""
        return np.clip((lack_m - self.slack_m) / self.brake_m, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class EnclosureConfig:
    """Where the fingers of an open hand have an object between them: there they may close."""

    across_m: float = field(default=0.014, metadata={
        'description': 'error along the way of the fingers; they push the object to the middle'})
    along_m: float = field(default=0.012, metadata={
        'description': 'error along their width'})
    depth_m: float = field(default=0.010, metadata={
        'description': 'error along the approach'})
    turn_rad: float = field(default=0.16, metadata={
        'description': 'angle error; flat fingers turn the object'})
    slack: float = field(default=1.5, metadata={
        'description': 'how much further each may be while the fingers are closing'})


class PlaceGuide(PlaceExpert):
    """Grasps, carries and puts down like the expert, through funnels instead of corridors."""

    funnel = FunnelConfig()
    enclosure = EnclosureConfig()
    open_m = (0.05, 0.07)
    """Gaps between which a hand that opens comes down to grasp."""

    def __init__(self, rule: PlaceRule, *, place: FunnelConfig | None = None):
        """
        Keep the task's rule.

        :param place: how it comes down to put an object down; as to grasp when None.
        """
        super().__init__(rule)
        self.place_funnel = self.funnel if place is None else place

    def _at_grasp(self, truth: TruthState, grasp: np.ndarray) -> np.ndarray:
        """Return (N,) bool: the fingers have the object between them."""
        config = self.enclosure
        along, across, depth = np.abs(
            se3.pose_multiply(se3.pose_inverse(grasp), truth.base_T_tcp)[:, :3].T)
        turn = se3.quat_angle(grasp[:, 3:], truth.base_T_tcp[:, 3:])
        slack = np.where(truth.width < self.open_m[1], config.slack, 1.0)
        inside = (across < slack * config.across_m) & (along < slack * config.along_m)
        inside &= (depth < slack * config.depth_m) & (turn < slack * config.turn_rad)
        return inside & (truth.width > self._config.closed_gap_m)

    def _approach(
            self, truth: TruthState, tcp: np.ndarray, grasp: np.ndarray, closing: np.ndarray,
    ) -> np.ndarray:
        """Return where an empty hand at ``tcp`` should head, base_T_tcp (N, 7)."""
        offset = se3.pose_multiply(se3.pose_inverse(grasp), tcp)
        height = self.funnel.height(
            np.linalg.norm(offset[:, :2], axis=1), se3.quat_angle(grasp[:, 3:], tcp[:, 3:]))
        low, high = self.open_m
        height = np.maximum(height, np.clip((high - truth.width) / (high - low), 0.0, 1.0))
        height = np.where(closing, 0.0, self._config.hover_m * height)
        # The approach is along z of the hand, which points at the object.
        brake = np.where(closing, 0.0, self.funnel.brake(height + offset[:, 2]))
        place = np.column_stack([brake[:, None] * offset[:, :2], -height])
        return se3.pose(
            se3.pose_transform(grasp, place), se3.quat_slerp(grasp[:, 3:], tcp[:, 3:], brake))

    def _carry(
            self, tcp: np.ndarray, goal: np.ndarray, tcp_T_object: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return where a hand that holds the object should head, and the share of its speed."""
        config = self._config
        level = np.linalg.norm(tcp[:, :2] - goal[:, :2], axis=1)
        target = goal.copy()
        target[:, 2] += config.clearance_m * self.place_funnel.height(
            level, se3.quat_angle(tcp[:, 3:], goal[:, 3:]))
        brake = self.place_funnel.brake(target[:, 2] - tcp[:, 2])
        target[:, :2] += brake[:, None] * (tcp[:, :2] - target[:, :2])
        target[:, 3:] = se3.quat_slerp(goal[:, 3:], tcp[:, 3:], brake)
        return target, np.where(level < 2 * config.corridor_m, config.lowering, 1.0)


class BlockLetFall(BlockToBowl):
    """
    Let go as soon as the block hangs over the bowl's bottom, no higher than its rim.

    A base that hovers there, further up than the residual's bound, would else hold it for ever.
    """

    level_m = 0.040
    """Distance from the bowl's axis at which a block of any yaw falls to the bottom."""
    above_m = 0.040
    """How far above where the expert would put it, m."""

    def done(self, truth: TruthState) -> np.ndarray:
        """Return (N,) bool: low enough over the bowl to let go, or let go in it."""
        place = self._place(truth)
        block = truth.object_poses[:, 0, :3]
        near = np.linalg.norm(block[:, :2] - place[:, :2], axis=1) < self.level_m
        low = block[:, 2] < place[:, 2] + self.above_m
        loose = ~truth.finger_contact[:, 0].any(axis=1)
        return (low & near) | (self._task.inside(truth) & loose)


class LiftStraightUp:
    """Grasp a box as it lies and lift it; nothing is put down."""

    def __init__(self, lift_m: float = 0.12):
        """Keep how high the box is to be lifted, m above the table."""
        self._lift_m = lift_m

    def grasp(self, truth: TruthState) -> np.ndarray:
        """Return the grasp from above, base_T_tcp (N, 7)."""
        return box_grasp(truth)

    def goal(self, truth: TruthState, tcp_T_object: np.ndarray) -> np.ndarray:
        """Return base_T_tcp (N, 7), straight above, with the box at its height."""
        position = truth.base_T_tcp[:, :3].copy()
        position[:, 2] += self._lift_m - truth.object_poses[:, 0, 2]
        return se3.pose(position, keep_level(truth))

    def done(self, truth: TruthState) -> np.ndarray:
        """Return (N,) bool: never."""
        return np.zeros(len(truth), bool)


def guide_for(task: Task) -> BasePolicy | None:
    """
    Return the guide of a task: stateless, from simulator truth; None is the base itself.

    A base that pushes a drawer shut is led best by itself: the expert comes another way, and
    copied within the residual's bounds it fails more often than the base.
    """
    if isinstance(task, CloseDrawer):
        return None
    if isinstance(task, PickPlace):
        # A bowl forgives what a grasp does not.
        return PlaceGuide(
            BlockLetFall(task), place=FunnelConfig(inner_m=0.020, wide_m=0.060))
    rule = PLACE_RULES.get(type(task))
    return PlaceGuide(LiftStraightUp() if rule is None else rule(task))


def keep_pace(
        base_T_tcp: np.ndarray, targets: np.ndarray, base_targets: np.ndarray, *,
        least_m: float = 0.010, least_rad: float = 0.10) -> np.ndarray:
    """
    Return a guide's targets (N, 7), no further from the hand than the base's.

    :param base_T_tcp: (N, 7).
    :param targets: of the guide (N, 7).
    :param base_targets: (N, 7), whose distances from the hand are kept to.
    :param least_m: distance that is always granted; a base that stands still must not hold the
        guide up.
    :param least_rad: angle that is.
    """
    way = targets[:, :3] - base_T_tcp[:, :3]
    pace_m = np.linalg.norm(base_targets[:, :3] - base_T_tcp[:, :3], axis=1)
    turn = se3.quat_angle(base_T_tcp[:, 3:], targets[:, 3:])
    pace_rad = se3.quat_angle(base_T_tcp[:, 3:], base_targets[:, 3:])
    share = np.minimum(
        1.0, np.maximum(pace_m, least_m) / np.maximum(np.linalg.norm(way, axis=1), 1e-9))
    part = np.minimum(1.0, np.maximum(pace_rad, least_rad) / np.maximum(turn, 1e-9))
    return se3.pose(
        base_T_tcp[:, :3] + share[:, None] * way,
        se3.quat_slerp(base_T_tcp[:, 3:], targets[:, 3:], part))
