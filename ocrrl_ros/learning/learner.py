# SPDX-License-Identifier: Apache-2.0
"""What a residual learner offers to trainer, measurement, gate and export."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from ocrrl_ros.learning.networks import ObservationNormalizer, ResidualPolicy


class Learner(Protocol):
    """A residual actor under training, on observations whose first D columns it sees."""

    normalizer: ObservationNormalizer
    """Of the critic's observations (N, C), frozen when warm-up ends."""
    updates: int
    """Gradient steps of the critics so far."""

    def act(self, critic_obs: np.ndarray, *, averaged: bool = False) -> np.ndarray:
        """Return the actions (N, A) without exploration; averaged as they are exported."""

    def scale_learning_rates(self, share: float) -> None:
        """Set all learning rates to a share of the configured ones."""

    def policy(self) -> ResidualPolicy:
        """Return the actor to be exported, for raw observations (N, D)."""

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values that restore the learner exactly."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
