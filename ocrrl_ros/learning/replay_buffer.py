# SPDX-License-Identifier: Apache-2.0
"""Replay of n-step transitions of a vectorised environment."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from ocrrl_ros.core.errors import ConfigError


@dataclass(frozen=True)
class Batch:
    """Sampled n-step transitions, float32."""

    critic_obs: np.ndarray
    """Observation that the action was taken on, (B, C)."""
    action: np.ndarray
    """(B, A)."""
    reward: np.ndarray
    """Discounted sum of the rewards of up to n ticks, (B,)."""
    discount: np.ndarray
    """Factor of the value of `next_critic_obs`, (B,); 0 where the task ended."""
    next_critic_obs: np.ndarray
    """Observation after those ticks, (B, C)."""
    following_obs: np.ndarray | None = None
    """What the actor saw one tick later, (B, D), where the buffer was asked to keep it."""
    guide: np.ndarray | None = None
    """What the guide would have done, (B, A), where the buffer was asked to keep it."""


def join_batches(first: Batch, second: Batch) -> Batch:
    """Return the transitions of both."""
    joined = {}
    for item in fields(Batch):
        parts = getattr(first, item.name), getattr(second, item.name)
        joined[item.name] = None if parts[0] is None else np.concatenate(parts)
    return Batch(**joined)


class ReplayBuffer:
    """
    Ring of n-step transitions, written per tick and sampled uniformly.

    A transition spans n ticks, or fewer where the episode ends. A task that ends (success or
    failure) stops the value; a time limit does not: there the last observation of the episode
    carries the bootstrap, with the discount of the ticks that the transition really spans.
    """

    def __init__(
        self, capacity: int, num_envs: int, critic_obs_dim: int, action_dim: int, *,
        n_step: int = 3, gamma: float = 0.97, following_dim: int = 0, keeps_guide: bool = False,
    ):
        """
        Allocate room for `capacity` transitions.

        :param following_dim: width D of what is kept of the next tick; 0 keeps nothing.
        :param keeps_guide: whether a guide's actions come and are kept.
        """
        if capacity < num_envs or n_step < 1 or not 0.0 < gamma < 1.0:
            raise ConfigError(
                f'replay capacity {capacity}, n_step {n_step}, gamma {gamma}; allowed: capacity '
                f'>= {num_envs} (the number of environments), n_step >= 1, gamma in (0, 1)')
        self.capacity = capacity
        self.n_step = n_step
        self.gamma = gamma
        self.num_envs = num_envs
        self.following_dim, self.keeps_guide = following_dim, keeps_guide
        self._obs = np.zeros((capacity, critic_obs_dim), np.float32)
        self._next_obs = np.zeros((capacity, critic_obs_dim), np.float32)
        self._action = np.zeros((capacity, action_dim), np.float32)
        self._reward = np.zeros(capacity, np.float32)
        self._discount = np.zeros(capacity, np.float32)
        self._following = np.zeros((capacity, following_dim), np.float32)
        guide_dim = action_dim if keeps_guide else 0
        self._guide = np.zeros((capacity, guide_dim), np.float32)
        self._size = 0
        self._cursor = 0
        # The last n ticks of every environment, oldest first, and how many of them count.
        self._wait_obs = np.zeros((num_envs, n_step, critic_obs_dim), np.float32)
        self._wait_action = np.zeros((num_envs, n_step, action_dim), np.float32)
        self._wait_guide = np.zeros((num_envs, n_step, guide_dim), np.float32)
        self._wait_reward = np.zeros((num_envs, n_step))
        self._waiting = np.zeros(num_envs, np.int64)

    def __len__(self) -> int:
        """Return the number of transitions that can be sampled."""
        return self._size

    def add(
        self, critic_obs: np.ndarray, action: np.ndarray, reward: np.ndarray,
        terminated: np.ndarray, truncated: np.ndarray, final_critic_obs: np.ndarray,
        guide: np.ndarray | None = None,
    ) -> None:
        """
        Take one tick of every environment.

        :param critic_obs: what the action was taken on, (N, C).
        :param final_critic_obs: what the tick led to, before any reset, (N, C).
        :param guide: what the guide would have done, (N, A), where the buffer keeps it.
        """
        rows = np.arange(self.num_envs)
        full = self._waiting == self.n_step
        self._shift(rows[full])
        slot = self._waiting
        self._wait_obs[rows, slot] = critic_obs
        self._wait_action[rows, slot] = action
        self._wait_reward[rows, slot] = reward
        if self._guide.shape[1]:
            self._wait_guide[rows, slot] = guide
        self._waiting = slot + 1
        done = terminated | truncated
        ready = rows[(self._waiting == self.n_step) | done]
        self._emit(ready, terminated[ready], final_critic_obs[ready])
        remaining = rows[done]
        while remaining.size:
            self._shift(remaining)
            remaining = remaining[self._waiting[remaining] > 0]
            self._emit(remaining, terminated[remaining], final_critic_obs[remaining])

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Return `size` transitions drawn uniformly with replacement."""
        index = rng.integers(0, self._size, size)
        return Batch(
            critic_obs=self._obs[index], action=self._action[index], reward=self._reward[index],
            discount=self._discount[index], next_critic_obs=self._next_obs[index],
            following_obs=self._following[index] if self._following.shape[1] else None,
            guide=self._guide[index] if self._guide.shape[1] else None)

    def _shift(self, rows: np.ndarray) -> None:
        """Drop the oldest waiting tick of the given environments."""
        if not rows.size:
            return
        for waiting in (
                self._wait_obs, self._wait_action, self._wait_reward, self._wait_guide):
            waiting[rows, :-1] = waiting[rows, 1:]
        self._waiting[rows] -= 1

    def _emit(self, rows: np.ndarray, terminated: np.ndarray, next_obs: np.ndarray) -> None:
        """Write the transition from the oldest waiting tick of the given environments."""
        if not rows.size:
            return
        length = self._waiting[rows]
        ticks = np.arange(self.n_step)
        weight = np.where(ticks < length[:, None], self.gamma ** ticks, 0.0)
        slots = (self._cursor + np.arange(rows.size)) % self.capacity
        self._obs[slots] = self._wait_obs[rows, 0]
        self._action[slots] = self._wait_action[rows, 0]
        self._reward[slots] = (weight * self._wait_reward[rows]).sum(1)
        self._discount[slots] = np.where(terminated, 0.0, self.gamma ** length)
        self._next_obs[slots] = next_obs
        self._guide[slots] = self._wait_guide[rows, 0]
        self._following[slots] = self._one_tick_later(rows, terminated, next_obs)
        self._cursor = int((self._cursor + rows.size) % self.capacity)
        self._size = min(self._size + rows.size, self.capacity)

    def _one_tick_later(
        self, rows: np.ndarray, terminated: np.ndarray, next_obs: np.ndarray,
    ) -> np.ndarray:
        """Return what followed the oldest waiting tick; where nothing did, that tick itself."""
        dim = self._following.shape[1]
        if not dim:
            return self._following[:rows.size]
        first = self._wait_obs[rows, 0, :dim]
        waiting = self._wait_obs[rows, min(1, self.n_step - 1), :dim]
        second = np.where((self._waiting[rows] > 1)[:, None], waiting, next_obs[:, :dim])
        # After a terminated tick the next observation is of another episode.
        ends = terminated & (self._waiting[rows] == 1)
        return np.where(ends[:, None], first, second)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return the filled part of the ring and the waiting ticks as arrays."""
        used = self._size
        return {
            'obs': self._obs[:used], 'next_obs': self._next_obs[:used],
            'action': self._action[:used], 'reward': self._reward[:used],
            'discount': self._discount[:used], 'cursor': np.array(self._cursor),
            'following': self._following[:used], 'guide': self._guide[:used],
            'wait_guide': self._wait_guide.copy(),
            'wait_obs': self._wait_obs.copy(), 'wait_action': self._wait_action.copy(),
            'wait_reward': self._wait_reward.copy(), 'waiting': self._waiting.copy(),
        }

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Continue from saved arrays; the sizes of the buffer must be the same."""
        used = len(state['obs'])
        if used > self.capacity or state['wait_obs'].shape != self._wait_obs.shape:
            raise ConfigError(
                f'saved replay holds {used} transitions of waiting shape '
                f'{state["wait_obs"].shape}; this buffer has capacity {self.capacity} and '
                f'shape {self._wait_obs.shape}')
        self._size = used
        self._cursor = int(state['cursor'])
        for ring, name in (
                (self._obs, 'obs'), (self._next_obs, 'next_obs'), (self._action, 'action'),
                (self._reward, 'reward'), (self._discount, 'discount')):
            ring[:used] = state[name]
        if self._following.shape[1]:
            self._following[:used] = state['following']
        if self._guide.shape[1]:
            self._guide[:used] = state['guide']
            self._wait_guide[:] = state['wait_guide']
        self._wait_obs[:] = state['wait_obs']
        self._wait_action[:] = state['wait_action']
        self._wait_reward[:] = state['wait_reward']
        self._waiting = np.array(state['waiting'])
