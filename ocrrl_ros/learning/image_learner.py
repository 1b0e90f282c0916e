# SPDX-License-Identifier: Apache-2.0
"""Learners whose actor sees pictures: TD3, and a student of a finished residual."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.denormals import flushed_denormals
from ocrrl_ros.learning.image_networks import ImageActor, ImagePolicy, jittered, VisionConfig
from ocrrl_ros.learning.learner import blend, Learner, LearnerConfig
from ocrrl_ros.learning.networks import LayerConfig
from ocrrl_ros.learning.replay_buffer import Batch
from ocrrl_ros.learning.td3 import Td3Config, Td3Learner
from ocrrl_ros.sim.vec_contract import VecEnv
import torch


@dataclass(frozen=True)
class ImageBatch(Batch):
    """Sampled transitions with what the actor saw before and after."""

    images: np.ndarray | None = None
    """Pictures that belong to `critic_obs`, (B, H, W, 3) uint8."""
    next_images: np.ndarray | None = None
    """Pictures that belong to `next_critic_obs`, (B, H, W, 3) uint8."""


class SeeingLearner(Learner):
    """A learner whose actor takes some entries of the observation, and a picture."""

    columns: np.ndarray
    """Which entries (D,) of the observation the actor sees."""
    actor: ImageActor

    @torch.no_grad()
    def act(
        self, critic_obs: np.ndarray, images: np.ndarray, *, averaged: bool = False,
    ) -> np.ndarray:
        """
        Return the actions (N, A) float32 without exploration.

        :param critic_obs: (N, C).
        :param images: (N, H, W, 3) uint8.
        :param averaged: use the averaged weights, those that are exported.
        """
        actor = self.average_actor if averaged else self.actor
        observations = self.normalizer(torch.from_numpy(critic_obs))[:, self.columns]
        with flushed_denormals():
            return actor(observations, torch.from_numpy(images)).numpy()

    def policy(self) -> ImagePolicy:
        """Return the averaged actor with its normalisation, for raw inputs."""
        return ImagePolicy(
            self.normalizer.pick(self.columns), copy.deepcopy(self.average_actor)).eval()

    def _imagine(
        self, obs: torch.Tensor, images: np.ndarray, vision: VisionConfig,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Return the actor's output before tanh (B, A) on recoloured pictures, and a loss.

        :param obs: normalised (B, C); what lies beyond the actor's part is the truth.
        :return: the loss is the weighted error of what the actor makes of the truth.
        """
        output, guess = self.actor.with_truth(obs[:, self.columns], jittered(
            torch.from_numpy(images), vision.colour_jitter, self.generator))
        error = ((guess - obs[:, self.obs_dim:]) ** 2).mean()
        return output, vision.truth_weight * error


@dataclass(frozen=True, kw_only=True)
class ImageTd3Config(Td3Config):
    """Settings of TD3 with an actor that sees pictures; the critics see truth instead."""

    vision: VisionConfig = field(default_factory=VisionConfig)

    def __post_init__(self) -> None:
        """Refuse what needs pictures that the replay does not keep."""
        super().__post_init__()
        if self.action_change_penalty > 0.0:
            raise ConfigError(
                f'action_change_penalty is {self.action_change_penalty}; allowed with images: 0')


class ImageTd3Learner(SeeingLearner, Td3Learner):
    """TD3 whose critics are those of the pose residual: pictures reach the actor alone."""

    config: ImageTd3Config

    def __init__(self, env: VecEnv, config: ImageTd3Config, seed: int):
        """Build networks and optimisers from a seed, for an environment with pictures."""
        self.columns, self._image_shape = env.image_columns, env.image_shape
        super().__init__(env.obs_dim, env.critic_obs_dim, env.action_dim, config, seed)

    def _make_actor(self, obs_dim: int, critic_obs_dim: int, action_dim: int) -> ImageActor:
        """Return the actor before training."""
        return ImageActor(
            len(self.columns), self._image_shape, critic_obs_dim - obs_dim, action_dim,
            self.config.networks, self.config.vision)

    def _target_action(self, next_obs: torch.Tensor, batch: ImageBatch) -> torch.Tensor:
        """Return what the target actor does (B, A)."""
        return self.target_actor(next_obs[:, self.columns], torch.from_numpy(batch.next_images))

    def _actor_output(
        self, obs: torch.Tensor, batch: ImageBatch,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the actor's output before tanh (B, A) and the error about the truth."""
        return self._imagine(obs, batch.images, self.config.vision)


@dataclass(frozen=True, kw_only=True)
class StudentConfig(LearnerConfig):
    """Settings of a student; rates and averaging are the actor's, penalties do not apply."""

    networks: LayerConfig = field(default_factory=LayerConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)


class StudentLearner(SeeingLearner):
    """Learns by regression to do on a picture what a teacher does on object poses."""

    config: StudentConfig
    parts = ('actor', 'average_actor', 'normalizer', 'actor_optimizer')

    def __init__(self, env: VecEnv, config: StudentConfig, seed: int):
        """Build network and optimiser from a seed, for an environment with pictures."""
        self.columns = env.image_columns
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            actor = ImageActor(
                len(self.columns), env.image_shape, env.critic_obs_dim - env.obs_dim,
                env.action_dim, config.networks, config.vision)
        super().__init__(env.obs_dim, env.critic_obs_dim, actor, config, config.networks)
        self.generator = torch.Generator().manual_seed(seed)
        self.actor_optimizer = torch.optim.AdamW(
            self.actor.parameters(), lr=config.actor_learning_rate,
            weight_decay=config.weight_decay, fused=True)

    def scale_learning_rates(self, share: float) -> None:
        """Set the learning rate to a share of the configured one."""
        for group in self.actor_optimizer.param_groups:
            group['lr'] = share * self.config.actor_learning_rate

    def update(
        self, critic_obs: np.ndarray, images: np.ndarray, taught: np.ndarray,
    ) -> dict[str, float]:
        """
        Take one step towards the teacher's actions.

        :param critic_obs: (B, C).
        :param images: (B, H, W, 3) uint8.
        :param taught: (B, A) what the teacher does there.
        """
        obs = self.normalizer(torch.from_numpy(critic_obs))
        output, further = self._imagine(obs, images, self.config.vision)
        action = torch.tanh(output)
        error = ((action - torch.from_numpy(taught)) ** 2).mean()
        self._step(self.actor_optimizer, self.actor.parameters(), error + further)
        self.updates += 1
        blend(self.average_actor, self.actor, self.config.actor_average)
        return {'imitation_loss': error.item(), 'truth_loss': further.item(),
                'action_rms': action.detach().pow(2).mean().sqrt().item()}

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values that restore the learner exactly."""
        return super().state_dict() | {'generator': self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        super().load_state_dict(state)
        self.generator.set_state(state['generator'])
