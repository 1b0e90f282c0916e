# SPDX-License-Identifier: Apache-2.0
"""Which parts of the work beside a command are done in which command tick."""

from __future__ import annotations

from collections.abc import Callable

#: Above this rate the halves of the inputs and of a policy tick take turns: together they take
#: longer than a period.
SPLIT_ABOVE_HZ = 500.0
#: Up to that rate the second half of a policy tick waits for the next tick where more of the
#: period than this is over: on busy processors a whole one takes up to 5 ms.
SHARE_TO_GO_ON = 0.4


class TickTurns:
    """
    Spreads inputs and policy ticks over command ticks, so that no command is late for them.

    :param rate_hz: of command ticks.
    :param inputs: take the inputs, in two halves.
    :param begin: begins a policy tick if one is due, and returns whether it was.
    :param end: ends it, in the same command tick or in the next.
    :param share_spent: returns how much of the command tick's period is over.
    """

    def __init__(
            self, rate_hz: float, inputs: tuple[Callable[[float], None], Callable[[float], None]],
            begin: Callable[[float], bool], end: Callable[[float], None],
            share_spent: Callable[[], float]):
        """Start with the first half of the inputs."""
        self._is_fast = rate_hz > SPLIT_ABOVE_HZ
        self._inputs, self._begin, self._end = inputs, begin, end
        self._share_spent = share_spent
        self._is_half_way = False
        self._turn = 0

    def step(self, now_s: float) -> None:
        """Do what is due in a command tick, its command being sent."""
        was_half_way, self._is_half_way = self._is_half_way, False
        if was_half_way:
            self._end(now_s)
        if not self._is_fast:
            self._do_all(now_s)
        elif not was_half_way:
            self._is_half_way = self._begin(now_s)
            if not self._is_half_way:
                self._inputs[self._turn](now_s)
                self._turn = 1 - self._turn

    def _do_all(self, now_s: float) -> None:
        """Take all inputs, then do a policy tick if one is due, as far as the period allows."""
        for take in self._inputs:
            take(now_s)
        if not self._begin(now_s):
            return
        self._is_half_way = self._share_spent() >= SHARE_TO_GO_ON
        if not self._is_half_way:
            self._end(now_s)
