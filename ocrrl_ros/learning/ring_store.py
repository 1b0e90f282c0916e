# SPDX-License-Identifier: Apache-2.0
"""A ring of numbered rows, such as pictures, that later data refers to by number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import ConfigError

MOST_ROWS = 1 << 24
"""Numbers up to here are exact in float32, in which a replay keeps them."""


class RingStore:
    """Keeps the newest `capacity` rows of some arrays; row numbers count on for ever."""

    def __init__(self, capacity: int, fields: Mapping[str, tuple[tuple[int, ...], Any]]):
        """
        Allocate.

        :param fields: shape and type of a row of each array, by name.
        """
        if capacity < 1:
            raise ConfigError(f'capacity is {capacity} rows; allowed: >= 1')
        self.capacity = capacity
        self._rows = {
            name: np.zeros((capacity, *shape), kind) for name, (shape, kind) in fields.items()}
        self._count = 0

    def __len__(self) -> int:
        """Return how many rows can be read."""
        return min(self._count, self.capacity)

    def add(self, **rows: np.ndarray) -> np.ndarray:
        """
        Keep rows (M, ...) of every array and return their numbers (M,).

        :raises ConfigError: more rows than float32 could number.
        """
        numbers = self._count + np.arange(len(next(iter(rows.values()))))
        self._count += len(numbers)
        if self._count > MOST_ROWS:
            raise ConfigError(f'{self._count} rows; allowed: up to {MOST_ROWS}')
        for name, ring in self._rows.items():
            ring[numbers % self.capacity] = rows[name]
        return numbers

    def read(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Return rows (M, ...) of numbers (M,), whole, of any numeric type."""
        slots = np.asarray(numbers).astype(np.int64) % self.capacity
        return {name: ring[slots] for name, ring in self._rows.items()}

    def sample(self, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return rows drawn uniformly with replacement."""
        return self.read(rng.integers(0, len(self), size))

    def state_dict(self) -> dict[str, Any]:
        """Return the filled part and the count."""
        used = len(self)
        return {'count': self._count,
                'rows': {name: ring[:used] for name, ring in self._rows.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from saved rows; the capacity must be the same."""
        self._count = int(state['count'])
        for name, ring in self._rows.items():
            saved = state['rows'][name]
            if len(saved) != len(self) or saved.shape[1:] != ring.shape[1:]:
                raise ConfigError(
                    f'saved rows of {name} have shape {saved.shape}; this store has '
                    f'{ring.shape}')
            ring[:len(saved)] = saved
