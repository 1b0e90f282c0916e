# SPDX-License-Identifier: Apache-2.0
"""
Measure `fci_arm` with the mock robot on this machine, and print a line per figure.

``PYTHONPATH=.:test:test/ros python test/ros/measure_fci_arm.py [TRIALS]``; nothing here says how
a real robot or its network behaves.
"""

from __future__ import annotations

import os
from pathlib import Path
import sys
import tempfile
import time

from diagnostic_msgs.msg import DiagnosticArray
from mock_fci import mock_robot, MockFci
import numpy as np
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.spin import use_fastdds_profile
from ocrrl_ros.robot.fr3 import READY_POSITION
import rclpy
from ros_harness import NodeProcess, Probe, running
from sensor_msgs.msg import JointState

MODULE = 'ocrrl_ros.nodes.fci_arm_node'
WATCH_S = 30.0
SETTLE_S = 0.8  # more than target_timeout_s: each trial starts from holding


def watch_rates(probe: Probe, robot: MockFci, heard: list[JointState]) -> None:
    """Print how many states arrive where, while targets go out at 50 Hz."""
    diagnoses = probe.listen(DiagnosticArray, '/diagnostics', qos.DEEP_RELIABLE)
    before, started_s = robot.status(), time.monotonic()
    heard.clear()
    sent = 0
    while time.monotonic() < started_s + WATCH_S:
        sent += 1
        move(probe, 0.1 * np.sin(sent * 0.02))
        probe.until(lambda: time.monotonic() >= started_s + sent / 50.0)
    after, seconds = robot.status(), time.monotonic() - started_s
    diagnosed = [{pair.key: pair.value for pair in status.values}
                 for array in diagnoses for status in array.status if status.name == 'fci_arm']
    first, last = diagnosed[0], diagnosed[-1]
    received, lost = (int(last[name]) - int(first[name])
                      for name in ('states_received', 'states_lost'))
    say(f'robot: {(after["sent"] - before["sent"]) / seconds:.0f} states/s for {seconds:.0f} s')
    say(f'process of the robot: {received / (received + lost):.2%} of {received + lost} states '
        f'received, at most {last["states_lost_in_a_row"]} lost in a row since the start')
    say(f'franka/joint_states: {len(heard) / seconds:.0f} messages/s')
    say(f'targets: {sent} published, {after["targets"] - before["targets"]} reached the robot')


def measure_latency(probe: Probe, robot: MockFci, trials: int) -> None:
    """Print the time from the publication of a target to the first motion of the mock arm."""
    delays_ms = []
    for trial in range(trials):
        settled_s = time.monotonic() + SETTLE_S
        probe.until(lambda: time.monotonic() >= settled_s)
        robot.order('forget')
        published_s = time.monotonic()
        move(probe, 0.05 * (-1) ** trial)
        probe.until(lambda: 'motion' in robot.status()['times'], what='a motion')
        delays_ms.append((robot.status()['times']['motion'] - published_s) * 1e3)
    p50, p90, p99 = np.quantile(delays_ms, [0.5, 0.9, 0.99])
    say(f'target to first motion: n {trials}, median {p50:.1f} ms, 90 % {p90:.1f} ms, '
        f'99 % {p99:.1f} ms, longest {max(delays_ms):.1f} ms')


def move(probe: Probe, offset_rad: float) -> None:
    """Publish a target for joint 1."""
    target = np.array(READY_POSITION)
    target[0] += offset_rad
    probe.publish('target_joint', JointState(position=target.tolist()), qos.LATEST)


def say(text: str) -> None:
    """Write one line."""
    sys.stdout.write(text + '\n')
    sys.stdout.flush()


def main() -> None:
    """Run both measurements."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    os.environ['ROS_DOMAIN_ID'] = str(11 + os.getpid() % 90)
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    use_fastdds_profile()
    rclpy.init(args=[])
    probe = Probe()
    heard = probe.listen(JointState, 'franka/joint_states', qos.SENSOR_DATA)
    with tempfile.TemporaryDirectory() as folder, mock_robot() as robot:
        node = NodeProcess(MODULE, Path(folder) / 'fci_arm.log', {'robot_ip': robot.address})
        with running(node):
            probe.until(lambda: len(heard) > 100, what='states')
            say(f'load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores')
            watch_rates(probe, robot, heard)
            measure_latency(probe, robot, trials)
            say(f'load of this machine: {os.getloadavg()[0]:.1f}')
    probe.close()
    rclpy.shutdown()


if __name__ == '__main__':
    main()
