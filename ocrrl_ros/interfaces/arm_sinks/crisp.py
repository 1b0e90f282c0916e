# SPDX-License-Identifier: Apache-2.0
"""CRISP's joint and Cartesian impedance controllers."""

from __future__ import annotations

from geometry_msgs.msg import PoseStamped
from ocrrl_ros.interfaces.arm_sinks.base import ArmSink, joint_values_of, Preview
from ocrrl_ros.interfaces.arm_sinks.config import SinkConfig
from ocrrl_ros.interfaces.conversions import fill_pose, to_stamp
from ocrrl_ros.interfaces.qos import LATEST
from ocrrl_ros.policy.controller import Command
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
from ocrrl_ros.robot.kinematics import FrankaKinematics
from rclpy.node import Node
from sensor_msgs.msg import JointState


class CrispJointSink(ArmSink):
    """
    ``target_joint`` (JointState): CRISP reads the seven positions by index.

    Velocities are left out on purpose: CRISP would add D dq_d, and the law that everything is
    trained and measured with is K (q_d - q) - D dq (protocol.md section 1).
    """

    def __init__(self, node: Node, config: SinkConfig):
        """Create the publisher and one message that is reused."""
        self._publisher = node.create_publisher(JointState, 'target_joint', LATEST)
        self._message = JointState(name=list(ARM_JOINT_NAMES))
        self._positions = joint_values_of(self._message, 'position')

    def send(self, command: Command, now_s: float, preview: Preview) -> None:
        """Publish positions in rad."""
        self._message.header.stamp = to_stamp(now_s)
        self._positions[:] = command.q
        self._publisher.publish(self._message)


class CrispPoseSink(ArmSink):
    """``target_pose`` (PoseStamped in ``base``) of ``fr3_hand_tcp``."""

    def __init__(self, node: Node, config: SinkConfig):
        """Create the publisher and one message that is reused."""
        self._publisher = node.create_publisher(PoseStamped, 'target_pose', LATEST)
        self._message = PoseStamped()
        self._message.header.frame_id = 'base'
        self._kinematics = FrankaKinematics()

    def send(self, command: Command, now_s: float, preview: Preview) -> None:
        """Publish the TCP pose of the commanded joints."""
        self._message.header.stamp = to_stamp(now_s)
        fill_pose(self._message.pose, self._kinematics.forward(command.q))
        self._publisher.publish(self._message)
