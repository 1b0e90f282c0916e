# SPDX-License-Identifier: Apache-2.0
"""Put a camera's time stamps on the clock of the stack."""

from __future__ import annotations

from collections import deque
import math
from typing import Literal

from ocrrl_ros.perception.adapters.realsense.frames import ClockDomain

StampMethod = Literal['host', 'estimate', 'arrival']
#: Frames whose fastest gives the offset: 10 s at 30 Hz, in which a quartz drifts by 0.5 ms.
_WINDOW = 300
#: A host's stamp that is older, or this little newer, than its arrival is on another clock.
_OLDEST_S, _NEWEST_S = 1.0, 0.05
#: A jump of one clock against the other that no delay explains.
_JUMP_S = 1.0
#: Stamps nearer than this to the one before are held back; no camera is as fast.
_LEAST_STEP_S = 1e-3


class StampClock:
    """
    Converts time stamps of frames to the clock that ``arrival_s`` is on.

    The library can give stamps on the host's clock (its global time); where those agree with the
    arrival they are taken as they are. Otherwise the offset between the two clocks is that of
    the fastest frame among the newest 300, which assumes that one of those was on its way for
    ``latency_s`` and no longer, and that the clocks drift by less than a millisecond meanwhile.
    Frames of a recording, which may be played at any pace, are stamped with their arrival.

    :param latency_s: least time from exposure to arrival, s.
    """

    def __init__(self, latency_s: float = 0.0):
        """Start without an estimate."""
        self._latency_s = latency_s
        self._offsets: deque[float] = deque(maxlen=_WINDOW)
        self._last: tuple[float, float] | None = None
        self._stamp_s = -math.inf
        self.method: StampMethod = 'arrival'
        """Where the newest stamp came from."""

    def restart(self) -> None:
        """Forget the offset: the camera was opened anew. Stamps still do not go back."""
        self._offsets.clear()
        self._last = None

    def stamp(self, timestamp_s: float, domain: ClockDomain, arrival_s: float) -> float | None:
        """
        Return the time of exposure on the clock of ``arrival_s``, s, later than the one before.

        None where a better estimate of the offset would take it back behind that one: the frame
        cannot be stamped and is to be dropped.
        """
        self._notice_jumps(timestamp_s, arrival_s)
        self._last = (timestamp_s, arrival_s)
        self._offsets.append(arrival_s - self._latency_s - timestamp_s)
        self.method = self._choose(domain, arrival_s - timestamp_s)
        offset_s = {'arrival': arrival_s - timestamp_s, 'host': 0.0,
                    'estimate': min(self._offsets)}[self.method]
        stamp_s = min(timestamp_s + offset_s, arrival_s)
        if stamp_s < self._stamp_s + _LEAST_STEP_S:
            return None
        self._stamp_s = stamp_s
        return stamp_s

    @staticmethod
    def _choose(domain: ClockDomain, age_s: float) -> StampMethod:
        """Return how to stamp a frame that is ``age_s`` old if its clock is ours."""
        if domain == 'recording':
            return 'arrival'
        is_ours = domain == 'host' and -_NEWEST_S <= age_s <= _OLDEST_S
        return 'host' if is_ours else 'estimate'

    def _notice_jumps(self, timestamp_s: float, arrival_s: float) -> None:
        """Begin the estimate anew where one of the clocks was set."""
        if self._last is None:
            if arrival_s < self._stamp_s - _JUMP_S:
                self._stamp_s = -math.inf
            return
        passed_s, waited_s = timestamp_s - self._last[0], arrival_s - self._last[1]
        if passed_s < 0.0 or abs(waited_s - passed_s) > _JUMP_S:
            self._offsets.clear()
        if waited_s < -_JUMP_S:
            # Our own clock was set back, and stamps with it.
            self._stamp_s = -math.inf
