# SPDX-License-Identifier: Apache-2.0
"""TD3 for bounded residuals: asymmetric critics, n-step targets, averaged actor."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.networks import (
    action_penalty, Actor, CriticEnsemble, NetworkConfig, ObservationNormalizer, ResidualPolicy)
from ocrrl_ros.learning.replay_buffer import Batch
import torch


@dataclass(frozen=True, kw_only=True)
class Td3Config:
    """Settings of the learner; defaults are the recipe of docs/notes/residual.md."""

    networks: NetworkConfig = field(default_factory=NetworkConfig)
    learning_rate: float = field(
        default=3e-4, metadata={'description': 'AdamW step size of the critics'})
    actor_learning_rate: float = field(
        default=1e-4, metadata={'description': 'AdamW step size of the actor'})
    weight_decay: float = field(default=1e-4, metadata={'description': 'AdamW weight decay'})
    polyak: float = field(
        default=0.01, metadata={'description': 'share of the new weights in the target networks'})
    actor_average: float = field(
        default=0.001, metadata={'description': 'share of the new weights in the exported actor'})
    actor_period: int = field(
        default=2, metadata={'description': 'critic updates per actor update'})
    target_noise: float = field(
        default=0.1, metadata={'description': 'standard deviation of the target smoothing noise'})
    target_noise_clip: float = field(
        default=0.2, metadata={'description': 'bound of the target smoothing noise'})
    action_penalty: float = field(
        default=0.02, metadata={'description': (
            'weight of the mean squared action, in value, but for the last')})
    gripper_penalty: float = field(
        default=0.02, metadata={'description': (
            'the same of the last action alone, which is worth nothing until it is large')})
    action_change_penalty: float = field(
        default=0.0, metadata={'description': (
            'weight of the mean squared change of the action in a tick, in value; 0: off')})
    saturation_penalty: float = field(
        default=0.5, metadata={'description': 'weight of squared output beyond saturation_start'})
    saturation_start: float = field(
        default=0.8, metadata={'description': '|action| from which the penalty grows'})
    gradient_clip: float = field(default=10.0, metadata={'description': 'gradient norm bound'})
    value_min: float = field(default=0.0, metadata={'description': 'lowest possible return'})
    value_max: float = field(
        default=34.0, metadata={'description': 'highest possible return, 1 / (1 - gamma)'})

    def __post_init__(self) -> None:
        """Refuse settings that cannot learn."""
        for name in (
                'learning_rate', 'actor_learning_rate', 'polyak', 'actor_average',
                'gradient_clip'):
            if getattr(self, name) <= 0.0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: > 0')
        if not 0.0 < self.saturation_start < 1.0:
            raise ConfigError(f'saturation_start is {self.saturation_start}; allowed: (0, 1)')
        if self.actor_period < 1:
            raise ConfigError(f'actor_period is {self.actor_period}; allowed: >= 1')
        if self.action_change_penalty < 0.0:
            raise ConfigError(
                f'action_change_penalty is {self.action_change_penalty}; allowed: >= 0')
        if self.value_min >= self.value_max:
            raise ConfigError(f'value_min {self.value_min} is not below {self.value_max}')


class Td3Learner:
    """
    Actor on deployable observations, critics on those plus simulator truth.

    The critic's observation starts with the actor's, so one array serves both.
    """

    def __init__(
        self, obs_dim: int, critic_obs_dim: int, action_dim: int, config: Td3Config, seed: int,
    ):
        """Build networks and optimisers from a seed."""
        self.config = config
        self.obs_dim = obs_dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.actor = Actor(obs_dim, action_dim, config.networks)
            self.critic = CriticEnsemble(critic_obs_dim, action_dim, config.networks)
        self.generator = torch.Generator().manual_seed(seed)
        self.target_actor = _frozen_copy(self.actor)
        self.target_critic = _frozen_copy(self.critic)
        self.average_actor = _frozen_copy(self.actor)
        clip = config.networks.normalizer_clip
        self.penalties = torch.full((action_dim,), config.action_penalty)
        self.penalties[-1] = config.gripper_penalty
        self.normalizer = ObservationNormalizer(critic_obs_dim, clip)
        self.actor_optimizer = self._optimizer(self.actor, config.actor_learning_rate)
        self.critic_optimizer = self._optimizer(self.critic, config.learning_rate)
        self.updates = 0

    def _optimizer(
        self, module: torch.nn.Module, learning_rate: float,
    ) -> torch.optim.Optimizer:
        """Return a fused AdamW over the module."""
        return torch.optim.AdamW(
            module.parameters(), lr=learning_rate,
            weight_decay=self.config.weight_decay, fused=True)

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

    def update(self, batch: Batch, *, with_actor: bool = True) -> dict[str, float]:
        """
        Take one critic step and, every `actor_period` updates, one actor step.

        :param with_actor: False keeps the actor as it is, while the critics are still blind.
        """
        obs = self.normalizer(torch.from_numpy(batch.critic_obs))
        next_obs = self.normalizer(torch.from_numpy(batch.next_critic_obs))
        target = self._target(
            torch.from_numpy(batch.reward), torch.from_numpy(batch.discount), next_obs)
        values = self.critic(obs, torch.from_numpy(batch.action))
        loss = ((values - target) ** 2).mean(1).sum()
        self._step(self.critic_optimizer, self.critic, loss)
        self.updates += 1
        metrics = {'critic_loss': loss.item(), 'value': values.detach().mean().item()}
        if with_actor and self.updates % self.config.actor_period == 0:
            metrics |= self._update_actor(obs, batch.following_obs)
        _blend(self.target_critic, self.critic, self.config.polyak)
        return metrics

    @torch.no_grad()
    def _target(
        self, reward: torch.Tensor, discount: torch.Tensor, next_obs: torch.Tensor,
    ) -> torch.Tensor:
        """Return the clipped n-step target (B,) from the lower of the target critics."""
        config = self.config
        action = self.target_actor(next_obs[:, :self.obs_dim])
        noise = torch.randn(action.shape, generator=self.generator) * config.target_noise
        noise = noise.clamp(-config.target_noise_clip, config.target_noise_clip)
        action = (action + noise).clamp(-1.0, 1.0)
        following = self.target_critic(next_obs, action).min(0).values
        return (reward + discount * following).clamp(config.value_min, config.value_max)

    def _update_actor(
        self, obs: torch.Tensor, following_obs: np.ndarray | None,
    ) -> dict[str, float]:
        """
        Climb the first critic's value, held back near the action bound.

        :param following_obs: raw (B, D), one tick later; only with `action_change_penalty`.
        """
        config = self.config
        output = self.actor.pre_activation(obs[:, :self.obs_dim])
        action = torch.tanh(output)
        self.critic.requires_grad_(False)
        value = self.critic(obs, action, 1).mean()
        self.critic.requires_grad_(True)
        penalty = action_penalty(
            output, action, self.penalties, saturation_start=config.saturation_start,
            saturation_weight=config.saturation_penalty)
        if config.action_change_penalty > 0.0:
            following = self.normalizer.leading(torch.from_numpy(following_obs))
            change = (self.actor(following) - action) ** 2
            penalty = penalty + config.action_change_penalty * change.mean()
        self._step(self.actor_optimizer, self.actor, penalty - value)
        _blend(self.target_actor, self.actor, config.polyak)
        _blend(self.average_actor, self.actor, config.actor_average)
        return {
            'actor_value': value.item(), 'penalty': penalty.item(),
            'action_rms': action.detach().pow(2).mean().sqrt().item()}

    def _step(
        self, optimizer: torch.optim.Optimizer, module: torch.nn.Module, loss: torch.Tensor,
    ) -> None:
        """Apply one clipped gradient step."""
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(
            module.parameters(), self.config.gradient_clip, foreach=True)
        optimizer.step()

    def policy(self) -> ResidualPolicy:
        """Return the averaged actor with its normalisation, for raw observations (N, D)."""
        return ResidualPolicy(
            self.normalizer.first(self.obs_dim), copy.deepcopy(self.average_actor)).eval()

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values that restore the learner exactly."""
        state: dict[str, Any] = {
            name: getattr(self, name).state_dict() for name in _PARTS}
        state['generator'] = self.generator.get_state()
        state['updates'] = self.updates
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.generator.set_state(state['generator'])
        self.updates = int(state['updates'])


_PARTS = (
    'actor', 'critic', 'target_actor', 'target_critic', 'average_actor', 'normalizer',
    'actor_optimizer', 'critic_optimizer')


def _frozen_copy(module: torch.nn.Module) -> torch.nn.Module:
    """Return a copy that no gradient reaches."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def _blend(target: torch.nn.Module, source: torch.nn.Module, share: float) -> None:
    """Move the target's parameters towards the source's by a share."""
    torch._foreach_lerp_(
        list(target.parameters()), [p.detach() for p in source.parameters()], share)
