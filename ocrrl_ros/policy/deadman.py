# SPDX-License-Identifier: Apache-2.0
"""The operator's dead-man switch: how long it has been silent."""

from __future__ import annotations

import numpy as np


class Deadman:
    """
    The newest press.

    :param is_required: whether the arm moves only while it is held.
    :param max_age_s: silence that counts as letting go.
    """

    def __init__(self, is_required: bool, max_age_s: float):
        """Start unpressed."""
        self.is_required = is_required
        self._max_age_s = max_age_s
        self._pressed_s = -np.inf

    def press(self, now_s: float) -> None:
        """Take a press that arrived now."""
        self._pressed_s = now_s

    def set_back(self, now_s: float) -> None:
        """Count silence from now at the latest, as the clock was set back."""
        self._pressed_s = min(self._pressed_s, now_s)

    def problem(self, now_s: float) -> str:
        """Return why the arm may not move now, or an empty string."""
        silence_s = now_s - self._pressed_s
        if self.is_required and silence_s > self._max_age_s:
            return f'dead-man switch silent for {silence_s:.2f} s'
        return ''
