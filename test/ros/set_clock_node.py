# SPDX-License-Identifier: Apache-2.0
"""The node `residual_policy` on a clock that a test sets, through a file."""
import mmap
import os
from pathlib import Path
import struct
import sys

from ocrrl_ros.nodes import residual_policy_node
from rclpy.clock import Clock
from rclpy.duration import Duration

OFFSET = 'OCRRL_TEST_CLOCK'


class SettableClock:
    """What the test's side writes, and this process adds to every reading of its clock."""

    def __init__(self, path: Path):
        """Create the file where it is not there."""
        if not path.exists():
            path.write_bytes(struct.pack('d', 0.0))
        with path.open('r+b') as stream:
            self._memory = mmap.mmap(stream.fileno(), 8)

    def set_by(self, offset_s: float) -> None:
        """Set the clock, to this many seconds off the true time."""
        self._memory[:] = struct.pack('d', offset_s)

    @property
    def offset_s(self) -> float:
        """Return by how much the clock is off."""
        return struct.unpack('d', self._memory[:])[0]


def main() -> int:
    """Run the node with its clock replaced."""
    settable, now = SettableClock(Path(os.environ[OFFSET])), Clock.now
    Clock.now = lambda clock: now(clock) + Duration(seconds=settable.offset_s)
    return residual_policy_node.main()


if __name__ == '__main__':
    sys.exit(main())
