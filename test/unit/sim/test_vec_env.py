# SPDX-License-Identifier: Apache-2.0
"""The vectorised training environment on a few worlds with scripted bases."""

import subprocess
import sys
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import BundleError, ConfigError, OcrrlError, UnknownNameError
from ocrrl_ros.core.se3 import quat_angle
from ocrrl_ros.policy.action_chunk import ChunkConfig
from ocrrl_ros.policy.composition import ResidualBounds
from ocrrl_ros.policy.plan_lead import LeadConfig
from ocrrl_ros.sim.vec_config import BaseViewConfig, TICK_S, VecEnvConfig
from ocrrl_ros.sim.vec_env import ResidualVecEnv
from ocrrl_ros.sim.vec_recipe import EnvRecipe
from ocrrl_ros.sim.vec_workers import WorkerVecEnv
import pytest
from tiny_bundles import tiny_sampler


def make(num_envs: int = 3, base: str = 'expert', seed: int = 0, **env: Any) -> ResidualVecEnv:
    """Return a small environment whose episodes begin at the task's own start."""
    settings = VecEnvConfig(num_envs=num_envs, models=3, **{'mid_start_share': 0.0, **env})
    return EnvRecipe(base=base, seed=seed, env=settings).build()


def run(env: ResidualVecEnv, ticks: int, action: np.ndarray | None = None) -> list[Any]:
    """Return the results of some ticks with one action, zero by default."""
    if action is None:
        action = np.zeros((env.num_envs, env.action_dim))
    return [env.step(action) for _ in range(ticks)]


def test_observations_have_the_declared_shapes_and_are_finite():
    env = make()
    observation = env.reset()
    assert observation.shape == (3, env.critic_obs_dim)
    assert observation.dtype == np.float32
    assert env.layout.size == env.obs_dim < env.critic_obs_dim
    for result in run(env, 20):
        assert np.isfinite(result.critic_obs).all()
        assert ((result.reward >= 0.0) & (result.reward <= 1.0)).all()


def test_expert_lifts_the_cube_through_the_whole_command_path():
    env = make(num_envs=8)
    env.reset()
    successes = sum(int(result.success.sum()) for result in run(env, 200))
    assert successes >= 6


def test_zero_residual_is_exactly_the_base():
    left, right = make(), make(bounds=ResidualBounds(translation_m=0.1))
    left.reset()
    right.reset()
    for one, other in zip(run(left, 15), run(right, 15)):
        np.testing.assert_array_equal(one.critic_obs, other.critic_obs)


def test_residual_moves_the_tcp_by_its_bound_in_the_frame_of_the_target():
    free = ChunkConfig(lead=LeadConfig(rest_m=1.0))
    plain, moved = (make(randomize=False, chunk=free) for _ in range(2))
    plain.reset()
    moved.reset()
    up = np.zeros((3, 7))
    up[:, 2] = -1.0  # the TCP's z axis points down
    run(plain, 12)
    seen = run(moved, 12, up)[-1].info['gain'] == 1.0
    assert seen.any()
    difference = (
        moved._physics.truth().base_T_tcp[seen, :3] - plain._physics.truth().base_T_tcp[seen, :3])
    np.testing.assert_allclose(difference[:, 2], 0.02, atol=0.006)
    np.testing.assert_allclose(difference[:, :2], 0.0, atol=0.008)


def test_arm_rests_until_the_first_plan_arrives():
    env = make()
    env.reset()
    before = env._physics.truth().base_T_tcp.copy()
    run(env, 1, np.ones((3, 7)))
    assert not env._base.active.any()
    after = env._physics.truth().base_T_tcp
    assert np.abs(after[:, :3] - before[:, :3]).max() < 1e-3
    assert quat_angle(after[:, 3:], before[:, 3:]).max() < 5e-3
    run(env, 4)
    assert env._base.active.all()


def test_time_limit_truncates_and_keeps_the_last_observation():
    env = make(num_envs=2)
    env.reset()
    env._horizon = 10
    results = run(env, 10)
    assert not np.any([r.terminated | r.truncated for r in results[:-1]])
    last = results[-1]
    assert last.truncated.all()
    assert not last.terminated.any()
    assert np.abs(last.final_critic_obs - last.critic_obs).max() > 1e-3
    # The new episode has neither poses nor a plan yet.
    valid = env.layout.slices()['cube.valid']
    assert np.all(last.critic_obs[:, valid] == 0.0)
    assert not env._base.active.any()


@pytest.mark.parametrize('samples', [False, True], ids=['expert', 'base that samples'])
def test_saved_environment_continues_exactly(samples, tmp_path):
    base = str(tiny_sampler(tmp_path / 'base')) if samples else 'expert'
    env = make(seed=4, base=base)
    env.reset()
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (40, 3, 7))
    env._horizon = 25
    for action in actions[:20]:
        env.step(action)
    state = env.state_dict()
    other = make(seed=4, base=base)
    other._horizon = 25
    np.testing.assert_array_equal(other.load_state_dict(state)[:, :5], env._observe(
        env._physics.truth())[:, :5])
    for action in actions[20:]:
        left, right = env.step(action), other.step(action)
        np.testing.assert_array_equal(left.critic_obs, right.critic_obs)
        np.testing.assert_array_equal(left.reward, right.reward)


def test_same_seed_gives_the_same_episodes_and_another_does_not():
    first, second, third = (make(seed=seed).reset() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - third).max() > 1e-3


