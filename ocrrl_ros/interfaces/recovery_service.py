# SPDX-License-Identifier: Apache-2.0
"""The service `residual_policy/recover`: makes the robot take targets again, and moves nothing."""

from __future__ import annotations

from typing import Any

from ocrrl_ros.interfaces.polling import DeferredService
from ocrrl_ros.interfaces.recovery_clients import recovery_steps
from ocrrl_ros.interfaces.robot_watch import RobotWatch
from ocrrl_ros.policy.controller import ControllerState, ResidualController
from ocrrl_ros.robot.fault_recovery import (
    FaultRecovery, person_must, RecoveryConfig, RecoveryState)
from rclpy.node import Node
from std_srvs.srv import Trigger

_PERIOD_S = 0.05
_NAME = 'residual_policy/recover'
_RESUME = 'call residual_policy/resume'


class RecoveryService:
    """
    Answers when the recovery has ended; meanwhile `residual_policy/state` shows how far it is.

    The loop calls ``step``, which waits for nothing.
    """

    def __init__(
            self, node: Node, controller: ResidualController, watch: RobotWatch,
            config: RecoveryConfig):
        """Create the service, and the clients of what is installed."""
        self._controller, self._watch, self._logger = controller, watch, node.get_logger()
        self._service = DeferredService(node, Trigger, _NAME)
        self._recovery = FaultRecovery(
            recovery_steps(node, config, lambda: watch.problem), config.step_timeout_s,
            lambda: person_must(watch.robot_mode))
        self._header: Any = None
        self._cause = self._told = ''
        self._due_s = float('-inf')

    @property
    def is_running(self) -> bool:
        """Return whether a recovery is under way."""
        return self._header is not None

    def step(self, now_s: float) -> None:
        """Take a request and look after the recovery, twenty times a second."""
        if self._due_s - _PERIOD_S <= now_s < self._due_s:
            return
        self._due_s = now_s + _PERIOD_S
        asked = self._service.take()
        if asked is not None:
            self._begin(asked[1], now_s)
        if self.is_running:
            self._recovery.tick(now_s)
            self._tell(self._recovery.progress)
            if not self._recovery.is_running:
                self._end()

    def _begin(self, header: Any, now_s: float) -> None:
        """Begin, or answer at once why not."""
        refusal = self._refusal()
        if refusal:
            self._service.answer(header, success=False, message=refusal)
            return
        # Also without an episode: whoever waits for its start must say `resume` before it moves.
        self._controller.fault(
            self._controller.arm.robot_problem or self._controller.reason, is_silent=True)
        if self._controller.reason != self._told:
            self._cause = self._controller.reason
        self._header = header
        self._recovery.start(now_s)

    def _refusal(self) -> str:
        """Return why no recovery can begin now, or an empty string."""
        state = self._controller.state
        if self.is_running:
            return f'under way: {self._recovery.progress}'
        if state.is_running or state is ControllerState.HOMING:
            return f'nothing to recover from: {state.value}, {self._controller.reason}'
        if self._watch.takes_targets:
            return f'nothing to recover from: the robot takes targets; {_RESUME}'
        return ''

    def _tell(self, progress: str) -> None:
        """Show the progress beside the cause of the fault."""
        self._told = f'{self._cause}; {progress}'
        self._controller.machine.recover(self._told)

    def _end(self) -> None:
        """Answer with what became of each step."""
        is_done = self._recovery.state is RecoveryState.DONE
        message = self._recovery.report
        if is_done:
            message = f'{message}; {_RESUME}'
            self._tell(f'recovered: {_RESUME}')
            self._logger.info(message)
        else:
            self._logger.warning(message)
        self._service.answer(self._header, success=is_done, message=message)
        self._header = None
