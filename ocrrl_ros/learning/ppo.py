# SPDX-License-Identifier: Apache-2.0
"""
PPO for bounded residuals: asymmetric value, correlated exploration, target-KL stop.

The clipped objective (Schulman et al., 2017) with the residual recipe of ResiP (Ankile et al.,
2024): an actor that starts at exactly zero and a state-independent spread. Exploration is
first-order correlated, because white noise of every 50 ms only shakes the arm; given the noise
of the tick before, an action is still Gaussian, so that its likelihood is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field
import math
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.led_learner import LedLearner, LedLearnerConfig
from ocrrl_ros.learning.networks import Actor, hidden_layers, LayerConfig
import torch
from torch import nn

_HALF_LOG_TAU = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True, kw_only=True)
class PpoConfig(LedLearnerConfig):
    """Settings of the learner; what was tried: docs/notes/residual.md."""

    networks: LayerConfig = field(default_factory=LayerConfig)
    learning_rate: float = field(
        default=1e-3, metadata={'description': 'AdamW step size of the value'})
    actor_learning_rate: float = field(
        default=2e-5, metadata={'description': 'AdamW step size of the actor'})
    actor_average: float = field(
        default=0.02, metadata={'description': 'share of the new weights in the exported actor'})
    gradient_clip: float = field(default=1.0, metadata={'description': 'gradient norm bound'})
    passes: int = field(default=8, metadata={'description': 'passes over a rollout'})
    batch_size: int = field(default=512, metadata={'description': 'ticks per gradient step'})
    trace: float = field(
        default=0.95, metadata={'description': 'lambda of the advantages'})
    clip: float = field(
        default=0.2, metadata={
            'description': 'bound of the relative change of a likelihood'})
    target_kl: float = field(default=0.1, metadata={
        'description': 'mean divergence beyond which the actor waits for the next rollout'})
    initial_std: float = field(default=0.01, metadata={
        'description': 'exploration per tick at the start, in units of the action bound'})
    smallest_std: float = field(
        default=0.005, metadata={'description': 'lower bound of the exploration'})
    largest_std: float = field(
        default=0.2, metadata={'description': 'upper bound of the exploration'})
    entropy: float = field(default=0.0, metadata={'description': 'weight of the entropy'})

    def __post_init__(self) -> None:
        """Refuse settings that cannot learn."""
        super().__post_init__()
        for name in ('clip', 'target_kl', 'smallest_std'):
            if getattr(self, name) <= 0.0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: > 0')
        if not self.smallest_std <= self.initial_std <= self.largest_std:
            raise ConfigError(
                f'initial_std is {self.initial_std}; allowed: {self.smallest_std} (smallest_std) '
                f'.. {self.largest_std} (largest_std)')
        if self.passes < 1 or self.batch_size < 1:
            raise ConfigError(
                f'passes {self.passes}, batch_size {self.batch_size}; allowed: >= 1')
        if not 0.0 <= self.trace <= 1.0:
            raise ConfigError(f'trace is {self.trace}; allowed: 0 .. 1')


@dataclass(frozen=True)
class PpoBatch:
    """Ticks of a rollout, float32."""

    critic_obs: np.ndarray
    """(B, C)."""
    action: np.ndarray
    """(B, A) as drawn, before any bound."""
    noise_before: np.ndarray
    """What the correlated noise had carried over, (B, A)."""
    log_likelihood: np.ndarray
    """Of the action when it was drawn, (B,)."""
    advantage: np.ndarray
    """(B,)."""
    returns: np.ndarray
    """(B,)."""
    guide: np.ndarray
    """What the guide would have done, (B, A)."""


class PpoLearner(LedLearner):
    """Actor on deployable observations, value on those plus simulator truth."""

    config: PpoConfig
    parts = (
        'actor', 'critic', 'average_actor', 'normalizer', 'actor_optimizer', 'led_optimizer',
        'critic_optimizer')

    def __init__(
        self, obs_dim: int, critic_obs_dim: int, action_dim: int, config: PpoConfig, seed: int,
    ):
        """Build networks and optimisers from a seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            actor = Actor(obs_dim, action_dim, config.networks)
            body, width = hidden_layers(critic_obs_dim, config.networks.hidden)
            self.critic = nn.Sequential(body, nn.Linear(width, 1))
        super().__init__(obs_dim, critic_obs_dim, actor, config, config.networks)
        self.guide_weight = config.guide_weight
        self.log_std = nn.Parameter(torch.full((action_dim,), math.log(config.initial_std)))
        self.actor_optimizer = torch.optim.AdamW(
            [{'params': list(self.actor.parameters())},
             {'params': [self.log_std], 'weight_decay': 0.0}],
            lr=config.actor_learning_rate, weight_decay=config.weight_decay)
        self.led_optimizer = torch.optim.AdamW(
            self.actor.parameters(), lr=config.led_learning_rate,
            weight_decay=config.weight_decay, fused=True)
        self.critic_optimizer = torch.optim.AdamW(
            self.critic.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)

    @property
    def std(self) -> np.ndarray:
        """Return the exploration per tick (A,)."""
        return self.log_std.detach().exp().numpy()

    @torch.no_grad()
    def values(self, critic_obs: np.ndarray) -> np.ndarray:
        """Return the value (M,) of every state (M, C)."""
        return self.critic(self.normalizer(torch.from_numpy(critic_obs)))[:, 0].numpy()

    @torch.no_grad()
    def log_likelihood(self, mean: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Return the log-likelihood (N,) of actions (N, A) around means (N, A)."""
        return self._log_likelihood(torch.from_numpy(mean), torch.from_numpy(action)).numpy()

    def _log_likelihood(self, mean: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Return the log-likelihood (N,) under the present spread."""
        scaled = (action - mean) / self.log_std.exp()
        return -(0.5 * scaled ** 2 + self.log_std + _HALF_LOG_TAU).sum(-1)

    def update_value(self, batch: PpoBatch) -> dict[str, float]:
        """Take one step of the value towards the returns."""
        values = self.critic(self.normalizer(torch.from_numpy(batch.critic_obs)))[:, 0]
        loss = ((values - torch.from_numpy(batch.returns)) ** 2).mean()
        self._step(self.critic_optimizer, self.critic.parameters(), loss)
        self.updates += 1
        return {'critic_loss': loss.item(), 'value': values.detach().mean().item()}

    def update_actor(self, batch: PpoBatch) -> dict[str, float]:
        """Take one step of the actor unless it has already moved by `target_kl`."""
        config = self.config
        obs = self.normalizer.leading(torch.from_numpy(
            np.ascontiguousarray(batch.critic_obs[:, :self.obs_dim])))
        output = self.actor.pre_activation(obs)
        action = torch.tanh(output)
        change = self._log_likelihood(
            action + torch.from_numpy(batch.noise_before), torch.from_numpy(batch.action),
        ) - torch.from_numpy(batch.log_likelihood)
        ratio = change.exp()
        with torch.no_grad():
            kl = (ratio - 1.0 - change).mean().item()
        if kl > config.target_kl:
            return {'kl': kl}
        advantage = torch.from_numpy(batch.advantage)
        bounded = ratio.clamp(1.0 - config.clip, 1.0 + config.clip)
        gain = torch.minimum(ratio * advantage, bounded * advantage).mean()
        gain = gain + config.entropy * self.log_std.sum()
        penalty = self._penalty(output, action)
        if self.guide_weight > 0.0:
            distance = ((action - torch.from_numpy(batch.guide)) ** 2).mean()
            penalty = penalty + self.guide_weight * distance
        self._step(
            self.actor_optimizer, [*self.actor.parameters(), self.log_std], penalty - gain)
        with torch.no_grad():
            self.log_std.clamp_(math.log(config.smallest_std), math.log(config.largest_std))
        self._follow_actor()
        return {
            'kl': kl, 'penalty': penalty.item(), 'std': self.log_std.detach().exp().mean().item(),
            'action_rms': action.detach().pow(2).mean().sqrt().item()}

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values that restore the learner exactly."""
        return super().state_dict() | {'log_std': self.log_std.detach().clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        super().load_state_dict(state)
        with torch.no_grad():
            self.log_std.copy_(state['log_std'])
