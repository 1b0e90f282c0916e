# SPDX-License-Identifier: Apache-2.0
"""Two base policies that share the environments between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from ocrrl_ros.sim.vec_base import VecBase
from ocrrl_ros.sim.vec_physics import Reading


def spread_rows(num_envs: int, share: float) -> np.ndarray:
    """
    Return (N,) bool, a share of the environments in even distances.

    Exploration is graded over the environments, and a mixture is to have all grades.
    """
    count = round(share * num_envs)
    chosen = np.zeros(num_envs, bool)
    chosen[((np.arange(count) + 0.5) * num_envs / max(count, 1)).astype(int)] = True
    return chosen


class VecMixedBase:
    """
    Presents two bases, each of all environments, as the base of those that it acts in.

    :param others: (N,) bool, where the second one acts.
    """

    def __init__(self, first: VecBase, second: VecBase, others: np.ndarray):
        """Keep each from planning where it does not act."""
        self._parts = (first, second)
        self._others = others
        first.serves, second.serves = ~others, others

    @property
    def active(self) -> np.ndarray:
        """Return (N,) bool, whether a plan has arrived since the episode began."""
        return self._pick(*(part.active for part in self._parts))

    @property
    def stamp_s(self) -> np.ndarray:
        """Return when the plans (N,) that are executed were asked for; of no plan, anything."""
        return self._pick(*(part.stamp_s for part in self._parts))

    def start(self, rows: np.ndarray, tick: int) -> None:
        """Start episodes (M,)."""
        for part in self._parts:
            part.start(rows, tick)

    def update(self, tick: int, now_s: float, reading: Reading) -> None:
        """Deliver the plans that have arrived, then plan for the environments that are due."""
        for part in self._parts:
            part.update(tick, now_s, reading)

    def sample(self, now_s: float, reading: Reading) -> tuple[np.ndarray, ...]:
        """Return what the plans ask for one tick ahead, see `VecBase.sample`."""
        return tuple(self._pick(one, other) for one, other in zip(*(
            part.sample(now_s, reading) for part in self._parts)))

    def _pick(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the rows (N, ...) of whoever acts there."""
        return np.where(
            self._others.reshape(-1, *[1] * (first.ndim - 1)), second, first)

    def state_dict(self) -> dict[str, Any]:
        """Return plans and timing of both."""
        return {str(number): part.state_dict() for number, part in enumerate(self._parts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        for number, part in enumerate(self._parts):
            part.load_state_dict(state[str(number)])
