# SPDX-License-Identifier: Apache-2.0
"""N-step transitions, with numbers worked out by hand."""

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.replay_buffer import ReplayBuffer
import pytest

GAMMA = 0.5


def fill(
    terminated_at: int = -1, truncated_at: int = -1, ticks: int = 5, **sizes: int,
) -> ReplayBuffer:
    """Return a buffer of one environment: observation = action = tick, reward = 1 + tick."""
    buffer = ReplayBuffer(100, 1, 1, 1, **{'n_step': 3, 'gamma': GAMMA, **sizes})
    for tick in range(ticks):
        buffer.add(
            np.array([[tick]]), np.array([[tick]]), np.array([1.0 + tick]),
            np.array([tick == terminated_at]), np.array([tick == truncated_at]),
            np.array([[tick + 1]]))
    return buffer


def rows(buffer: ReplayBuffer) -> list[tuple[float, ...]]:
    """Return (obs, action, reward, discount, next obs) of every transition in order."""
    state = buffer.state_dict()
    return [
        tuple(float(state[name][i].squeeze()) for name in (
            'obs', 'action', 'reward', 'discount', 'next_obs'))
        for i in range(len(buffer))]


def test_transition_sums_three_discounted_rewards():
    # 1 + 2/2 + 3/4 = 2.75; 2 + 3/2 + 4/4 = 4.5; 3 + 4/2 + 5/4 = 6.25; bootstrap 0.5^3
    assert rows(fill()) == [
        (0, 0, 2.75, 0.125, 3), (1, 1, 4.5, 0.125, 4), (2, 2, 6.25, 0.125, 5)]


def test_termination_ends_the_value_of_all_waiting_transitions():
    # tick 1 ends the task: 1 + 2/2 = 2 and 2; nothing follows
    assert rows(fill(terminated_at=1, ticks=2)) == [(0, 0, 2.0, 0.0, 2), (1, 1, 2.0, 0.0, 2)]


def test_time_limit_bootstraps_with_the_discount_of_the_ticks_spanned():
    assert rows(fill(truncated_at=1, ticks=2)) == [(0, 0, 2.0, 0.25, 2), (1, 1, 2.0, 0.5, 2)]


def following(buffer: ReplayBuffer) -> list[float]:
    """Return what the actor saw one tick after every transition began."""
    return [float(value) for value in buffer.state_dict()['following'][:, 0]]


@pytest.mark.parametrize('n_step', [1, 3])
def test_tick_after_each_transition_is_kept_where_asked_for(n_step: int):
    # Tick 1 ends the task, where nothing follows; tick 4 ends by the time limit.
    buffer = fill(terminated_at=1, truncated_at=4, n_step=n_step, following_dim=1)
    assert following(buffer) == [1, 1, 3, 4, 5]
    assert buffer.sample(4, np.random.default_rng(0)).following_obs.shape == (4, 1)
    other = ReplayBuffer(100, 1, 1, 1, n_step=n_step, gamma=GAMMA, following_dim=1)
    other.load_state_dict(buffer.state_dict())
    assert following(other) == following(buffer)
    assert fill().sample(4, np.random.default_rng(0)).following_obs is None


def test_guide_of_each_transition_is_that_of_its_first_tick():
    buffer = ReplayBuffer(100, 1, 1, 1, n_step=3, gamma=GAMMA, keeps_guide=True)
    for tick in range(5):
        buffer.add(
            np.array([[tick]]), np.array([[tick]]), np.ones(1), np.array([tick == 3]),
            np.array([False]), np.array([[tick + 1]]), np.array([[10 + tick]]))
    assert buffer.state_dict()['guide'][:, 0].tolist() == [10, 11, 12, 13]
    other = ReplayBuffer(100, 1, 1, 1, n_step=3, gamma=GAMMA, keeps_guide=True)
    other.load_state_dict(buffer.state_dict())
    batch = other.sample(8, np.random.default_rng(0))
    np.testing.assert_array_equal(batch.guide, 10 + batch.critic_obs)
    assert fill().sample(4, np.random.default_rng(0)).guide is None


def test_transitions_never_cross_an_episode_end():
    found = rows(fill(truncated_at=2, ticks=6))
    assert found[:3] == [(0, 0, 2.75, 0.125, 3), (1, 1, 3.5, 0.25, 3), (2, 2, 3.0, 0.5, 3)]
    assert found[3] == (3, 3, 4 + 2.5 + 1.5, 0.125, 6)


def test_environments_are_kept_apart():
    buffer = ReplayBuffer(100, 2, 1, 1, n_step=2, gamma=GAMMA)
    for tick in range(3):
        buffer.add(
            np.array([[tick], [100 + tick]]), np.zeros((2, 1)), np.array([1.0, 10.0]),
            np.array([False, tick == 1]), np.zeros(2, bool), np.array([[tick + 1], [0.0]]))
    assert sorted(rows(buffer)) == [
        (0, 0, 1.5, 0.25, 2), (1, 0, 1.5, 0.25, 3), (100, 0, 15.0, 0.0, 0),
        (101, 0, 10.0, 0.0, 0)]


def test_full_ring_overwrites_the_oldest():
    buffer = ReplayBuffer(3, 1, 1, 1, n_step=1, gamma=GAMMA)
    for tick in range(5):
        buffer.add(
            np.array([[tick]]), np.zeros((1, 1)), np.zeros(1), np.zeros(1, bool),
            np.zeros(1, bool), np.zeros((1, 1)))
    assert len(buffer) == 3
    assert {row[0] for row in rows(buffer)} == {2, 3, 4}


def test_saved_buffer_samples_the_same():
    buffer = fill()
    other = ReplayBuffer(100, 1, 1, 1, n_step=3, gamma=GAMMA)
    other.load_state_dict(buffer.state_dict())
    left = buffer.sample(16, np.random.default_rng(1))
    right = other.sample(16, np.random.default_rng(1))
    np.testing.assert_array_equal(left.reward, right.reward)


def test_capacity_below_one_tick_is_refused():
    with pytest.raises(ConfigError, match='capacity'):
        ReplayBuffer(3, 4, 1, 1)
