# SPDX-License-Identifier: Apache-2.0
"""How often a command that failed is sent again, and when."""

from __future__ import annotations


class Attempts:
    """
    Counts the failures of one target.

    :param retries: tries after the first.
    :param wait_s: pause before each of them.
    """

    def __init__(self, retries: int, wait_s: float):
        """Start without failures."""
        self._retries, self._wait_s = retries, wait_s
        self._next_s = float('-inf')
        self.failures = 0

    @property
    def is_over(self) -> bool:
        """Return whether no further try is allowed."""
        return self.failures > self._retries

    def fail(self, now_s: float) -> None:
        """Count a failure."""
        self.failures += 1
        self._next_s = now_s + self._wait_s

    def forget(self) -> None:
        """Allow all tries anew, for another target; the pause after a failure remains."""
        self.failures = 0

    def may_try(self, now_s: float) -> bool:
        """Return whether the next try is due."""
        return not self.is_over and now_s >= self._next_s
