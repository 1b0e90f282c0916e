# SPDX-License-Identifier: Apache-2.0
"""Tests of the failure rules of every task on made-up episodes."""
import dataclasses

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.evaluation.failure_modes import FAILURE_MODES
from ocrrl_ros.evaluation.task_failures import EpisodeTruth, join_states, name_failure
from ocrrl_ros.sim.experts import cup_grasp
from ocrrl_ros.sim.object_shapes import Drawer, lying_pose
from ocrrl_ros.sim.tasks import get_task
from ocrrl_ros.sim.tasks.stand_cup import CUP
from ocrrl_ros.sim.truth import TaskState
import pytest

TICKS = 100
DOWN = np.array([1.0, 0.0, 0.0, 0.0])
LEVEL = np.array([0.0, 0.0, 0.0, 1.0])
HELD = slice(50, 80)
"""Ticks in which the object is in the hand; the hand closes at 40 and opens at 80."""


def start_poses(name):
    """Return where the objects of a task stand (K, 7)."""
    lying = lying_pose(CUP.shape, 1.0, 0.5, 0.0, 0.3)
    return {
        'cube_lift': np.array([[0.5, 0, 0.02, *LEVEL]]), 'stand_cup': lying[None],
        'stack_cube': np.array([[0.5, 0, 0.02, *LEVEL], [0.5, 0.2, 0.02, *LEVEL]]),
        'pick_place': np.array([[0.5, 0, 0.02, *LEVEL], [0.5, 0.2, 0.025, *LEVEL]])}[name]


def make_episode(name, *, offset=(0.0, 0.0, 0.0), yaw=0.0, opens=80, held=HELD, end=None):
    """
    Make an episode that descends onto the first object, closes, lifts and opens again.

    :param offset: of the hand from the grasp; ``yaw`` of the hand from the fitting one.
    :param held: ticks in which both fingers touch and the object is 5 cm up; None for never.
    :param end: pose (7,) of the first object after it was held; where it started when None.
    """
    task, start = get_task(name), start_poses(name)
    poses = np.tile(start, (TICKS, 1, 1))
    contact = np.zeros((TICKS, len(start), 2), dtype=bool)
    grasp, turn = start[0, :3].copy(), 0.0
    if name == 'stand_cup':
        grasp = cup_grasp(start[:1])[0, :3]
        turn = 0.3
    if held is not None:
        poses[held, 0, 2] += 0.05
        contact[held, 0] = True
        if end is not None:
            poses[held.stop:, 0] = end
    tcp = np.zeros((TICKS, 7))
    tcp[:, :3] = grasp + np.asarray(offset)
    tcp[:, 2] += np.interp(np.arange(TICKS), [0, 40, 60, 80], [0.3, 0.0, 0.0, 0.3])
    tcp[:, 3:] = se3.quat_multiply(se3.quat_from_rotvec(np.array([0.0, 0, turn + yaw])), DOWN)
    command = np.ones(TICKS)
    command[40:opens] = 0.0
    extents = np.array([item.half_extents_m for item in task.objects])
    states = TaskState(
        object_poses=poses, object_linear=np.zeros((TICKS, len(start), 3)),
        object_angular=np.zeros((TICKS, len(start), 3)),
        object_half_extents=np.tile(extents, (TICKS, 1, 1)), finger_contact=contact,
        base_T_tcp=tcp, width=np.full(TICKS, 0.04), width_speed=np.zeros(TICKS),
        start_poses=np.tile(start, (TICKS, 1, 1)), joint_positions=np.zeros((TICKS, 0)),
        joint_velocities=np.zeros((TICKS, 0)))
    return task, EpisodeTruth(0.05 * np.arange(TICKS), states, command)


def upright(degrees, height=0.05):
    """Return a cup that is tilted so far (7,)."""
    return np.array([0.5, 0.0, height, *se3.quat_from_rotvec(
        np.array([np.deg2rad(degrees), 0.0, 0.0]))])


def named(name, **changes):
    """Name the failure of a made-up episode."""
    task, episode = make_episode(name, **changes)
    return name_failure(task, episode, left_workspace=False)


@pytest.mark.parametrize('name', ['cube_lift', 'stack_cube', 'pick_place', 'stand_cup'])
@pytest.mark.parametrize(('changes', 'mode'), [
    ({}, 'slip'), ({'offset': (0, 0, 0.016)}, 'hover'), ({'offset': (0.012, 0.012, 0)}, 'short'),
    ({'yaw': np.deg2rad(20)}, 'angle')])
def test_grasps_are_judged_at_the_object_that_is_grasped(name, changes, mode):
    assert named(name, held=None, **changes) == mode


@pytest.mark.parametrize(('name', 'mode'), [
    ('cube_lift', 'slip'), ('stack_cube', 'slip'), ('pick_place', 'angle'),
    ('stand_cup', 'angle')])
