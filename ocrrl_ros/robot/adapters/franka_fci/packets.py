# SPDX-License-Identifier: Apache-2.0
"""Count the robot's states that arrived and those that did not."""

from __future__ import annotations

from collections import deque

_STATE_S = 1e-3  # the robot sends a state per millisecond of its time
_WINDOW_S = 1.0


class PacketCounter:
    """
    Received and lost states, by the robot's time, which goes on by 1 ms per state.

    A state that was overtaken by a newer one before it was read counts as lost, as nobody here
    has seen it.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self.received = 0
        self.lost = 0
        self.longest_gap = 0
        """Most states that were lost in a row."""
        self._last_s: float | None = None
        self._window: deque[float] = deque()

    def add(self, robot_time_s: float) -> None:
        """Count a state; time that went back begins the window anew (a robot that restarted)."""
        if self._last_s is not None:
            gap = round((robot_time_s - self._last_s) / _STATE_S) - 1
            if gap < 0:
                self._window.clear()
            else:
                self.lost += gap
                self.longest_gap = max(self.longest_gap, gap)
        self.received += 1
        self._last_s = robot_time_s
        self._window.append(robot_time_s)
        while self._window[0] <= robot_time_s - _WINDOW_S:
            self._window.popleft()

    @property
    def share(self) -> float:
        """Return the share of the newest second's states that arrived; 1 before there are two."""
        if len(self._window) < 2:
            return 1.0
        sent = round((self._window[-1] - self._window[0]) / _STATE_S) + 1
        return len(self._window) / sent
