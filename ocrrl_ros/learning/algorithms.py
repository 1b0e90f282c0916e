# SPDX-License-Identifier: Apache-2.0
"""The residual learners by name."""

from __future__ import annotations

from dataclasses import dataclass

from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.learning.off_policy_trainer import OffPolicyConfig, OffPolicyTrainer
from ocrrl_ros.learning.on_policy_trainer import OnPolicyConfig, OnPolicyTrainer
from ocrrl_ros.learning.residual_trainer import ResidualTrainer, TrainerConfig


@dataclass(frozen=True)
class Algorithm:
    """A learner: its name, the class of its settings and its trainer."""

    name: str
    config: type[TrainerConfig]
    trainer: type[ResidualTrainer]

    @property
    def settings_file(self) -> str:
        """Return the name of its settings in config/train."""
        return f'residual_{self.name}.yaml'


_ALGORITHMS = (
    Algorithm('td3', OffPolicyConfig, OffPolicyTrainer),
    Algorithm('ppo', OnPolicyConfig, OnPolicyTrainer))


def find_algorithm(name: str) -> Algorithm:
    """
    Return the algorithm of a name.

    :raises UnknownNameError: there is none.
    """
    for algorithm in _ALGORITHMS:
        if algorithm.name == name:
            return algorithm
    raise UnknownNameError('algorithm', name, [known.name for known in _ALGORITHMS])


def algorithm_of(config: TrainerConfig) -> Algorithm:
    """Return the algorithm that settings are for."""
    return next(one for one in _ALGORITHMS if one.config is type(config))
