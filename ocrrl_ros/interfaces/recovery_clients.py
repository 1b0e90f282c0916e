# SPDX-License-Identifier: Apache-2.0
"""
The steps of a recovery as calls of the driver: franka_ros2's in its order, or fci_arm's.

Their messages are no wheels. What is not installed fails the step that needs it, by name, when
that step is reached (facts/franka.md sections 1.4 to 1.6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ocrrl_ros.core.errors import InputError, MissingDependencyError, UnknownNameError
from ocrrl_ros.interfaces.optional import optional
from ocrrl_ros.interfaces.polled_action import PolledActionClient
from ocrrl_ros.interfaces.polling import PolledClient
from ocrrl_ros.robot.fault_recovery import RecoveryConfig, RecoveryStep
from rclpy.node import Node
from std_srvs.srv import Trigger

FRANKA_INSTALL = (
    'colcon build --packages-select franka_msgs, in a workspace with franka_ros2')
MANAGER_INSTALL = 'apt-get install ros-jazzy-controller-manager-msgs'
_ACTIVE = 'active'
#: lifecycle_msgs/State.PRIMARY_STATE_ACTIVE.
_ACTIVE_ID = 3
#: controller_manager_msgs/SwitchController.STRICT: all of them or none.
_STRICT = 2


class _Call:
    """One call of a service: waits for the server, then for the answer, without blocking."""

    def __init__(self, node: Node, service_type: Any, name: str):
        """Create the client."""
        self._client = PolledClient(node, service_type, name)
        self.name = name
        self._request: Any = None
        self._is_sent = False

    def begin(self, request: Any = None) -> None:
        """Begin anew; an earlier call is forgotten."""
        self._request, self._is_sent = request, False

    def poll(self) -> Any:
        """Return the answer, or None while there is none."""
        if self._is_sent:
            return self._client.take()
        if self._client.is_ready():
            self._client.send(self._request)
            self._is_sent = True
        return None

    def awaited(self) -> str:
        """Return what is missing."""
        return f'no answer of {self.name}' if self._is_sent else f'no service {self.name}'


class ErrorRecoveryAction:
    """The action of franka_ros2 that clears what has stopped the robot."""

    name = 'error recovery'

    def __init__(self, node: Node, action: str):
        """Create the client where franka_msgs is installed."""
        self._actions: Any = optional('franka_msgs.action')
        self._client = None if self._actions is None else PolledActionClient(
            node, self._actions.ErrorRecovery, action)
        self._is_sent = False

    def begin(self) -> None:
        """
        Forget an earlier goal.

        :raises MissingDependencyError: franka_msgs is not installed.
        """
        if self._client is None:
            raise MissingDependencyError('franka_msgs (error recovery)', FRANKA_INSTALL)
        self._client.forget()
        self._is_sent = False

    def poll(self) -> str | None:
        """Send the goal once there is a server, then look for its end."""
        if not self._is_sent:
            if self._client.is_ready():
                self._client.send(self._actions.ErrorRecovery.Goal())
                self._is_sent = True
            return None
        goal = self._client.take()
        if goal is None:
            return None
        if goal.end != 'succeeded':
            raise InputError(f'{self._client.name} has {goal.end} the goal')
        return 'done'

    def awaited(self) -> str:
        """Return what is missing."""
        return (f'no result of {self._client.name}' if self._is_sent
                else f'no action server {self._client.name}')


class ErrorRecoveryService:
    """The same by a Trigger, as ``fci_arm`` offers it."""

    name = 'error recovery'

    def __init__(self, node: Node, service: str):
        """Create the client."""
        self._call = _Call(node, Trigger, service)
        self.begin, self.awaited = self._call.begin, self._call.awaited

    def poll(self) -> str | None:
        """Return the driver's words once it has recovered."""
        answer = self._call.poll()
        if answer is None:
            return None
        if not answer.success:
            raise InputError(answer.message or f'{self._call.name} has refused')
        return answer.message or 'done'


