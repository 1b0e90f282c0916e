# SPDX-License-Identifier: Apache-2.0
"""TD3 for bounded residuals: asymmetric critics, n-step targets, averaged actor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.learner import blend, frozen_copy
from ocrrl_ros.learning.led_learner import LedLearner, LedLearnerConfig
from ocrrl_ros.learning.networks import Actor, CriticEnsemble, NetworkConfig
from ocrrl_ros.learning.replay_buffer import Batch
import torch


@dataclass(frozen=True, kw_only=True)
class Td3Config(LedLearnerConfig):
    """Settings of the learner; defaults are the recipe of docs/notes/residual.md."""

    networks: NetworkConfig = field(default_factory=NetworkConfig)
    polyak: float = field(
        default=0.01, metadata={'description': 'share of the new weights in the target networks'})
    actor_period: int = field(
        default=2, metadata={'description': 'critic updates per actor update'})
    target_noise: float = field(
        default=0.1, metadata={'description': 'standard deviation of the target smoothing noise'})
    target_noise_clip: float = field(
        default=0.2, metadata={'description': 'bound of the target smoothing noise'})
    action_change_penalty: float = field(
        default=0.0, metadata={'description': (
            'weight of the mean squared change of the action in a tick, in value; 0: off')})
    guide_filter: bool = field(default=True, metadata={'description': (
        "whether the guide pulls only where the critic prefers its action to the actor's")})
    target_critics: int = field(default=0, metadata={'description': (
        'critics, drawn anew for every update, whose lowest value is the target; 0: all')})
    actor_critics: int = field(
        default=1, metadata={'description': 'critics whose mean value the actor climbs'})
    value_min: float = field(default=0.0, metadata={'description': 'lowest possible return'})
    value_max: float = field(
        default=34.0, metadata={'description': 'highest possible return, 1 / (1 - gamma)'})

    def __post_init__(self) -> None:
        """Refuse settings that cannot learn."""
        super().__post_init__()
        if self.polyak <= 0.0:
            raise ConfigError(f'polyak is {self.polyak}; allowed: > 0')
        if self.actor_period < 1:
            raise ConfigError(f'actor_period is {self.actor_period}; allowed: >= 1')
        if self.action_change_penalty < 0.0:
            raise ConfigError(
                f'action_change_penalty is {self.action_change_penalty}; allowed: >= 0')
        for name, low in (('target_critics', 0), ('actor_critics', 1)):
            if not low <= getattr(self, name) <= self.networks.critics:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: {low} .. '
                                  f'{self.networks.critics}, the number of critics')
        if self.value_min >= self.value_max:
            raise ConfigError(f'value_min {self.value_min} is not below {self.value_max}')


class Td3Learner(LedLearner):
    """
    Actor on deployable observations, critics on those plus simulator truth.

    The critic's observation starts with the actor's, so one array serves both.
    """

    config: Td3Config
    parts = (
        'actor', 'critic', 'target_actor', 'target_critic', 'average_actor', 'normalizer',
        'actor_optimizer', 'led_optimizer', 'critic_optimizer')

    def __init__(
        self, obs_dim: int, critic_obs_dim: int, action_dim: int, config: Td3Config, seed: int,
    ):
        """Build networks and optimisers from a seed."""
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            actor = self._make_actor(obs_dim, critic_obs_dim, action_dim)
            self.critic = CriticEnsemble(critic_obs_dim, action_dim, config.networks)
        super().__init__(obs_dim, critic_obs_dim, actor, config, config.networks)
        self.generator = torch.Generator().manual_seed(seed)
        self.guide_weight = config.guide_weight
        self.target_actor = frozen_copy(self.actor)
        self.target_critic = frozen_copy(self.critic)
        self.actor_optimizer = self._optimizer(self.actor, config.actor_learning_rate)
        self.led_optimizer = self._optimizer(self.actor, config.led_learning_rate)
        self.critic_optimizer = self._optimizer(self.critic, config.learning_rate)

    def _make_actor(self, obs_dim: int, critic_obs_dim: int, action_dim: int) -> Actor:
        """Return the actor before training."""
        return Actor(obs_dim, action_dim, self.config.networks)

    def _optimizer(
        self, module: torch.nn.Module, learning_rate: float,
    ) -> torch.optim.Optimizer:
        """Return a fused AdamW over the module."""
        return torch.optim.AdamW(
            module.parameters(), lr=learning_rate,
            weight_decay=self.config.weight_decay, fused=True)

    def update(self, batch: Batch, *, with_actor: bool = True) -> dict[str, float]:
        """
        Take one critic step and, every `actor_period` updates, one actor step.

        :param with_actor: False keeps the actor as it is, while the critics are still blind.
        """
        obs = self.normalizer(torch.from_numpy(batch.critic_obs))
        next_obs = self.normalizer(torch.from_numpy(batch.next_critic_obs))
        target = self._target(
            torch.from_numpy(batch.reward), torch.from_numpy(batch.discount), next_obs, batch)
        values = self.critic(obs, torch.from_numpy(batch.action))
        loss = ((values - target) ** 2).mean(1).sum()
        self._step(self.critic_optimizer, self.critic.parameters(), loss)
        self.updates += 1
        metrics = {'critic_loss': loss.item(), 'value': values.detach().mean().item()}
        if with_actor and self.updates % self.config.actor_period == 0:
            metrics |= self._update_actor(obs, batch)
        blend(self.target_critic, self.critic, self.config.polyak)
        return metrics

    @torch.no_grad()
    def _target(
        self, reward: torch.Tensor, discount: torch.Tensor, next_obs: torch.Tensor,
        batch: Batch | None = None,
    ) -> torch.Tensor:
        """Return the clipped n-step target (B,) from the lowest of the target critics."""
        config = self.config
        action = self._target_action(next_obs, batch)
        noise = torch.randn(action.shape, generator=self.generator) * config.target_noise
        noise = noise.clamp(-config.target_noise_clip, config.target_noise_clip)
        action = (action + noise).clamp(-1.0, 1.0)
        values = self.target_critic(next_obs, action)
        if config.target_critics:
            order = torch.randperm(len(values), generator=self.generator)
            values = values[order[:config.target_critics]]
        following = values.min(0).values
        return (reward + discount * following).clamp(config.value_min, config.value_max)

    def _target_action(self, next_obs: torch.Tensor, batch: Batch | None) -> torch.Tensor:
        """
        Return what the target actor does (B, A) on normalised observations (B, C).

        :param batch: where they come from, for actors that see more.
        """
        return self.target_actor(next_obs[:, :self.obs_dim])

    def _follow_actor(self) -> None:
        """Move target and average after a step of the actor."""
        super()._follow_actor()
        blend(self.target_actor, self.actor, self.config.polyak)

    def _update_actor(self, obs: torch.Tensor, batch: Batch) -> dict[str, float]:
        """Climb the first critics' value, held back near the action bound, led by the guide."""
        config = self.config
        output, further = self._actor_output(obs, batch)
        action = torch.tanh(output)
        self.critic.requires_grad_(False)
        value = self.critic(obs, action, config.actor_critics).mean(0)
        penalty = self._penalty(output, action)
        if config.action_change_penalty > 0.0:
            following = self.normalizer.leading(torch.from_numpy(batch.following_obs))
            change = (self.actor(following) - action) ** 2
            penalty = penalty + config.action_change_penalty * change.mean()
        if self.guide_weight > 0.0:
            penalty = penalty + self.guide_weight * self._distance_to_guide(
                obs, action, value.detach(), torch.from_numpy(batch.guide))
        self.critic.requires_grad_(True)
        value = value.mean()
        self._step(self.actor_optimizer, self.actor.parameters(), penalty - value + further)
        self._follow_actor()
        return {
            'actor_value': value.item(), 'penalty': penalty.item(),
            'action_rms': action.detach().pow(2).mean().sqrt().item()}

    def _distance_to_guide(
        self, obs: torch.Tensor, action: torch.Tensor, value: torch.Tensor, guide: torch.Tensor,
    ) -> torch.Tensor:
        """
        Return the mean squared distance of actions (B, A) to the guide's.

        With the filter of Nair et al., Overcoming Exploration in RL with Demonstrations (2018),
        section 4.C, only states count in which the critic gives the guide's action more than
        the actor's. Without it this is what keeps TD3+BC near its data (Fujimoto and Gu, A
        Minimalist Approach to Offline RL, 2021): critics are wrong far from what they have seen.
        """
        squared = (action - guide) ** 2
        if not self.config.guide_filter:
            return squared.mean()
        better = (self.critic(obs, guide, self.config.actor_critics).mean(0) > value).float()
        return (better[:, None] * squared).mean()

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values that restore the learner exactly."""
        return super().state_dict() | {'generator': self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        super().load_state_dict(state)
        self.generator.set_state(state['generator'])
