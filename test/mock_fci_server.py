# SPDX-License-Identifier: Apache-2.0
"""
A robot that speaks the FCI on a loopback address, as a process: ``python mock_fci_server.py IP``.

It takes one client at a time, sends a state each millisecond, and knows the asynchronous joint
motions only: any other Move is refused. It reads one JSON object per line from standard input
and answers each with one line; ``test/mock_fci.py`` is the other end. Standard input at its end
ends it.
"""

from __future__ import annotations

import json
import os
import random
import select
import socket
import sys
import time
from typing import Any

from mock_fci_arm import MockArm, robot_urdf
import mock_fci_wire as wire
import numpy as np

_STEP_S = 1e-3
_MOTION_RAD_S = 1e-3


class MockFciServer:
    """
    The control box: TCP commands, UDP states, one motion at a time, and faults on demand.

    :param address: of the loopback network.
    """

    def __init__(self, address: str):
        """Listen."""
        self.address = address
        self._arm = MockArm()
        self._urdf = robot_urdf().encode()
        self._random = random.Random(1)
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((address, wire.PORT))
        self._listener.listen(4)
        self._client: socket.socket | None = None
        self._udp: socket.socket | None = None
        self._udp_to: tuple[str, int] | None = None
        self._buffer = b''
        self._move: int | None = None
        self.mode = wire.IDLE
        self.errors: set[str] = set()
        self.last_errors: set[str] = set()
        self.faults: dict[str, Any] = {
            'version': wire.VERSION, 'silent': False, 'mute_states': False, 'drop_states': 0.0,
            'drop_commands': 0.0, 'recover_status': wire.OK, 'setter_status': wire.OK,
            'success_rate': 1.0, 'fields': {}}
        self.counts = dict.fromkeys(
            ('steps', 'late', 'sent', 'dropped', 'targets', 'lost_targets', 'connections',
             'moves'), 0)
        self.log: list[str] = []
        self.times: dict[str, float] = {}
        self.setters: dict[int, tuple[float, ...]] = {}

    def run(self) -> None:
        """Serve until standard input ends."""
        next_s = time.monotonic()
        os.set_blocking(sys.stdin.fileno(), False)
        while True:
            wait_s = max(0.0, next_s - time.monotonic())
            watched = [self._listener, sys.stdin.fileno(), self._client, self._udp]
            for ready in select.select([w for w in watched if w is not None], [], [], wait_s)[0]:
                if ready == sys.stdin.fileno():
                    if not self._take_orders():
                        return
                elif ready is self._listener:
                    self._accept()
                elif ready is self._client:
                    self._receive()
                elif ready is self._udp:
                    self._take_command()
            now_s = time.monotonic()
            if now_s >= next_s:
                self.counts['late'] += int(now_s - next_s > _STEP_S)
                # A box that was held up sends what it owes, as time goes on in the robot.
                while next_s <= now_s:
                    self._step()
                    next_s += _STEP_S

    # --- the robot's side -----------------------------------------------------------------

    def _step(self) -> None:
        """Move the arm for 1 ms and send the state."""
        self.counts['steps'] += 1
        self._arm.step()
        if np.abs(self._arm.dq).max() > _MOTION_RAD_S:
            self.times.setdefault('motion', time.monotonic())
        if self._udp_to is None or self.faults['mute_states']:
            return
        if self._random.random() < self.faults['drop_states']:
            self.counts['dropped'] += 1
            return
        self.counts['sent'] += 1
        self._udp.sendto(self._state(), self._udp_to)

    def _state(self) -> bytes:
        """Return the state of this millisecond."""
        numbers = [0.0] * 320
        for name, values in (self._arm.fields() | self.faults['fields']).items():
            first, count = wire.FIELDS[name]
            numbers[first:first + count] = values
        moving = self._move is not None
        bits = [[name in raised for name in _BIT_NAMES]
                for raised in (self.errors, self.last_errors)]
        return wire.STATE.pack(
            self.counts['steps'], *numbers, int(moving), 0 if moving else 3, *bits[0], *bits[1],
            self.mode, self.faults['success_rate'])

    def _accept(self) -> None:
        """Take a client; the one before is gone or given up."""
        client, _ = self._listener.accept()
        if self._client is not None:
            client.close()
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client, self._buffer = client, b''
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((self.address, 0))
        self.counts['connections'] += 1

    def disconnect(self) -> None:
        """Close the connection; a motion ends with it."""
        for item in (self._client, self._udp):
            if item is not None:
                item.close()
        self._client = self._udp = self._udp_to = None
        self._end_motion(None)

    def _receive(self) -> None:
        """Take commands from the TCP connection."""
        try:
            data = self._client.recv(65536)
        except OSError:
            data = b''
        if not data:
            self.disconnect()
            return
        self._buffer += data
        while self._client is not None and len(self._buffer) >= wire.HEADER.size:
            command, number, size = wire.HEADER.unpack_from(self._buffer)
            if len(self._buffer) < size:
                return
            payload, self._buffer = self._buffer[wire.HEADER.size:size], self._buffer[size:]
            if not self.faults['silent']:
                self._client.sendall(
                    wire.reply(command, number, self._answer(command, number, payload)))

    def _answer(self, command: int, number: int, payload: bytes) -> bytes:
        """Carry out a command and return the answer's payload."""
        if command == wire.CONNECT:
            return self._connect(payload)
        if command == wire.GET_MODEL:
            return bytes([wire.OK]) + self._urdf
        if command == wire.MOVE:
            return bytes([self._start(number, payload)])
        if command == wire.STOP_MOVE:
            self.log.append('stop')
            self._end_motion(wire.MOVE_PREEMPTED)
            return bytes([wire.OK])
        if command == wire.RECOVER:
            return bytes([self._recover()])
        assert command in wire.SETTERS, f'command {command}'
        return bytes([self._set(command, payload)])

    def _connect(self, payload: bytes) -> bytes:
        """Compare versions; states flow from here on."""
        version, port = wire.CONNECT_REQUEST.unpack(payload)
        own = self.faults['version']
        if version != own:
            return wire.CONNECT_REPLY.pack(wire.CONNECT_WRONG_VERSION, own)
        self._udp_to = (self._client.getpeername()[0], port)
        return wire.CONNECT_REPLY.pack(wire.OK, own)

    def _start(self, number: int, payload: bytes) -> int:
        """Begin a motion where the robot may move and it is of the one kind known here."""
        controller, generator, *rest = wire.MOVE_REQUEST.unpack(payload)
        self.log.append('move')
        if self.mode != wire.IDLE:
            return wire.MOVE_NOT_POSSIBLE
        if (controller, generator, rest[6]) != (0, 0, True):
            return wire.MOVE_INVALID
        self._move, self.mode = number, wire.MOVING
        self._arm.target, self._arm.max_velocity = None, np.array(rest[7:])
        self.last_errors = set()
        self.counts['moves'] += 1
        return wire.MOVE_STARTED

    def _recover(self) -> int:
        """Clear what can be cleared."""
        self.log.append('recover')
        if self.faults['recover_status'] != wire.OK:
            return self.faults['recover_status']
        if self.mode != wire.REFLEX:
            return wire.RECOVER_NOT_POSSIBLE
        self.errors, self.mode = set(), wire.IDLE
        return wire.OK

    def _set(self, command: int, payload: bytes) -> int:
        """Take a setting, unless something moves."""
        layout = {wire.SET_COLLISION: wire.COLLISION_REQUEST, wire.SET_LOAD: wire.LOAD_REQUEST}
        self.log.append(f'set {command}')
        if self.faults['setter_status'] != wire.OK:
            return self.faults['setter_status']
        if self.mode != wire.IDLE:
            return wire.SETTER_NOT_POSSIBLE
        if command in layout:
            self.setters[command] = layout[command].unpack(payload)
        return wire.OK

    def _take_command(self) -> None:
        """Take one UDP command: a target, or the end of the motion."""
        values = wire.COMMAND.unpack(self._udp.recv(4096))
        if self._random.random() < self.faults['drop_commands']:
            self.counts['lost_targets'] += 1
            return
        if self._move is None:
            return
        if values[40]:
            self.log.append('finish')
            self._end_motion(wire.OK)
            return
        self.counts['targets'] += 1
        self.times['target'] = time.monotonic()
        self._arm.target = np.array(values[1:8])

    def _end_motion(self, status: int | None) -> None:
        """Brake, and answer the Move that is under way (None: nobody is there to hear it)."""
        if self._move is None:
            return
        if status is not None:
            self._client.sendall(wire.reply(wire.MOVE, self._move, bytes([status])))
        self._move, self._arm.target = None, None
        if self.mode == wire.MOVING:
            self.mode = wire.IDLE

    # --- the test's side ------------------------------------------------------------------

    def _take_orders(self) -> bool:
        """Carry out the lines of standard input; return whether more may come."""
        data = os.read(sys.stdin.fileno(), 65536)
        for line in data.decode().splitlines():
            order = json.loads(line)
            result = getattr(self, 'order_' + order.pop('do'))(**order)
            sys.stdout.write(json.dumps(result) + '\n')
            sys.stdout.flush()
        return bool(data)

    def order_set(self, **faults: Any) -> None:
        """Change faults."""
        unknown = faults.keys() - self.faults.keys()
        assert not unknown, f'faults {unknown}'
        self.faults |= faults

    def order_status(self) -> dict[str, Any]:
        """Return what happened."""
        target = self._arm.target
        return {
            'q': self._arm.q.tolist(), 'dq': self._arm.dq.tolist(), 'mode': self.mode,
            'target': None if target is None else target.tolist(), 'log': self.log,
            'max_velocity': self._arm.max_velocity.tolist(), 'times': self.times,
            'setters': self.setters, 'is_connected': self._client is not None, **self.counts}

    def order_forget(self) -> None:
        """Forget times, so that the next motion is noted anew."""
        self.times.clear()

    def order_reflex(self, error: str) -> None:
        """Stop with an error, as after a collision."""
        self.errors, self.last_errors = {error}, {error}
        self.mode = wire.REFLEX
        self._end_motion(wire.MOVE_REFLEX)

    def order_mode(self, mode: int) -> None:
        """Change the mode by hand: guiding, user stop, idle."""
        self.mode = mode
        self._end_motion(wire.MOVE_USER_STOP)

    def order_disconnect(self) -> None:
        """Close the connection of the client."""
        self.disconnect()


_BIT_NAMES: list[str | None] = [None] * 41
for _name, _bit in wire.ERROR_BITS.items():
    _BIT_NAMES[_bit] = _name


if __name__ == '__main__':
    MockFciServer(sys.argv[1]).run()
