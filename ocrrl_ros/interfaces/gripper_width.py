# SPDX-License-Identifier: Apache-2.0
"""The measured width of the hand, and its opening for the nodes that read CRISP's topic."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from ocrrl_ros.interfaces.gripper_state import (
    GRIPPER_STATE_TOPIC, opening_from_message, width_from_fingers)
from ocrrl_ros.interfaces.input_warnings import InputWarnings
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATEST_BEST_EFFORT, RELIABLE
from rclpy.node import Node
from sensor_msgs.msg import JointState


class WidthSource(Protocol):
    """Where the measured width comes from."""

    topic: str

    def take(self) -> float | None:
        """Return the newest width, m, once."""


class FingerRelay:
    """
    Reads the fingers of franka_gripper and publishes their opening on ``gripper/joint_states``.

    It publishes only while nobody else does, such as CRISP's adapter: two publishers would not
    agree. Stamps are those of the fingers.

    :param max_width_m: width of opening 1.
    """

    def __init__(
            self, node: Node, topic: str, max_width_m: float, warnings: InputWarnings):
        """Subscribe and create the publisher."""
        self.topic = topic
        self._node, self._max_width_m, self._warnings = node, max_width_m, warnings
        self._fingers = PolledSubscription(node, JointState, topic, LATEST_BEST_EFFORT)
        self._opening = node.create_publisher(JointState, GRIPPER_STATE_TOPIC, RELIABLE)

    def take(self) -> float | None:
        """
        Return the newest width, m, once, having passed its opening on.

        :raises InputError: the newest message cannot be used.
        """
        message = self._fingers.take_newest()
        if message is None:
            return None
        width_m = width_from_fingers(message, self.topic)
        if self._node.count_publishers(GRIPPER_STATE_TOPIC) > 1:
            self._warnings.warn(
                f'{GRIPPER_STATE_TOPIC} is published by another node too; openings of '
                f'{self.topic} are not passed on')
            return width_m
        opening = float(np.clip(width_m / self._max_width_m, 0.0, 1.0))
        relayed = JointState(name=['gripper'], position=[opening])
        relayed.header.stamp = message.header.stamp
        self._opening.publish(relayed)
        return width_m


class OpeningReader:
    """
    Reads the width from ``gripper/joint_states``, which the driver's side publishes itself.

    :param max_width_m: width of opening 1.
    """

    topic = GRIPPER_STATE_TOPIC

    def __init__(self, node: Node, max_width_m: float):
        """Subscribe."""
        self._max_width_m = max_width_m
        self._opening = PolledSubscription(
            node, JointState, GRIPPER_STATE_TOPIC, LATEST_BEST_EFFORT)

    def take(self) -> float | None:
        """
        Return the newest width, m, once.

        :raises InputError: the newest message cannot be used.
        """
        message = self._opening.take_newest()
        return None if message is None else opening_from_message(message) * self._max_width_m
