# SPDX-License-Identifier: Apache-2.0
"""Sinks that send one joint vector or one pose at a time, other than CRISP's."""

from __future__ import annotations

from geometry_msgs.msg import PoseStamped
import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.interfaces.arm_sinks.base import joint_values_of, PacedSink, Preview
from ocrrl_ros.interfaces.arm_sinks.config import MAX_PTP_RATE_HZ, SinkConfig
from ocrrl_ros.interfaces.conversions import fill_pose, fill_stamp
from ocrrl_ros.interfaces.qos import LATEST, RELIABLE
from ocrrl_ros.policy.controller import Command
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
from ocrrl_ros.robot.kinematics import FrankaKinematics
from rclpy.node import Node
from sensor_msgs.msg import JointState

#: Farther from its last target than this, the arm was moved by somebody else, rad.
_MOVED_RAD = 0.1
_KEEP_ALIVE_S = 0.04


class JointStateSink(PacedSink):
    """Positions and stamps as a JointState on any topic."""

    def __init__(self, node: Node, topic: str, rate_hz: float):
        """Create the publisher and one message that is written in place."""
        super().__init__(rate_hz)
        self._publisher = node.create_publisher(JointState, topic, LATEST)
        self._message = JointState(name=list(ARM_JOINT_NAMES))
        self._positions = joint_values_of(self._message, 'position')

    def _publish(self, command: Command, now_s: float, preview: Preview) -> None:
        """Publish positions in rad."""
        self._publish_positions(command.q, now_s)

    def _publish_positions(self, q: np.ndarray, now_s: float) -> None:
        """Publish joint positions (7,) in rad."""
        self._positions[:] = q
        fill_stamp(self._message.header.stamp, now_s)
        self._publisher.publish(self._message)


class PtpAsyncSink(JointStateSink):
    """
    ``target_joint``, slowly: for a driver that plans a point-to-point motion for each target.

    Every target is planned anew on the robot, hence at most 50 per second.
    """

    def __init__(self, node: Node, config: SinkConfig):
        """
        Create the publisher.

        :raises ConfigError: more than 50 Hz are asked for.
        """
        rate_hz = config.paced_hz(MAX_PTP_RATE_HZ)
        if rate_hz > MAX_PTP_RATE_HZ:
            raise ConfigError(
                f'rate_hz is {rate_hz} Hz; allowed with sink ptp_async: <= {MAX_PTP_RATE_HZ}')
        super().__init__(node, 'target_joint', rate_hz)


class GelloJointSink(JointStateSink):
    """
    ``gello/joint_states``: the impedance controller of GELLO's ROS 2 workspace, by index.

    That controller ends its process when stamp or arrival are 0.5 s old. Once something was sent
    the last target is therefore repeated while no command comes. If the arm was moved by somebody
    else meanwhile, its measured position becomes the target, so that it is not pulled back.
    """

    def __init__(self, node: Node, config: SinkConfig):
        """Create the publisher; nothing is sent before the first command."""
        super().__init__(node, config.gello_topic, config.paced_hz(0.0))
        self._keeps_alive = config.gello_keep_alive
        self._sent_s: float | None = None

    def rest(self, q: np.ndarray | None, now_s: float) -> None:
        """Send the last command of a motion, then repeat it at 25 Hz."""
        super().rest(q, now_s)
        if not self._keeps_alive or self._sent_s is None or self._skipped is not None \
                or now_s - self._sent_s < _KEEP_ALIVE_S:
            return
        is_moved = q is not None and np.abs(q - self._positions).max() > _MOVED_RAD
        self._publish_positions(q if is_moved else self._positions, now_s)

    def _publish_positions(self, q: np.ndarray, now_s: float) -> None:
        """Publish joint positions (7,) in rad and remember when."""
        self._sent_s = now_s
        super()._publish_positions(q, now_s)


class EquilibriumPoseSink(PacedSink):
    """
    ``…/equilibrium_pose`` (PoseStamped): TCP pose for a Cartesian impedance controller.

    multipanda's, or Franka's example once its own demo motion is taken out: as shipped in
    franka_ros2 v3.4.0 that overwrites the position within a millisecond.
    """

    def __init__(self, node: Node, config: SinkConfig):
        """Create the publisher and one message that is written in place."""
        super().__init__(config.paced_hz(0.0))
        self._publisher = node.create_publisher(
            PoseStamped, config.equilibrium_pose_topic, RELIABLE)
        self._message = PoseStamped()
        self._message.header.frame_id = config.equilibrium_pose_frame
        self._kinematics = FrankaKinematics()

    def _publish(self, command: Command, now_s: float, preview: Preview) -> None:
        """Publish the TCP pose of the commanded joints."""
        fill_stamp(self._message.header.stamp, now_s)
        fill_pose(self._message.pose, self._kinematics.forward(command.q))
        self._publisher.publish(self._message)
