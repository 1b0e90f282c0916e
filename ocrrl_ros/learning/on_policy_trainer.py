# SPDX-License-Identifier: Apache-2.0
"""Residual training from rollouts of the present policy: PPO."""

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
from ocrrl_ros.learning.led_trainer import LedTrainer, LedTrainerConfig
from ocrrl_ros.learning.ppo import PpoBatch, PpoConfig, PpoLearner
from ocrrl_ros.learning.ring_store import RingStore
from ocrrl_ros.learning.trajectories import lambda_returns, TickRecorder, Trajectories
from ocrrl_ros.sim.vec_contract import VecEnv
import torch

_EXAMPLES = 512


@dataclass(frozen=True, kw_only=True)
class OnPolicyConfig(LedTrainerConfig):
    """Settings of a run, `config/train/residual_ppo.yaml`."""

    rollout_ticks: int = field(
        default=32, metadata={'description': 'ticks of all environments between updates'})
    value_only_rollouts: int = field(
        default=4, metadata={'description': 'rollouts after warm-up before the actor learns'})
    noise_correlation: float = field(
        default=0.9, metadata={'description': 'share of the noise kept from tick to tick'})
    noise_share: float = field(
        default=0.9, metadata={'description': (
            'share of the environments with noise; the others are only watched')})
    led_memory: int = field(default=100_000, metadata={
        'description': "states with the guide's actions that the actor learns from while led"})
    ppo: PpoConfig = field(default_factory=PpoConfig)

    def __post_init__(self) -> None:
        """Refuse runs that cannot learn."""
        super().__post_init__()
        if self.rollout_ticks < 2:
            raise ConfigError(f'rollout_ticks is {self.rollout_ticks}; allowed: >= 2')
        if not 0.0 <= self.noise_correlation < 1.0:
            raise ConfigError(f'noise_correlation is {self.noise_correlation}; allowed: [0, 1)')
        if not 0.0 < self.noise_share <= 1.0:
            raise ConfigError(f'noise_share is {self.noise_share}; allowed: above 0, up to 1')
        if self.led_memory < 1:
            raise ConfigError(f'led_memory is {self.led_memory}; allowed: >= 1')

    @property
    def learner_config(self) -> PpoConfig:
        """Return the settings of the learner."""
        return self.ppo


@dataclass(frozen=True)
class LedBatch:
    """States with what the guide does in them."""

    critic_obs: np.ndarray
    """(B, C) float32."""
    guide: np.ndarray
    """(B, A) float32."""


