# SPDX-License-Identifier: Apache-2.0
"""Tests of what disturbs an episode, and when its moment has come."""
from collections import Counter

import numpy as np
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.evaluation.evaluate import EvaluateConfig
from ocrrl_ros.evaluation.perturbations.phases import PhaseWatch
from ocrrl_ros.evaluation.perturbations.schedule import draw_plan, Plan
from ocrrl_ros.evaluation.perturbations.settings import (
    disturbance_settings, DisturbanceConfig, DisturbanceSettings, KINDS, PHASES)
from ocrrl_ros.sim.seeding import episode_rngs
from ocrrl_ros.sim.tasks import get_task, TaskState
import pytest

ALL = DisturbanceSettings(kinds=tuple(KINDS))
IDENTITY = np.array([0.0, 0, 0, 0, 0, 0, 1])


def plan_of(episode, settings=ALL):
    """Draw the plan of an episode of the test seed."""
    return draw_plan(episode_rngs('cube_lift', 'sim', 7, episode).perturbation, settings)


def test_a_plan_follows_from_seed_and_episode_alone():
    plans = [plan_of(episode) for episode in range(20)]
    assert plans == [plan_of(episode) for episode in range(20)]
    assert len({plan.moment for plan in plans}) == 20


def test_drawing_a_plan_leaves_all_other_streams_as_they_were():
    drawn, untouched = (episode_rngs('cube_lift', 'sim', 7, 3) for _ in range(2))
    draw_plan(drawn.perturbation, ALL)
    for name in ('initial', 'sensor', 'base'):
        assert getattr(drawn, name).random() == getattr(untouched, name).random()
    assert drawn.perturbation.random() != untouched.perturbation.random()


def test_kinds_are_equally_frequent_and_happen_only_where_they_do_something():
    plans = [plan_of(episode) for episode in range(1000)]
    counts = Counter(plan.kind for plan in plans)
    assert set(counts) == set(KINDS)
    assert min(counts.values()) > 150
    assert all(plan.phase in KINDS[plan.kind] for plan in plans)
    assert {plan.phase for plan in plans if plan.kind == 'poke'} == set(PHASES)


def test_sizes_and_moments_lie_in_their_ranges():
    sizes, plans = DisturbanceConfig(), [plan_of(episode) for episode in range(500)]
    ranges = {'push': sizes.push_m, 'slide': sizes.slide_m, 'twist': sizes.twist_deg,
              'poke': sizes.poke_n, 'drop': (0.0, 0.0)}
    moments = {'before': sizes.before_m, 'during': sizes.during_m, 'after': sizes.after_s}
    for plan in plans:
        assert ranges[plan.kind][0] <= plan.size <= ranges[plan.kind][1]
        assert moments[plan.phase][0] <= plan.moment <= moments[plan.phase][1]
        assert -np.pi <= plan.direction_rad <= np.pi


def test_a_stall_is_drawn_with_a_time_of_the_episode():
    settings = disturbance_settings(
        get_task('cube_lift'), None, PHASES, 1.0, DisturbanceConfig())
    times = [plan_of(episode, settings).moment for episode in range(200)]
    assert plan_of(0, settings).size == 1.0
    assert 1.0 <= min(times) < 1.3
    assert 3.7 < max(times) <= 4.0


@pytest.mark.parametrize(('changes', 'error', 'message'), [
    ({'perturb': ('shove',)}, UnknownNameError, 'drop, poke, push, slide, twist'),
    ({'perturb': (), 'perturb_when': ('later',)}, UnknownNameError, 'after, before, during'),
    ({'perturb': (), 'perturb_when': ()}, ConfigError, 'perturb_when is empty'),
    ({'perturb': ('push',), 'stall_s': 1.0}, ConfigError, 'one of the two'),
    ({'stall_s': -1.0}, ConfigError, 'stall_s is -1.0')])
def test_what_cannot_be_asked_for_is_refused(changes, error, message):
    with pytest.raises(error, match=message):
        EvaluateConfig(**changes)


def test_kinds_must_suit_task_and_phase():
    sizes = DisturbanceConfig()
    with pytest.raises(ConfigError, match="'twist', which does not suit.*allowed: push, poke"):
        disturbance_settings(get_task('close_drawer'), ('twist',), PHASES, 0.0, sizes)
    with pytest.raises(ConfigError, match='drop: after'):
        disturbance_settings(get_task('cube_lift'), ('drop',), ('before',), 0.0, sizes)
    found = disturbance_settings(get_task('close_drawer'), (), PHASES, 0.0, sizes)
    assert found.kinds == ('push', 'poke')
    assert disturbance_settings(get_task('cube_lift'), None, PHASES, 0.0, sizes) is None


@pytest.mark.parametrize('changes', [
    {'push_m': (0.05, 0.02)}, {'slide_m': (0.02, 0.5)}, {'poke_s': 0.0}])
def test_sizes_without_meaning_are_refused(changes):
    with pytest.raises(ConfigError, match=f'{next(iter(changes))} is'):
        DisturbanceConfig(**changes)


def state_of(distance_m, *, left=False, right=False):
    """Make a truth with the hand right above the object."""
    tcp = IDENTITY.copy()
    tcp[2] = distance_m
    zero = np.zeros((1, 1, 3))
    return TaskState(
        object_poses=IDENTITY[None, None], object_linear=zero, object_angular=zero,
        object_half_extents=zero, finger_contact=np.array([[[left, right]]]),
        base_T_tcp=tcp[None], width=np.array([0.08]), width_speed=np.zeros(1),
        start_poses=IDENTITY[None, None])


def first_time(phase, moment, states, task='cube_lift'):
    """Return the index of the state at which a plan's moment comes, states 0.1 s apart."""
    plan = Plan(kind='poke', phase=phase, moment=moment, size=80.0, direction_rad=0.0)
    watch = PhaseWatch(plan, get_task(task))
    return next((index for index, state in enumerate(states)
                 if watch.has_come(state, 0.1 * index)), None)


def test_the_moment_before_a_grasp_is_a_distance_without_contact():
    assert first_time('before', 0.1, [state_of(d) for d in (0.3, 0.2, 0.09)]) == 2
    assert first_time('before', 0.1, [state_of(0.05, left=True)]) is None


def test_the_moment_during_a_grasp_is_near_or_touched_by_one_finger_and_not_held():
    assert first_time('during', 0.04, [state_of(d) for d in (0.1, 0.03)]) == 1
    assert first_time('during', 0.04, [state_of(0.1), state_of(0.1, left=True)]) == 1
    assert first_time('during', 0.04, [state_of(0.01, left=True, right=True)]) is None


def test_the_moment_after_a_grasp_is_held_without_a_break():
    held, loose = state_of(0.0, left=True, right=True), state_of(0.0, left=True)
    assert first_time('after', 0.25, [held, held, loose, held, held, held, held]) == 6
    assert first_time('after', 0.25, [loose] * 9) is None
    assert first_time('after', 0.25, [loose] * 9, task='close_drawer') == 3
