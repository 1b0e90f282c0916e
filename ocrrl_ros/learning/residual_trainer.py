# SPDX-License-Identifier: Apache-2.0
"""Runner of residual training: collect, learn, log, checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
import time
from typing import Any

import numpy as np
from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.checkpoint import (
    CheckpointError, newest_checkpoint, read_checkpoint, write_checkpoint)
from ocrrl_ros.learning.denormals import flushed_denormals
from ocrrl_ros.learning.episode_statistics import EpisodeStatistics, saturated
from ocrrl_ros.learning.exploration import CorrelatedNoise, ExplorationConfig
from ocrrl_ros.learning.replay_buffer import ReplayBuffer
from ocrrl_ros.learning.td3 import Td3Config, Td3Learner
from ocrrl_ros.learning.training_log import TrainingLog
from ocrrl_ros.sim.vec_contract import StepResult, VecEnv
import torch


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """Settings of a run, `config/train/residual_td3.yaml`."""

    steps: int = field(
        default=300_000, metadata={'description': 'environment steps, warm-up included'})
    warmup_steps: int = field(
        default=12_800, metadata={'description': 'steps of noise around the base before learning'})
    critic_only_updates: int = field(
        default=1000, metadata={'description': 'critic updates before the actor learns'})
    updates_per_tick: int = field(
        default=8, metadata={'description': 'critic updates per tick of all environments'})
    batch_size: int = field(default=256, metadata={'description': 'transitions per update'})
    capacity: int = field(
        default=200_000, metadata={'description': 'transitions that the replay holds'})
    n_step: int = field(default=3, metadata={'description': 'ticks per transition'})
    gamma: float = field(default=0.97, metadata={'description': 'discount per tick'})
    decay_start: float = field(
        default=1.0, metadata={
            'description': 'share of the steps from which the learning rates fall linearly'})
    final_rate: float = field(
        default=0.1, metadata={'description': 'share of the learning rates left at the last step'})
    log_period_steps: int = field(
        default=6400, metadata={'description': 'steps between rows of the learning curve'})
    checkpoint_period_steps: int = field(
        default=64_000, metadata={'description': 'steps between checkpoints'})
    td3: Td3Config = field(default_factory=Td3Config)
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)

    def __post_init__(self) -> None:
        """Refuse runs that cannot learn."""
        for name in ('steps', 'updates_per_tick', 'batch_size', 'log_period_steps',
                     'checkpoint_period_steps', 'warmup_steps'):
            if getattr(self, name) < 1:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: >= 1')
        if not 0.0 < self.gamma < 1.0:
            raise ConfigError(f'gamma is {self.gamma}; allowed: between 0 and 1')
        if not 0.0 <= self.decay_start <= 1.0:
            raise ConfigError(f'decay_start is {self.decay_start}; allowed: 0 .. 1')
        if not 0.0 < self.final_rate <= 1.0:
            raise ConfigError(f'final_rate is {self.final_rate}; allowed: above 0, up to 1')

    def rate_at(self, steps: int) -> float:
        """Return the share of the learning rates that applies after so many steps."""
        start = self.decay_start * self.steps
        if steps <= start:
            return 1.0
        share = min(1.0, (steps - start) / (self.steps - start))
        return 1.0 - share * (1.0 - self.final_rate)


class ResidualTrainer:
    """
    Trains a residual actor in a vectorised environment.

    While the environments advance a tick, the learner updates on what the replay already holds;
    the order is fixed, so that a resumed run equals an unbroken one on the same machine.

    :param on_progress: called with the steps done, the total and the newest numbers.
    """

    def __init__(
        self, env: VecEnv, config: TrainerConfig, seed: int, folder: Path, *,
        on_progress: Callable[[int, int, dict[str, float]], None] = lambda *_: None,
    ):
        """Build learner, replay and noise from the seed; `folder` receives curve, checkpoints."""
        self.env, self.config, self.seed, self.folder = env, config, seed, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._on_progress = on_progress
        self._rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
        self.learner = Td3Learner(
            env.obs_dim, env.critic_obs_dim, env.action_dim, config.td3, seed)
        self.replay = ReplayBuffer(
            config.capacity, env.num_envs, env.critic_obs_dim, env.action_dim,
            n_step=config.n_step, gamma=config.gamma)
        self.noise = CorrelatedNoise(
            env.num_envs, env.action_dim, config.exploration, self._rng)
        self.statistics = EpisodeStatistics(
            self.noise.num_noisy, self.noise.num_acting)
        self.log = TrainingLog(self.folder / 'curve.csv')
        self.steps = 0
        self.wall_s = 0.0
        self.learner_s = 0.0
        self._stop_requested = False
        self._metrics: dict[str, float] = {}
        self._observation: np.ndarray | None = None
        self._guide: np.ndarray | None = None

    @property
    def in_warmup(self) -> bool:
        """Return whether actions are still the base's with noise."""
        return self.steps < self.config.warmup_steps

    def request_stop(self) -> None:
        """Make `run` save and return after the present tick; safe in a signal handler."""
        self._stop_requested = True

    def run(self) -> bool:
        """
        Train to the end, from the newest checkpoint where there is one.

        Return False where `request_stop` came first; the same call later goes on from there.
        """
        self._resume()
        started = time.perf_counter() - self.wall_s
        while self.steps < self.config.steps and not self._stop_requested:
            self._tick()
            self.wall_s = time.perf_counter() - started
            self._report()
        self.save()
        self.log.plot(self.folder / 'curve.png')
        return self.steps >= self.config.steps

    def _tick(self) -> None:
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
            still = np.zeros((len(observation), self.env.action_dim))
            return self.noise.explore(still, self._guide, warmup=True)
        self.learner.normalizer.freeze()
        greedy = self.learner.act(observation)
        self._metrics['saturated'] = float(saturated(greedy).mean())
        return self.noise.explore(greedy, self._guide)

    def _learn(self) -> None:
        """Take the updates of one tick, critics alone at first."""
        if self.in_warmup:
            return
        started = time.perf_counter()
        self.learner.scale_learning_rates(self.config.rate_at(self.steps))
        for _ in range(self.config.updates_per_tick):
            batch = self.replay.sample(self.config.batch_size, self._rng)
            learns = self.learner.updates >= self.config.critic_only_updates
            with flushed_denormals():
                self._metrics |= self.learner.update(batch, with_actor=learns)
        self.learner_s += time.perf_counter() - started

    def _store(self, observation: np.ndarray, action: np.ndarray, result: StepResult) -> None:
        """Put a tick into the replay; success pays the value of staying successful for ever."""
        gamma = self.config.gamma
        reward = result.reward + result.success * gamma / (1.0 - gamma)
        self.replay.add(
            observation, action, reward, result.terminated, result.truncated,
            result.final_critic_obs)
        self.statistics.add(result)
        self._observation = result.critic_obs
        self._guide = result.info.get('guide')
        self.steps += self.env.num_envs

    def _report(self) -> None:
        """Log, show and save when their time has come."""
        row = {
            'steps': float(self.steps), 'wall_s': self.wall_s,
            'updates': float(self.learner.updates), **self.statistics.rates(), **{
                name: self._metrics.get(name, float('nan')) for name in _METRICS}}
        self._on_progress(self.steps, self.config.steps, row)
        if _crossed(self.steps, self.config.log_period_steps, self.env.num_envs):
            self.log.add(row)
        if _crossed(self.steps, self.config.checkpoint_period_steps, self.env.num_envs):
            self.save()
            self.log.plot(self.folder / 'curve.png')

    def save(self) -> Path:
        """Write a checkpoint of everything that the run's future depends on."""
        return write_checkpoint(self.folder, self.steps, {
            'settings': self._settings(), 'steps': self.steps, 'wall_s': self.wall_s,
            'learner': self.learner.state_dict(), 'replay': self.replay.state_dict(),
            'noise': self.noise.state_dict(), 'statistics': self.statistics.state_dict(),
            'rng': self._rng.bit_generator.state, 'env': self.env.state_dict(),
            'metrics': self._metrics, 'observation': self._observation, 'guide': self._guide})

    def _resume(self) -> None:
        """Continue from the newest checkpoint or start at the first observation."""
        path = newest_checkpoint(self.folder)
        if path is None:
            self._observation = self.env.reset()
            return
        state = read_checkpoint(path)
        if state['settings'] != self._settings():
            raise CheckpointError(
                f'{path} was written with other settings or another seed; take another --out '
                'folder or give the same settings')
        self.steps, self.wall_s = state['steps'], state['wall_s']
        self._metrics, self._observation = state['metrics'], state['observation']
        self._guide = state['guide']
        for part in ('learner', 'replay', 'noise', 'statistics', 'env'):
            getattr(self, part).load_state_dict(state[part])
        self._rng.bit_generator.state = state['rng']
        self.log.resume(self.steps)

    def _settings(self) -> dict[str, Any]:
        """Return what must be equal for a checkpoint to be continued."""
        settings = to_mapping(self.config)
        if self.config.decay_start == 1.0:
            # Without a schedule that ends with them, more steps may be asked for later.
            settings.pop('steps')
        return {
            'config': settings, 'seed': self.seed, 'num_envs': self.env.num_envs,
            'critic_obs_dim': self.env.critic_obs_dim}


_METRICS = (
    'critic_loss', 'value', 'actor_value', 'penalty', 'action_rms', 'saturated')


def prepare_torch(threads: int) -> None:
    """Set the threads of the learner."""
    torch.set_num_threads(threads)


def _crossed(steps: int, period: int, stride: int) -> bool:
    """Return whether the last `stride` steps passed a multiple of the period."""
    return steps // period != (steps - stride) // period
