# SPDX-License-Identifier: Apache-2.0
"""
Drivers of hands that are actions: franka_gripper, and anything with GripperCommand.

Their message packages are no wheels: they are imported when the driver is chosen.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

from ocrrl_ros.core.errors import ConfigError, MissingDependencyError
from ocrrl_ros.interfaces.optional import optional
from ocrrl_ros.interfaces.polled_action import GoalEnd, PolledActionClient
from ocrrl_ros.interfaces.polling import PolledClient
from ocrrl_ros.robot.gripper_commands import CommandResult, HandAction, HandCommand, Outcome
from rclpy.node import Node
from std_srvs.srv import Trigger

_OUTCOMES = {
    'succeeded': Outcome.SUCCEEDED, 'aborted': Outcome.FAILED, 'canceled': Outcome.CANCELED,
    'rejected': Outcome.REJECTED, 'unknown': Outcome.SERVER_GONE}


def _actions_of(package: str, driver: str, install: str) -> Any:
    """
    Return the module of a package's actions.

    :raises ConfigError: it is not installed; the message has the install line.
    """
    module = optional(f'{package}.action')
    if module is None:
        raise ConfigError(str(MissingDependencyError(
            f'{package} (driver {driver} of the gripper uses its actions)', install)))
    return module


class ActionDriver(abc.ABC):
    """A driver with one goal under way; what is told of it is a `CommandResult`."""

    CAN_HOME = False

    def __init__(self) -> None:
        """Start with nothing under way."""
        self._number = 0
        self._busy: PolledActionClient | None = None

    @abc.abstractmethod
    def _servers(self) -> dict[str, PolledActionClient | PolledClient]:
        """Return the clients by the names of their servers."""

    @abc.abstractmethod
    def send(self, command: HandCommand) -> None:
        """Send a command; one that is still under way is forgotten."""

    @abc.abstractmethod
    def _result_of(self, end: GoalEnd) -> tuple[Outcome, str]:
        """Return what the end of a goal says."""

    def is_ready(self) -> bool:
        """Return whether all servers are there."""
        return all(client.is_ready() for client in self._servers().values())

    def missing(self) -> list[str]:
        """Return the names of the servers that are not there."""
        return [name for name, client in self._servers().items() if not client.is_ready()]

    def take(self) -> list[CommandResult]:
        """Return the result of the goal under way, if it has come."""
        end = None if self._busy is None else self._busy.take()
        if end is None:
            return []
        self._busy = None
        return [CommandResult(self._number, *self._result_of(end))]

    def _start(self, client: PolledActionClient, goal: Any, number: int) -> None:
        """Put a goal under way."""
        self._busy, self._number = client, number
        client.send(goal)


class FrankaDriver(ActionDriver):
    """Actions move, grasp and homing of franka_gripper, and its service stop."""

    CAN_HOME = True

    def __init__(
            self, node: Node, prefix: str,
            make_client: Callable[..., PolledActionClient] = PolledActionClient):
        """
        Create the clients.

        :param prefix: what stands before the names of actions and service.
        :param make_client: takes node, action type and name.
        :raises ConfigError: franka_msgs is not installed.
        """
        super().__init__()
        self._actions = _actions_of(
            'franka_msgs', 'franka',
            'colcon build --packages-select franka_msgs, in a workspace with franka_ros2')
        self._clients = {
            HandAction.MOVE: make_client(node, self._actions.Move, f'{prefix}/move'),
            HandAction.GRASP: make_client(node, self._actions.Grasp, f'{prefix}/grasp'),
            HandAction.HOME: make_client(node, self._actions.Homing, f'{prefix}/homing')}
        self._stop = PolledClient(node, Trigger, f'{prefix}/stop')
        self._names = {
            f'{prefix}/move': self._clients[HandAction.MOVE],
            f'{prefix}/grasp': self._clients[HandAction.GRASP],
            f'{prefix}/homing': self._clients[HandAction.HOME], f'{prefix}/stop': self._stop}
        self._stop_number: int | None = None

    def _servers(self) -> dict[str, PolledActionClient | PolledClient]:
        """Return the clients by name."""
        return self._names

    def send(self, command: HandCommand) -> None:
        """Send the goal, or the request to stop."""
        self._stop_number = None
        if command.action is HandAction.STOP:
            self._busy = None
            self._stop_number = command.number
            self._stop.send()
            return
        self._start(self._clients[command.action], self._goal(command), command.number)

    def _goal(self, command: HandCommand) -> Any:
        """Return the goal with its fields filled, m, m/s and N."""
        if command.action is HandAction.HOME:
            return self._actions.Homing.Goal()
        if command.action is HandAction.MOVE:
            goal = self._actions.Move.Goal()
        else:
            goal = self._actions.Grasp.Goal()
            goal.force = command.force_n
            goal.epsilon.inner = command.epsilon_inner_m
            goal.epsilon.outer = command.epsilon_outer_m
        goal.width, goal.speed = command.width_m, command.speed_m_s
        return goal

    def take(self) -> list[CommandResult]:
        """Return the result of the goal or of the stop, if it has come."""
        response = None if self._stop_number is None else self._stop.take()
        if response is None:
            return super().take()
        outcome = Outcome.SUCCEEDED if response.success else Outcome.FAILED
        number, self._stop_number = self._stop_number, None
        return [CommandResult(number, outcome, response.message)]

    def _result_of(self, end: GoalEnd) -> tuple[Outcome, str]:
        """Return the outcome; the driver says in `success` what the goal's state says too."""
        outcome, error = _OUTCOMES[end.end], ''
        if end.result is not None:
            error = end.result.error
            if outcome is Outcome.SUCCEEDED and not end.result.success:
                outcome = Outcome.FAILED
        return outcome, error


