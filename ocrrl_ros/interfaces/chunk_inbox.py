# SPDX-License-Identifier: Apache-2.0
"""Join the arm's and the gripper's half of a chunk, which travel as two messages."""

from __future__ import annotations

from ocrrl_ros.core.errors import InputError
from ocrrl_ros.interfaces.chunk_conversions import messages_to_chunk
from ocrrl_ros.interfaces.conversions import from_stamp
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATEST
from ocrrl_ros.policy.action_chunk import ActionChunk
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory

_TCP_TOPIC, _GRIPPER_TOPIC = 'base_policy/tcp_chunk', 'base_policy/gripper_chunk'
#: Longer than any base policy's period: the next chunk has come, and a half is still alone.
_PATIENCE_S = 1.0


class ChunkInbox:
    """Polls ``base_policy/tcp_chunk`` and ``base_policy/gripper_chunk``."""

    def __init__(self, node: Node):
        """Subscribe."""
        self._tcp_in = PolledSubscription(
            node, MultiDOFJointTrajectory, _TCP_TOPIC, LATEST)
        self._gripper_in = PolledSubscription(node, JointTrajectory, _GRIPPER_TOPIC, LATEST)
        self._tcp: MultiDOFJointTrajectory | None = None
        self._gripper: JointTrajectory | None = None
        self._alone_since_s: float | None = None

    def take(self, now_s: float) -> ActionChunk | None:
        """
        Return a chunk whose two halves have arrived, or None.

        :raises InputError: a half is wrongly named, holds NaN or is otherwise no chunk, and both
            halves are dropped; or none fitted another for a second, and the older one is dropped.
        """
        self._tcp = self._tcp_in.take_newest() or self._tcp
        self._gripper = self._gripper_in.take_newest() or self._gripper
        tcp, gripper = self._tcp, self._gripper
        if tcp is None and gripper is None:
            return None
        if tcp is None or gripper is None or tcp.header.stamp != gripper.header.stamp:
            self._wait(now_s)
            return None
        self._tcp = self._gripper = self._alone_since_s = None
        try:
            return messages_to_chunk(tcp, gripper)
        except InputError as error:
            raise InputError(f'base policy: {error}') from error

    def _wait(self, now_s: float) -> None:
        """Wait for the other half; after a second say so and drop the older one."""
        if self._alone_since_s is None:
            self._alone_since_s = now_s
        if now_s - self._alone_since_s <= _PATIENCE_S:
            return
        stamps_s = {
            topic: from_stamp(message.header.stamp)
            for topic, message in ((_TCP_TOPIC, self._tcp), (_GRIPPER_TOPIC, self._gripper))
            if message is not None}
        oldest = min(stamps_s, key=stamps_s.get)
        if oldest == _TCP_TOPIC:
            self._tcp = None
        else:
            self._gripper = None
        self._alone_since_s = None if len(stamps_s) == 1 else now_s
        raise InputError(
            f'no chunk for {_PATIENCE_S} s: {_TCP_TOPIC} and {_GRIPPER_TOPIC} must come with one '
            'stamp; newest: ' + ', '.join(
                f'{topic} of {stamps_s[topic]:.3f} s' if topic in stamps_s else f'no {topic}'
                for topic in (_TCP_TOPIC, _GRIPPER_TOPIC)))
