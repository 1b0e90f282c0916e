# SPDX-License-Identifier: Apache-2.0
"""
A process of its own that receives the command stream and notes when each message was sent.

``python -m ocrrl_ros.interfaces.command_receiver TYPE TOPIC SECONDS FILE PRIORITY`` writes arrays
``sequence``, ``sent_ns`` and ``received_ns`` to FILE (npz). TYPE is ``joint`` or ``pose``.
PRIORITY is that of SCHED_FIFO, where permitted, as a controller manager has one; 0: normal.
"""

from __future__ import annotations

import sys
import time

from geometry_msgs.msg import PoseStamped
import numpy as np
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import DEEP_RELIABLE
from ocrrl_ros.interfaces.realtime import enter_realtime
from ocrrl_ros.interfaces.spin import run_process
import rclpy
from sensor_msgs.msg import JointState

TYPES = {'joint': JointState, 'pose': PoseStamped}
_POLL_S = 0.0005


class CommandReceiver(PolledSubscription):
    """Receives messages with their number and times."""

    def take_info(self) -> dict[str, int] | None:
        """Return number and times of the oldest waiting message, or None."""
        with self._handle:
            taken = self._handle.take_message(self._type, self._raw)
        return None if taken is None else taken[1]


def receive(type_name: str, topic: str, seconds: float, path: str, priority: int) -> None:
    """Receive for a while and write what was noted."""
    node = rclpy.create_node('command_receiver')
    # Nobody reads the messages: they stay the bytes that came.
    receiver = CommandReceiver(node, TYPES[type_name], topic, DEEP_RELIABLE, raw=True)
    enter_realtime(priority, locks_memory=False)
    rows: list[tuple[int, int, int]] = []
    end_s = time.monotonic() + seconds
    while rclpy.ok() and time.monotonic() < end_s:
        info = receiver.take_info()
        if info is None:
            time.sleep(_POLL_S)
            continue
        rows.append((info['publication_sequence_number'], info['source_timestamp'],
                     info['received_timestamp']))
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    np.savez(path, sequence=table[:, 0], sent_ns=table[:, 1], received_ns=table[:, 2])
    node.destroy_node()


def main(args: list[str] | None = None) -> int:
    """Receive as the arguments say."""
    type_name, topic, seconds, path, priority = sys.argv[1:6] if args is None else args
    return run_process(
        lambda: receive(type_name, topic, float(seconds), path, int(priority)),
        'command_receiver', [])


if __name__ == '__main__':
    sys.exit(main())