def test_workers_step_as_one_and_pass_on_their_errors():
    recipe = EnvRecipe(base='expert', env=VecEnvConfig(num_envs=3, models=2))
    env = WorkerVecEnv(recipe, 2)
    try:
        assert env.reset().shape == (3, env.critic_obs_dim)
        first = recipe.split(2)[0].build(0)
        first.reset()
        env.begin_step(np.zeros((3, 7)))
        result = env.finish_step()
        np.testing.assert_array_equal(
            result.critic_obs[:2], first.step(np.zeros((2, 7))).critic_obs)
        state = env.state_dict()
        assert len(state['workers']) == 2
        with pytest.raises(OcrrlError, match='worker 0 failed'):
            env.step(np.zeros((3, 4)))
    finally:
        env.close()
    assert not any(process.is_alive() for process in env._processes)


def test_mistakes_are_refused_before_anything_starts():
    with pytest.raises(UnknownNameError, match='cube_lift'):
        EnvRecipe(task='juggle')
    with pytest.raises(BundleError):
        EnvRecipe(base='no/such/bundle')
    with pytest.raises(ConfigError, match='workers'):
        EnvRecipe(env=VecEnvConfig(num_envs=2)).split(3)
    with pytest.raises(ConfigError, match='replan_ticks'):
        VecEnvConfig(replan_ticks=12)


def test_training_environment_opens_no_world_but_its_own():
    program = (
        'import sys\n'
        'opened = []\n'
        'sys.addaudithook(lambda event, args: opened.append(str(args[0])) '
        "if event == 'open' else None)\n"
        'import numpy as np\n'
        'from ocrrl_ros.sim.vec_config import VecEnvConfig\n'
        'from ocrrl_ros.sim.vec_recipe import EnvRecipe\n'
        "env = EnvRecipe(base='expert', env=VecEnvConfig(num_envs=1, models=2)).build()\n"
        'env.reset()\n'
        'env.step(np.zeros((1, 7)))\n'
        "print([path for path in opened if 'domains' in path])\n")
    found = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert 'sim.yaml' in found.stdout
    assert found.stdout.count('.yaml') == found.stdout.count('sim.yaml')


def test_tick_is_the_chunk_step():
    env = make(num_envs=1)
    env.reset()
    run(env, 3)
    assert env.now_s == pytest.approx(3 * TICK_S)


def test_episodes_that_start_midway_keep_what_the_hand_holds():
    env = make(num_envs=6, mid_start_share=1.0, mid_starts=60)
    env.reset()
    start = env._physics.truth()
    held = start.finger_contact[:, 0].all(axis=1) & (start.object_poses[:, 0, 2] > 0.04)
    closed = np.array([env._arm.is_closed(row) for row in range(6)])
    assert held.any() and closed[held].all() and not held.all()
    results = run(env, 6)
    assert not any(result.info['whole'].any() for result in results)
    now = env._physics.truth().object_poses[held, 0, :3]
    assert np.abs(now - start.object_poses[held, 0, :3]).max() < 0.02


def test_expert_finishes_what_starts_midway():
    env = make(num_envs=8, mid_start_share=1.0, mid_starts=100)
    env.reset()
    results = run(env, 110)
    ended = sum(int((item.terminated | item.truncated).sum()) for item in results)
    assert sum(int(item.success.sum()) for item in results) >= 0.9 * ended > 4


def test_same_seed_collects_the_same_mid_starts():
    one, other = (make(num_envs=2, mid_start_share=0.5, mid_starts=10) for _ in range(2))
    np.testing.assert_array_equal(one.reset(), other.reset())
    for left, right in zip(one._pool.states, other._pool.states):
        np.testing.assert_array_equal(left.initial.q, right.initial.q)


def test_episode_without_progress_ends_like_at_a_time_limit():
    env = make(num_envs=2, stall_s=1.0, base='expert')
    env.reset()
    away = np.zeros((2, env.action_dim))
    away[:, 2] = -1.0
    results = run(env, 140, away)
    tick, first = next((k, item) for k, item in enumerate(results) if item.truncated.any())
    assert not first.terminated.any() and not first.success.any()
    assert 19 <= tick < 130
    calm = make(num_envs=2, stall_s=float('inf'), base='expert')
    calm.reset()
    assert not any(item.truncated.any() for item in run(calm, 140, away))


def test_plain_environment_has_no_aids_of_training():
    env = EnvRecipe(base='expert', env=VecEnvConfig(num_envs=2, models=2).plain()).build()
    env.reset()
    results = run(env, 4)
    assert all(result.info['whole'].all() and 'guide' not in result.info for result in results)


def test_expert_is_the_base_of_its_share_and_is_left_alone():
    settings = VecEnvConfig(
        num_envs=4, models=2, mid_start_share=0.0, expert_share=0.5, stall_s=float('inf'))
    env = EnvRecipe(base='stand_in', env=settings).build()
    assert np.flatnonzero(env._expert_rows).tolist() == [1, 3]
    env.reset()
    results = run(env, 160)
    assert np.any([result.success for result in results], axis=0)[[1, 3]].all()
    guides = np.abs([result.info['guide'] for result in results]).max(axis=(0, 2))
    assert (guides[[0, 2]] > 0.1).all() and (guides[[1, 3]] == 0.0).all()
    assert all(not result.info['whole'][[1, 3]].any() for result in results)
    assert results[0].info['whole'][[0, 2]].all()


def test_environment_with_two_bases_continues_exactly(tmp_path):
    base = str(tiny_sampler(tmp_path / 'base'))

    def mixed() -> ResidualVecEnv:
        return make(num_envs=4, seed=4, base=base, expert_share=0.25,
                    base_view=BaseViewConfig(shift_px=1.0, gain=0.05))

    env = mixed()
    env.reset()
    run(env, 20)
    other = mixed()
    other.load_state_dict(env.state_dict())
    for left, right in zip(run(env, 20), run(other, 20)):
        np.testing.assert_array_equal(left.critic_obs, right.critic_obs)
