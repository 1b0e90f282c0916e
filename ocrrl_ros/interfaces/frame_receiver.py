# SPDX-License-Identifier: Apache-2.0
"""
A process of its own that receives the camera and notes which images arrived.

``python -m ocrrl_ros.interfaces.frame_receiver FRAMES SECONDS FILE`` takes colour and aligned
depth until it has heard of FRAMES publications of each, at most SECONDS, and writes the
publication numbers ``colour`` and ``depth`` to FILE (npz).
"""

from __future__ import annotations

import sys
import time

import numpy as np
from ocrrl_ros.interfaces.command_receiver import CommandReceiver
from ocrrl_ros.interfaces.qos import IMAGE_STREAM
from ocrrl_ros.interfaces.spin import run_process
import rclpy
from sensor_msgs.msg import Image

_TOPICS = {'colour': 'camera/camera/color/image_raw',
           'depth': 'camera/camera/aligned_depth_to_color/image_raw'}
_POLL_S = 0.002


def receive(frames: int, seconds: float, path: str) -> None:
    """Receive both streams and write the numbers of what arrived."""
    node = rclpy.create_node('frame_receiver', use_global_arguments=False)
    streams = {name: CommandReceiver(node, Image, topic, IMAGE_STREAM, raw=True)
               for name, topic in _TOPICS.items()}
    numbers: dict[str, list[int]] = {name: [] for name in streams}
    end_s = time.monotonic() + seconds
    while rclpy.ok() and time.monotonic() < end_s:
        for name, stream in streams.items():
            info = stream.take_info()
            if info is not None:
                numbers[name].append(info['publication_sequence_number'])
        if all(found and found[-1] - found[0] + 1 >= frames for found in numbers.values()):
            break
        time.sleep(_POLL_S)
    np.savez(path, **{name: np.array(found, np.int64) for name, found in numbers.items()})
    node.destroy_node()


def main(args: list[str] | None = None) -> int:
    """Receive as the arguments say."""
    frames, seconds, path = sys.argv[1:4] if args is None else args
    return run_process(
        lambda: receive(int(frames), float(seconds), path), 'frame_receiver', [])


if __name__ == '__main__':
    sys.exit(main())
