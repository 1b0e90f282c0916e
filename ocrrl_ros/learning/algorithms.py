# SPDX-License-Identifier: Apache-2.0
"""The residual learners by name."""

from __future__ import annotations

from dataclasses import dataclass

from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.learning.distillation_trainer import DistillationConfig, DistillationTrainer
from ocrrl_ros.learning.image_off_policy_trainer import (
    ImageOffPolicyConfig, ImageOffPolicyTrainer)
from ocrrl_ros.learning.off_policy_trainer import OffPolicyConfig, OffPolicyTrainer
from ocrrl_ros.learning.on_policy_trainer import OnPolicyConfig, OnPolicyTrainer
from ocrrl_ros.learning.residual_trainer import ResidualTrainer, TrainerConfig


@dataclass(frozen=True)
class Algorithm:
    """A learner: its name, its settings' class and file in config/train, its trainer."""

    name: str
    config: type[TrainerConfig]
    trainer: type[ResidualTrainer]
    settings_file: str
    sees_images: bool = False


_ALGORITHMS = (
    Algorithm('td3', OffPolicyConfig, OffPolicyTrainer, 'residual_td3.yaml'),
    Algorithm('ppo', OnPolicyConfig, OnPolicyTrainer, 'residual_ppo.yaml'),
    Algorithm('td3', ImageOffPolicyConfig, ImageOffPolicyTrainer, 'residual_td3_image.yaml',
              sees_images=True),
    Algorithm('distillation', DistillationConfig, DistillationTrainer, 'distillation.yaml',
              sees_images=True))


def find_algorithm(name: str, *, sees_images: bool = False) -> Algorithm:
    """
    Return the algorithm of a name.

    :param sees_images: whether its residuals are to see pictures instead of object poses.
    :raises UnknownNameError: there is none.
    """
    known = {one.name: one for one in _ALGORITHMS if one.sees_images == sees_images}
    if name not in known:
        what = 'algorithm for images' if sees_images else 'algorithm'
        raise UnknownNameError(what, name, list(known))
    return known[name]


def algorithm_of(config: TrainerConfig) -> Algorithm:
    """Return the algorithm that settings are for."""
    return next(one for one in _ALGORITHMS if one.config is type(config))
