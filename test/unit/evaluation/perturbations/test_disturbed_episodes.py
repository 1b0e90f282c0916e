# SPDX-License-Identifier: Apache-2.0
"""Tests of whole episodes that are disturbed beside their twins, with the scripted expert."""
import json

import numpy as np
from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.evaluation import evaluate as module
from ocrrl_ros.evaluation.evaluate import EvaluateConfig, rollout_settings
from ocrrl_ros.evaluation.perturbations.injector import (
    clear_direction, Injector, push_force_n)
from ocrrl_ros.evaluation.perturbations.schedule import Plan
from ocrrl_ros.evaluation.perturbations.settings import DisturbanceConfig
from ocrrl_ros.evaluation.provenance import GitState
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.seeding import episode_rngs
from ocrrl_ros.sim.tasks import get_task
from ocrrl_ros.sim.world import SimWorld
import pytest

SIZES = DisturbanceConfig()


def expert(**changes):
    """Configure the cheapest disturbed evaluation."""
    return EvaluateConfig(**{'policy': 'base', 'base': 'expert', 'poses': 'truth', 'episodes': 1,
                             'workers': 1, 'seed': 10_000, **changes})


@pytest.fixture(scope='module')
def worlds():
    """Build a world of each task that is asked for, once."""
    built = {}

    def get(name):
        if name not in built:
            built[name] = SimWorld(get_task(name), load_domain('sim'), load_physics())
        built[name].reset(episode_rngs(name, 'sim', 7, 0).initial)
        return built[name]

    return get


def disturb(world, kind, size, direction_rad=0.5):
    """Disturb a world at rest and return how its first object moved, m and degrees of yaw."""
    name = world.task.object_ids[0]
    world.step(50)
    before = world.object_pose(name)
    injector = Injector(
        Plan(kind=kind, phase='before', moment=0.1, size=size, direction_rad=direction_rad),
        SIZES)
    injector.begin(world)
    world.step(500)
    after = world.object_pose(name)
    turn = 2.0 * np.arccos(np.clip(abs(before[3:] @ after[3:]), 0.0, 1.0))
    return after[:3] - before[:3], np.rad2deg(turn)


@pytest.mark.parametrize('task', ['cube_lift', 'pick_place', 'stack_cube', 'stand_cup'])
@pytest.mark.parametrize('kind', ['push', 'slide'])
def test_push_and_slide_move_an_object_as_far_as_planned_and_not_off_the_table(
        worlds, task, kind):
    moved, _ = disturb(worlds(task), kind, 0.04)
    assert 0.030 < np.linalg.norm(moved[:2]) < 0.050
    assert abs(moved[2]) < 0.003


def test_a_cube_goes_where_the_plan_points(worlds):
    moved, turn_deg = disturb(worlds('cube_lift'), 'slide', 0.04, direction_rad=0.5)
    assert np.arctan2(moved[1], moved[0]) == pytest.approx(0.5, abs=0.05)
    assert turn_deg < 1.0


@pytest.mark.parametrize('task', ['cube_lift', 'pick_place', 'stand_cup'])
def test_twist_turns_an_object_where_it_is(worlds, task):
    moved, turn_deg = disturb(worlds(task), 'twist', 40.0)
    assert 25.0 < turn_deg < 45.0
    assert np.linalg.norm(moved) < 0.015


def test_push_opens_a_drawer(worlds):
    world = worlds('close_drawer')
    before = world.task_state().joint_positions[0, 3]
    disturb(world, 'push', 0.03)
    opened = world.task_state().joint_positions[0, 3] - before
    assert 0.015 < abs(opened) < 0.04


def test_poke_moves_the_hand_and_the_arm_law_brings_it_back(worlds):
    world = worlds('cube_lift')
    start = world.tcp_pose()
    injector = Injector(
        Plan(kind='poke', phase='before', moment=0.1, size=90.0, direction_rad=1.5), SIZES)
    injector.begin(world)
    far = 0.0
    for _ in range(100):
        world.step(5)
        far = max(far, np.linalg.norm(world.tcp_pose()[:3] - start[:3]))
    assert 0.015 < far < 0.07
    assert np.linalg.norm(world.tcp_pose()[:3] - start[:3]) < 0.005
    assert injector.force_n == 90.0


