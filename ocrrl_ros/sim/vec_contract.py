# SPDX-License-Identifier: Apache-2.0
"""The contract between a vectorised environment and the learners that drive it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import ConfigError


@dataclass(frozen=True)
class StepResult:
    """
    What one 20 Hz tick of N environments returned.

    Environments that ended have already been reset: `critic_obs` is the first observation of
    the new episode and `final_critic_obs` the last one of the old. The actor's observation is
    the first `obs_dim` columns of the critic's, so only the latter is stored.
    """

    critic_obs: np.ndarray
    """Observation to act on next, (N, C) float32."""
    final_critic_obs: np.ndarray
    """Observation that the action led to, (N, C) float32; differs where an episode ended."""
    reward: np.ndarray
    """Staged reward in [0, 1], (N,) float32."""
    terminated: np.ndarray
    """The task ended, by success or failure, (N,) bool: no value follows."""
    truncated: np.ndarray
    """The time limit was reached, (N,) bool: the value of the last state still counts."""
    success: np.ndarray
    """The success predicate held long enough in this tick, (N,) bool."""
    info: dict[str, np.ndarray] = field(default_factory=dict)
    """Further arrays (N, ...) for logs, such as reward terms and `gain`."""


class VecEnv(ABC):
    """N environments that step together and reset themselves."""

    num_envs: int
    """N."""
    obs_dim: int
    """Width D of the actor's observation."""
    critic_obs_dim: int
    """Width C >= D of the critic's observation, whose first D columns are the actor's."""
    action_dim: int
    """Width A of the action, every entry in [-1, 1]."""

    image_shape: tuple[int, int, int] | None = None
    """(H, W, 3) of the pictures, where the environment takes any."""
    image_columns: np.ndarray | None = None
    """Entries of the actor's observation that an actor sees beside its picture."""

    @abstractmethod
    def reset(self) -> np.ndarray:
        """Start N new episodes and return the critic's observation (N, C) float32."""

    @abstractmethod
    def step(self, action: np.ndarray) -> StepResult:
        """
        Advance one tick.

        :param action: (N, A), clipped to [-1, 1] by the environment.
        """

    def begin_step(self, action: np.ndarray) -> None:
        """Start a tick that `finish_step` returns; environments in other processes overlap."""
        self._pending_action = action

    def finish_step(self) -> StepResult:
        """Return the result of the tick that `begin_step` started."""
        return self.step(self._pending_action)

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return everything that `load_state_dict` needs to continue exactly from here."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> np.ndarray:
        """Continue from a saved state; return the observation (N, C) to act on next."""

    def images(self) -> np.ndarray:
        """Return the pictures (N, H, W, 3) uint8 that belong to the newest observation."""
        raise ConfigError('this environment takes no pictures; give its recipe `images`')

    def timings(self) -> dict[str, float]:
        """Return the seconds spent so far by part, where the environment measures them."""
        return {}

    def close(self) -> None:
        """Give threads, contexts and processes back."""
