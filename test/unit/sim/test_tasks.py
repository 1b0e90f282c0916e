# SPDX-License-Identifier: Apache-2.0
"""Every task starts, scores and fails as the protocol says."""

import dataclasses

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.tasks import (
    get_task, initial_sha256, known_tasks, lowest_points, SuccessCounter, TaskState)
from ocrrl_ros.sim.world import SimWorld
import pytest


def _state(height: float = 0.12, **changes: np.ndarray) -> TaskState:
    """Return one world in which the cube is held at a height."""
    cube = np.array([[[0.5, 0.0, height, 0.0, 0.0, 0.0, 1.0]]])
    fields = {
        'object_poses': cube, 'object_linear': np.zeros((1, 1, 3)),
        'object_angular': np.zeros((1, 1, 3)),
        'object_half_extents': np.full((1, 1, 3), 0.02),
        'finger_contact': np.ones((1, 1, 2), dtype=bool), 'base_T_tcp': cube[:, 0],
        'width': np.array([0.04]), 'width_speed': np.zeros(1), 'start_poses': cube}
    return TaskState(**{**fields, **changes})


@pytest.mark.parametrize(('name', 'low_m', 'high_m'), [
    ('cube_lift', (0.40, -0.15), (0.60, 0.15)), ('pick_place', (0.40, -0.20), (0.60, 0.20)),
    ('stack_cube', (0.40, -0.15), (0.60, 0.15)), ('stand_cup', (0.42, -0.12), (0.58, 0.12))])
def test_start_states_fill_the_start_range(name, low_m, high_m):
    task, domain = get_task(name), load_domain('sim')
    rng = np.random.default_rng(0)
    states = [task.sample_initial(rng, domain) for _ in range(300)]
    xy = np.array([state.object_poses[0, :2] for state in states])
    assert xy.min(axis=0) == pytest.approx(low_m, abs=0.012)
    assert xy.max(axis=0) == pytest.approx(high_m, abs=0.012)
    assert all(np.isfinite(state.q).all() for state in states)


def test_drawers_start_open_by_60_to_130_mm_in_cabinets_within_30_mm_and_10_degrees():
    task, domain = get_task('close_drawer'), load_domain('sim')
    rng = np.random.default_rng(0)
    joints = np.array([task.sample_initial(rng, domain).joint_positions for _ in range(300)])
    assert np.ptp(joints, axis=0) == pytest.approx([0.06, 0.06, np.deg2rad(20), 0.07], rel=0.03)
    assert joints[:, 3].min() >= 0.060 and joints[:, 3].max() <= 0.130


@pytest.mark.parametrize(('name', 'apart_m'), [('pick_place', 0.15), ('stack_cube', 0.08)])
def test_two_objects_start_apart(name, apart_m):
    task, domain = get_task(name), load_domain('sim')
    rng = np.random.default_rng(0)
    poses = np.array([task.sample_initial(rng, domain).object_poses for _ in range(300)])
    gaps = np.linalg.norm(poses[:, 0, :2] - poses[:, 1, :2], axis=1)
    assert apart_m < gaps.min() < apart_m + 0.02


@pytest.mark.parametrize('name', known_tasks())
def test_start_states_take_the_same_number_of_draws(name):
    task, domain = get_task(name), load_domain('sim')
    left = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        task.sample_initial(rng, domain)
        left.append(_draws_between(np.random.default_rng(seed), rng))
    assert len(set(left)) == 1


def _draws_between(start, end):
    """Return how many raw draws lie between two states of one generator."""
    goal = end.bit_generator.state['state']['state']
    for count in range(200):
        if start.bit_generator.state['state']['state'] == goal:
            return count
        start.bit_generator.random_raw()
    raise AssertionError('more than 200 draws')


@pytest.mark.parametrize('name', known_tasks())
def test_reward_weights_sum_to_one_and_terms_stay_in_range(name):
    task = get_task(name)
    assert sum(task.reward_weights.values()) == pytest.approx(1.0)
    world = SimWorld(task, load_domain('sim'), load_physics())
    world.reset(np.random.default_rng(1))
    for _ in range(3):
        state = world.task_state()
        terms = task.reward(state)
        assert set(terms) == set(task.reward_weights)
        assert all(((value >= 0.0) & (value <= 1.0)).all() for value in terms.values())
        assert 0.0 <= task.total_reward(terms)[0] <= 1.0
        assert not task.success_now(state)[0] and not task.failed(state)[0]
        world.step(100)


def test_unknown_task_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"'fly'.*cube_lift"):
        get_task('fly')


def test_start_state_hash_follows_the_state():
    task, domain = get_task('cube_lift'), load_domain('sim')
    one, two = (task.sample_initial(np.random.default_rng(i), domain) for i in (0, 1))
    assert initial_sha256(one) != initial_sha256(two)
    assert initial_sha256(one) == initial_sha256(dataclasses.replace(one))


def test_held_still_and_high_cube_is_success():
    assert get_task('cube_lift').success_now(_state(0.0701))[0]


@pytest.mark.parametrize('changes', [
    {'height': 0.0699},
    {'object_linear': np.array([[[0.0, 0.03, 0.041]]])},
    {'finger_contact': np.array([[[True, False]]])},
])
def test_low_fast_or_loose_cube_is_no_success(changes):
    assert not get_task('cube_lift').success_now(_state(**changes))[0]


def test_tilted_cube_must_be_higher():
    tilt = se3.quat_from_rotvec(np.array([np.pi / 4, 0.0, 0.0]))
    pose = se3.pose(np.array([0.5, 0.0, 0.075]), tilt)
    lowest = lowest_points(pose[None], np.full((1, 3), 0.02))
    assert lowest[0] == pytest.approx(0.075 - 0.02 * np.sqrt(2.0))
    assert not get_task('cube_lift').success_now(_state(object_poses=pose[None, None]))[0]


def test_stages_pay_more_the_further_the_task_is():
    task = get_task('cube_lift')
    far = _state(0.02, base_T_tcp=np.array([[0.3, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0]]),
                 finger_contact=np.zeros((1, 1, 2), dtype=bool))
    near = dataclasses.replace(far, base_T_tcp=far.object_poses[:, 0])
    held = dataclasses.replace(near, finger_contact=np.ones((1, 1, 2), dtype=bool))
    order = [task.total_reward(task.reward(state))[0]
             for state in (far, near, held, _state(0.05), _state(0.08))]
    assert order == sorted(order)
    assert np.diff(order).min() > 0.05


def test_object_outside_the_workspace_fails():
    task = get_task('cube_lift')
    assert not task.failed(_state())[0]
    gone = np.array([[[0.9, 0.0, 0.02, 0.0, 0.0, 0.0, 1.0]]])
    assert task.failed(_state(object_poses=gone))[0]


def test_success_must_hold_without_a_break():
    counter = SuccessCounter(2, hold_ticks=3)
    ticks = [(1, 1), (1, 0), (1, 1), (0, 1), (1, 1)]
    held = [counter.update(np.array(tick, dtype=bool)) for tick in ticks]
    assert [bool(h[0]) for h in held] == [False, False, True, False, False]
    assert [bool(h[1]) for h in held] == [False, False, False, False, True]
    counter.reset(np.array([1]))
    assert not counter.update(np.array([True, True]))[1]
