# SPDX-License-Identifier: Apache-2.0
"""What the published recipe asks of the learner: many critics, a kept replay, values up to 1."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.exploration import CorrelatedNoise, ExplorationConfig
from ocrrl_ros.learning.networks import NetworkConfig
from ocrrl_ros.learning.off_policy_trainer import OffPolicyConfig, OffPolicyTrainer
from ocrrl_ros.learning.replay_buffer import Batch, join_batches
from ocrrl_ros.learning.td3 import Td3Config, Td3Learner
from offset_env import OffsetEnv, run_whole_and_in_parts, success_before_and_after
import pytest
import torch

TD3 = Td3Config(
    networks=NetworkConfig(hidden=(32, 32), critics=10), target_critics=2, actor_critics=10,
    actor_period=4, value_max=1.0, polyak=0.02, learning_rate=1e-3, actor_average=1.0,
    action_penalty=0.0, gripper_penalty=0.0)


def config(**overrides: Any) -> OffPolicyConfig:
    """Return small and quick settings."""
    settings = {
        'steps': 960, 'warmup_steps': 160, 'offline_steps': 80, 'offline_share': 0.5,
        'critic_only_updates': 20, 'updates_per_tick': 4, 'batch_size': 32, 'capacity': 2000,
        'gamma': 0.9, 'log_period_steps': 160, 'checkpoint_period_steps': 100_000,
        'unit_value': True, 'td3': TD3, 'exploration': ExplorationConfig(
            correlation=0.0, sigma=0.3, warmup_sigma=0.3, share=1.0, graded=False,
            guide_share=0.0, base_share=0.0)}
    return OffPolicyConfig(**(settings | overrides))


def test_published_learner_beats_the_base_and_its_values_stay_below_1(tmp_path: Path):
    trainer = OffPolicyTrainer(OffsetEnv(), config(steps=9600), 0, tmp_path)
    base, trained = success_before_and_after(trainer)
    assert base < 0.5 and trained > 0.9
    assert 0.3 < trainer._metrics['value'] < 1.1
    rewards = trainer.replay.state_dict()['reward']
    assert 0.9 < rewards.max() <= 1.01


def test_run_with_a_kept_replay_is_resumed_exactly(tmp_path: Path):
    whole, second = run_whole_and_in_parts(OffPolicyTrainer, config(), tmp_path)
    for name, kept in whole.offline.state_dict().items():
        np.testing.assert_array_equal(kept, second.offline.state_dict()[name])


def test_kept_replay_holds_the_base_alone_and_gives_its_share_of_a_batch(tmp_path: Path):
    trainer = OffPolicyTrainer(OffsetEnv(), config(steps=320), 0, tmp_path)
    trainer.run()
    kept, online = trainer.offline.state_dict(), trainer.replay.state_dict()
    assert 0 < len(kept['action']) <= 80 and (kept['action'] == 0.0).all()
    assert (online['action'] != 0.0).all(axis=1).any()
    batch = trainer._sample()
    still = (batch.action == 0.0).all(axis=1)
    assert len(batch.action) == 32 and still.sum() >= 16 and (~still).sum() > 8


@pytest.mark.parametrize(('changes', 'words'), [
    ({'offline_steps': 160}, 'offline_steps is 160; allowed: 0 .. below warmup_steps, 160'),
    ({'offline_share': 0.0}, 'offline_share is 0.0'),
    ({'offline_steps': 0}, 'offline_share is 0.5; allowed: 0 where offline_steps is 0')])
def test_kept_replay_without_a_share_or_steps_is_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        config(**changes)


def test_target_is_the_lowest_of_as_many_critics_as_asked_for():
    learner = Td3Learner(3, 5, 2, TD3, 0)
    observations = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    reward, discount = torch.full((200,), 0.5), torch.full((200,), 0.9)
    lowest = {}
    for count in (2, 10):
        learner.config = dataclasses.replace(
            TD3, target_critics=count, target_noise=0.0, value_min=-9.0, value_max=9.0)
        lowest[count] = torch.stack(
            [learner._target(reward, discount, observations) for _ in range(8)])
    # Two critics are drawn anew in every update; all ten are always the same.
    assert lowest[2].std(0).mean() > 1e-4 and lowest[10].std(0).max() < 1e-6
    assert (lowest[2] >= lowest[10] - 1e-6).all()
    with pytest.raises(ConfigError, match='target_critics is 11; allowed: 0 .. 10'):
        dataclasses.replace(TD3, target_critics=11)


def test_noise_that_is_not_graded_is_as_large_in_every_environment():
    settings = ExplorationConfig(
        correlation=0.0, sigma=0.3, share=1.0, graded=False, guide_share=0.0, base_share=0.0)
    noise = CorrelatedNoise(8, 7, settings, np.random.default_rng(0))
    drawn = np.array([noise.sample() for _ in range(2000)])
    np.testing.assert_allclose(drawn.std(axis=(0, 2)), 0.3, rtol=0.05)
    assert abs((drawn[1:] * drawn[:-1]).mean()) < 0.002


def test_joined_batch_holds_both_with_what_followed_where_it_is_kept():
    def batch(size: int, following: bool) -> Batch:
        rows = np.full((size, 3), float(size), np.float32)
        flat = rows[:, 0]
        return Batch(rows, rows, flat, flat, rows, rows if following else None)

    joined = join_batches(batch(2, True), batch(1, True))
    assert joined.reward.tolist() == [2.0, 2.0, 1.0] and joined.following_obs.shape == (3, 3)
    assert join_batches(batch(2, False), batch(1, False)).following_obs is None
