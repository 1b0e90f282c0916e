# SPDX-License-Identifier: Apache-2.0
"""Join the arm's and the gripper's half of a chunk, which travel as two messages."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.interfaces.chunk_conversions import messages_to_chunk, messages_to_joint_chunk
from ocrrl_ros.interfaces.conversions import from_stamp
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATEST
from ocrrl_ros.policy.action_chunk import ActionChunk
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory

_TCP_TOPIC, _JOINT_TOPIC = 'base_policy/tcp_chunk', 'base_policy/joint_chunk'
_GRIPPER_TOPIC = 'base_policy/gripper_chunk'
#: Longer than any base policy's period: the next chunk has come, and a half is still alone.
_PATIENCE_S = 1.0


class ChunkInbox:
    """
    Polls ``base_policy/tcp_chunk`` or ``joint_chunk``, and ``base_policy/gripper_chunk``.

    :param forward: forward kinematics, joint positions (7,) to base_T_tcp (7,), for base policies
        that plan joint positions.
    """

    def __init__(self, node: Node, forward: Callable[[np.ndarray], np.ndarray]):
        """Subscribe."""
        self._forward = forward
        self._arm_in = {
            _TCP_TOPIC: PolledSubscription(node, MultiDOFJointTrajectory, _TCP_TOPIC, LATEST),
            _JOINT_TOPIC: PolledSubscription(node, JointTrajectory, _JOINT_TOPIC, LATEST)}
        self._gripper_in = PolledSubscription(node, JointTrajectory, _GRIPPER_TOPIC, LATEST)
        self._arm_topic = _TCP_TOPIC
        self._arm: MultiDOFJointTrajectory | JointTrajectory | None = None
        self._gripper: JointTrajectory | None = None
        self._alone_since_s: float | None = None

    def take(self, now_s: float) -> ActionChunk | None:
        """
        Return a chunk whose two halves have arrived, or None.

        :raises InputError: a half is wrongly named, holds NaN or is otherwise no chunk, and both
            halves are dropped; or none fitted another for a second, and the older one is dropped.
        """
        for topic, subscription in self._arm_in.items():
            message = subscription.take_newest()
            if message is not None:
                self._arm_topic, self._arm = topic, message
        self._gripper = self._gripper_in.take_newest() or self._gripper
        arm, gripper = self._arm, self._gripper
        if arm is None and gripper is None:
            return None
        if arm is None or gripper is None or arm.header.stamp != gripper.header.stamp:
            self._wait(now_s)
            return None
        self._arm = self._gripper = self._alone_since_s = None
        try:
            return self._chunk(arm, gripper)
        except InputError as error:
            raise InputError(
                f'base policy, {self._arm_topic} with {_GRIPPER_TOPIC}: {error}') from error

    def _chunk(
            self, arm: MultiDOFJointTrajectory | JointTrajectory,
            gripper: JointTrajectory) -> ActionChunk:
        """Return the chunk of two halves with one stamp."""
        if self._arm_topic == _TCP_TOPIC:
            return messages_to_chunk(arm, gripper)
        stamp_s, step_s, positions, grippers = messages_to_joint_chunk(
            arm, gripper, list(ARM_JOINT_NAMES))
        poses = np.array([self._forward(q) for q in positions])
        return ActionChunk(stamp_s=stamp_s, step_s=step_s, poses=poses, grippers=grippers)

    def _wait(self, now_s: float) -> None:
        """Wait for the other half; after a second say so and drop the older one."""
        if self._alone_since_s is None:
            self._alone_since_s = now_s
        if now_s - self._alone_since_s <= _PATIENCE_S:
            return
        stamps_s = {
            topic: from_stamp(message.header.stamp)
            for topic, message in ((self._arm_topic, self._arm), (_GRIPPER_TOPIC, self._gripper))
            if message is not None}
        if min(stamps_s, key=stamps_s.get) == _GRIPPER_TOPIC:
            self._gripper = None
        else:
            self._arm = None
        self._alone_since_s = None if len(stamps_s) == 1 else now_s
        raise InputError(
            f'no chunk for {_PATIENCE_S} s: {self._arm_topic} and {_GRIPPER_TOPIC} must come with '
            'one stamp; newest: ' + ', '.join(
                f'{topic} of {stamps_s[topic]:.3f} s' if topic in stamps_s else f'no {topic}'
                for topic in (self._arm_topic, _GRIPPER_TOPIC)))
