# SPDX-License-Identifier: Apache-2.0
"""The test's end of the mock robot: start it, give it faults, ask what happened, kill it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import json
import os
from pathlib import Path
import random
import select
import subprocess
import sys
from typing import Any

import mock_fci_wire as wire

_HERE = Path(__file__).resolve().parent
_ANSWER_S = 30.0


def loopback_address() -> str:
    """Return an address of the loopback network that nobody else uses at the time, likely."""
    # The robot's port is fixed, so that tests that run side by side need addresses of their own.
    # Not Python's shared generator: property-based tests seed that one.
    number = random.SystemRandom()
    return f'127.{number.randrange(1, 255)}.{number.randrange(256)}.{number.randrange(1, 255)}'


class MockFci:
    """A mock robot in a process of its own, as pylibfranka would hold up its thread."""

    def __init__(self, address: str | None = None, **faults: Any):
        """Start it; it listens when this returns."""
        self.address = address or loopback_address()
        path = os.pathsep.join([str(_HERE), str(_HERE.parent), os.environ.get('PYTHONPATH', '')])
        self.process = subprocess.Popen(
            [sys.executable, str(_HERE / 'mock_fci_server.py'), self.address],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            env={**os.environ, 'PYTHONPATH': path})
        self.set(**faults)

    def order(self, do: str, **arguments: Any) -> Any:
        """Give one order and return the answer."""
        self.process.stdin.write(json.dumps({'do': do, **arguments}).encode() + b'\n')
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], _ANSWER_S)
        assert ready, f'the mock robot did not answer {do} within {_ANSWER_S} s'
        return json.loads(self.process.stdout.readline())

    def set(self, **faults: Any) -> None:  # noqa: A003
        """Change faults."""
        self.order('set', **faults)

    def status(self) -> dict[str, Any]:
        """Return what happened so far."""
        return self.order('status')

    def reflex(self, error: str = 'joint_reflex') -> None:
        """Stop the arm with an error."""
        assert error in wire.ERROR_BITS, error
        self.order('reflex', error=error)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(_ANSWER_S)

    def close(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(_ANSWER_S)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def mock_robot(address: str | None = None, **faults: Any) -> Iterator[MockFci]:
    """Give a mock robot that ends with the block."""
    robot = MockFci(address, **faults)
    try:
        yield robot
    finally:
        robot.close()
