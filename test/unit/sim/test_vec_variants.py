# SPDX-License-Identifier: Apache-2.0
"""The training environment with what comparisons change: layout, critics, rate of the residual."""

from typing import Any

import numpy as np
from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.sim.vec_config import VecEnvConfig
from ocrrl_ros.sim.vec_env import ResidualVecEnv
from ocrrl_ros.sim.vec_recipe import EnvRecipe
import pytest


def make(observation: str = 'relative', **env: Any) -> ResidualVecEnv:
    """Return a small environment on the scripted expert."""
    settings = VecEnvConfig(num_envs=3, models=2, guided=False, mid_start_share=0.0, **env)
    return EnvRecipe(base='expert', observation=observation, env=settings).build()


def test_symmetric_critics_see_what_the_actor_sees_and_nothing_else():
    whole, symmetric = make(), make(critic_truth=False)
    assert symmetric.critic_obs_dim == symmetric.obs_dim == whole.obs_dim < whole.critic_obs_dim
    np.testing.assert_array_equal(symmetric.reset(), whole.reset()[:, :whole.obs_dim])
    action = np.full((3, 7), 0.2)
    for _ in range(15):
        one, other = symmetric.step(action), whole.step(action)
        np.testing.assert_array_equal(one.critic_obs, other.critic_obs[:, :whole.obs_dim])
        np.testing.assert_array_equal(one.reward, other.reward)


def test_layout_changes_what_is_seen_and_not_what_happens():
    relative, world = make(), make('world')
    seen = [env.reset() for env in (relative, world)]
    for _ in range(15):
        results = [env.step(np.full((3, 7), 0.2)) for env in (relative, world)]
        seen = [result.critic_obs for result in results]
    assert world.obs_dim == 22
    np.testing.assert_array_equal(seen[0][:, relative.obs_dim:], seen[1][:, 22:])
    tcp = relative._physics.truth().base_T_tcp
    np.testing.assert_allclose(seen[1][:, :3], tcp[:, :3], atol=0.02)
    cube = relative._physics.truth().object_poses[:, 0, :3]
    valid = seen[0][:, relative.layout.slices()['cube.valid']][:, 0] == 1.0
    assert valid.any()
    np.testing.assert_allclose(
        seen[1][valid, world.layout.slices()['cube.base_object_position']], cube[valid],
        atol=0.03)


def test_unknown_layout_is_refused_before_any_world_is_compiled():
    with pytest.raises(UnknownNameError, match='no_plan, no_validity, relative, world'):
        EnvRecipe(base='expert', observation='camera')


def test_offset_once_per_chunk_is_held_until_the_next_chunk_is_executed():
    env = make(acts_per='chunk')
    env.reset()
    stamps, held = [], []
    for tick in range(40):
        stamps.append(env._base.stamp_s.copy())
        env.step(np.full((3, 7), 0.01 * tick))
        held.append(env._hold.update(np.ones((3, 7)), stamps[-1])[:, 0].copy())
    stamps, held = np.array(stamps), np.array(held)
    for row in range(3):
        starts = np.flatnonzero(np.diff(stamps[:, row], prepend=np.nan) != 0.0)
        assert 4 <= len(starts) <= 8
        for first, last in zip(starts, [*starts[1:], 40]):
            np.testing.assert_allclose(held[first:last, row], 0.01 * first)


def test_tick_and_chunk_differ_in_nothing_but_the_hold():
    per_tick, per_chunk = make(), make(acts_per='chunk')
    per_tick.reset()
    per_chunk.reset()
    for _ in range(20):
        action = np.full((3, 7), 0.3)
        one, other = per_tick.step(action), per_chunk.step(action)
        np.testing.assert_array_equal(one.critic_obs, other.critic_obs)
    one, other = per_tick.step(-action), per_chunk.step(-action)
    assert np.abs(one.critic_obs - other.critic_obs).max() > 1e-4


def test_saved_environment_keeps_the_offset_that_it_holds():
    env = make(acts_per='chunk')
    env.reset()
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1.0, 1.0, (24, 3, 7))
    for action in actions[:12]:
        env.step(action)
    state = env.state_dict()
    expected = [env.step(action).critic_obs for action in actions[12:]]
    again = make(acts_per='chunk')
    again.reset()
    again.load_state_dict(state)
    for action, critic_obs in zip(actions[12:], expected):
        np.testing.assert_array_equal(again.step(action).critic_obs, critic_obs)
