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
    """Return this process's end, which never waits, and the socket that the other inherits."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(ours, waits=False), theirs


class Channel:
    """
    One end: states, targets and events as packets, in order, that nobody waits to read.

    :param end: a socket of packets.
    :param waits: whether an event waits for room where the other side has many packets to read,
        or is dropped; states and targets never wait, as newer ones follow.
    """

    def __init__(self, end: socket.socket, *, waits: bool):
        """Keep the socket."""
        self._socket = end
        self._event_flags = 0 if waits else socket.MSG_DONTWAIT
        self.skipped = 0
        """States and targets that the other side was too busy to take."""
        self.is_open = True

    def send_state(self, state: FciState) -> None:
        """Send a state, unless the other side has enough of them waiting."""
        self.skipped += not self._send(_STATE + pack_state(state), socket.MSG_DONTWAIT)

    def send_target(self, target: np.ndarray, sent_s: float) -> None:
        """Send a joint target (n,) with the time of its sending, unless enough are waiting."""
        numbers = np.concatenate([[sent_s], np.asarray(target, float)])
        self.skipped += not self._send(_TARGET + numbers.tobytes(), socket.MSG_DONTWAIT)

    def send_event(self, **event: Any) -> bool:
        """Send anything else, as JSON, and return whether there was room for it."""
        return self._send(_EVENT + json.dumps(event).encode(), self._event_flags)

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

    def _send(self, data: bytes, flags: int) -> bool:
        """Send a packet and return whether there was room for it."""
        try:
            self._socket.send(data, flags)
        except BlockingIOError:
            return False
        except OSError:
            self.is_open = False
        return True
