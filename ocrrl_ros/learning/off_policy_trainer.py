# SPDX-License-Identifier: Apache-2.0
"""Residual training from a replay: TD3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
import time
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.denormals import flushed_denormals
from ocrrl_ros.learning.episode_statistics import saturated
from ocrrl_ros.learning.exploration import CorrelatedNoise, ExplorationConfig
from ocrrl_ros.learning.led_trainer import LedTrainer, LedTrainerConfig
from ocrrl_ros.learning.replay_buffer import Batch, join_batches, ReplayBuffer
from ocrrl_ros.learning.td3 import Td3Config, Td3Learner
from ocrrl_ros.sim.vec_contract import StepResult, VecEnv
import torch


@dataclass(frozen=True, kw_only=True)
class OffPolicyConfig(LedTrainerConfig):
    """Settings of a run, `config/train/residual_td3.yaml`."""

    critic_only_updates: int = field(
        default=1000, metadata={'description': 'critic updates before the actor learns'})
    updates_per_tick: int = field(
        default=8, metadata={'description': 'critic updates per tick of all environments'})
    batch_size: int = field(default=256, metadata={'description': 'transitions per update'})
    capacity: int = field(
        default=200_000, metadata={'description': 'transitions that the replay holds'})
    n_step: int = field(default=3, metadata={'description': 'ticks per transition'})
    offline_steps: int = field(default=0, metadata={'description': (
        'steps at the beginning of the warm-up in which the base acts alone, kept in a replay of '
        'their own for good')})
    offline_share: float = field(
        default=0.0, metadata={'description': 'share of each batch that comes from there'})
    td3: Td3Config = field(default_factory=Td3Config)
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)

    def __post_init__(self) -> None:
        """Refuse runs that cannot learn."""
        super().__post_init__()
        for name in ('updates_per_tick', 'batch_size'):
            if getattr(self, name) < 1:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: >= 1')
        if not 0 <= self.offline_steps < self.warmup_steps:
            raise ConfigError(f'offline_steps is {self.offline_steps}; allowed: 0 .. below '
                              f'warmup_steps, {self.warmup_steps}')
        if not 0.0 <= self.offline_share < 1.0 or (
                self.offline_share > 0.0) != (self.offline_steps > 0):
            raise ConfigError(f'offline_share is {self.offline_share}; allowed: 0 where '
                              'offline_steps is 0, above 0 and below 1 where it is not')

    @property
    def learner_config(self) -> Td3Config:
        """Return the settings of the learner."""
        return self.td3

    @property
    def guided(self) -> bool:
        """Return whether a guide acts in some environments, leads or pulls the actor."""
        return self.exploration.guide_share > 0.0 or super().guided


class OffPolicyTrainer(LedTrainer):
    """
    Trains TD3 from a replay.

    While the environments advance a tick, the learner updates on what the replay already holds.
    """

    config: OffPolicyConfig
    learner: Td3Learner
    metric_names = (
        'critic_loss', 'value', 'actor_value', 'penalty', 'action_rms', 'saturated',
        'imitation_loss')
    further_columns = 0
    """What the replay keeps of an observation beside the critic's, in columns."""

    def __init__(
        self, env: VecEnv, config: OffPolicyConfig, seed: int, folder: Path, *,
        on_progress: Callable[[int, int, dict[str, float]], None] = lambda *_: None,
    ):
        """Build learner, replay and noise from the seed; `folder` receives curve, checkpoints."""
        learner = self._make_learner(env, config, seed)
        num_noisy, num_acting, _ = config.exploration.split(env.num_envs)
        super().__init__(
            env, config, seed, folder, learner, on_progress=on_progress, num_noisy=num_noisy,
            num_acting=num_acting)
        self._guide: np.ndarray | None = None
        self.replay = self._make_replay(config.capacity)
        self.offline = self._make_replay(
            max(config.offline_steps, env.num_envs)) if config.offline_steps else None
        self.noise = CorrelatedNoise(
            env.num_envs, env.action_dim, config.exploration, self._rng)

    def _make_learner(self, env: VecEnv, config: OffPolicyConfig, seed: int) -> Td3Learner:
        """Return the learner before training."""
        return Td3Learner(env.obs_dim, env.critic_obs_dim, env.action_dim, config.td3, seed)

    def _make_replay(self, capacity: int) -> ReplayBuffer:
        """Return an empty replay of so many transitions."""
        env, config = self.env, self.config
        return ReplayBuffer(
            capacity, env.num_envs, env.critic_obs_dim + self.further_columns, env.action_dim,
            n_step=config.n_step, gamma=config.gamma,
            following_dim=env.obs_dim if config.td3.action_change_penalty > 0.0 else 0,
            keeps_guide=config.td3.guide_weight > 0.0)

    def examples(self, count: int) -> np.ndarray:
        """Return critic observations (M, C) drawn from the replay."""
        return self.replay.sample(count, np.random.default_rng(0)).critic_obs

    def _advance(self) -> None:
        """Advance all environments by one tick and learn meanwhile."""
        observation = self._observation
        action = self._act(observation)
        self.env.begin_step(action)
        self._learn()
        self._store(observation, action, self.env.finish_step())

    def _act(self, observation: np.ndarray) -> np.ndarray:
        """Return the explored actions (N, A); normalisation freezes when warm-up ends."""
        if self.in_warmup:
            self.learner.normalizer.update(torch.from_numpy(observation))
            first = np.zeros((len(observation), self.env.action_dim), np.float32)
            if self._base_acts_alone:
                return first
            # Led ones begin where the guide gets to: the normalisation is fitted to that, too.
            if self.is_led and self._guide is not None:
                first += self._guide
            return self.noise.explore(first, self._guide, warmup=True)
        self.learner.normalizer.freeze()
        greedy = self._greedy(observation)
        self._metrics['saturated'] = float(saturated(greedy).mean())
        return self.noise.explore(greedy, self._guide)

    @property
    def _base_acts_alone(self) -> bool:
        """Return whether the replay that is kept for good is being filled."""
        return self.steps < self.config.offline_steps

    def _sample(self) -> Batch:
        """Return the transitions of one update."""
        config = self.config
        kept = round(config.offline_share * config.batch_size)
        batch = self.replay.sample(config.batch_size - kept, self._rng)
        return batch if not kept else join_batches(
            batch, self.offline.sample(kept, self._rng))

    def _learn(self) -> None:
        """Take the updates of one tick, critics alone at first."""
        if self.in_warmup:
            return
        started = time.perf_counter()
        self.learner.scale_learning_rates(self.config.rate_at(self.steps))
        self.learner.fade_guide(self.steps / self.config.steps)
        for _ in range(self.config.updates_per_tick):
            batch = self._sample()
            learns = not self.is_led and (
                self.learner.updates >= self.config.critic_only_updates)
            with flushed_denormals():
                self._metrics |= self.learner.update(batch, with_actor=learns)
        if self.is_led:
            self._imitate(self.config.led_updates_per_tick, self._sample)
        self.learner_s += time.perf_counter() - started

    def _greedy(self, observation: np.ndarray) -> np.ndarray:
        """Return the actor's own actions (N, A) on what is seen now."""
        return self.learner.act(observation)

    def _store(self, observation: np.ndarray, action: np.ndarray, result: StepResult) -> None:
        """Put a tick into the replay."""
        replay = self.offline if self._base_acts_alone else self.replay
        replay.add(
            observation, action, self._reward(result), result.terminated, result.truncated,
            result.final_critic_obs, np.zeros_like(action) if self._guide is None else self._guide)
        self._guide = result.info.get('guide')
        self._take(result)

    def _extra_state(self) -> dict[str, Any]:
        """Return replay, noise and what the guide would do next."""
        return {'replay': self.replay.state_dict(), 'noise': self.noise.state_dict(),
                'guide': self._guide,
                'offline': None if self.offline is None else self.offline.state_dict()}

    def _load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back replay, noise and what the guide would do next."""
        self._guide = state['guide']
        self.replay.load_state_dict(state['replay'])
        if self.offline is not None:
            self.offline.load_state_dict(state['offline'])
        self.noise.load_state_dict(state['noise'])
