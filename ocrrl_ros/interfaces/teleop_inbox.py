# SPDX-License-Identifier: Apache-2.0
"""Targets of a person who takes over: `teleop/target_pose` and `teleop/gripper`."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib

from geometry_msgs.msg import PoseStamped
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.interfaces.chunk_conversions import BASE_FRAME
from ocrrl_ros.interfaces.conversions import pose_to_array
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATEST
from ocrrl_ros.policy.takeover import Takeover
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray

TARGET_TOPIC = 'teleop/target_pose'
GRIPPER_TOPIC = 'teleop/gripper'


class TeleopInbox:
    """Hands a person's targets over; what cannot be used is refused by name."""

    def __init__(self, node: Node, takeover: Takeover):
        """Subscribe."""
        self._takeover = takeover
        self._target_in = PolledSubscription(node, PoseStamped, TARGET_TOPIC, LATEST)
        self._gripper_in = PolledSubscription(node, Float64MultiArray, GRIPPER_TOPIC, LATEST)

    def take(self, now_s: float) -> None:
        """
        Take the newest target and the newest opening.

        :raises InputError: one of them cannot be used; with two publishers of targets none can.
        """
        opening = self._gripper_in.take_newest()
        target = self._target_in.take_newest()
        if target is not None:
            self._take_target(target, now_s)
        if opening is not None:
            if len(opening.data) != 1:
                raise InputError(
                    f'{GRIPPER_TOPIC} has {len(opening.data)} numbers; allowed: one, 0 .. 1')
            with self._naming(GRIPPER_TOPIC):
                self._takeover.on_opening(opening.data[0])

    def _take_target(self, message: PoseStamped, now_s: float) -> None:
        """Take a target in the base frame from one person alone."""
        publishers = self._target_in.publisher_count()
        if publishers > 1:
            raise InputError(f'{publishers} publishers on {TARGET_TOPIC}; allowed: one')
        if message.header.frame_id != BASE_FRAME:
            raise InputError(
                f'{TARGET_TOPIC} is in frame {message.header.frame_id!r}; allowed: {BASE_FRAME!r}')
        with self._naming(TARGET_TOPIC):
            self._takeover.on_target(pose_to_array(message.pose), now_s)

    @staticmethod
    @contextlib.contextmanager
    def _naming(topic: str) -> Iterator[None]:
        """Name the topic in what is refused."""
        try:
            yield
        except InputError as error:
            raise InputError(f'{topic}: {error}') from error
