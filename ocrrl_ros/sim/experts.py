# SPDX-License-Identifier: Apache-2.0
"""The scripted expert of every task."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.policy.base_policy import BasePolicy
from ocrrl_ros.sim.expert import grasp_quaternions, ScriptedExpert
from ocrrl_ros.sim.place_expert import PlaceExpert, upright
from ocrrl_ros.sim.push_expert import PushExpert
from ocrrl_ros.sim.scripted_motion import down_with_yaw, nearest_yaw, yaw_of
from ocrrl_ros.sim.tasks import Task
from ocrrl_ros.sim.tasks.close_drawer import CloseDrawer
from ocrrl_ros.sim.tasks.pick_place import PickPlace
from ocrrl_ros.sim.tasks.stack_cube import StackCube
from ocrrl_ros.sim.tasks.stand_cup import StandCup
from ocrrl_ros.sim.truth import TruthState

_WRIST_LIMIT_RAD = 0.75 * np.pi
#: How far above its resting height an object is let go.
_DROP_M = 0.002
#: The cup is held this far above its middle, where it is wider but the hand clears the table; the
#: fingers reach over its axis so far that its rim does not touch the palm; and the hand leans
#: towards the mouth, so that it need not turn level, with the wrist below the table, to stand the
#: cup up (docs/notes/tasks.md).
_CUP_GRASP_M, _CUP_PALM_M, _CUP_LEAN_RAD = 0.012, 0.018, np.deg2rad(25.0)
_CUP_PLACE_M = (0.58, 0.0)
_UP = np.array([0.0, 0.0, 1.0])
#: Hand level and pointing away from the robot, its x axis up.
_LEVEL_HAND = se3.matrix_to_quat(np.array([[0.0, 0, 1], [0, -1, 0], [1, 0, 0]]))


def expert_for(task: Task) -> BasePolicy:
    """Return a fresh scripted expert of a task."""
    if isinstance(task, CloseDrawer):
        return PushExpert(task.objects[0].shape)
    rule = PLACE_RULES.get(type(task))
    return ScriptedExpert() if rule is None else PlaceExpert(rule(task))


def box_grasp(truth: TruthState) -> np.ndarray:
    """Return base_T_tcp (N, 7) that grasps the first object, a box, from above."""
    box = truth.object_poses[:, 0]
    return se3.pose(box[:, :3], grasp_quaternions(box[:, 3:], truth.base_T_tcp[:, 3:]))


def cup_grasp(cup: np.ndarray) -> np.ndarray:
    """
    Return base_T_tcp (N, 7) that grasps a lying cup across its side.

    The hand's x axis is towards the mouth, seen from above.

    :param cup: base_T_cup (N, 7).
    """
    along = se3.quat_rotate(cup[:, 3:], _UP)
    lean = se3.quat_from_rotvec(np.array([[0.0, -_CUP_LEAN_RAD, 0.0]]))
    quaternion = se3.quat_multiply(down_with_yaw(yaw_of(cup[:, 3:], axis=2)), lean)
    back = se3.quat_rotate(quaternion, np.array([0.0, 0.0, -_CUP_PALM_M]))
    return se3.pose(cup[:, :3] + _CUP_GRASP_M * along + back, quaternion)


def keep_level(truth: TruthState) -> np.ndarray:
    """Return downward orientations (N, 4) with the hand's present yaw."""
    return down_with_yaw(yaw_of(truth.base_T_tcp[:, 3:]))


def _above(truth: TruthState, xyz: np.ndarray, tcp_T_object: np.ndarray) -> np.ndarray:
    """Return base_T_tcp (N, 7), hand down, that holds the object's centre at ``xyz`` (N, 3)."""
    quaternion = keep_level(truth)
    return se3.pose(xyz - se3.quat_rotate(quaternion, tcp_T_object[:, :3]), quaternion)


