# SPDX-License-Identifier: Apache-2.0
"""Messages between the process that talks to the robot and the one that started it."""

from __future__ import annotations

import json
import socket
from typing import Any

import numpy as np
from ocrrl_ros.robot.adapters.franka_fci.state import FciState, pack_state, unpack_state

_STATE, _TARGET, _EVENT = b'S', b'T', b'E'
_LARGEST = 65536


def channel_pair() -> tuple[Channel, socket.socket]:
    """Return this process's end, and the socket that the other process inherits."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(ours), theirs


class Channel:
    """
    One end: states, targets and events as packets, in order, that nobody waits to read.

    :param end: a socket of packets.
    """

    def __init__(self, end: socket.socket):
        """Keep the socket."""
        self._socket = end
        self.skipped = 0
        """States that the other side was too busy to take."""
        self.is_open = True

    def send_state(self, state: FciState) -> None:
        """Send a state, unless the other side has enough of them waiting."""
        try:
            self._socket.send(_STATE + pack_state(state), socket.MSG_DONTWAIT)
        except BlockingIOError:
            self.skipped += 1
        except OSError:
            self.is_open = False

    def send_target(self, target: np.ndarray, sent_s: float) -> None:
        """Send a joint target (n,) with the time of its sending."""
        self._send(_TARGET + np.concatenate([[sent_s], np.asarray(target, float)]).tobytes())

    def send_event(self, **event: Any) -> None:
        """Send anything else, as JSON."""
        self._send(_EVENT + json.dumps(event).encode())

    def receive(self) -> FciState | tuple[np.ndarray, float] | dict[str, Any] | None:
        """
        Return the next waiting message: a state, (target, sent_s) or an event; None for none.

        ``is_open`` becomes False where the other side is gone.
        """
        try:
            data = self._socket.recv(_LARGEST, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            data = b''
        if not data:
            self.is_open = False
            return None
        kind, body = data[:1], data[1:]
        if kind == _STATE:
            return unpack_state(body)
        if kind == _TARGET:
            numbers = np.frombuffer(body)
            return numbers[1:], float(numbers[0])
        return json.loads(body)

    def close(self) -> None:
        """Close this end; the other notices."""
        self.is_open = False
        self._socket.close()

    def _send(self, data: bytes) -> None:
        """Send what must arrive."""
        try:
            self._socket.send(data)
        except OSError:
            self.is_open = False
