# SPDX-License-Identifier: Apache-2.0
"""How far the commanded motion goes on from one tick to the next, whatever the clock does."""

from __future__ import annotations

#: A longer gap between two ticks is no late tick but a clock that was set or a process that hung.
LONGEST_S = 0.05


class CommandClock:
    """
    Turns the times of command ticks into steps of the motion.

    Late ticks keep their time. After a clock that was set, or a process that hung, the motion
    goes on by one period from where it was: the receiver is never sent across what it has missed.

    :param period_s: nominal time between ticks.
    """

    def __init__(self, period_s: float):
        """Wait for the first tick."""
        self._period_s = period_s
        self._last_s: float | None = None

    def step(self, now_s: float) -> float:
        """Return by how many seconds the motion goes on at a tick of ``now_s``; 0 at the first."""
        last_s, self._last_s = self._last_s, now_s
        if last_s is None:
            return 0.0
        gap_s = now_s - last_s
        return gap_s if 0.0 <= gap_s <= max(LONGEST_S, self._period_s) else self._period_s
