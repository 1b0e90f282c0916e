# SPDX-License-Identifier: Apache-2.0
"""What every residual learner has: an actor that trains, one that ships, penalties, state."""

from __future__ import annotations

from collections.abc import Iterable
import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.networks import (
    action_penalty, Actor, LayerConfig, ObservationNormalizer, ResidualPolicy)
import torch

_POLICY_PARTS = ('average_actor', 'normalizer')


@dataclass(frozen=True, kw_only=True)
class LearnerConfig:
    """Settings that every learner has; defaults are TD3's of docs/notes/residual.md."""

    learning_rate: float = field(
        default=3e-4, metadata={'description': 'AdamW step size of the critics'})
    actor_learning_rate: float = field(
        default=1e-4, metadata={'description': 'AdamW step size of the actor'})
    weight_decay: float = field(default=1e-4, metadata={'description': 'AdamW weight decay'})
    actor_average: float = field(
        default=0.001, metadata={'description': 'share of the new weights in the exported actor'})
    action_penalty: float = field(
        default=0.02, metadata={'description': (
            'weight of the mean squared action, in what the actor climbs, but for the last')})
    gripper_penalty: float = field(
        default=0.02, metadata={'description': (
            'the same of the last action alone, which is worth nothing until it is large')})
    saturation_penalty: float = field(
        default=0.5, metadata={'description': 'weight of squared output beyond saturation_start'})
    saturation_start: float = field(
        default=0.8, metadata={'description': '|action| from which the penalty grows'})
    gradient_clip: float = field(default=10.0, metadata={'description': 'gradient norm bound'})

    def __post_init__(self) -> None:
        """Refuse settings that cannot learn."""
        for name in ('learning_rate', 'actor_learning_rate', 'actor_average', 'gradient_clip'):
            if getattr(self, name) <= 0.0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: > 0')
        if not 0.0 < self.saturation_start < 1.0:
            raise ConfigError(f'saturation_start is {self.saturation_start}; allowed: (0, 1)')


class Learner:
    """
    A residual actor under training, on observations (N, C) whose first D columns it sees.

    :param actor: starts at exactly zero.
    """

    parts: ClassVar[tuple[str, ...]]
    """Names of the modules and optimisers that make up the saved state."""
    actor_optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer

    def __init__(
        self, obs_dim: int, critic_obs_dim: int, actor: Actor, config: LearnerConfig,
        networks: LayerConfig,
    ):
        """Keep the actor and start the average that ships."""
        self.config = config
        self.obs_dim = obs_dim
        self.actor = actor
        self.average_actor = frozen_copy(actor)
        self.normalizer = ObservationNormalizer(critic_obs_dim, networks.normalizer_clip)
        self.penalties = torch.full((actor.last.out_features,), config.action_penalty)
        self.penalties[-1] = config.gripper_penalty
        self.updates = 0

    def scale_learning_rates(self, share: float) -> None:
        """Set both learning rates to a share of the configured ones."""
        for optimizer, learning_rate in (
                (self.actor_optimizer, self.config.actor_learning_rate),
                (self.critic_optimizer, self.config.learning_rate)):
            for group in optimizer.param_groups:
                group['lr'] = share * learning_rate

    @torch.no_grad()
    def act(self, critic_obs: np.ndarray, *, averaged: bool = False) -> np.ndarray:
        """
        Return the actions (N, A) float32 without exploration.

        :param critic_obs: (N, C); only the first D columns are used.
        :param averaged: use the averaged weights, those that are exported.
        """
        actor = self.average_actor if averaged else self.actor
        observations = self.normalizer(torch.from_numpy(critic_obs))
        return actor(observations[:, :self.obs_dim]).numpy()

    def _penalty(self, output: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Return what the actor's outputs (N, A) and actions (N, A) cost."""
        return action_penalty(
            output, action, self.penalties, saturation_start=self.config.saturation_start,
            saturation_weight=self.config.saturation_penalty)

    def _step(
        self, optimizer: torch.optim.Optimizer, parameters: Iterable[torch.nn.Parameter],
        loss: torch.Tensor,
    ) -> None:
        """Apply one clipped gradient step."""
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, self.config.gradient_clip, foreach=True)
        optimizer.step()

    def policy(self) -> ResidualPolicy:
        """Return the averaged actor with its normalisation, for raw observations (N, D)."""
        return ResidualPolicy(
            self.normalizer.first(self.obs_dim), copy.deepcopy(self.average_actor)).eval()

    def policy_state(self) -> dict[str, Any]:
        """Return a copy of what `policy` is made of."""
        return copy.deepcopy({name: getattr(self, name).state_dict() for name in _POLICY_PARTS})

    def load_policy(self, state: dict[str, Any]) -> None:
        """Let `policy` be another one, kept by `policy_state`; nothing is learned from there."""
        for name in _POLICY_PARTS:
            getattr(self, name).load_state_dict(state[name])

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values that restore the learner exactly."""
        state: dict[str, Any] = {
            name: getattr(self, name).state_dict() for name in self.parts}
        return state | {'updates': self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        for name in self.parts:
            getattr(self, name).load_state_dict(state[name])
        self.updates = int(state['updates'])


def frozen_copy(module: torch.nn.Module) -> torch.nn.Module:
    """Return a copy that no gradient reaches."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def blend(target: torch.nn.Module, source: torch.nn.Module, share: float) -> None:
    """Move the target's parameters towards the source's by a share."""
    torch._foreach_lerp_(
        list(target.parameters()), [p.detach() for p in source.parameters()], share)