class GripperCommandDriver(ActionDriver):
    """
    Action control_msgs/GripperCommand, whose position is that of each finger in m.

    On franka_gripper closing is a grasp of exactly that width: around an object it fails. Its
    result, other than its goal, holds the whole width; other servers may mean a finger. To stop
    is to cancel the goal.
    """

    def __init__(
            self, node: Node, name: str,
            make_client: Callable[..., PolledActionClient] = PolledActionClient):
        """
        Create the client.

        :param make_client: takes node, action type and name.
        :raises ConfigError: control_msgs is not installed.
        """
        super().__init__()
        actions = _actions_of(
            'control_msgs', 'gripper_command', 'apt-get install ros-jazzy-control-msgs')
        self._type = actions.GripperCommand
        self._names = {name: make_client(node, self._type, name)}
        self._client, = self._names.values()
        self._is_stopping = False

    def _servers(self) -> dict[str, PolledActionClient | PolledClient]:
        """Return the client by name."""
        return self._names

    def send(self, command: HandCommand) -> None:
        """Send the goal: half of the width and the greatest force in N; or cancel the last."""
        self._is_stopping = command.action is HandAction.STOP
        if self._is_stopping:
            self._number = command.number
            self._busy = self._client if self._client.cancel() else None
            return
        goal = self._type.Goal()
        goal.command.position = 0.5 * command.width_m
        goal.command.max_effort = command.force_n
        self._start(self._client, goal, command.number)

    def take(self) -> list[CommandResult]:
        """Return the result of the goal, or of a stop: however its goal ended, it has."""
        if not self._is_stopping:
            return super().take()
        if self._busy is not None and self._busy.take() is None:
            return []
        self._busy, self._is_stopping = None, False
        return [CommandResult(self._number, Outcome.SUCCEEDED)]

    def _result_of(self, end: GoalEnd) -> tuple[Outcome, str]:
        """Return the outcome; fingers that an object stops have done what they can."""
        outcome, result = _OUTCOMES[end.end], end.result
        if result is None:
            return outcome, ''
        detail = f'position {result.position:.4f} m'
        if result.stalled:
            return Outcome.SUCCEEDED if outcome is not Outcome.CANCELED else outcome, (
                f'stalled at {detail}')
        if outcome is Outcome.SUCCEEDED and not result.reached_goal:
            outcome = Outcome.FAILED
        return outcome, detail