def test_drop_opens_the_hand_for_its_time_alone(worlds):
    world = worlds('cube_lift')
    injector = Injector(
        Plan(kind='drop', phase='after', moment=0.1, size=0.0, direction_rad=0.0), SIZES)
    assert injector.hand(0.0, world.time_s) == 0.0
    injector.begin(world)
    assert injector.hand(0.0, world.time_s + 0.39) == 1.0
    assert injector.hand(0.0, world.time_s + 0.40) == 0.0


def test_a_push_is_strong_enough_for_its_distance():
    mass_kg, brake_n, force_n = 0.08, 0.63, push_force_n(0.04, 0.05, 0.08, 0.63)
    speed = moved = time_s = 0.0
    while speed > 0.0 or time_s < 0.05:
        speed += 1e-5 * ((force_n if time_s < 0.05 else 0.0) - brake_n) / mass_kg
        moved += 1e-5 * speed
        time_s += 1e-5
    assert moved == pytest.approx(0.04, rel=0.01)


def test_an_object_is_moved_neither_off_its_workspace_nor_into_another():
    low, high = np.array([0.2, -0.3]), np.array([0.8, 0.3])
    alone = np.array([[0.75, 0.0]])
    assert clear_direction(0.0, alone, 0.05, low, high) != 0.0
    beside = np.array([[0.5, 0.0], [0.6, 0.0]])
    assert clear_direction(0.0, beside, 0.05, low, high) == pytest.approx(0.75 * np.pi)
    assert clear_direction(0.3, np.array([[0.5, 0.0]]), 0.05, low, high) == 0.3


def test_only_free_objects_can_be_dragged(worlds):
    with pytest.raises(UnknownNameError, match='known: cube'):
        worlds('cube_lift').drag_object('table', np.zeros(2), 0.0, 0.1)


def run_episodes(config):
    """Run an evaluation's episodes in this process."""
    worker = module.EpisodeWorker(rollout_settings(config))
    return [worker(episode) for episode in range(config.episodes)]


def test_twins_are_the_same_until_the_disturbance_and_its_answer_is_found():
    for mapping in run_episodes(expert(perturb=('push',), episodes=2, poses='modelled')):
        found = mapping['disturbance']
        assert found['twin_identical']
        assert found['displacement_mm'] > 10.0
        assert found['undisturbed_outcome']
        assert found['reaction'] == 'reacted'


def test_a_disturbed_episode_starts_as_the_undisturbed_one_does():
    plain, = run_episodes(expert())
    disturbed, = run_episodes(expert(perturb=('drop',)))
    assert disturbed['init_sha256'] == plain['init_sha256']
    assert disturbed['disturbance']['undisturbed_duration_s'] == plain['duration_s']
    assert disturbed['duration_s'] > plain['duration_s'] + 1.0
    assert plain['disturbance'] is None


def test_a_moment_that_never_comes_leaves_the_episode_as_it_is():
    mapping, = run_episodes(expert(base='idle', perturb=('drop',)))
    assert mapping['disturbance']['time_s'] is None
    assert mapping['duration_s'] == mapping['disturbance']['undisturbed_duration_s']


def test_a_stalled_base_is_followed_to_the_end_of_its_chunk_then_the_arm_holds_and_goes_on():
    mapping, = run_episodes(expert(stall_s=2.0))
    found = mapping['disturbance']
    assert found['kind'] == 'stall'
    assert found['undisturbed_hold_share'] == 0.0
    held_s = mapping['hold_share'] * mapping['duration_s']
    # Silent for 2 s and a latency, less the 0.35 to 0.75 s that the last chunk goes on.
    assert 1.2 < held_s < 2.0
    assert mapping['outcome']


def test_a_short_stall_is_bridged_by_the_last_chunk():
    mapping, = run_episodes(expert(stall_s=0.1))
    assert mapping['disturbance']['time_s'] is not None
    assert mapping['hold_share'] == 0.0


def test_result_has_the_block_beside_the_known_fields(monkeypatch):
    monkeypatch.setattr(module, 'read_git_state', lambda: GitState('abc', False))
    result = module.evaluate(expert(perturb=('slide', 'twist'), episodes=2))
    block = result['disturbance']
    assert block['kinds'] == ['slide', 'twist']
    assert block['latencies_s']['camera_delay'] == load_domain('sim').camera.delay_s
    assert len(block['episodes']) == 2
    assert block['disturbed'] + block['moment_never_came'] == 2
    assert {'displacement', 'reaction', 'decision', 'recovery', 'success'} <= set(block)
    assert result['config']['perturb'] == ['slide', 'twist']
    json.dumps(result, allow_nan=False)
    assert 'disturbance' not in module.evaluate(expert())
