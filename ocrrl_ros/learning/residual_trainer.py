# SPDX-License-Identifier: Apache-2.0
"""Runner of residual training, whatever the learner: collect, learn, log, checkpoint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
import time
from typing import Any, ClassVar

import numpy as np
from ocrrl_ros.core.configuration import from_mapping, to_mapping
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.checkpoint import (
    CheckpointError, keep_policy, newest_checkpoint, read_checkpoint, write_checkpoint)
from ocrrl_ros.learning.episode_statistics import EpisodeStatistics
from ocrrl_ros.learning.gate_config import GateConfig
from ocrrl_ros.learning.learner import Learner
from ocrrl_ros.learning.training_log import TrainingLog
from ocrrl_ros.sim.vec_contract import StepResult, VecEnv
import torch


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """Settings that every learner's run has."""

    steps: int = field(
        default=300_000, metadata={'description': 'environment steps, warm-up included'})
    warmup_steps: int = field(
        default=12_800, metadata={'description': 'steps of noise around the base before learning'})
    gamma: float = field(default=0.97, metadata={'description': 'discount per tick'})
    unit_value: bool = field(default=False, metadata={'description': (
        'scale rewards by 1 - gamma, so that lasting success is worth 1')})
    decay_start: float = field(
        default=1.0, metadata={
            'description': 'share of the steps from which the learning rates fall linearly'})
    final_rate: float = field(
        default=0.1, metadata={'description': 'share of the learning rates left at the last step'})
    log_period_steps: int = field(
        default=6400, metadata={'description': 'steps between rows of the learning curve'})
    checkpoint_period_steps: int = field(
        default=64_000, metadata={'description': 'steps between checkpoints'})
    kept_period_steps: int = field(default=25_600, metadata={'description': (
        'steps between policies that are kept beside the checkpoint, to choose the best from')})
    gate: GateConfig = field(default_factory=GateConfig)

    def __post_init__(self) -> None:
        """Refuse runs that cannot learn."""
        for name in ('steps', 'log_period_steps', 'checkpoint_period_steps', 'kept_period_steps',
                     'warmup_steps'):
            if getattr(self, name) < 1:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: >= 1')
        if not 0.0 < self.gamma < 1.0:
            raise ConfigError(f'gamma is {self.gamma}; allowed: between 0 and 1')
        if not 0.0 <= self.decay_start <= 1.0:
            raise ConfigError(f'decay_start is {self.decay_start}; allowed: 0 .. 1')
        if not 0.0 < self.final_rate <= 1.0:
            raise ConfigError(f'final_rate is {self.final_rate}; allowed: above 0, up to 1')

    @property
    def guided(self) -> bool:
        """Return whether the learner explores with what a scripted expert would do."""
        return False

    def rate_at(self, steps: int) -> float:
        """Return the share of the learning rates that applies after so many steps."""
        start = self.decay_start * self.steps
        # A last rollout may go beyond the steps; a decay that starts with them never starts.
        if steps <= start or self.decay_start == 1.0:
            return 1.0
        share = min(1.0, (steps - start) / (self.steps - start))
        return 1.0 - share * (1.0 - self.final_rate)

    def decisive(self) -> dict[str, Any]:
        """Return the settings that must be equal for a run to be continued."""
        settings = to_mapping(self)
        # The gate is learned when all is over, and may be wanted, or not, by then.
        settings.pop('gate')
        settings.pop('kept_period_steps')
        if self.decay_start == 1.0:
            # Without a schedule that ends with them, more steps may be asked for later.
            settings.pop('steps')
        return settings


