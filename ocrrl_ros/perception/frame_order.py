# SPDX-License-Identifier: Apache-2.0
"""Tell images that come late or twice from a clock that was set back."""

from __future__ import annotations

import enum

CLOCK_SET_S = 0.5
"""A stamp further back than this comes of a clock that was set, not of an image on its way."""


class Order(enum.Enum):
    """Where an image comes among those before it."""

    NEXT = 'next'
    LATE = 'late'
    CLOCK_SET_BACK = 'clock set back'


class FrameOrder:
    """Compares every stamp with the newest one before."""

    def __init__(self) -> None:
        """Start before the first image."""
        self.newest_s = float('-inf')
        """Stamp of the newest image, s."""

    def take(self, stamp_s: float) -> Order:
        """
        Return where an image comes; a late one, or one for the second time, is to be left out.

        After a clock was set back its images are the newest ones.
        """
        back_s = self.newest_s - stamp_s
        if 0.0 <= back_s <= CLOCK_SET_S:
            return Order.LATE
        self.newest_s = stamp_s
        return Order.NEXT if back_s < 0.0 else Order.CLOCK_SET_BACK
