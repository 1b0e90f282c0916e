# SPDX-License-Identifier: Apache-2.0
"""
Residual once per chunk, as the published recipe deploys it: for comparisons alone.

One class for the controller (N = 1) and the measuring environments. What a residual answers on
the first tick of a chunk of the base acts until the next chunk is executed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from ocrrl_ros.policy.composition import ACTION_SIZE

ResidualRate = Literal['tick', 'chunk']


class ActionHold:
    """Keeps the residual action of each of N robots while its chunk lasts."""

    def __init__(self, num_robots: int = 1):
        """Start without actions."""
        self._chunk_s = np.full(num_robots, np.nan)
        self._action = np.zeros((num_robots, ACTION_SIZE))

    def reset(self, rows: np.ndarray | slice = slice(None)) -> None:
        """Start new episodes of the given robots."""
        self._chunk_s[rows] = np.nan
        self._action[rows] = 0.0

    def is_due(self, chunk_s: np.ndarray | float) -> np.ndarray:
        """
        Return which robots (N,) need a new action.

        :param chunk_s: (N,) or one stamp of the chunk that is executed.
        """
        return self._chunk_s != chunk_s

    def update(self, action: np.ndarray, chunk_s: np.ndarray | float) -> np.ndarray:
        """
        Take the actions of the robots whose chunk is new, and return what acts now, (N, 7).

        :param action: (N, 7) what the residual answers now.
        """
        due = self.is_due(chunk_s)
        self._action[due] = action[due]
        self._chunk_s = np.where(due, chunk_s, self._chunk_s)
        return self._action.copy()

    def act(
            self, residual: Callable[[np.ndarray], np.ndarray], observation: np.ndarray,
            chunk_s: np.ndarray | float) -> np.ndarray:
        """
        Return what acts now, (N, 7), and ask the residual only where a chunk is new.

        :param residual: maps observations (N, D) to actions (N, 7).
        """
        if self.is_due(chunk_s).any():
            return self.update(residual(observation), chunk_s)
        return self._action.copy()
