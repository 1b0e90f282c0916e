# SPDX-License-Identifier: Apache-2.0
"""Join the arm's and the gripper's half of a chunk, which travel as two messages."""

from __future__ import annotations

from ocrrl_ros.core.errors import InputError
from ocrrl_ros.interfaces.chunk_conversions import messages_to_chunk
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATEST
from ocrrl_ros.policy.action_chunk import ActionChunk
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory


class ChunkInbox:
    """Polls ``base_policy/tcp_chunk`` and ``base_policy/gripper_chunk``."""

    def __init__(self, node: Node):
        """Subscribe."""
        self._tcp_in = PolledSubscription(
            node, MultiDOFJointTrajectory, 'base_policy/tcp_chunk', LATEST)
        self._gripper_in = PolledSubscription(
            node, JointTrajectory, 'base_policy/gripper_chunk', LATEST)
        self._tcp: MultiDOFJointTrajectory | None = None
        self._gripper: JointTrajectory | None = None

    def take(self) -> ActionChunk | None:
        """
        Return a chunk whose two halves have arrived, or None.

        :raises InputError: a half is wrongly named, holds NaN or is otherwise no chunk; both
            halves are dropped.
        """
        self._tcp = self._tcp_in.take_newest() or self._tcp
        self._gripper = self._gripper_in.take_newest() or self._gripper
        if self._tcp is None or self._gripper is None:
            return None
        tcp, gripper = self._tcp, self._gripper
        if tcp.header.stamp != gripper.header.stamp:
            return None
        self._tcp = self._gripper = None
        try:
            return messages_to_chunk(tcp, gripper)
        except InputError as error:
            raise InputError(f'base policy: {error}') from error
