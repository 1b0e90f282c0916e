# SPDX-License-Identifier: Apache-2.0
"""Whether the controller that moves the arm is active, as the controller manager says."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

from ocrrl_ros.core.errors import ConfigError, MissingDependencyError
from ocrrl_ros.interfaces.optional import optional
from ocrrl_ros.interfaces.polling import PolledClient
from ocrrl_ros.interfaces.recovery_clients import MANAGER_INSTALL
from ocrrl_ros.robot.fault_recovery import RecoveryConfig
from rclpy.node import Node

_PERIOD_S = 1.0
#: A manager that switches controllers answers later than one that does not.
_ANSWER_S = 3.0


class ControllerWatch:
    """
    Asks the manager once a second, and never waits for it.

    :param clock: monotonic seconds: a system clock that is set says nothing of the manager.
    """

    def __init__(
            self, node: Node, config: RecoveryConfig, clock: Callable[[], float] = time.monotonic):
        """
        Create the client.

        :raises ConfigError: controller_manager_msgs is not installed; the message has the
            install line.
        """
        services: Any = optional('controller_manager_msgs.srv')
        if services is None:
            raise ConfigError(str(MissingDependencyError(
                f'controller_manager_msgs (recovery.controller is {config.controller!r})',
                MANAGER_INSTALL)))
        self._controller = config.controller
        self._name = f'{config.controller_manager}/list_controllers'
        self._client = PolledClient(node, services.ListControllers, self._name)
        self._clock = clock
        self._unknown = (
            f'{self._name} does not answer: whether {self._controller!r} is active is not known')
        self._problem = self._unknown
        self._asked_s = float('-inf')
        self._open_since_s: float | None = None
        self._is_asked = False

    def step(self) -> str:
        """Take an answer, ask when it is time, and return why the arm cannot be commanded."""
        now_s = self._clock()
        answer = self._client.take() if self._is_asked else None
        if answer is not None:
            self._is_asked, self._open_since_s = False, None
            self._problem = self._judge(answer)
        # Another question makes the client forget the one that is still open.
        if now_s - self._asked_s >= (_ANSWER_S if self._is_asked else _PERIOD_S):
            self._ask(now_s)
        # From the first question without an answer: a pause of this process is no silence.
        if self._open_since_s is not None and now_s - self._open_since_s > _ANSWER_S:
            self._problem = self._unknown
        return self._problem

    def _ask(self, now_s: float) -> None:
        """Send the question where somebody hears it."""
        self._asked_s = now_s
        if self._open_since_s is None:
            self._open_since_s = now_s
        self._is_asked = self._client.is_ready()
        if self._is_asked:
            self._client.send()

    def _judge(self, answer: Any) -> str:
        """Return why the controller does not move the arm, or an empty string."""
        states = {item.name: item.state for item in answer.controller}
        state = states.get(self._controller, 'not loaded')
        return '' if state == 'active' else (
            f'controller {self._controller!r} is {state}; targets are taken while it is active')
