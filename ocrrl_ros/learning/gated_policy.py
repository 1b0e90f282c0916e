# SPDX-License-Identifier: Apache-2.0
"""A residual behind its gate, as deployment runs it, for the training environments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ocrrl_ros.policy.gate import ResidualGate
from ocrrl_ros.sim.vec_config import TICK_S
from ocrrl_ros.sim.vec_state import array_state, restore_array_state


class GatedPolicy:
    """
    Maps critic observations (N, C) to weighted actions (N, A), one call per tick of 50 ms.

    The environment multiplies with the gain of the poses, as the controller does.
    """

    def __init__(
            self, act: Callable[[np.ndarray], np.ndarray], gate: ResidualGate, obs_dim: int):
        """
        Put a gate behind an actor.

        :param act: maps critic observations (N, C) to actions (N, A).
        :param gate: of as many robots.
        :param obs_dim: width D of what actor and gate see, the first columns.
        """
        self._act, self._gate, self._obs_dim = act, gate, obs_dim
        self._tick = 0

    def __call__(self, critic_obs: np.ndarray) -> np.ndarray:
        """Return the weighted actions (N, A) of the next tick."""
        weight = self._gate.weight(critic_obs[:, :self._obs_dim], self._tick * TICK_S)
        self._tick += 1
        return (weight[:, None] * self._act(critic_obs)).astype(np.float32)

    def state_dict(self) -> dict[str, Any]:
        """Return what the next weights depend on."""
        return {'tick': self._tick, 'gate': array_state(self._gate)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self._tick = int(state['tick'])
        restore_array_state(self._gate, state['gate'])

    def reset(self, rows: np.ndarray) -> None:
        """Start new episodes of the given robots."""
        self._gate.reset(rows)
