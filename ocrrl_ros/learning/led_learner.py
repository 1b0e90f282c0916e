# SPDX-License-Identifier: Apache-2.0
"""What learners have that a guide may lead: imitation at first, and a pull that stays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.learner import blend, Learner, LearnerConfig
import torch


@dataclass(frozen=True, kw_only=True)
class LedLearnerConfig(LearnerConfig):
    """Settings of a learner that a guide may lead (sim/guide.py)."""

    guide_weight: float = field(default=0.0, metadata={'description': (
        "weight of the mean squared distance to the guide's action, in what the actor climbs; "
        'falls linearly and would be 0 after guide_until of the steps')})
    guide_until: float = field(default=0.6, metadata={'description': (
        'share of the steps in which the guide pulls; above 1 it still does at the end')})
    led_learning_rate: float = field(default=1e-3, metadata={'description': (
        'AdamW step size of the actor while it learns from the guide alone, at first; falls to '
        'actor_learning_rate')})

    def __post_init__(self) -> None:
        """Refuse settings that cannot learn."""
        super().__post_init__()
        if self.led_learning_rate <= 0.0:
            raise ConfigError(f'led_learning_rate is {self.led_learning_rate}; allowed: > 0')
        if self.guide_weight < 0.0 or self.guide_until <= 0.0:
            raise ConfigError(
                f'guide_weight is {self.guide_weight}, guide_until {self.guide_until}; allowed: '
                '>= 0, above 0')


class Guided(Protocol):
    """States with what the guide does in them."""

    critic_obs: np.ndarray
    """(B, C)."""
    guide: np.ndarray
    """(B, A)."""


class LedLearner(Learner):
    """
    A learner whose actor can learn a guide's actions by heart and be held near them.

    :ivar guide_weight: how strong the pull is now.
    :ivar led_optimizer: of the actor, while it imitates.
    """

    config: LedLearnerConfig
    guide_weight: float
    led_optimizer: torch.optim.Optimizer

    def fade_guide(self, progress: float) -> None:
        """Let the guide pull as far as it is to after a share of the run, 0 .. 1."""
        left = max(0.0, 1.0 - progress / self.config.guide_until)
        self.guide_weight = left * self.config.guide_weight

    def imitate(self, batch: Guided, progress: float) -> dict[str, float]:
        """
        Take one step of the actor towards the guide's actions, whatever they are worth.

        :param progress: 0 .. 1 of the time in which the actor learns like this.
        """
        config = self.config
        for group in self.led_optimizer.param_groups:
            group['lr'] = config.led_learning_rate + progress * (
                config.actor_learning_rate - config.led_learning_rate)
        obs = self.normalizer(torch.from_numpy(batch.critic_obs))
        output, further = self._actor_output(obs, batch)
        loss = ((torch.tanh(output) - torch.from_numpy(batch.guide)) ** 2).mean()
        self._step(self.led_optimizer, self.actor.parameters(), loss + further)
        self._follow_actor()
        return {'imitation_loss': loss.item()}

    def _actor_output(
        self, obs: torch.Tensor, batch: Guided,
    ) -> tuple[torch.Tensor, torch.Tensor | float]:
        """
        Return the actor's output before tanh (B, A), and what else it is to minimise.

        :param obs: normalised (B, C).
        :param batch: where they come from, for actors that see more.
        """
        return self.actor.pre_activation(obs[:, :self.obs_dim]), 0.0

    def _follow_actor(self) -> None:
        """Move what follows the actor's weights after a step of them."""
        blend(self.average_actor, self.actor, self.config.actor_average)