class _ManagerStep:
    """A step that lists something of the controller manager and changes what is not active."""

    name: str

    def __init__(self, node: Node, manager: str, listing: str, changing: str):
        """Create the clients, named as the types of their services."""
        services: Any = optional('controller_manager_msgs.srv')
        self._has_messages = services is not None
        self._is_changing = False
        if services is not None:
            kinds = (getattr(services, listing), getattr(services, changing))
            self._make_request = kinds[1].Request
            self._listing, self._changing = (
                _Call(node, kind, f'{manager}/{_snake(name)}')
                for kind, name in zip(kinds, (listing, changing)))

    def begin(self) -> None:
        """
        Ask for the list.

        :raises MissingDependencyError: controller_manager_msgs is not installed.
        """
        if not self._has_messages:
            raise MissingDependencyError(
                f'controller_manager_msgs ({self.name})', MANAGER_INSTALL)
        self._is_changing = False
        self._listing.begin()

    def poll(self) -> str | None:
        """Change what the list says is not active, and return what was done."""
        if self._is_changing:
            answer = self._changing.poll()
            return None if answer is None else self._judge(answer)
        listed = self._listing.poll()
        if listed is None:
            return None
        request = self._request(listed)
        if request is None:
            return 'active already'
        self._is_changing = True
        self._changing.begin(request)
        return None

    def awaited(self) -> str:
        """Return what is missing."""
        return (self._changing if self._is_changing else self._listing).awaited()

    def _request(self, listed: Any) -> Any:
        """Return the change that is needed, or None for none."""
        raise NotImplementedError

    def _judge(self, answer: Any) -> str:
        """Return what the change has done; raise InputError where it has not."""
        raise NotImplementedError


class HardwareActive(_ManagerStep):
    """The hardware component: an error of the robot leaves it unconfigured."""

    name = 'hardware active'

    def __init__(self, node: Node, config: RecoveryConfig):
        """Create the clients."""
        super().__init__(
            node, config.controller_manager, 'ListHardwareComponents',
            'SetHardwareComponentState')
        self._hardware = config.hardware

    def _request(self, listed: Any) -> Any:
        """Return the request to make it active; raise UnknownNameError without it."""
        states = {component.name: component.state.label for component in listed.component}
        if self._hardware not in states:
            raise UnknownNameError(
                'hardware component', self._hardware, states, 'parameter recovery.hardware')
        if states[self._hardware] == _ACTIVE:
            return None
        request = self._make_request()
        request.name = self._hardware
        request.target_state.id, request.target_state.label = _ACTIVE_ID, _ACTIVE
        return request

    def _judge(self, answer: Any) -> str:
        """Compare the state that it is in now."""
        label = answer.state.label
        if not answer.ok or label != _ACTIVE:
            raise InputError(f'{self._hardware} is {label or "in an unknown state"}, not active')
        return 'made active'


class ControllersActive(_ManagerStep):
    """The arm's controller and the broadcasters, which fell with the hardware."""

    name = 'controllers active'

    def __init__(self, node: Node, config: RecoveryConfig):
        """Create the clients."""
        super().__init__(
            node, config.controller_manager, 'ListControllers', 'SwitchController')
        self._controller, self._broadcasters = config.controller, config.broadcasters
        self._names: list[str] = []

    def _request(self, listed: Any) -> Any:
        """Return the request to activate what is inactive."""
        states = {item.name: item.state for item in listed.controller}
        if self._controller and self._controller not in states:
            raise UnknownNameError(
                'controller', self._controller, states, 'parameter recovery.controller')
        wanted = [*([self._controller] if self._controller else []), *self._broadcasters]
        self._names = [name for name in wanted if states.get(name, _ACTIVE) != _ACTIVE]
        if not self._names:
            return None
        request = self._make_request()
        request.activate_controllers = self._names
        request.strictness = _STRICT
        return request

    def _judge(self, answer: Any) -> str:
        """Say which ones."""
        names = ', '.join(self._names)
        if not answer.ok:
            raise InputError(
                f'{self._changing.name} has not activated {names}; its log says why')
        return f'activated {names}'


class TakesTargets:
    """The end of it: nothing more keeps the arm from being commanded."""

    name = 'robot takes targets'

    def __init__(self, problem: Callable[[], str]):
        """
        Keep what to ask.

        :param problem: returns why the arm cannot be commanded now, or an empty string.
        """
        self.awaited = problem

    def begin(self) -> None:
        """Do nothing."""

    def poll(self) -> str | None:
        """Return once there is no problem."""
        return None if self.awaited() else 'yes'


def _snake(name: str) -> str:
    """Return the name of a service by the name of its type."""
    return ''.join(f'_{c.lower()}' if c.isupper() else c for c in name).lstrip('_')


def recovery_steps(
        node: Node, config: RecoveryConfig, problem: Callable[[], str]) -> Iterable[RecoveryStep]:
    """
    Return the steps of this driver in their order.

    :param problem: returns why the arm cannot be commanded now, or an empty string.
    """
    if config.driver == 'franka_ros2':
        yield ErrorRecoveryAction(node, config.error_recovery or 'action_server/error_recovery')
        yield HardwareActive(node, config)
        yield ControllersActive(node, config)
    elif config.driver == 'fci_arm':
        yield ErrorRecoveryService(node, config.error_recovery or 'fci_arm/error_recovery')
    yield TakesTargets(problem)
