# SPDX-License-Identifier: Apache-2.0
"""Notice a camera that shows the same picture again and again."""

from __future__ import annotations

import numpy as np

#: Equal pictures in a row that no sensor with noise ever takes.
MOST_EQUAL = 5


class FrozenCamera:
    """
    Compares every depth image with the one before.

    The noise of a depth sensor makes no two images equal, however still the scene is. A driver
    that hangs may go on sending its last one, with stamps of now.
    """

    def __init__(self) -> None:
        """Start without a picture."""
        self._last: np.ndarray | None = None
        self._equal = 0

    def shows_again(self, depth_m: np.ndarray) -> bool:
        """
        Take an image and return whether it is one of too many equal ones.

        Images without any depth are left alone: a dark camera is nothing that froze.

        :param depth_m: (H, W).
        """
        same = self._last is not None and np.array_equal(self._last, depth_m) and depth_m.any()
        self._equal = self._equal + 1 if same else 0
        self._last = depth_m
        return self._equal >= MOST_EQUAL
