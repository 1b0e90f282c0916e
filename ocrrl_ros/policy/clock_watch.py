# SPDX-License-Identifier: Apache-2.0
"""Notice a clock that is set back, and stamps that lie ahead of the clock."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.errors import InputError

#: A clock that goes back by less is merely slewed, s.
SLEWED_S = 0.02


class ClockWatch:
    """
    The time of the newest tick.

    Ages are differences to it: after it was set back, and of stamps ahead of it, they would be too
    small for as long as that, and a silent camera, operator or arm would go unnoticed.

    :param max_ahead_s: how far ahead a stamp may lie; hosts' clocks are never quite alike.
    """

    def __init__(self, max_ahead_s: float):
        """Start before the first tick."""
        self._max_ahead_s = max_ahead_s
        self._now_s = -np.inf

    def start(self, now_s: float) -> None:
        """Take the time as it is."""
        self._now_s = now_s

    def went_back(self, now_s: float) -> float:
        """Take the time of a tick, and return by how much the clock was set back, or 0."""
        back_s = self._now_s - now_s
        if 0.0 < back_s <= SLEWED_S:
            return 0.0
        self._now_s = now_s
        return max(back_s, 0.0)

    def check(self, source: str, stamp_s: float) -> None:
        """
        Refuse a stamp that lies too far ahead of the newest tick.

        :param source: what carries the stamp, for the message.
        :raises InputError: it does.
        """
        ahead_s = stamp_s - self._now_s
        if self._max_ahead_s < ahead_s < np.inf:
            raise InputError(
                f'{source} is {ahead_s:.3f} s ahead of the clock, allowed: '
                f'{self._max_ahead_s} s')
