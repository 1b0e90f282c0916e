# SPDX-License-Identifier: Apache-2.0
"""The training loop, on an environment that takes microseconds."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from ocrrl_ros.core.configuration import load_yaml
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.learning.checkpoint import (
    CheckpointError, newest_checkpoint, read_checkpoint, write_checkpoint)
from ocrrl_ros.learning.episode_statistics import EpisodeStatistics
from ocrrl_ros.learning.exploration import CorrelatedNoise, ExplorationConfig
from ocrrl_ros.learning.networks import NetworkConfig
from ocrrl_ros.learning.off_policy_trainer import OffPolicyConfig, OffPolicyTrainer
from ocrrl_ros.learning.td3 import Td3Config
from ocrrl_ros.sim.vec_contract import StepResult
from offset_env import GuidedEnv, OffsetEnv, run_whole_and_in_parts, success_before_and_after
import pytest
import torch


def config(**overrides: Any) -> OffPolicyConfig:
    """Return small and quick settings."""
    settings = {
        'steps': 960, 'warmup_steps': 160, 'critic_only_updates': 20, 'updates_per_tick': 2,
        'batch_size': 32, 'capacity': 2000, 'gamma': 0.9, 'log_period_steps': 160,
        'checkpoint_period_steps': 100_000,
        'td3': Td3Config(
            networks=NetworkConfig(hidden=(32, 32)), value_max=10.0, polyak=0.02,
            learning_rate=1e-3, actor_average=0.02)}
    return OffPolicyConfig(**(settings | overrides))


def test_trained_residual_beats_the_base(tmp_path: Path):
    base, trained = success_before_and_after(
        OffPolicyTrainer(OffsetEnv(), config(steps=5600), 0, tmp_path))
    assert base < 0.5
    assert trained > 0.95


@pytest.mark.parametrize('decay_start', [1.0, 0.4])
def test_resumed_run_equals_an_unbroken_one(tmp_path: Path, decay_start: float):
    whole, second = run_whole_and_in_parts(
        OffPolicyTrainer, config(decay_start=decay_start), tmp_path)
    np.testing.assert_array_equal(
        whole.replay.state_dict()['reward'], second.replay.state_dict()['reward'])


def test_learning_rates_fall_to_their_last_share(tmp_path: Path):
    settings = config(steps=1000, decay_start=0.5, final_rate=0.2)
    assert [settings.rate_at(steps) for steps in (0, 500, 750, 1000)] == pytest.approx(
        [1.0, 1.0, 0.6, 0.2])
    assert config().rate_at(960) == 1.0
    trainer = OffPolicyTrainer(OffsetEnv(), settings, 0, tmp_path)
    trainer.run()
    last = settings.rate_at(trainer.steps - trainer.env.num_envs)
    assert trainer.learner.actor_optimizer.param_groups[0]['lr'] == pytest.approx(
        last * settings.td3.actor_learning_rate)


def test_checkpoint_of_other_settings_is_refused(tmp_path: Path):
    OffPolicyTrainer(OffsetEnv(), config(steps=320), 3, tmp_path).run()
    with pytest.raises(CheckpointError, match='other settings'):
        OffPolicyTrainer(OffsetEnv(), config(steps=640), 4, tmp_path).run()


def test_longer_run_is_refused_where_the_learning_rates_followed_the_shorter(tmp_path: Path):
    OffPolicyTrainer(OffsetEnv(), config(steps=320, decay_start=0.5), 3, tmp_path).run()
    with pytest.raises(CheckpointError, match='other settings'):
        OffPolicyTrainer(OffsetEnv(), config(steps=640, decay_start=0.5), 3, tmp_path).run()


def test_warmup_explores_around_the_base_and_then_freezes_the_normalizer(tmp_path: Path):
    trainer = OffPolicyTrainer(OffsetEnv(), config(steps=160), 0, tmp_path)
    trainer.run()
    assert trainer.learner.updates == 0
    assert not bool(trainer.learner.normalizer.frozen)
    actions = trainer.replay.state_dict()['action']
    assert 0.1 < np.abs(actions).mean() < 0.9
    trainer._advance()
    assert bool(trainer.learner.normalizer.frozen)


def test_curve_is_written_as_csv_and_png(tmp_path: Path):
    OffPolicyTrainer(OffsetEnv(), config(steps=640), 0, tmp_path).run()
    header = (tmp_path / 'curve.csv').read_text().splitlines()[0].split(',')
    assert {'steps', 'success_all', 'success_greedy', 'critic_loss', 'saturated'} <= set(header)
    assert (tmp_path / 'curve.png').stat().st_size > 1000


def led(**overrides: Any) -> OffPolicyConfig:
    """Return settings under which the actor is led at first."""
    return config(**({
        'steps': 1600, 'led_steps': 1600, 'td3': dataclasses.replace(
            config().td3, guide_weight=4.0, led_learning_rate=3e-3)} | overrides))


def test_led_actor_does_what_the_guide_does_and_not_what_pays_most(tmp_path: Path):
    trainer = OffPolicyTrainer(GuidedEnv(), led(), 0, tmp_path)
    trainer.run()
    assert trainer.learner.updates > 0
    seen = OffsetEnv(seed=9).reset()
    np.testing.assert_allclose(
        trainer.learner.act(seen), 0.5 * seen[:, :2], atol=0.12)
    assert trainer.learner.led_optimizer.param_groups[0]['lr'] == pytest.approx(
        trainer.config.td3.actor_learning_rate, rel=0.3)


def test_after_the_lead_the_actor_learns_from_rewards(tmp_path: Path):
    trainer = OffPolicyTrainer(GuidedEnv(), led(steps=5600, led_steps=800), 0, tmp_path)
    _, trained = success_before_and_after(trainer)
    assert not trainer.is_led
    # The guide alone stops half way to targets that are up to 0.99 away.
    assert trained > 0.95


def test_led_run_resumes_like_an_unbroken_one(tmp_path: Path):
    run_whole_and_in_parts(
        OffPolicyTrainer, led(steps=960, led_steps=640), tmp_path, GuidedEnv)


@pytest.mark.parametrize('settings', [
    {'led_steps': 100}, {'td3': Td3Config(guide_weight=0.0)}])
def test_lead_that_cannot_be_is_refused(settings: dict):
    with pytest.raises(ConfigError, match='led_steps'):
        led(**settings)


def test_checkpoint_returns_nested_values_of_every_kind(tmp_path: Path):
    state = {
        'a': np.arange(3), 'b': torch.ones(2), 'c': [1, 2.5, None, 'x'], 'd': {0: {'e': True}},
        'big': 2 ** 100, 'byte': torch.tensor([1], dtype=torch.uint8)}
    write_checkpoint(tmp_path, 1, state)
    found = read_checkpoint(newest_checkpoint(tmp_path))
    assert found['c'] == [1, 2.5, None, 'x']
    assert found['d'] == {0: {'e': True}}
    assert found['big'] == 2 ** 100
    assert found['byte'].dtype == torch.uint8
    np.testing.assert_array_equal(found['a'], np.arange(3))


def test_damaged_checkpoint_is_named(tmp_path: Path):
    path = write_checkpoint(tmp_path, 1, {'a': np.arange(3)})
    (path / 'arrays.npz').write_bytes(b'cut')
    with pytest.raises(CheckpointError, match='cannot read checkpoint'):
        read_checkpoint(path)


def test_partial_checkpoint_is_never_found(tmp_path: Path):
    (tmp_path / '.checkpoint-0000000009.partial').mkdir()
    assert newest_checkpoint(tmp_path) is None


def test_shipped_settings_load_and_unknown_keys_list_the_known(tmp_path: Path):
    assert load_yaml(OffPolicyConfig, config_path('train', 'residual_td3.yaml')).gamma == 0.97
    bad = tmp_path / 'bad.yaml'
    bad.write_text('td3: {learning_rat: 1.0}')
    with pytest.raises(UnknownNameError, match='learning_rate'):
        load_yaml(OffPolicyConfig, bad)
    with pytest.raises(ConfigError, match='gamma'):
        OffPolicyConfig(gamma=1.0)


def test_base_acts_alone_in_its_share_of_the_environments():
    settings = ExplorationConfig(share=0.25, base_share=0.25, guide_share=0.125)
    noise = CorrelatedNoise(8, 3, settings, np.random.default_rng(0))
    action = noise.explore(np.full((8, 3), 0.5, np.float32), np.full((8, 3), -3.0))
    assert (action[:2] != 0.5).any() and (action[2:5] == 0.5).all()
    assert (action[5] == -1.0).all() and (action[6:] == 0.0).all()
    assert (noise.explore(np.ones((8, 3), np.float32), None)[5:] == 0.0).all()
    with pytest.raises(ConfigError, match='allowed: >= 0 and in all no more than 1 - share = 0.5'):
        ExplorationConfig(share=0.5, base_share=0.6)


def test_only_whole_episodes_with_the_residual_count():
    statistics = EpisodeStatistics(num_noisy=1, num_acting=3)
    ended = np.ones(4, bool)
    nothing = np.zeros((4, 1), np.float32)
    statistics.add(StepResult(
        critic_obs=nothing, final_critic_obs=nothing, reward=nothing[:, 0], terminated=ended,
        truncated=~ended, success=np.array([True, True, False, True]),
        info={'whole': np.array([True, True, False, True])}))
    assert statistics.episodes == 2
    assert statistics.rates() == {'success_all': 1.0, 'success_greedy': 1.0}
