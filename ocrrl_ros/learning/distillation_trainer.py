# SPDX-License-Identifier: Apache-2.0
"""
Distil a finished residual into one that sees pictures.

Dataset aggregation (DAgger, Ross et al., AISTATS 2011): the student acts, in most environments,
and the teacher says what it would have done. The teacher sees object poses without errors.
"""

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
from ocrrl_ros.learning.gate_config import GateConfig
from ocrrl_ros.learning.image_learner import StudentConfig, StudentLearner
from ocrrl_ros.learning.residual_trainer import ResidualTrainer, TrainerConfig
from ocrrl_ros.learning.ring_store import RingStore
from ocrrl_ros.learning.teacher import Teacher
from ocrrl_ros.sim.vec_contract import VecEnv
import torch


@dataclass(frozen=True, kw_only=True)
class DistillationConfig(TrainerConfig):
    """Settings of a run, `config/train/distillation.yaml`; `gamma` does not apply."""

    updates_per_tick: int = field(
        default=2, metadata={'description': 'updates per tick of all environments'})
    batch_size: int = field(default=128, metadata={'description': 'pictures per update'})
    capacity: int = field(
        default=60_000, metadata={'description': 'newest ticks that are learned from'})
    gate: GateConfig = field(default_factory=lambda: GateConfig(enabled=False))
    student: StudentConfig = field(default_factory=StudentConfig)
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig, metadata={
        'description': 'noise around the student; guide_share is the share of the environments '
        'in which the teacher acts, in warm-up it acts in all with noise'})

    def __post_init__(self) -> None:
        """Refuse runs that cannot learn."""
        super().__post_init__()
        for name in ('updates_per_tick', 'batch_size'):
            if getattr(self, name) < 1:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: >= 1')
        if self.gate.enabled:
            raise ConfigError('gate.enabled is true; allowed with images: false')


class DistillationTrainer(ResidualTrainer):
    """Trains a student on what a teacher would do in the states that the student meets."""

    config: DistillationConfig
    learner: StudentLearner
    metric_names = ('imitation_loss', 'truth_loss', 'action_rms', 'saturated')

    def __init__(
        self, env: VecEnv, config: DistillationConfig, seed: int, folder: Path, *,
        teacher: Teacher,
        on_progress: Callable[[int, int, dict[str, float]], None] = lambda *_: None,
    ):
        """
        Build student, memory and noise from the seed; `folder` receives curve, checkpoints.

        :param teacher: of as many robots as there are environments.
        """
        num_noisy, num_acting, _ = config.exploration.split(env.num_envs)
        super().__init__(
            env, config, seed, folder, StudentLearner(env, config.student, seed),
            on_progress=on_progress, num_noisy=num_noisy, num_acting=num_acting)
        self.teacher = teacher
        self.memory = RingStore(config.capacity, {
            'image': (env.image_shape, np.uint8),
            'critic_obs': ((env.critic_obs_dim,), np.float32),
            'taught': ((env.action_dim,), np.float32)})
        self.noise = CorrelatedNoise(
            env.num_envs, env.action_dim, config.exploration, self._rng)
        self._images: np.ndarray | None = None

    def examples(self, count: int) -> np.ndarray:
        """Return critic observations (M, C) drawn from the memory."""
        return self.memory.sample(count, np.random.default_rng(0))['critic_obs']

    def example_images(self, count: int) -> np.ndarray:
        """Return the pictures (M, H, W, 3) of `examples`."""
        return self.memory.sample(count, np.random.default_rng(0))['image']

    def _advance(self) -> None:
        """Advance all environments by one tick and learn meanwhile."""
        if self._images is None:
            self._images = self.env.images()
        observation = self._observation
        taught = self.teacher(observation)
        self.env.begin_step(self._act(observation, taught))
        self.memory.add(image=self._images, critic_obs=observation, taught=taught)
        self._learn()
        result = self.env.finish_step()
        self.teacher.reset(np.nonzero(result.terminated | result.truncated)[0])
        self._images = self.env.images()
        self._take(result)

    def _act(self, observation: np.ndarray, taught: np.ndarray) -> np.ndarray:
        """Return the actions (N, A); normalisation freezes when warm-up ends."""
        if self.in_warmup:
            self.learner.normalizer.update(torch.from_numpy(observation))
            return self.noise.explore(taught, taught, warmup=True)
        if not bool(self.learner.normalizer.frozen):
            self.learner.normalizer.freeze()
            # What has succeeded up to here was the teacher.
            self.statistics.clear()
        greedy = self.learner.act(observation, self._images)
        self._metrics['saturated'] = float(saturated(greedy).mean())
        return self.noise.explore(greedy, taught)

    def _learn(self) -> None:
        """Take the updates of one tick."""
        if self.in_warmup:
            return
        started = time.perf_counter()
        self.learner.scale_learning_rates(self.config.rate_at(self.steps))
        for _ in range(self.config.updates_per_tick):
            batch = self.memory.sample(self.config.batch_size, self._rng)
            with flushed_denormals():
                self._metrics |= self.learner.update(
                    batch['critic_obs'], batch['image'], batch['taught'])
        self.learner_s += time.perf_counter() - started

    def _extra_state(self) -> dict[str, Any]:
        """Return memory, noise, teacher and the pictures to act on next."""
        return {
            'memory': self.memory.state_dict(), 'noise': self.noise.state_dict(),
            'teacher': self.teacher.state_dict(), 'images': self._images}

    def _load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back what `_extra_state` returned."""
        for part in ('memory', 'noise', 'teacher'):
            getattr(self, part).load_state_dict(state[part])
        self._images = state['images']
