# SPDX-License-Identifier: Apache-2.0
"""Time in the bridge: what is due in a step, how steps map to stamps, how real it runs."""

from __future__ import annotations


class Schedule:
    """
    Say in which physics steps something periodic is due.

    Counts steps, so that a rate that does not divide the step rate keeps its mean.
    """

    def __init__(self, rate_hz: float, step_s: float):
        """Be due at step 0; a rate of 0 is never due."""
        self._per_step = rate_hz * step_s
        self._last = -1

    def is_due(self, step: int) -> bool:
        """Return whether a period began since the last call that returned True."""
        if self._per_step <= 0.0:
            return False
        number = int(step * self._per_step + 1e-9)
        if number == self._last:
            return False
        self._last = number
        return True


class RealTimeFactor:
    """Simulated over wall time, per window."""

    def __init__(self, window_s: float = 1.0):
        """Begin with the first update."""
        self._window_s = window_s
        self._start: tuple[float, float] | None = None
        self.last = 1.0

    def update(self, wall_s: float, physics_s: float) -> float | None:
        """Return the factor when a window of wall time has ended, else None."""
        if self._start is None:
            self._start = (wall_s, physics_s)
            return None
        wall = wall_s - self._start[0]
        if wall < self._window_s:
            return None
        self.last = (physics_s - self._start[1]) / wall
        self._start = (wall_s, physics_s)
        return self.last


class StampClock:
    """
    Map physics time to the time that stamps carry.

    In real time a stamp is physics time plus an offset to the system's clock, so that equal
    physics steps have equal distances whatever the scheduler does. The offset moves only when
    physics has lost more than ``tolerance_s`` against that clock, which is counted.
    """

    def __init__(self, offset_s: float = 0.0, tolerance_s: float = 0.005):
        """Start with a fixed offset; 0 makes stamps simulated time."""
        self.offset_s = offset_s
        self.corrections = 0
        self._tolerance_s = tolerance_s

    def stamp_s(self, physics_s: float) -> float:
        """Return the stamp of a physics time."""
        return physics_s + self.offset_s

    def follow(self, physics_s: float, system_s: float | None) -> None:
        """
        Move the offset when physics time and the system's clock have come apart.

        :param system_s: when the physics time should have been, on the system's clock; lateness
            that will be caught up is no reason to move. None is ignored.
        """
        if system_s is None:
            return
        error_s = system_s - self.stamp_s(physics_s)
        if abs(error_s) > self._tolerance_s:
            self.offset_s += error_s
            self.corrections += 1
