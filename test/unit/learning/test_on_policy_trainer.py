# SPDX-License-Identifier: Apache-2.0
"""PPO: its learner, its returns and its training loop, on an environment of microseconds."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from ocrrl_ros.core.configuration import load_yaml
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.learning.algorithms import algorithm_of, find_algorithm
from ocrrl_ros.learning.checkpoint import (
    CheckpointError, newest_checkpoint, read_checkpoint)
from ocrrl_ros.learning.networks import LayerConfig
from ocrrl_ros.learning.off_policy_trainer import OffPolicyTrainer
from ocrrl_ros.learning.on_policy_trainer import OnPolicyConfig, OnPolicyTrainer
from ocrrl_ros.learning.ppo import PpoBatch, PpoConfig, PpoLearner
from ocrrl_ros.learning.trajectories import lambda_returns, Trajectories
from offset_env import GuidedEnv, OffsetEnv, run_whole_and_in_parts, success_before_and_after
import pytest
import torch

D, C, A = 3, 5, 2
SMALL = LayerConfig(hidden=(8,))


def config(**overrides: Any) -> OnPolicyConfig:
    """Return small and quick settings."""
    settings = {
        'steps': 960, 'warmup_steps': 160, 'rollout_ticks': 10, 'value_only_rollouts': 1,
        'noise_correlation': 0.5, 'noise_share': 0.75, 'gamma': 0.9, 'log_period_steps': 160,
        'checkpoint_period_steps': 100_000,
        'ppo': PpoConfig(
            networks=LayerConfig(hidden=(32, 32)), actor_learning_rate=1e-3, initial_std=0.2,
            largest_std=0.4, batch_size=60, action_penalty=0.0, gripper_penalty=0.0)}
    return OnPolicyConfig(**(settings | overrides))


def batch(learner: PpoLearner, advantage: np.ndarray, size: int = 64) -> PpoBatch:
    """Return ticks in which the first action component deviated by its advantage's sign."""
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(size, C)).astype(np.float32)
    before = rng.normal(size=(size, A)).astype(np.float32)
    mean = learner.act(obs)
    action = mean + before + np.array([0.05, 0.0], np.float32)
    return PpoBatch(
        critic_obs=obs, action=action, noise_before=before,
        log_likelihood=learner.log_likelihood(mean + before, action),
        advantage=advantage.astype(np.float32), returns=np.full(size, 0.5, np.float32),
        guide=np.full((size, A), 0.3, np.float32))


def test_residual_starts_at_exactly_zero():
    learner = PpoLearner(D, C, A, PpoConfig(networks=SMALL), 0)
    observations = np.random.default_rng(0).normal(size=(9, C)).astype(np.float32)
    assert np.all(learner.act(observations) == 0.0)
    assert np.all(learner.act(observations, averaged=True) == 0.0)


def test_actions_of_positive_advantage_become_likelier_and_others_not():
    for sign in (1.0, -1.0):
        learner = PpoLearner(D, C, A, PpoConfig(networks=SMALL, action_penalty=0.0), 0)
        part = batch(learner, np.full(64, sign))
        for _ in range(5):
            learner.update_actor(part)
        assert np.sign(learner.act(part.critic_obs)[:, 0].mean()) == sign


def test_actor_waits_once_it_has_moved_by_the_target():
    learner = PpoLearner(D, C, A, PpoConfig(
        networks=SMALL, target_kl=1e-4, actor_learning_rate=1e-2), 0)
    part = batch(learner, np.ones(64))
    kl = [learner.update_actor(part)['kl'] for _ in range(30)]
    assert kl[-1] > 1e-4
    assert kl[-1] == kl[-2]


def test_log_likelihood_is_that_of_the_normal_distribution():
    learner = PpoLearner(D, C, A, PpoConfig(networks=SMALL, initial_std=0.1), 0)
    mean, action = np.zeros((1, A), np.float32), np.array([[0.1, -0.05]], np.float32)
    expected = torch.distributions.Normal(0.0, 0.1).log_prob(torch.from_numpy(action)).sum()
    assert learner.log_likelihood(mean, action)[0] == pytest.approx(float(expected), rel=1e-5)


def test_exploration_stays_within_its_bounds():
    settings = PpoConfig(networks=SMALL, entropy=10.0, actor_learning_rate=0.5, largest_std=0.1)
    learner = PpoLearner(D, C, A, settings, 0)
    part = batch(learner, np.zeros(64))
    for _ in range(10):
        learner.update_actor(part)
    assert learner.std.max() <= 0.1 + 1e-6


def test_returns_stop_at_an_end_and_go_on_beyond_a_time_limit():
    # Three ticks of two environments: the first ends by success, the second by the time limit.
    false = np.zeros((3, 2), bool)
    terminated, truncated = false.copy(), false.copy()
    terminated[1, 0], truncated[1, 1] = True, True
    data = Trajectories(
        critic_obs=np.zeros((3, 2, 1), np.float32), reward=np.ones((3, 2)),
        terminated=terminated, truncated=truncated,
        final_critic_obs=np.full((1, 1), 7.0, np.float32),
        last_critic_obs=np.full((2, 1), 3.0, np.float32), extra={})
    following = data.following(lambda states: states[:, 0])
    np.testing.assert_array_equal(following, [[0, 0], [0, 7], [3, 3]])
    returns = lambda_returns(data, following, false.copy(), 0.5, 1.0)
    # 1 + 3 / 2; 1 | 1 + 7 / 2; 1 + 1 / 2 | 1 + 4.5 / 2
    np.testing.assert_allclose(returns, [[1.5, 3.25], [1.0, 4.5], [2.5, 2.5]])
    one_step = lambda_returns(data, following, false.copy(), 0.5, 0.0)
    np.testing.assert_allclose(one_step, [[1.0, 1.0], [1.0, 4.5], [2.5, 2.5]])