def test_a_quarter_turn_fits_cubes_alone(name, mode):
    assert named(name, held=None, yaw=np.pi / 2) == mode


@pytest.mark.parametrize(('name', 'changes', 'mode'), [
    ('cube_lift', {}, 'drop'),
    ('stack_cube', {'opens': 95}, 'drop'),
    ('stack_cube', {'held': slice(50, TICKS), 'opens': TICKS}, 'misplaced'),
    ('stack_cube', {}, 'misplaced'),
    ('pick_place', {}, 'misplaced'),
    ('stand_cup', {}, 'not_turned_up'),
    ('stand_cup', {'held': slice(50, TICKS), 'opens': TICKS}, 'not_turned_up')])
def test_what_goes_wrong_after_the_grasp_has_a_name(name, changes, mode):
    assert named(name, **changes) == mode


def at_goal(name, *, pose, end=None, held=HELD, opens=80):
    """Name the failure of an episode whose object was brought to a pose before it was let go."""
    task, episode = make_episode(name, held=held, opens=opens, end=end)
    poses = episode.states.object_poses.copy()
    poses[held.stop - 10:held.stop, 0] = pose
    if end is None:
        poses[held.stop:, 0] = pose
    states = dataclasses.replace(episode.states, object_poses=poses)
    return name_failure(
        task, dataclasses.replace(episode, states=states), left_workspace=False)


STACKED = np.array([0.5, 0.2, 0.06, *LEVEL])


def test_after_the_goal_was_reached_it_may_fall_stay_in_the_hand_or_never_rest():
    beside = np.array([0.5, 0.26, 0.02, *LEVEL])
    assert at_goal('stack_cube', pose=STACKED, end=beside) == 'fell'
    assert at_goal('stack_cube', pose=STACKED) == 'unsettled'
    whole = slice(50, TICKS)
    assert at_goal('stack_cube', pose=STACKED, held=whole, opens=TICKS) == 'not_released'
    assert at_goal('stand_cup', pose=upright(2), end=upright(80, 0.03)) == 'fell'
    assert at_goal('stand_cup', pose=upright(2)) == 'unsettled'


def test_a_bowl_that_was_pushed_away_is_named():
    task, episode = make_episode('pick_place')
    poses = episode.states.object_poses.copy()
    poses[70:, 0, :3] = [0.5, 0.26, 0.03]
    poses[70:, 1, 1] += 0.06
    states = dataclasses.replace(episode.states, object_poses=poses)
    episode = dataclasses.replace(episode, states=states)
    assert name_failure(task, episode, left_workspace=False) == 'disturbed'


def drawer(openings, cabinet=(0.44, -0.1, -2.3)):
    """Return the failure of a drawer with these openings; the cabinet ends at ``cabinet``."""
    joints = np.zeros((len(openings), 4))
    joints[:, :3] = (0.44, -0.1, -2.3)
    joints[-1, :3] = cabinet
    joints[:, 3] = openings
    n = len(openings)
    poses = Drawer().pose(joints)[:, None]
    states = TaskState(
        object_poses=poses, object_linear=np.zeros((n, 1, 3)), object_angular=np.zeros((n, 1, 3)),
        object_half_extents=np.zeros((n, 1, 3)), finger_contact=np.zeros((n, 1, 2), dtype=bool),
        base_T_tcp=poses[:, 0], width=np.zeros(n), width_speed=np.zeros(n), start_poses=poses,
        joint_positions=joints, joint_velocities=np.zeros((n, 4)))
    episode = EpisodeTruth(0.05 * np.arange(n), states, np.zeros(n))
    return name_failure(get_task('close_drawer'), episode, left_workspace=False)


@pytest.mark.parametrize(('openings', 'cabinet', 'mode'), [
    ([0.1, 0.1, 0.098], (0.44, -0.1, -2.3), 'missed'),
    ([0.1, 0.05, 0.03], (0.44, -0.1, -2.3), 'stopped_short'),
    ([0.1, 0.01, 0.03], (0.44, -0.1, -2.3), 'reopened'),
    ([0.1, 0.05, 0.03], (0.446, -0.1, -2.3), 'askew'),
    ([0.1, 0.05, 0.03], (0.44, -0.1, -2.25), 'askew')])
def test_each_rule_of_a_push_names_its_mode(openings, cabinet, mode):
    assert drawer(openings, cabinet) == mode
    assert mode in FAILURE_MODES


def test_episodes_of_nothing_are_refused():
    with pytest.raises(InputError, match='single state'):
        join_states([])
    _, episode = make_episode('cube_lift')
    with pytest.raises(InputError, match='lengths'):
        dataclasses.replace(episode, time_s=np.zeros(3))
