# SPDX-License-Identifier: Apache-2.0
"""Whether the robot takes our targets: its mode, and whether others send to the same topic."""

from __future__ import annotations

from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from ocrrl_ros.interfaces.optional import optional
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATCHED, SENSOR_DATA
from rclpy.node import Node

_PERIOD_S = 0.05
_ROBOT_STATE_TOPIC = 'franka_robot_state_broadcaster/robot_state'
#: FrankaRobotState.robot_mode; in the second one targets are taken (facts/franka.md section 1.5).
ROBOT_MODES = (
    'other', 'idle', 'move', 'guiding', 'reflex', 'user_stopped', 'automatic_error_recovery')
_COMMANDED = 'move'


class RobotWatch:
    """
    Looks at the robot twenty times a second, without waiting.

    :param target_topic: resolved name of the topic that this node commands the arm on.
    :param state_topic: DiagnosticStatus with a value ``phase`` of a driver that is none of
        franka_ros2, such as ``fci_arm/state``; empty for none.
    """

    def __init__(self, node: Node, target_topic: str, state_topic: str):
        """Listen to FrankaRobotState where franka_msgs is installed."""
        self._node = node
        self._target_topic = target_topic
        self._state_topic = state_topic
        messages: Any = optional('franka_msgs.msg')
        self._franka_in = None if messages is None else PolledSubscription(
            node, messages.FrankaRobotState, _ROBOT_STATE_TOPIC, SENSOR_DATA)
        self._driver_in = PolledSubscription(
            node, DiagnosticStatus, state_topic, LATCHED) if state_topic else None
        self._mode_problem = ''
        self._driver_problem = ''
        self._publishers_problem = ''
        self._due_s = float('-inf')

    def step(self, now_s: float) -> str | None:
        """Return why the arm cannot be commanded, '' where it can, None when nothing was due."""
        if self._due_s - _PERIOD_S <= now_s < self._due_s:
            return None
        self._due_s = now_s + _PERIOD_S
        self._take_mode()
        self._take_driver()
        self._count_publishers()
        return self._mode_problem or self._driver_problem or self._publishers_problem

    def _take_mode(self) -> None:
        """Look at the robot's mode."""
        message = None if self._franka_in is None else self._franka_in.take_newest()
        if message is not None:
            mode = ROBOT_MODES[message.robot_mode] if (
                message.robot_mode < len(ROBOT_MODES)) else 'unknown'
            self._mode_problem = '' if mode == _COMMANDED else (
                f'robot_mode is {mode}; targets are taken in mode {_COMMANDED}')

    def _take_driver(self) -> None:
        """Look at what the driver says of itself."""
        message = None if self._driver_in is None else self._driver_in.take_newest()
        if message is not None:
            is_fine = message.level == DiagnosticStatus.OK
            self._driver_problem = '' if is_fine else f'{self._state_topic}: {message.message}'

    def _count_publishers(self) -> None:
        """See who else sends targets: CRISP then ignores all of them (facts/franka.md, 2.1)."""
        count = self._node.count_publishers(self._target_topic)
        self._publishers_problem = '' if count <= 1 else (
            f'{count} publishers on {self._target_topic}; allowed: this one alone')
