# SPDX-License-Identifier: Apache-2.0
"""The operator's dead-man switch: `operator/deadman`."""

from __future__ import annotations

from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import SENSOR_DATA
from ocrrl_ros.policy.controller import ResidualController
from rclpy.node import Node
from std_msgs.msg import Bool

TOPIC = 'operator/deadman'


class DeadmanInbox:
    """Hands the switch over, every message of it: one that lets go must not be overtaken."""

    def __init__(self, node: Node, controller: ResidualController):
        """Subscribe."""
        self._controller = controller
        self._subscription = PolledSubscription(node, Bool, TOPIC, SENSOR_DATA)

    def take(self, now_s: float) -> None:
        """
        Take what has arrived; with two publishers the switch counts as released.

        One of them may be a forgotten command that holds it down whatever the operator does.
        """
        messages = self._subscription.take_all()
        if not messages:
            return
        publishers = self._subscription.publisher_count()
        problem = '' if publishers <= 1 else (
            f'counts as released: {publishers} publishers on {TOPIC}; allowed: one')
        for message in messages:
            self._controller.on_deadman(message.data, now_s, problem)
