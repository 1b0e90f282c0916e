# SPDX-License-Identifier: Apache-2.0
"""What must be heard again and again while the arm moves, and how long it has been silent."""

from __future__ import annotations

import numpy as np


class Heartbeat:
    """
    The newest beat of the dead-man switch, or of the episode's state.

    :param name: what beats, and ``absent``: how to say that it does not; for the message.
    :param max_age_s: silence after which the arm may not move.
    :param is_required: whether silence counts.
    """

    def __init__(
            self, name: str, max_age_s: float, *, is_required: bool,
            absent: str = 'has not been heard'):
        """Start unheard."""
        self.is_required = is_required
        self._name, self._absent, self._problem = name, absent, ''
        self._max_age_s = max_age_s
        self._heard_s = -np.inf

    @classmethod
    def of_deadman(cls, max_age_s: float, *, is_required: bool) -> Heartbeat:
        """Return that of the operator's dead-man switch."""
        return cls(
            'dead-man switch', max_age_s, absent='is not pressed', is_required=is_required)

    @classmethod
    def of_episode(cls, max_age_s: float) -> Heartbeat:
        """Return that of the episode node, required by who listens to one; offline is none."""
        return cls('episode/state', max_age_s, is_required=False)

    def beat(self, now_s: float) -> None:
        """Take a beat that arrived now."""
        self._heard_s = now_s

    def forget(self, problem: str = '') -> None:
        """Take the news that it has ended, or what is wrong with it, to follow its name."""
        self._heard_s, self._problem = -np.inf, problem

    def set_back(self, now_s: float) -> None:
        """Count silence from now at the latest, as the clock was set back."""
        self._heard_s = min(self._heard_s, now_s)

    def problem(self, now_s: float) -> str:
        """Return why the arm may not move now, or an empty string."""
        silence_s = now_s - self._heard_s
        if not self.is_required or silence_s <= self._max_age_s:
            return ''
        if np.isinf(silence_s):
            return f'{self._name} {self._problem or self._absent}'
        return f'{self._name} silent for {silence_s:.2f} s'
