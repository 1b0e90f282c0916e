# SPDX-License-Identifier: Apache-2.0
"""Short trajectories for ros2_controllers' joint_trajectory_controller."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.interfaces.arm_sinks.base import joint_values_of, PacedSink, Preview
from ocrrl_ros.interfaces.arm_sinks.config import SinkConfig
from ocrrl_ros.interfaces.conversions import fill_stamp
from ocrrl_ros.interfaces.qos import RELIABLE
from ocrrl_ros.policy.controller import Command
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

_RATE_HZ = 50.0
_TAIL_STEP_S = 0.1
_TAIL_POINTS = 20
_AT_REST_RAD_S = 1e-6
_NANO = 1_000_000_000


class _Point:
    """One point of the message, written in place."""

    def __init__(self, time_s: float):
        """Fix its time from the start."""
        self.time_s = time_s
        self.message = JointTrajectoryPoint()
        self.q = joint_values_of(self.message, 'positions')
        self.dq = joint_values_of(self.message, 'velocities')
        self.message.time_from_start.sec, self.message.time_from_start.nanosec = divmod(
            round(time_s * _NANO), _NANO)


class JtcTrajectorySink(PacedSink):
    """
    ``<controller>/joint_trajectory``: the next points of the plan, positions and velocities.

    Each message replaces the one before, so that only the first of the close points is run
    through; the others bridge late messages. Points every 0.1 s follow them to where the plan
    rests: the controller refuses trajectories that end in motion, and without further messages
    the arm brakes as it was planned to. A plan that still moves after 2 s ends there at rest.
    """

    def __init__(self, node: Node, config: SinkConfig):
        """Create the publisher, and every point that a message can need."""
        super().__init__(config.paced_hz(_RATE_HZ))
        self._publisher = node.create_publisher(
            JointTrajectory, f'{config.jtc_controller}/joint_trajectory', RELIABLE)
        self._step_s, self._is_stamped = config.jtc_step_s, config.jtc_stamped
        self._close = [_Point((i + 1) * self._step_s) for i in range(config.jtc_points)]
        tail = [_Point((i + 1) * _TAIL_STEP_S) for i in range(_TAIL_POINTS)]
        first = next(
            (i for i, point in enumerate(tail)
             if point.time_s > self._close[-1].time_s + 1e-9), _TAIL_POINTS)
        self._tail, self._skip = tail[first:] if config.jtc_ends_at_rest else [], first
        self._message = JointTrajectory(joint_names=list(ARM_JOINT_NAMES))

    def _publish(self, command: Command, now_s: float, preview: Preview) -> None:
        """Publish what lies ahead of the command."""
        points = self._points(preview)
        self._message.points = [point.message for point in points]
        if self._is_stamped:
            fill_stamp(self._message.header.stamp, now_s)
        self._publisher.publish(self._message)

    def _points(self, preview: Preview) -> list[_Point]:
        """Return the points of a message, filled."""
        q, dq = preview(self._step_s, len(self._close))
        _fill(self._close, q, dq)
        if not self._tail or _rests(self._close[-1]):
            return self._close
        q, dq = preview(_TAIL_STEP_S, _TAIL_POINTS)
        _fill(self._tail, q[self._skip:], dq[self._skip:])
        for i, point in enumerate(self._tail):
            if _rests(point):
                return self._close + self._tail[:i + 1]
        self._tail[-1].dq[:] = 0.0
        return self._close + self._tail


def _fill(points: list[_Point], q: np.ndarray, dq: np.ndarray) -> None:
    """Write positions and velocities (n, 7); what all but rests is written as rest."""
    for point, position, velocity in zip(points, q, dq):
        point.q[:] = position
        point.dq[:] = velocity if np.abs(velocity).max() > _AT_REST_RAD_S else 0.0


def _rests(point: _Point) -> bool:
    """Return whether nothing moves at the point."""
    return not point.dq.any()