def test_trained_residual_beats_the_base(tmp_path: Path):
    base, trained = success_before_and_after(
        OnPolicyTrainer(OffsetEnv(16), config(steps=20_000), 0, tmp_path))
    assert base < 0.5
    assert trained > 0.9


@pytest.mark.parametrize('decay_start', [1.0, 0.4])
def test_resumed_run_equals_an_unbroken_one(tmp_path: Path, decay_start: float):
    whole, second = run_whole_and_in_parts(
        OnPolicyTrainer, config(decay_start=decay_start), tmp_path)
    assert torch.equal(whole.learner.log_std, second.learner.log_std)
    np.testing.assert_array_equal(whole.examples(50), second.examples(50))


def led(**overrides: Any) -> OnPolicyConfig:
    """Return settings under which the actor is led at first."""
    return config(**({
        'steps': 1600, 'led_steps': 1600, 'ppo': dataclasses.replace(
            config().ppo, guide_weight=1.0, led_learning_rate=3e-3)} | overrides))


def test_led_actor_does_what_the_guide_does_and_not_what_pays_most(tmp_path: Path):
    trainer = OnPolicyTrainer(GuidedEnv(), led(), 0, tmp_path)
    trainer.run()
    seen = OffsetEnv(seed=9).reset()
    np.testing.assert_allclose(trainer.learner.act(seen), 0.5 * seen[:, :2], atol=0.12)
    assert trainer.learner.guide_weight < 1.0


def test_after_the_lead_the_actor_learns_from_rewards(tmp_path: Path):
    trainer = OnPolicyTrainer(GuidedEnv(16), led(steps=20_000, led_steps=800), 0, tmp_path)
    _, trained = success_before_and_after(trainer)
    assert not trainer.is_led
    # The guide alone stops half way to targets that are up to 0.99 away.
    assert trained > 0.95


def test_led_run_resumes_like_an_unbroken_one(tmp_path: Path):
    run_whole_and_in_parts(OnPolicyTrainer, led(steps=960, led_steps=640), tmp_path, GuidedEnv)


def test_checkpoint_holds_led_states_as_long_as_the_lead_lasts(tmp_path: Path):
    for steps, kept in ((480, True), (960, False)):
        folder = tmp_path / str(steps)
        OnPolicyTrainer(GuidedEnv(), led(steps=steps, led_steps=640), 0, folder).run()
        assert (read_checkpoint(newest_checkpoint(folder))['led'] is not None) == kept


def test_guide_draws_the_actor_as_far_as_its_weight_goes():
    settings = PpoConfig(
        networks=SMALL, guide_weight=16.0, actor_learning_rate=1e-2, target_kl=1e9,
        action_penalty=0.0, gripper_penalty=0.0)
    distance = {}
    for weight in (16.0, 0.0):
        learner = PpoLearner(D, C, A, settings, 0)
        learner.guide_weight = weight
        part = batch(learner, np.zeros(64))
        for _ in range(100):
            learner.update_actor(part)
        distance[weight] = np.abs(learner.act(part.critic_obs) - part.guide).mean()
    assert distance[16.0] < 0.1
    assert distance[0.0] == pytest.approx(0.3, abs=0.02)


def test_rollout_that_outlasts_the_lead_does_not_turn_the_rate_round(tmp_path: Path):
    # Rollouts of 800 steps: the second one begins led and ends at nearly twice the lead.
    trainer = OnPolicyTrainer(
        GuidedEnv(16), led(steps=1500, led_steps=900, rollout_ticks=50), 0, tmp_path)
    trainer.run()
    rate = trainer.learner.led_optimizer.param_groups[0]['lr']
    assert rate == pytest.approx(trainer.config.ppo.actor_learning_rate)


def test_lead_without_a_pull_is_refused():
    with pytest.raises(ConfigError, match='led_steps'):
        config(led_steps=640)


def test_actor_stays_zero_in_warmup_and_while_only_the_value_learns(tmp_path: Path):
    trainer = OnPolicyTrainer(OffsetEnv(), config(steps=240), 0, tmp_path)
    trainer.run()
    assert trainer.learner.updates > 0
    assert np.all(trainer.learner.act(trainer.examples(10)) == 0.0)
    assert bool(trainer.learner.normalizer.frozen)


def test_checkpoint_of_the_other_learner_is_refused(tmp_path: Path):
    OnPolicyTrainer(OffsetEnv(), config(steps=160), 3, tmp_path).run()
    other = find_algorithm('td3')
    with pytest.raises(CheckpointError, match='other settings'):
        OffPolicyTrainer(OffsetEnv(), other.config(), 3, tmp_path).run()


def test_shipped_settings_load_and_unknown_keys_list_the_known(tmp_path: Path):
    shipped = load_yaml(OnPolicyConfig, config_path('train', 'residual_ppo.yaml'))
    assert algorithm_of(shipped).name == 'ppo'
    bad = tmp_path / 'bad.yaml'
    bad.write_text('ppo: {target_k: 1.0}')
    with pytest.raises(UnknownNameError, match='target_kl'):
        load_yaml(OnPolicyConfig, bad)
    with pytest.raises(ConfigError, match='initial_std'):
        PpoConfig(initial_std=0.5)
    with pytest.raises(UnknownNameError, match='td3'):
        find_algorithm('sac')