class ResidualTrainer(ABC):
    """
    Trains a residual actor in a vectorised environment.

    The order of stepping and learning is fixed, so that a resumed run equals an unbroken one on
    the same machine. Subclasses say what one advance is and what else must be saved.

    :param num_noisy: environments from this one on act without noise,
    :param num_acting: and from this one on not as the actor would.
    :param on_progress: called with the steps done, the total and the newest numbers.
    """

    metric_names: ClassVar[tuple[str, ...]]
    """Columns of the learning curve beside steps, time and success."""

    def __init__(
        self, env: VecEnv, config: TrainerConfig, seed: int, folder: Path, learner: Learner, *,
        num_noisy: int, num_acting: int,
        on_progress: Callable[[int, int, dict[str, float]], None],
    ):
        """Start at step 0; `folder` receives curve and checkpoints."""
        self.env, self.config, self.seed, self.folder = env, config, seed, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.learner = learner
        self._on_progress = on_progress
        self._rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
        self.statistics = EpisodeStatistics(num_noisy, num_acting)
        self.log = TrainingLog(self.folder / 'curve.csv')
        self.steps = 0
        self.wall_s = 0.0
        self.learner_s = 0.0
        self._stop_requested = False
        self._metrics: dict[str, float] = {}
        self._observation: np.ndarray | None = None

    @property
    def in_warmup(self) -> bool:
        """Return whether actions are still the base's with noise."""
        return self.steps < self.config.warmup_steps

    def request_stop(self) -> None:
        """Make `run` save and return after the present advance; safe in a signal handler."""
        self._stop_requested = True

    @property
    def stop_requested(self) -> bool:
        """Return whether `request_stop` was called."""
        return self._stop_requested

    def run(self) -> bool:
        """
        Train to the end, from the newest checkpoint where there is one.

        Return False where `request_stop` came first; the same call later goes on from there.
        """
        self._resume()
        started = time.perf_counter() - self.wall_s
        while self.steps < self.config.steps and not self._stop_requested:
            before = self.steps
            self._advance()
            self.wall_s = time.perf_counter() - started
            self._report(before)
        self.save()
        self.log.plot(self.folder / 'curve.png')
        return self.steps >= self.config.steps

    @abstractmethod
    def _advance(self) -> None:
        """Advance the environments by one or more ticks and learn."""

    @abstractmethod
    def examples(self, count: int) -> np.ndarray:
        """Return up to `count` critic observations (M, C) that the run has met."""

    @abstractmethod
    def _extra_state(self) -> dict[str, Any]:
        """Return what the run's future depends on beyond what every trainer has."""

    @abstractmethod
    def _load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back what `_extra_state` returned."""

    def _reward(self, result: StepResult) -> np.ndarray:
        """Return rewards (N,); success pays the value of staying successful for ever."""
        gamma = self.config.gamma
        reward = result.reward + result.success * gamma / (1.0 - gamma)
        return (1.0 - gamma) * reward if self.config.unit_value else reward

    def _take(self, result: StepResult) -> None:
        """Count a tick and remember what to act on next."""
        self.statistics.add(result)
        self._observation = result.critic_obs
        self.steps += self.env.num_envs

    def _report(self, before: int) -> None:
        """Log, show and save when their time has come."""
        config = self.config
        row = {
            'steps': float(self.steps), 'wall_s': self.wall_s,
            'updates': float(self.learner.updates), **self.statistics.rates(), **{
                name: self._metrics.get(name, float('nan')) for name in self.metric_names}}
        self._on_progress(self.steps, config.steps, row)
        if _crossed(before, self.steps, config.log_period_steps):
            self.log.add(row)
        if _crossed(before, self.steps, config.kept_period_steps) and not self.in_warmup:
            keep_policy(self.folder, self.steps, self.learner.policy_state())
        if _crossed(before, self.steps, config.checkpoint_period_steps):
            self.save()
            self.log.plot(self.folder / 'curve.png')

    def save(self) -> Path:
        """Write a checkpoint of everything that the run's future depends on."""
        return write_checkpoint(self.folder, self.steps, {
            'settings': self._settings(), 'steps': self.steps, 'wall_s': self.wall_s,
            'learner': self.learner.state_dict(), 'statistics': self.statistics.state_dict(),
            'rng': self._rng.bit_generator.state, 'env': self.env.state_dict(),
            'metrics': self._metrics, 'observation': self._observation, **self._extra_state()})

    def _resume(self) -> None:
        """Continue from the newest checkpoint or start at the first observation."""
        path = newest_checkpoint(self.folder)
        if path is None:
            self._observation = self.env.reset()
            return
        state = read_checkpoint(path)
        self._check_settings(state['settings'], path)
        self.steps, self.wall_s = state['steps'], state['wall_s']
        self._metrics, self._observation = state['metrics'], state['observation']
        for part in ('learner', 'statistics', 'env'):
            getattr(self, part).load_state_dict(state[part])
        self._load_extra_state(state)
        self._rng.bit_generator.state = state['rng']
        self.log.resume(self.steps)

    def _settings(self) -> dict[str, Any]:
        """Return what must be equal for a checkpoint to be continued."""
        return {
            'config': self.config.decisive(), 'seed': self.seed, 'num_envs': self.env.num_envs,
            'critic_obs_dim': self.env.critic_obs_dim}

    def _check_settings(self, saved: dict[str, Any], path: Path) -> None:
        """Refuse a checkpoint of other settings; one from before a setting had its default."""
        try:
            config = from_mapping(type(self.config), saved['config'], str(path)).decisive()
        except ConfigError:
            config = None
        if saved | {'config': config} != self._settings():
            raise CheckpointError(
                f'{path} was written with other settings or another seed; take another --out '
                'folder or give the same settings')


def prepare_torch(threads: int) -> None:
    """Set the threads of the learner."""
    torch.set_num_threads(threads)


def _crossed(before: int, after: int, period: int) -> bool:
    """Return whether a multiple of the period lies in (before, after]."""
    return after // period != before // period
