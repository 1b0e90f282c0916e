# SPDX-License-Identifier: Apache-2.0
"""The TD3 learner."""

import dataclasses

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.networks import NetworkConfig
from ocrrl_ros.learning.replay_buffer import Batch
from ocrrl_ros.learning.td3 import Td3Config, Td3Learner
import pytest
import torch

D, C, A = 3, 5, 2
CONFIG = Td3Config(networks=NetworkConfig(hidden=(32, 32)), learning_rate=1e-3)


def batch(seed: int = 0, reward: float = 1.0, discount: float = 0.0, size: int = 64) -> Batch:
    """Return random transitions with one reward and discount."""
    rng = np.random.default_rng(seed)
    return Batch(
        critic_obs=rng.normal(size=(size, C)).astype(np.float32),
        action=rng.uniform(-1, 1, (size, A)).astype(np.float32),
        reward=np.full(size, reward, np.float32), discount=np.full(size, discount, np.float32),
        next_critic_obs=rng.normal(size=(size, C)).astype(np.float32))


def test_value_of_terminal_transitions_becomes_their_reward():
    learner = Td3Learner(D, C, A, CONFIG, 0)
    for seed in range(200):
        metrics = learner.update(batch(seed, reward=2.0))
    assert metrics['value'] == pytest.approx(2.0, abs=0.1)


def test_targets_never_leave_the_range_of_returns():
    learner = Td3Learner(D, C, A, CONFIG, 0)
    data = batch()
    target = learner._target(
        torch.full((64,), 1e6), torch.zeros(64), torch.from_numpy(data.next_critic_obs))
    assert target.max() <= CONFIG.value_max
    target = learner._target(
        torch.full((64,), -1e6), torch.zeros(64), torch.from_numpy(data.next_critic_obs))
    assert target.min() >= CONFIG.value_min


def test_actor_ignores_what_only_the_critic_sees():
    learner = Td3Learner(D, C, A, CONFIG, 0)
    for seed in range(20):
        learner.update(batch(seed))
    observations = batch(1).critic_obs
    other = observations.copy()
    other[:, D:] += 10.0
    np.testing.assert_array_equal(learner.act(observations), learner.act(other))


def test_actor_stays_zero_while_only_the_critics_learn():
    learner = Td3Learner(D, C, A, CONFIG, 0)
    for seed in range(10):
        learner.update(batch(seed), with_actor=False)
    assert np.all(learner.act(batch().critic_obs) == 0.0)


def test_penalty_keeps_the_actor_off_its_bound():
    def after(penalty: float) -> float:
        config = Td3Config(
            networks=CONFIG.networks, saturation_penalty=penalty, action_penalty=0.0,
            learning_rate=1e-2, actor_learning_rate=1e-2)
        learner = Td3Learner(D, C, A, config, 0)
        for seed in range(120):
            data = batch(seed)
            reward = (3.0 + 3.0 * data.action.sum(1)).astype(np.float32)
            learner.update(Batch(
                data.critic_obs, data.action, reward, data.discount, data.next_critic_obs))
        return float(np.abs(learner.act(batch(999).critic_obs)).mean())

    assert after(0.0) > 0.97
    assert after(30.0) < 0.95


def test_penalty_on_change_keeps_the_action_alike_from_tick_to_tick():
    def change_after(penalty: float) -> float:
        config = dataclasses.replace(
            CONFIG, action_change_penalty=penalty, action_penalty=0.0, learning_rate=1e-2,
            actor_learning_rate=3e-3)
        learner = Td3Learner(D, C, A, config, 0)
        for seed in range(150):
            data = batch(seed)
            # The best first action is the sign of the first entry, which the next tick turns.
            reward = (3.0 + data.action[:, 0] * np.sign(data.critic_obs[:, 0])).astype(np.float32)
            learner.update(dataclasses.replace(
                data, reward=reward, following_obs=-data.critic_obs[:, :D]))
        data = batch(999)
        turned = learner.act(np.concatenate(
            [-data.critic_obs[:, :D], data.critic_obs[:, D:]], axis=1))
        return float(np.abs(learner.act(data.critic_obs) - turned)[:, 0].mean())

    assert change_after(0.0) > 2.0 * change_after(5.0)


def test_same_seed_learns_the_same_and_saved_learner_goes_on_equally():
    left, right = (Td3Learner(D, C, A, CONFIG, 7) for _ in range(2))
    for seed in range(6):
        left.update(batch(seed))
    for seed in range(3):
        right.update(batch(seed))
    third = Td3Learner(D, C, A, CONFIG, 99)
    third.load_state_dict(right.state_dict())
    for seed in range(3, 6):
        third.update(batch(seed))
    observations = batch().critic_obs
    np.testing.assert_array_equal(left.act(observations), third.act(observations))
    np.testing.assert_array_equal(
        left.act(observations, averaged=True), third.act(observations, averaged=True))


def test_exported_policy_is_the_averaged_actor_on_raw_observations():
    learner = Td3Learner(D, C, A, CONFIG, 0)
    learner.normalizer.update(torch.randn(500, C) * 3 + 1)
    for seed in range(20):
        learner.update(batch(seed))
    observations = batch(5).critic_obs
    with torch.no_grad():
        exported = learner.policy()(torch.from_numpy(observations[:, :D])).numpy()
    np.testing.assert_allclose(exported, learner.act(observations, averaged=True), atol=1e-6)


def _guided_after(reward_of_first: float) -> np.ndarray:
    """Return mean actions (A,) after learning with a guide at (0.8, 0.0) throughout."""
    config = dataclasses.replace(
        CONFIG, guide_weight=16.0, action_penalty=0.0, gripper_penalty=0.0,
        learning_rate=1e-2, actor_learning_rate=3e-3)
    learner = Td3Learner(D, C, A, config, 0)
    guide = np.tile(np.array([0.8, 0.0], np.float32), (64, 1))
    for seed in range(200):
        data = batch(seed)
        # A slope that by itself says little, and a second action that is worth nothing.
        reward = (10.0 + reward_of_first * data.action[:, 0]).astype(np.float32)
        learner.update(dataclasses.replace(data, reward=reward, guide=guide))
    return learner.act(batch(999).critic_obs).mean(0)


def test_guide_pulls_the_actor_where_the_critic_prefers_it():
    np.testing.assert_allclose(_guided_after(0.5), [0.8, 0.0], atol=0.1)


def test_guide_that_the_critic_holds_for_worse_is_not_followed():
    assert _guided_after(-2.0)[0] < -0.5


def test_guide_lets_go_in_the_course_of_the_run():
    learner = Td3Learner(D, C, A, dataclasses.replace(CONFIG, guide_weight=8.0), 0)
    pull = []
    for progress in (0.0, 0.3, 0.6, 1.0):
        learner.fade_guide(progress)
        pull.append(learner.guide_weight)
    np.testing.assert_allclose(pull, [8.0, 4.0, 0.0, 0.0], atol=1e-12)


@pytest.mark.parametrize('settings', [{'guide_weight': -1.0}, {'guide_until': 0.0}])
def test_guide_settings_out_of_range_are_refused(settings: dict):
    with pytest.raises(ConfigError, match='guide_weight'):
        Td3Config(**settings)
