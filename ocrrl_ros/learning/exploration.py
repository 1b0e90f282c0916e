# SPDX-License-Identifier: Apache-2.0
"""Correlated exploration noise of the residual learner."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ExplorationConfig:
    """How actions are disturbed, in units of the action bound."""

    correlation: float = field(
        default=0.85, metadata={'description': 'share of the noise kept from tick to tick'})
    sigma: float = field(
        default=0.12, metadata={'description': 'noise per tick around the actor'})
    warmup_sigma: float = field(
        default=0.25, metadata={'description': 'noise per tick around the base in warm-up'})
    share: float = field(
        default=0.7, metadata={'description': 'share of the environments with noise'})
    graded: bool = field(default=True, metadata={'description': (
        'whether the noise falls from full in the first environment to none in the last of them')})
    guide_share: float = field(default=0.15, metadata={'description': (
        'share of the environments that act as a scripted expert would, as far as the bounds of '
        'the residual allow: the critics see what success looks like before the actor finds it')})
    base_share: float = field(default=0.15, metadata={'description': (
        'share of the environments in which the base acts alone: while the residual still breaks '
        'what it does, its successes stay in the replay')})

    def __post_init__(self) -> None:
        """Refuse noise that diverges."""
        if not 0.0 <= self.correlation < 1.0:
            raise ConfigError(f'correlation is {self.correlation}; allowed: [0, 1)')
        if not 0.0 <= self.share <= 1.0:
            raise ConfigError(f'share is {self.share}; allowed: 0 to 1')
        others = (self.guide_share, self.base_share)
        if min(others) < 0.0 or sum(others) > 1.0 - self.share + 1e-9:
            raise ConfigError(
                f'guide_share and base_share are {others}; allowed: >= 0 and in all no more than '
                f'1 - share = {1 - self.share:g}')

    def split(self, num_envs: int) -> tuple[int, int, int]:
        """Return from which environment on there is no noise, a guide, the base alone."""
        first_base = num_envs - round(self.base_share * num_envs)
        first_guided = first_base - round(self.guide_share * num_envs)
        return round(self.share * num_envs), first_guided, first_base


class CorrelatedNoise:
    """
    First-order correlated noise for N environments.

    Where it is graded its size falls from full in the first environment to none: a brittle base
    still succeeds where it is small, and the critics see what large corrections do where it is
    not.
    """

    def __init__(
        self, num_envs: int, action_dim: int, config: ExplorationConfig,
        rng: np.random.Generator,
    ):
        """Start at zero."""
        self.config = config
        self.num_noisy, self._first_guided, self._first_base = config.split(num_envs)
        self._rng = rng
        self._value = np.zeros((num_envs, action_dim))
        self._size = np.zeros((num_envs, 1))
        self._size[:self.num_noisy, 0] = np.linspace(
            1.0, 0.0, self.num_noisy, endpoint=False) if config.graded else 1.0

    def sample(self, *, warmup: bool = False) -> np.ndarray:
        """Return the noise (N, A) of the next tick."""
        sigma = self.config.warmup_sigma if warmup else self.config.sigma
        self._value *= self.config.correlation
        self._value += sigma * self._rng.normal(size=self._value.shape)
        return self._value * self._size

    def explore(
            self, greedy: np.ndarray, guide: np.ndarray | None, *,
            warmup: bool = False) -> np.ndarray:
        """
        Return actions (N, A) to act with: noise added, the guide's, or none.

        :param guide: (N, A), or None where there is no guide: the base acts alone there too.
        """
        action = greedy + self.sample(warmup=warmup)
        action[self._first_guided:] = 0.0
        if guide is not None:
            guided = slice(self._first_guided, self._first_base)
            action[guided] = guide[guided]
        return np.clip(action, -1.0, 1.0).astype(np.float32)

    def state_dict(self) -> dict[str, Any]:
        """Return the present noise; the generator belongs to the caller."""
        return {'value': self._value.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self._value[:] = state['value']
