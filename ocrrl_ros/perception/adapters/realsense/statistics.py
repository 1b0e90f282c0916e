# SPDX-License-Identifier: Apache-2.0
"""Count a camera's frames."""

from __future__ import annotations

from collections import deque

_NEWEST = 60


class FrameStatistics:
    """Counts frames, those that were missed, and their rate."""

    def __init__(self) -> None:
        """Start at zero."""
        self._arrivals: deque[float] = deque(maxlen=_NEWEST)
        self._number: int | None = None
        self.frames = 0
        self.missed = 0
        """Frames that the camera counted and nobody got: the host was late, or USB lost them."""

    def add(self, number: int, now_s: float) -> None:
        """Count a frame by the camera's own number and its arrival, s."""
        self.frames += 1
        # Numbers start again with a recording or a restarted camera.
        if self._number is not None and number > self._number:
            self.missed += number - self._number - 1
        self._number = number
        self._arrivals.append(now_s)

    def restart(self) -> None:
        """Forget the number and the rate: the camera was away."""
        self._number = None
        self._arrivals.clear()

    def rate_hz(self) -> float:
        """Return the rate over the newest 60 frames; 0 before there are two."""
        if len(self._arrivals) < 2:
            return 0.0
        passed_s = self._arrivals[-1] - self._arrivals[0]
        return (len(self._arrivals) - 1) / passed_s if passed_s > 0.0 else 0.0