class BlockToBowl:
    """Grasp the block across its short side, let go in the middle of the bowl."""

    def __init__(self, task: PickPlace):
        """Keep the task, whose idea of "inside" counts."""
        self._task = task

    def grasp(self, truth: TruthState) -> np.ndarray:
        """Return the grasp from above, base_T_tcp (N, 7)."""
        block = truth.object_poses[:, 0]
        present = yaw_of(truth.base_T_tcp[:, 3:])
        yaw = nearest_yaw(yaw_of(block[:, 3:]), present, np.pi, _WRIST_LIMIT_RAD)
        return se3.pose(block[:, :3], down_with_yaw(yaw))

    def goal(self, truth: TruthState, tcp_T_object: np.ndarray) -> np.ndarray:
        """Return base_T_tcp (N, 7) with the block just above the bottom of the bowl."""
        return _above(truth, self._place(truth), tcp_T_object)

    def done(self, truth: TruthState) -> np.ndarray:
        """Return (N,) bool: low enough in the bowl to let go, or let go there."""
        low = truth.object_poses[:, 0, 2] < self._place(truth)[:, 2] + 0.006
        loose = ~truth.finger_contact[:, 0].any(axis=1)
        return self._task.inside(truth) & (low | loose)

    @staticmethod
    def _place(truth: TruthState) -> np.ndarray:
        """Return where the block's centre belongs (N, 3)."""
        place = truth.object_poses[:, 1, :3].copy()
        # Bottom of the bowl, its wall, half a block, and a little air.
        place[:, 2] += (
            truth.object_half_extents[:, 0, 2] - truth.object_half_extents[:, 1, 2] + 0.010)
        return place


class CubeOnCube:
    """Grasp the red cube, let go on the green one."""

    def __init__(self, task: StackCube):
        """Take nothing from the task."""

    def grasp(self, truth: TruthState) -> np.ndarray:
        """Return the grasp from above, base_T_tcp (N, 7)."""
        return box_grasp(truth)

    def goal(self, truth: TruthState, tcp_T_object: np.ndarray) -> np.ndarray:
        """Return base_T_tcp (N, 7) with the red cube just above the green one."""
        place = truth.object_poses[:, 1, :3].copy()
        place[:, 2] += self._rise(truth) + _DROP_M
        return _above(truth, place, tcp_T_object)

    def done(self, truth: TruthState) -> np.ndarray:
        """Return (N,) bool: on top of the other."""
        offset = truth.object_poses[:, 0, :3] - truth.object_poses[:, 1, :3]
        level = np.linalg.norm(offset[:, :2], axis=1)
        return (level < 0.015) & (np.abs(offset[:, 2] - self._rise(truth)) < 2 * _DROP_M)

    @staticmethod
    def _rise(truth: TruthState) -> np.ndarray:
        """Return the height (N,) of one centre above the other when stacked, m."""
        return truth.object_half_extents[:, :2, 2].sum(axis=1)


class CupUpright:
    """Grasp the lying cup across its side, turn the hand away from the robot, set the cup down."""

    def __init__(self, task: StandCup):
        """Take nothing from the task."""

    def grasp(self, truth: TruthState) -> np.ndarray:
        """Return the grasp from above, base_T_tcp (N, 7)."""
        return cup_grasp(truth.object_poses[:, 0])

    def goal(self, truth: TruthState, tcp_T_object: np.ndarray) -> np.ndarray:
        """
        Return base_T_tcp (N, 7) with the cup upright just above the table.

        The hand is as near to level as the way allows in which it holds the cup.
        """
        level = np.broadcast_to(_LEVEL_HAND, (len(truth), 4))
        quaternion = upright(level, tcp_T_object)
        place = np.empty((len(truth), 3))
        place[:, :2] = _CUP_PLACE_M
        place[:, 2] = truth.object_half_extents[:, 0, 2] + _DROP_M
        return se3.pose(place - se3.quat_rotate(quaternion, tcp_T_object[:, :3]), quaternion)

    def done(self, truth: TruthState) -> np.ndarray:
        """Return (N,) bool: upright and on the table."""
        cup = truth.object_poses[:, 0]
        up = se3.quat_rotate(cup[:, 3:], _UP)[:, 2]
        base = cup[:, 2] - truth.object_half_extents[:, 0, 2] * up
        return (up > np.cos(np.deg2rad(8.0))) & (base < 2 * _DROP_M)


#: What tells how tasks are done that put something down.
PLACE_RULES = {PickPlace: BlockToBowl, StackCube: CubeOnCube, StandCup: CupUpright}