class OnPolicyTrainer(LedTrainer):
    """Trains PPO; an advance is one rollout and the updates on it."""

    config: OnPolicyConfig
    learner: PpoLearner
    metric_names = (
        'critic_loss', 'value', 'kl', 'std', 'penalty', 'action_rms', 'saturated',
        'imitation_loss')

    def __init__(
        self, env: VecEnv, config: OnPolicyConfig, seed: int, folder: Path, *,
        on_progress: Callable[[int, int, dict[str, float]], None] = lambda *_: None,
    ):
        """Build learner and noise from the seed; `folder` receives curve and checkpoints."""
        learner = PpoLearner(env.obs_dim, env.critic_obs_dim, env.action_dim, config.ppo, seed)
        self.num_noisy = max(1, round(config.noise_share * env.num_envs))
        super().__init__(
            env, config, seed, folder, learner, num_noisy=self.num_noisy,
            num_acting=env.num_envs, on_progress=on_progress)
        self._noise = np.zeros((env.num_envs, env.action_dim), np.float32)
        self._guide = np.zeros_like(self._noise)
        self._led = RingStore(config.led_memory if config.led_steps else 1, {
            'critic_obs': ((env.critic_obs_dim,), np.float32),
            'guide': ((env.action_dim,), np.float32)})
        self._rollouts = 0
        self._examples = np.zeros((0, env.critic_obs_dim), np.float32)

    def examples(self, count: int) -> np.ndarray:
        """Return critic observations (M, C) of the last rollout."""
        return self._examples[:count]

    def _advance(self) -> None:
        """Collect one rollout and learn from it; in warm-up the normaliser alone."""
        warmup, led = self.in_warmup, self.is_led
        if not warmup:
            self.learner.normalizer.freeze()
        data = self._collect()
        if led:
            self._led.add(
                critic_obs=data.flat_obs,
                guide=data.extra['guide'].reshape(-1, self.env.action_dim))
        if warmup:
            self.learner.normalizer.update(torch.from_numpy(data.flat_obs))
        else:
            started = time.perf_counter()
            with flushed_denormals():
                self._learn(data, with_actor=not led)
            if led:
                self._imitate(
                    self.config.led_updates_per_tick * self.config.rollout_ticks, self._recall)
            self.learner_s += time.perf_counter() - started
            self._rollouts += 1
        pick = self._rng.permutation(len(data.flat_obs))[:_EXAMPLES]
        self._examples = data.flat_obs[pick]

    def _collect(self) -> Trajectories:
        """Return a rollout; rewards are scaled so that returns lie in [0, 1]."""
        recorder = TickRecorder()
        for _ in range(self.config.rollout_ticks):
            observation, guide = self._observation, self._guide
            # A led run begins where the guide gets to: the normalisation is fitted to that, too.
            mean = guide if self.in_warmup and self.is_led else self.learner.act(observation)
            before = self._noise_before()
            drawn = self._rng.normal(size=mean.shape).astype(np.float32) * self.learner.std
            self._noise = before + drawn
            self._noise[self.num_noisy:] = 0.0
            action = mean + self._noise
            result = self.env.step(np.clip(action, -1.0, 1.0))
            recorder.add(
                observation, (1.0 - self.config.gamma) * self._reward(result), result,
                action=action, noise_before=before, guide=guide,
                log_likelihood=self.learner.log_likelihood(mean + before, action))
            self._noise[result.terminated | result.truncated] = 0.0
            self._metrics['saturated'] = float(saturated(mean).mean())
            self._guide = result.info.get('guide', self._guide).astype(np.float32)
            self._take(result)
        return recorder.finish(self._observation)

    def _noise_before(self) -> np.ndarray:
        """Return what the noise of the last tick leaves for the next, (N, A)."""
        return np.float32(self.config.noise_correlation) * self._noise

    def _recall(self) -> LedBatch:
        """Return states of the led part of the run with the guide's actions."""
        return LedBatch(**self._led.sample(self.config.ppo.batch_size, self._rng))

    def _learn(self, data: Trajectories, *, with_actor: bool) -> None:
        """Take the updates of one rollout, the value alone at first."""
        config = self.config.ppo
        self.learner.scale_learning_rates(self.config.rate_at(self.steps))
        self.learner.fade_guide(self.steps / self.config.steps)
        with_actor = with_actor and self._rollouts >= self.config.value_only_rollouts
        batch = self._batch(data)
        for _ in range(config.passes):
            order = self._rng.permutation(len(batch.returns))
            for rows in np.array_split(order, max(1, len(order) // config.batch_size)):
                part = _pick(batch, rows)
                self._metrics |= self.learner.update_value(part)
                if with_actor:
                    found = self.learner.update_actor(part)
                    self._metrics |= found
                    # An actor that has moved far enough waits for fresh ticks.
                    with_actor = found['kl'] <= config.target_kl

    def _batch(self, data: Trajectories) -> PpoBatch:
        """Return the noisy environments' ticks with returns and normalised advantages."""
        following = data.following(self.learner.values)
        returns = lambda_returns(
            data, following, np.zeros(data.done.shape, bool), self.config.gamma,
            self.config.ppo.trace)
        advantage = returns - self.learner.values(data.flat_obs).reshape(returns.shape)
        noisy = slice(self.num_noisy)
        advantage = advantage[:, noisy]
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        flat = {name: value[:, noisy].reshape(-1, *value.shape[2:]) for name, value in (
            ('critic_obs', data.critic_obs), ('returns', returns.astype(np.float32)),
            *data.extra.items())}
        return PpoBatch(**flat, advantage=advantage.astype(np.float32).ravel())

    def _extra_state(self) -> dict[str, Any]:
        """Return noise, what the guide would do, number of rollouts, examples, led states."""
        return {
            'noise': self._noise.copy(), 'rollouts': self._rollouts, 'examples': self._examples,
            'guide': self._guide.copy(),
            # Nothing recalls them once the lead is over.
            'led': self._led.state_dict() if self.is_led else None}

    def _load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back what `_extra_state` returned."""
        self._noise, self._examples = np.array(state['noise']), np.array(state['examples'])
        self._rollouts = int(state['rollouts'])
        self._guide = np.array(state['guide'])
        if state['led'] is not None:
            self._led.load_state_dict(state['led'])


def _pick(batch: PpoBatch, rows: np.ndarray) -> PpoBatch:
    """Return some rows of a batch."""
    return PpoBatch(**{name: value[rows] for name, value in vars(batch).items()})
