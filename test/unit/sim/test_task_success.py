# SPDX-License-Identifier: Apache-2.0
"""The success predicates of protocol.md section 2, each condition by itself."""

import dataclasses

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.sim.object_shapes import Drawer
from ocrrl_ros.sim.tasks import get_task
from ocrrl_ros.sim.truth import TaskState
import pytest

LEVEL = np.array([0.0, 0.0, 0.0, 1.0])


def done(name):
    """Return the state of one world in which the task is done."""
    task = get_task(name)
    count = len(task.objects)
    extents = np.array([[item.half_extents_m for item in task.objects]])
    poses = np.zeros((1, count, 7))
    poses[..., 6] = 1.0
    joints = np.zeros((1, len(task.joint_names)))
    if name == 'pick_place':
        poses[0, :, :3] = [[0.53, 0.1, 0.03], [0.5, 0.1, 0.025]]
    elif name == 'stack_cube':
        poses[0, :, :3] = [[0.51, 0.1, 0.06], [0.5, 0.1, 0.02]]
    elif name == 'stand_cup':
        poses[0, 0, :3] = (0.5, 0.0, 0.05)
    else:
        joints[0] = (0.44, -0.1, -2.3, 0.012)
        poses[0, 0] = Drawer().pose(joints[0])
    hand = se3.pose(poses[:, 0, :3] + (0.0, 0.0, 0.11), LEVEL)
    return TaskState(
        object_poses=poses, object_linear=np.zeros((1, count, 3)),
        object_angular=np.zeros((1, count, 3)), object_half_extents=extents,
        finger_contact=np.zeros((1, count, 2), dtype=bool), base_T_tcp=hand,
        width=np.array([0.08]), width_speed=np.zeros(1), start_poses=poses.copy(),
        joint_positions=joints, joint_velocities=np.zeros_like(joints))


def moved(state, index, offset):
    """Return the state with one object displaced."""
    poses = state.object_poses.copy()
    poses[0, index, :3] += offset
    return dataclasses.replace(state, object_poses=poses)


def tilted(state, index, degrees):
    """Return the state with one object turned about the x axis."""
    poses = state.object_poses.copy()
    poses[0, index, 3:] = se3.quat_from_rotvec(np.array([np.deg2rad(degrees), 0.0, 0.0]))
    return dataclasses.replace(state, object_poses=poses)


def with_value(state, field, index, value):
    """Return the state with one entry of an array field changed."""
    array = getattr(state, field).copy()
    array[index] = value
    return dataclasses.replace(state, **{field: array})


@pytest.mark.parametrize('name', ['pick_place', 'stack_cube', 'close_drawer', 'stand_cup'])
def test_done_is_success_and_pays_in_full(name):
    task, state = get_task(name), done(name)
    assert task.success_now(state)[0]
    assert not task.failed(state)[0]
    assert task.total_reward(task.reward(state))[0] == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize('name', ['pick_place', 'stack_cube', 'stand_cup'])
@pytest.mark.parametrize(('field', 'index', 'value'), [
    ('finger_contact', (0, 0, 1), True), ('width', 0, 0.059),
    ('object_linear', (0, 0, 2), 0.021), ('object_angular', (0, 0, 0), 0.21)])
def test_touched_gripped_or_moving_object_is_no_success(name, field, index, value):
    assert not get_task(name).success_now(with_value(done(name), field, index, value))[0]


@pytest.mark.parametrize('name', ['pick_place', 'stack_cube', 'stand_cup'])
def test_hand_within_50_mm_is_no_success(name):
    state = done(name)
    near = with_value(
        state, 'base_T_tcp', (0, slice(0, 3)), state.object_poses[0, 0, :3] + (0, 0, 0.049))
    assert not get_task(name).success_now(near)[0]


@pytest.mark.parametrize(('index', 'offset', 'expected'), [
    (0, (0.039, 0.0, 0.0), True), (0, (0.041, 0.0, 0.0), False), (0, (0.0, 0.0, 0.026), False),
    (1, (-0.03, 0.0, 0.0), True), (1, (0.08, 0.04, 0.0), False)])
def test_block_must_lie_deep_in_a_bowl_that_stayed(index, offset, expected):
    state = moved(done('pick_place'), index, offset)
    assert get_task('pick_place').success_now(state)[0] == expected


def test_bowl_pushed_by_more_than_50_mm_or_tipped_is_no_success():
    task, state = get_task('pick_place'), done('pick_place')
    pushed = moved(moved(state, 0, (0.05, 0.01, 0)), 1, (0.05, 0.01, 0.0))
    assert not task.success_now(pushed)[0]
    assert not task.success_now(tilted(state, 1, 11.0))[0]


@pytest.mark.parametrize(('offset', 'expected'), [
    ((0.009, 0.0, 0.0), True), ((0.011, 0.0, 0.0), False), ((0.0, 0.0, 0.004), True),
    ((0.0, 0.0, 0.006), False), ((0.0, 0.0, -0.006), False)])
def test_cube_must_stand_on_the_other(offset, expected):
    state = moved(done('stack_cube'), 0, offset)
    assert get_task('stack_cube').success_now(state)[0] == expected


@pytest.mark.parametrize(('field', 'value', 'expected'), [
    ('joint_positions', 0.0131, False), ('joint_positions', 0.0, True),
    ('joint_velocities', -0.0051, False), ('joint_velocities', -0.0049, True)])
def test_drawer_must_be_shut_and_still(field, value, expected):
    state = with_value(done('close_drawer'), field, (0, 3), value)
    assert get_task('close_drawer').success_now(state)[0] == expected


@pytest.mark.parametrize(('degrees', 'offset', 'expected'), [
    (9.0, (0.0, 0.0, -0.0006), True), (11.0, (0.0, 0.0, -0.0009), False),
    (180.0, (0.0, 0.0, 0.0), False), (0.0, (0.0, 0.0, 0.006), False)])
def test_cup_must_stand_upright_on_its_base(degrees, offset, expected):
    state = moved(tilted(done('stand_cup'), 0, degrees), 0, offset)
    assert get_task('stand_cup').success_now(state)[0] == expected


@pytest.mark.parametrize('name', ['pick_place', 'stack_cube', 'stand_cup'])
def test_object_off_the_table_is_failure(name):
    state = moved(done(name), 0, (0.0, 0.6, -0.2))
    assert get_task(name).failed(state)[0]
