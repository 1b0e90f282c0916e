# SPDX-License-Identifier: Apache-2.0
"""What runs have in which a guide may lead the actor at first (docs/notes/residual.md)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.denormals import flushed_denormals
from ocrrl_ros.learning.led_learner import Guided, LedLearner, LedLearnerConfig
from ocrrl_ros.learning.residual_trainer import ResidualTrainer, TrainerConfig


@dataclass(frozen=True, kw_only=True)
class LedTrainerConfig(TrainerConfig, ABC):
    """Settings of a run that a guide may lead."""

    led_steps: int = field(default=0, metadata={'description': (
        'steps, warm-up included, up to which the actor learns what the guide does in the states '
        'that it meets, and the critics what that brings; 0: from rewards at once')})
    led_updates_per_tick: int = field(default=24, metadata={
        'description': 'actor updates per tick of all environments in those steps'})

    def __post_init__(self) -> None:
        """Refuse runs that cannot learn."""
        super().__post_init__()
        if self.led_updates_per_tick < 1:
            raise ConfigError(
                f'led_updates_per_tick is {self.led_updates_per_tick}; allowed: >= 1')
        if self.led_steps and not (
                self.warmup_steps < self.led_steps and self.learner_config.guide_weight > 0.0):
            raise ConfigError(
                f'led_steps is {self.led_steps}; allowed: 0, or above warmup_steps, '
                f'{self.warmup_steps}, with a guide_weight above 0, not '
                f'{self.learner_config.guide_weight}')

    @property
    @abstractmethod
    def learner_config(self) -> LedLearnerConfig:
        """Return the settings of the learner."""

    @property
    def guided(self) -> bool:
        """Return whether a guide leads or pulls the actor."""
        return self.learner_config.guide_weight > 0.0


class LedTrainer(ResidualTrainer):
    """A run whose actor a guide may lead."""

    config: LedTrainerConfig
    learner: LedLearner

    @property
    def is_led(self) -> bool:
        """Return whether the actor learns from the guide alone."""
        return self.steps < self.config.led_steps

    def _imitate(self, updates: int, sample: Callable[[], Guided]) -> None:
        """Take updates of the actor towards the guide."""
        config = self.config
        # A rollout may end beyond the lead, where the rate would go on falling, below zero.
        progress = min(1.0, (self.steps - config.warmup_steps) / (
            config.led_steps - config.warmup_steps))
        for _ in range(updates):
            batch = sample()
            with flushed_denormals():
                self._metrics |= self.learner.imitate(batch, progress)
