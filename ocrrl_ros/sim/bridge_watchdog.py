# SPDX-License-Identifier: Apache-2.0
"""The watchdog of GELLO's joint impedance controller (facts/franka.md section 2.2)."""

from __future__ import annotations

from ocrrl_ros.core.errors import InputError

MAX_AGE_S = 0.5


class StreamWatchdog:
    """
    Watches stamps and arrivals of a stream of targets, from the first message on.

    The real controller ends its process when either is too old. Here it stays tripped, and takes
    nothing more, until ``reset``.
    """

    def __init__(self, max_age_s: float = MAX_AGE_S):
        """Wait for the first message."""
        self._max_age_s = max_age_s
        self.reset()

    def reset(self) -> None:
        """Start over, as the controller started anew."""
        self._arrived_s: float | None = None
        self.reason: str | None = None

    def accept(self, stamp_s: float, stamp_now_s: float, now_s: float) -> None:
        """
        Note a message.

        :param stamp_s: stamp of the message, and ``stamp_now_s`` the same clock now.
        :param now_s: physics time of the arrival.
        :raises InputError: the stamp is too old, or the watchdog has tripped before.
        """
        age_s = stamp_now_s - stamp_s
        if self.reason is None and age_s >= self._max_age_s:
            self.reason = (
                f'the stamp is {age_s:.3f} s old, allowed: < {self._max_age_s} s; the controller '
                'has ended')
        if self.reason is not None:
            raise InputError(f'{self.reason}; reset the simulation to start it again')
        self._arrived_s = now_s

    def trips(self, now_s: float) -> bool:
        """Return whether silence has lasted too long, once."""
        if self.reason is not None or self._arrived_s is None \
                or now_s - self._arrived_s < self._max_age_s:
            return False
        self.reason = (
            f'no message for {now_s - self._arrived_s:.3f} s, allowed: < {self._max_age_s} s; '
            'the controller has ended')
        return True
