# SPDX-License-Identifier: Apache-2.0
"""Whether the robot takes our targets: mode, driver, controller, and who else sends targets."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from ocrrl_ros.interfaces.controller_watch import ControllerWatch
from ocrrl_ros.interfaces.optional import optional
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATCHED, LATEST_BEST_EFFORT
from ocrrl_ros.robot.fault_recovery import RecoveryConfig
from rclpy.node import Node

_PERIOD_S = 0.05
#: A mode that was told longer ago says nothing of the robot now: an error ends its broadcaster.
_MAX_MODE_AGE_S = 1.0
_ROBOT_STATE_TOPIC = 'franka_robot_state_broadcaster/robot_state'
#: FrankaRobotState.robot_mode; in the third one targets are taken (facts/franka.md section 1.6).
ROBOT_MODES = (
    'other', 'idle', 'move', 'guiding', 'reflex', 'user_stopped', 'automatic_error_recovery')
_COMMANDED = 'move'


def mode_name(number: int) -> str:
    """Return the name of FrankaRobotState.robot_mode, also of one that is not known."""
    return ROBOT_MODES[number] if 0 <= number < len(ROBOT_MODES) else f'unknown ({number})'


class RobotWatch:
    """
    Looks at the robot twenty times a second, without waiting.

    :param target_topic: resolved name of the topic that this node commands the arm on.
    :param state_topic: DiagnosticStatus with values ``phase`` and ``robot_mode`` of a driver
        that is none of franka_ros2, such as ``fci_arm/state``; empty for none.
    :param recovery: names the controller that must be active.
    :param clock: monotonic seconds, for the silence of that controller's manager.
    """

    def __init__(
            self, node: Node, target_topic: str, state_topic: str, recovery: RecoveryConfig,
            clock: Callable[[], float] = time.monotonic):
        """
        Listen to FrankaRobotState where franka_msgs is installed.

        :raises ConfigError: a controller is named, and what tells its state is not installed.
        """
        self.problem = ''
        """Why the arm cannot be commanded, as of the last look; empty where it can."""
        self._node = node
        self._target_topic = target_topic
        self._state_topic = state_topic
        messages: Any = optional('franka_msgs.msg')
        # 1 kHz, and a large message: only the newest is worth its conversion.
        self._franka_in = None if messages is None else PolledSubscription(
            node, messages.FrankaRobotState, _ROBOT_STATE_TOPIC, LATEST_BEST_EFFORT)
        self._driver_in = PolledSubscription(
            node, DiagnosticStatus, state_topic, LATCHED) if state_topic else None
        self._controller = (
            ControllerWatch(node, recovery, clock) if recovery.controller else None)
        self._mode = self._driver_mode = ''
        self._mode_heard_s = self._due_s = float('-inf')
        self._now_s = 0.0
        self._driver_problem = ''
        self._driver_is_heard = False

    @property
    def robot_mode(self) -> str:
        """Return the robot's mode if it was told just now, or an empty string."""
        age_s = self._now_s - self._mode_heard_s
        return self._mode if 0.0 <= age_s <= _MAX_MODE_AGE_S else self._driver_mode

    @property
    def takes_targets(self) -> bool:
        """Return whether the robot was heard to be well; without a word of it: False."""
        return not self.problem and (self._driver_is_heard or self.robot_mode == _COMMANDED)

    def step(self, now_s: float) -> str | None:
        """Return why the arm cannot be commanded, '' where it can, None when nothing was due."""
        if self._due_s - _PERIOD_S <= now_s < self._due_s:
            return None
        self._due_s = now_s + _PERIOD_S
        self._now_s = now_s
        controller = '' if self._controller is None else self._controller.step()
        self.problem = (
            self._mode_problem(now_s) or self._take_driver() or controller
            or self._publishers_problem())
        return self.problem

    def _mode_problem(self, now_s: float) -> str:
        """Look at the robot's mode; the last one that was told counts until another is."""
        message = None if self._franka_in is None else self._franka_in.take_newest()
        if message is not None:
            self._mode, self._mode_heard_s = mode_name(message.robot_mode), now_s
        return '' if self._mode in ('', _COMMANDED) else (
            f'robot_mode is {self._mode}; targets are taken in mode {_COMMANDED}')

    def _take_driver(self) -> str:
        """Look at what the driver says of itself, and of the robot's mode."""
        message = None if self._driver_in is None else self._driver_in.take_newest()
        if message is not None:
            self._driver_is_heard = True
            is_fine = message.level == DiagnosticStatus.OK
            self._driver_problem = '' if is_fine else f'{self._state_topic}: {message.message}'
            self._driver_mode = next(
                (item.value for item in message.values if item.key == 'robot_mode'), '')
        return self._driver_problem

    def _publishers_problem(self) -> str:
        """See who else sends targets: CRISP then ignores all of them (facts/franka.md, 2.1)."""
        count = self._node.count_publishers(self._target_topic)
        return '' if count <= 1 else (
            f'{count} publishers on {self._target_topic}; allowed: this one alone')
