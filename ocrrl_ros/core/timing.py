# SPDX-License-Identifier: Apache-2.0
"""Statistics of periods and delays, kept in a ring; the caller brings the clock."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class TimingSummary:
    """Quantiles in seconds over the samples in the ring, and counts since the start."""

    count: int
    overruns: int
    p50_s: float
    p99_s: float
    p999_s: float
    max_s: float


class PeriodStatistics:
    """
    Ring of the newest durations with their quantiles.

    :param capacity: number of newest samples that the quantiles look at.
    :param overrun_s: a sample above this counts as an overrun; infinity counts none.
    """

    def __init__(self, capacity: int = 4096, overrun_s: float = np.inf):
        """Allocate the ring."""
        self._ring = np.zeros(capacity)
        self._overrun_s = overrun_s
        self._last_s: float | None = None
        self.count = 0
        self.overruns = 0

    def add(self, duration_s: float) -> None:
        """Count one duration in seconds."""
        self._ring[self.count % len(self._ring)] = duration_s
        self.count += 1
        if duration_s > self._overrun_s:
            self.overruns += 1

    def tick(self, now_s: float) -> None:
        """Count the time since the last tick; the first tick only starts the count."""
        if self._last_s is not None:
            self.add(now_s - self._last_s)
        self._last_s = now_s

    def pause(self) -> None:
        """Count no time before the next tick: what comes in between is no period."""
        self._last_s = None

    def samples(self) -> np.ndarray:
        """Return the durations in the ring in seconds, in no particular order."""
        return self._ring[:min(self.count, len(self._ring))].copy()

    def summary(self) -> TimingSummary:
        """Return the quantiles; all zero when nothing was counted."""
        samples = self.samples()
        if not len(samples):
            return TimingSummary(0, 0, 0.0, 0.0, 0.0, 0.0)
        p50, p99, p999 = np.quantile(samples, [0.5, 0.99, 0.999])
        return TimingSummary(
            self.count, self.overruns, float(p50), float(p99), float(p999), float(samples.max()))
