# SPDX-License-Identifier: Apache-2.0
"""Own child processes so that none is left behind, whatever ends their parent."""

from __future__ import annotations

from collections.abc import Callable
import ctypes
import os
import signal
from types import FrameType

_PR_SET_PDEATHSIG = 1
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """
    While it is entered, Ctrl-C, SIGTERM and SIGHUP only set ``received``.

    An exception instead could come between the start of a child and the line that notes it, or
    in the middle of ending the children. Only the main thread may enter.
    """

    def __init__(self) -> None:
        """Nothing was received yet."""
        self.received: signal.Signals | None = None
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopSignals:
        """Take the signals over; a SIGHUP that nohup ignores stays ignored."""
        for number in _STOPPING:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        """Remember the signal for the loop that reads it."""
        self.received = signal.Signals(number)


def end_with_parent() -> Callable[[], None]:
    """
    Return a ``preexec_fn`` that sends SIGINT to the child when its parent is gone (Linux).

    What can be caught, the parent answers itself; this is for SIGKILL and crashes.
    """
    parent = os.getpid()
    prctl = getattr(ctypes.CDLL(None), 'prctl', None)

    def ask() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGKILL)

    return ask
