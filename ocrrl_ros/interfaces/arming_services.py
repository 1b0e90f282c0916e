# SPDX-License-Identifier: Apache-2.0
"""What services and the graph say about the arm before it may move; nothing here waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ocrrl_ros.interfaces.arming_topics import Seen
from ocrrl_ros.interfaces.polling import PolledClient
from ocrrl_ros.robot.arming_facts import ControllerSample
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

_ANSWER_S = 2.0
_REPEAT_S = 1.0
#: An answer is asked for anew before it is older, but where nobody has looked for a while.
_MAX_AGE_S = _REPEAT_S + _ANSWER_S + 1.0
_LIST = 'controller_manager/list_controllers'


class Question:
    """
    One request after another to a service, at a bounded rate.

    :param what: the service's name, for reasons.
    """

    def __init__(self, node: Node, service_type: Any, name: str):
        """Create the client."""
        self._client = PolledClient(node, service_type, name)
        self.name = name
        self._asked_s: float | None = None
        self._due_s = self._answered_s = float('-inf')
        self.answer: Any = None
        self.problem = f'there is no service {name}'

    def look(self, now_s: float, make_request: Callable[[], Any]) -> None:
        """Take the answer, or ask where it is time to."""
        if self.answer is not None and now_s - self._answered_s > _MAX_AGE_S:
            self.answer, self.problem = None, f'{self.name} has not answered anew yet'
        if self._asked_s is not None:
            answer = self._client.take()
            if answer is not None:
                self.answer, self.problem, self._asked_s = answer, '', None
                self._answered_s, self._due_s = now_s, now_s + _REPEAT_S
            elif now_s - self._asked_s > _ANSWER_S:
                self._fail(f'{self.name} has not answered within {_ANSWER_S:g} s')
        elif not self._client.is_ready():
            self._fail(f'there is no service {self.name}')
        elif now_s >= self._due_s:
            self._client.send(make_request())
            self._asked_s = now_s

    def _fail(self, problem: str) -> None:
        """Forget what was answered before."""
        self.answer, self.problem, self._asked_s = None, problem, None


class ControllerSource:
    """
    The controllers of ros2_control.

    :param service_type: ListControllers, or None where controller_manager_msgs is not installed.
    """

    period_s = 0.1
    _facts = ('controller',)

    def __init__(self, node: Node, service_type: Any | None):
        """Create the client where the type is there."""
        self._type = service_type
        self._question = None if service_type is None else Question(node, service_type, _LIST)

    def look(self, now_s: float) -> None:
        """Ask, or take the answer."""
        if self._question is not None:
            self._question.look(now_s, self._type.Request)

    def tell(self, now_s: float, seen: Seen) -> None:
        """Write the controllers."""
        if self._question is None:
            seen.lack(self._facts, 'controller_manager_msgs is not installed on this computer')
        elif self._question.answer is None:
            seen.lack(self._facts, self._question.problem)
        else:
            seen.values['controllers'] = self.controllers()

    def controllers(self) -> tuple[ControllerSample, ...]:
        """Return the controllers of the newest answer; none before."""
        answer = None if self._question is None else self._question.answer
        return () if answer is None else tuple(
            ControllerSample(
                name=item.name, state=item.state, claimed=tuple(item.claimed_interfaces))
            for item in answer.controller)


class ParameterSource:
    """
    Parameters of the controller that takes the targets.

    They are listed first: a controller that is asked for one that it lacks tells none at all.

    :param allowed: names of controllers; that which is active is read, or the first that is there.
    :param wanted: names of the parameters.
    """

    period_s = 0.1
    _facts = ('gains',)

    def __init__(
            self, node: Node, allowed: Sequence[str], wanted: Sequence[str],
            controllers: ControllerSource):
        """Create the clients."""
        self._wanted, self._controllers = tuple(wanted), controllers
        self._lists = {
            name: Question(node, ListParameters, f'{name}/list_parameters') for name in allowed}
        self._values = {
            name: Question(node, GetParameters, f'{name}/get_parameters') for name in allowed}
        self._names: dict[str, list[str]] = {}

    def look(self, now_s: float) -> None:
        """Ask every controller that may take targets, or take its answers."""
        for name, listed in self._lists.items():
            listed.look(now_s, ListParameters.Request)
            if listed.answer is None:
                continue
            there = set(listed.answer.result.names)
            self._values[name].look(now_s, lambda: self._request(name, there))

    def _request(self, name: str, there: set[str]) -> Any:
        """Return the request for what is wanted and there; its order is that of the answer."""
        self._names[name] = [item for item in self._wanted if item in there]
        return GetParameters.Request(names=self._names[name])

    def tell(self, now_s: float, seen: Seen) -> None:
        """Write the parameters of the active controller, or of the first that answered."""
        active = [item.name for item in self._controllers.controllers() if item.state == 'active']
        ours = [name for name in self._values if name in active] or list(self._values)
        for name in ours:
            answer = self._values[name].answer
            if answer is None or self._lists[name].answer is None:
                continue
            names = self._names[name]
            if len(answer.values) != len(names):
                seen.lack(self._facts, f'{name} did not tell its parameters')
                return
            seen.values['parameter_source'] = name
            seen.values['parameters'] = {
                item: parameter_value_to_python(value)
                for item, value in zip(names, answer.values)}
            return
        first = ours[0]
        seen.lack(self._facts, self._lists[first].problem or self._values[first].problem)


class PublisherSource:
    """Who publishes targets: one topic is looked up at a time, as that takes the graph's lock."""

    period_s = 0.2
    _facts = ('publishers',)

    def __init__(self, node: Node, topics: Sequence[str]):
        """Start without having looked at the topics."""
        self._node, self._topics = node, tuple(topics)
        self._found: dict[str, tuple[str, ...]] = {}
        self._next = 0

    def look(self, now_s: float) -> None:
        """Look up one topic."""
        name = self._topics[self._next]
        self._next = (self._next + 1) % len(self._topics)
        # As remapped for this node: that is where its targets go.
        resolved = self._node.resolve_topic_name(name)
        self._found[name] = tuple(
            f'{info.node_namespace.rstrip("/")}/{info.node_name}'
            for info in self._node.get_publishers_info_by_topic(resolved))

    def tell(self, now_s: float, seen: Seen) -> None:
        """Write the publishers once every topic was looked up."""
        if len(self._found) < len(self._topics):
            seen.lack(self._facts, 'the topics of targets have not been looked up yet')
        else:
            seen.values['publishers'] = dict(self._found)
