# SPDX-License-Identifier: Apache-2.0
"""What a residual training is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.off_policy_trainer import OffPolicyConfig
from ocrrl_ros.learning.residual_trainer import TrainerConfig
from ocrrl_ros.policy.action_hold import ResidualRate
from ocrrl_ros.sim.vec_recipe import EnvRecipe

DEVELOPMENT_SEED = 10_000
"""Seeds from here on measure; training seeds lie below (protocol, section 6)."""


@dataclass(frozen=True, kw_only=True)
class ResidualRunConfig:
    """What a run is made of."""

    recipe: EnvRecipe = field(default_factory=EnvRecipe)
    trainer: TrainerConfig = field(
        default_factory=OffPolicyConfig, metadata={'description': (
            'settings of the learner; their class says which one')})
    workers: int = field(default=1, metadata={'description': 'environment processes'})
    torch_threads: int = field(default=1, metadata={'description': 'threads of the learner'})
    final_episodes: int = field(default=128, metadata={
        'description': 'episodes that the finished residual and its base are measured on'})
    acts_per: ResidualRate = field(default='tick', metadata={'description': (
        'how often the finished residual answers anew, measured and deployed')})
    variant: str = field(
        default='', metadata={'description': 'name of the changes, for the manifest'})
    best: Path | None = field(default=None, metadata={'description': (
        'folder of a second bundle: the kept policy that does best on development seeds')})

    def __post_init__(self) -> None:
        """Keep training seeds apart from those that measure."""
        if not 0 <= self.recipe.seed < DEVELOPMENT_SEED:
            raise ConfigError(
                f'seed is {self.recipe.seed}; allowed for training: 0 .. {DEVELOPMENT_SEED - 1}')
        if self.workers < 0 or self.torch_threads < 1 or self.final_episodes < 0:
            raise ConfigError(
                f'workers {self.workers}, torch_threads {self.torch_threads}, final_episodes '
                f'{self.final_episodes}; allowed: >= 0, >= 1, >= 0')
        if self.best is not None and self.final_episodes == 0:
            raise ConfigError('final_episodes is 0; allowed where the best policy is asked for: '
                              '>= 1')
