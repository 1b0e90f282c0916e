# SPDX-License-Identifier: Apache-2.0
"""
Rules that name why an episode of any task failed (protocol section 3).

Until the object is in the hand the rules of a grasp apply to the object that is to be grasped.
After that: was it lost, never let go, let go in the wrong place, or did it fall afterwards? A
drawer was missed, its cabinet pushed aside, or the push ended too early.
"""
from collections.abc import Callable
import dataclasses

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.evaluation.failure_modes import classify, GraspTrace, lifted, LIFTED_M
from ocrrl_ros.sim.experts import cup_grasp
from ocrrl_ros.sim.scripted_motion import yaw_of
from ocrrl_ros.sim.tasks import lowest_points, Task, TaskState
from ocrrl_ros.sim.tasks import pick_place, stand_cup
from ocrrl_ros.sim.tasks.close_drawer import CLOSED_M, CloseDrawer
from ocrrl_ros.sim.tasks.pick_place import PickPlace
from ocrrl_ros.sim.tasks.stack_cube import StackCube
from ocrrl_ros.sim.tasks.stand_cup import StandCup
from ocrrl_ros.sim.tasks.task import tilt_rad

MISSED_M = 0.005
"""A drawer that moved less was not touched by the push."""
ASKEW_M = 0.005
ASKEW_RAD = np.deg2rad(2.0)
"""A cabinet that stands so far from where it stood was pushed aside."""


@dataclasses.dataclass(frozen=True)
class EpisodeTruth:
    """
    One episode at 20 Hz.

    :param time_s: (T,) times.
    :param states: the truth, one tick in the place of each world, N = T.
    :param gripper_command: (T,) commanded opening, 0 closed .. 1 open.
    """

    time_s: np.ndarray
    states: TaskState
    gripper_command: np.ndarray

    def __post_init__(self) -> None:
        """Refuse parts of different length and episodes of nothing."""
        lengths = {len(self.time_s), len(self.states), len(self.gripper_command)}
        if len(lengths) != 1 or not len(self.time_s):
            raise InputError(f'an episode has parts of lengths {sorted(lengths)}; equal ones >= 1 '
                             'are needed')


def join_states(states: list[TaskState]) -> TaskState:
    """
    Return states of one world (N = 1 each) as one with a row per tick.

    :raises InputError: there is none.
    """
    if not states:
        raise InputError('an episode without a single state cannot be judged')
    return TaskState(**{item.name: np.concatenate([getattr(state, item.name) for state in states])
                        for item in dataclasses.fields(TaskState)})


def name_failure(task: Task, episode: EpisodeTruth, *, left_workspace: bool) -> str:
    """
    Name the failure mode of a failed episode.

    :param left_workspace: whether an object left the workspace.
    :return: one of `failure_modes.FAILURE_MODES`.
    """
    if isinstance(task, CloseDrawer):
        return _push_failure(episode.states)
    trace = grasp_trace(task, episode)
    if type(task) in _AT_GOAL and lifted(trace).any():
        return _place_failure(task, episode, trace)
    long_object = isinstance(task, (PickPlace, StandCup))
    return classify(
        trace, left_workspace=left_workspace, yaw_period=np.pi if long_object else np.pi / 2,
        finger_axis=1 if long_object else None)


def first_picked(states: TaskState, object_ids: tuple[str, ...]) -> str:
    """Return the object that both fingers lifted first, empty when they lifted none."""
    lowest = lowest_points(states.object_poses, states.object_half_extents)
    held = states.finger_contact.all(axis=-1) & (lowest > LIFTED_M)
    ticks, objects = np.nonzero(held)
    return object_ids[objects[0]] if len(ticks) else ''


def grasp_trace(task: Task, episode: EpisodeTruth) -> GraspTrace:
    """Return what the grasp rules look at: the task's first object, where it is to be grasped."""
    states = episode.states
    poses = states.object_poses[:, 0]
    return GraspTrace(
        time_s=episode.time_s, base_T_tcp=states.base_T_tcp,
        gripper_command=episode.gripper_command,
        base_T_object=_across_cup(poses) if isinstance(task, StandCup) else poses,
        lowest_m=lowest_points(poses, states.object_half_extents[:, 0]),
        both_touch=states.finger_contact[:, 0].all(axis=1))


def _across_cup(poses: np.ndarray) -> np.ndarray:
    """
    Return where a lying cup is grasped (T, 7): y level and across its axis, z up.

    The place is that of the expert and of the operator, which grasp beyond the middle and lean.
    """
    turn = np.zeros((len(poses), 3))
    turn[:, 2] = yaw_of(poses[:, 3:], axis=2)
    return se3.pose(cup_grasp(poses)[:, :3], se3.quat_from_rotvec(turn))


def _upright(task: StandCup, states: TaskState) -> np.ndarray:
    """Return (T,) bool, whether the cup's mouth is up."""
    return tilt_rad(states.object_poses[:, 0]) < stand_cup.UPRIGHT_RAD


_AT_GOAL: dict[type, Callable[[Task, TaskState], np.ndarray]] = {
    StackCube: lambda task, states: task.stacked(states),
    PickPlace: lambda task, states: task.inside(states), StandCup: _upright}
"""Where the object of a task belongs, held or not, (T,) bool."""


def _place_failure(task: Task, episode: EpisodeTruth, trace: GraspTrace) -> str:
    """Name what went wrong after the object was in the hand."""
    off_goal = 'not_turned_up' if isinstance(task, StandCup) else 'misplaced'
    good = _AT_GOAL[type(task)](task, episode.states)
    last = int(np.flatnonzero(trace.both_touch)[-1])
    if last == len(good) - 1:
        return 'not_released' if good[-1] else off_goal
    if episode.gripper_command[last] < 0.5 and episode.gripper_command[last + 1] < 0.5:
        return 'drop'
    if not good[last]:
        return off_goal
    if not good[-1]:
        return 'fell'
    if isinstance(task, PickPlace) and _bowl_was_moved(episode.states):
        return 'disturbed'
    return 'unsettled'


def _bowl_was_moved(states: TaskState) -> bool:
    """Tell whether the bowl ended tilted or away from where it stood."""
    bowl = states.object_poses[-1, 1]
    moved = np.linalg.norm(bowl[:3] - states.start_poses[-1, 1, :3])
    return bool(moved >= pick_place.BOWL_MOVED_M or tilt_rad(bowl) >= pick_place.UPRIGHT_RAD)


def _push_failure(states: TaskState) -> str:
    """Name what went wrong with a push."""
    joints = states.joint_positions
    moved = np.abs(joints[-1, :3] - joints[0, :3])
    if np.hypot(moved[0], moved[1]) > ASKEW_M or moved[2] > ASKEW_RAD:
        return 'askew'
    opening = joints[:, 3]
    if opening[0] - opening.min() < MISSED_M:
        return 'missed'
    return 'reopened' if opening.min() <= CLOSED_M else 'stopped_short'
