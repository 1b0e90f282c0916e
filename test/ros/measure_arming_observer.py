# SPDX-License-Identifier: Apache-2.0
"""
Time ``ArmingObserver.step`` and ``refusals`` beside the bridge, a line per kind of arm.

``PYTHONPATH=.:test:test/ros python test/ros/measure_arming_observer.py [SECONDS]``
"""

from __future__ import annotations

import os
from pathlib import Path
import sys
import tempfile
import time

import numpy as np
from ocrrl_ros.interfaces.arming_observer import ArmingObserver
from ocrrl_ros.interfaces.spin import use_fastdds_profile
from ocrrl_ros.robot.arming_config import ArmingConfig, REQUIRED
import rclpy
from ros_harness import NodeProcess, running

BRIDGE = 'ocrrl_ros.nodes.mujoco_bridge_node'
PERIOD_S = 0.005


def measure(arm: str, seconds: float) -> None:
    """Call both at 200 Hz, as a command loop would."""
    node = rclpy.create_node(f'measured_{arm}')
    observer = ArmingObserver(node, ArmingConfig(arm=arm))
    taken: tuple[list[float], list[float]] = ([], [])
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        now_s = node.get_clock().now().nanoseconds * 1e-9
        for call, times in zip((observer.step, observer.refusals), taken):
            started_s = time.perf_counter()
            call(now_s)
            times.append(time.perf_counter() - started_s)
        time.sleep(PERIOD_S)
    for name, times in zip(('step', 'refusals'), taken):
        # The first calls compile kernels or load them.
        p50, p99, most = np.quantile(np.array(times[20:]) * 1e6, (0.5, 0.99, 1.0))
        print(f'{arm} {name}: p50 {p50:.0f} us, p99 {p99:.0f} us, longest {most:.0f} us, '
              f'n {len(times) - 20}')
    node.destroy_node()


def main(seconds: float) -> None:
    """Measure every kind of arm."""
    os.environ.setdefault('ROS_DOMAIN_ID', str(11 + os.getpid() % 90))
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    use_fastdds_profile()
    with tempfile.TemporaryDirectory() as folder:
        with running(NodeProcess(BRIDGE, Path(folder) / 'log', {'camera': False})):
            rclpy.init(args=[])
            for arm in REQUIRED:
                measure(arm, seconds)
            rclpy.shutdown()


if __name__ == '__main__':
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 20.0)
