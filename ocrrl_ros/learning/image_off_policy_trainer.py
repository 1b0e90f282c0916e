# SPDX-License-Identifier: Apache-2.0
"""Residual training by TD3 of an actor that sees pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.gate_config import GateConfig
from ocrrl_ros.learning.image_learner import ImageBatch, ImageTd3Config, ImageTd3Learner
from ocrrl_ros.learning.off_policy_trainer import OffPolicyConfig, OffPolicyTrainer
from ocrrl_ros.learning.ring_store import RingStore
from ocrrl_ros.sim.vec_contract import StepResult, VecEnv


@dataclass(frozen=True, kw_only=True)
class ImageOffPolicyConfig(OffPolicyConfig):
    """Settings of a run, `config/train/residual_td3_image.yaml`."""

    td3: ImageTd3Config = field(default_factory=ImageTd3Config)
    gate: GateConfig = field(default_factory=lambda: GateConfig(enabled=False))

    def __post_init__(self) -> None:
        """Refuse a gate, which would not see what the residual sees, and steps kept for good."""
        super().__post_init__()
        if self.offline_steps > 0:
            raise ConfigError(
                f'offline_steps is {self.offline_steps}; allowed with images: 0, whose pictures '
                'make room for newer ones')
        if self.gate.enabled:
            raise ConfigError('gate.enabled is true; allowed with images: false')


class ImageOffPolicyTrainer(OffPolicyTrainer):
    """
    Trains TD3 from a replay that refers to pictures by number.

    Each picture is kept once. Its number is one more column of what the replay keeps of an
    observation, so the replay need not know of pictures. At a time limit the last picture of the
    episode stands for the one that the world no longer shows.
    """

    config: ImageOffPolicyConfig
    learner: ImageTd3Learner
    further_columns = 1

    def __init__(
        self, env: VecEnv, config: ImageOffPolicyConfig, seed: int, folder: Path, *,
        on_progress: Callable[[int, int, dict[str, float]], None] = lambda *_: None,
    ):
        """
        Build learner, replay and pictures; `folder` receives curve and checkpoints.

        :raises ConfigError: the environment shows its critics no truth.
        """
        if env.critic_obs_dim <= env.obs_dim:
            raise ConfigError(
                'critic_truth is False; allowed with images: True, as critics see no pictures')
        super().__init__(env, config, seed, folder, on_progress=on_progress)
        # Transitions wait for n ticks before they enter the replay.
        self.pictures = RingStore(
            config.capacity + (config.n_step + 2) * env.num_envs,
            {'image': (env.image_shape, np.uint8)})
        self._images: np.ndarray | None = None
        self._numbers: np.ndarray | None = None

    def _make_learner(
        self, env: VecEnv, config: ImageOffPolicyConfig, seed: int,
    ) -> ImageTd3Learner:
        """Return the learner before training."""
        return ImageTd3Learner(env, config.td3, seed)

    def _look(self) -> None:
        """Keep the pictures that belong to the newest observation."""
        self._images = self.env.images()
        self._numbers = self.pictures.add(image=self._images)

    def _advance(self) -> None:
        """Advance all environments by one tick and learn meanwhile."""
        if self._numbers is None:
            self._look()
        super()._advance()

    def _greedy(self, observation: np.ndarray) -> np.ndarray:
        """Return the actor's own actions (N, A) on what is seen now."""
        return self.learner.act(observation, self._images)

    def _store(self, observation: np.ndarray, action: np.ndarray, result: StepResult) -> None:
        """Put a tick into the replay, with the numbers of its pictures."""
        before = self._numbers
        self._look()
        done = result.terminated | result.truncated
        super()._store(_numbered(observation, before), action, replace(
            result, final_critic_obs=_numbered(
                result.final_critic_obs, np.where(done, before, self._numbers))))

    def _sample(self) -> ImageBatch:
        """Return a batch of the replay with its pictures."""
        batch = super()._sample()
        return ImageBatch(
            critic_obs=batch.critic_obs[:, :-1], action=batch.action, reward=batch.reward,
            discount=batch.discount, next_critic_obs=batch.next_critic_obs[:, :-1],
            guide=batch.guide,
            images=self.pictures.read(batch.critic_obs[:, -1])['image'],
            next_images=self.pictures.read(batch.next_critic_obs[:, -1])['image'])

    def examples(self, count: int) -> np.ndarray:
        """Return critic observations (M, C) drawn from the replay."""
        return super().examples(count)[:, :-1]

    def example_images(self, count: int) -> np.ndarray:
        """Return the pictures (M, H, W, 3) of `examples`."""
        return self.pictures.read(super().examples(count)[:, -1])['image']

    def _extra_state(self) -> dict[str, Any]:
        """Return pictures and their numbers too."""
        return super()._extra_state() | {
            'pictures': self.pictures.state_dict(), 'images': self._images,
            'numbers': self._numbers}

    def _load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back what `_extra_state` returned."""
        super()._load_extra_state(state)
        self.pictures.load_state_dict(state['pictures'])
        self._images, self._numbers = state['images'], state['numbers']


def _numbered(observation: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return observations (N, C + 1) whose last column says which picture belongs to each."""
    return np.column_stack([observation, numbers.astype(np.float32)])
