# SPDX-License-Identifier: Apache-2.0
"""Requests to the robot by service and, where franka_msgs is installed, by action."""

from __future__ import annotations

from collections.abc import Callable
import queue
import threading
from typing import Any

from ocrrl_ros.interfaces.optional import optional
from ocrrl_ros.interfaces.parameters import keep_clock
from ocrrl_ros.interfaces.polling import DeferredService
from ocrrl_ros.robot.adapters.franka_fci.link import FciAnswer, FciLink
from rclpy.action import ActionServer
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import Trigger

RECOVERY_ACTION = 'action_server/error_recovery'
Reply = Callable[[bool, str], None]


def recover_by_action(
        kind: Any, ask: Callable[[Reply], None], limit_s: float) -> Callable[[Any], Any]:
    """
    Return the execute callback of franka_msgs/ErrorRecovery.

    :param kind: the action's type.
    :param ask: hands the request to the node's loop, which replies in its own time.
    :param limit_s: longest wait for the reply.
    """
    def execute(handle: Any) -> Any:
        replies: queue.SimpleQueue[bool] = queue.SimpleQueue()
        ask(lambda success, message: replies.put(success))
        try:
            succeeded = replies.get(timeout=limit_s)
        except queue.Empty:
            succeeded = False
        (handle.succeed if succeeded else handle.abort)()
        return kind.Result()

    return execute


class FciRequests:
    """
    ``~/error_recovery`` and ``~/stop``, and the action of franka_ros2; the loop calls ``step``.

    :param limit_s: longest time that the robot may take for a recovery.
    """

    def __init__(self, node: Node, link: FciLink, limit_s: float):
        """Create the services, and the action on a node and thread of its own."""
        self._link = link
        self._services = {
            'recover': DeferredService(node, Trigger, '~/error_recovery'),
            'stop': DeferredService(node, Trigger, '~/stop')}
        self._asked: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self._open: dict[int, Reply] = {}
        self._executor: SingleThreadedExecutor | None = None
        franka = optional('franka_msgs.action')
        if franka is not None:
            self._serve_action(node, franka.ErrorRecovery, limit_s)

    def step(self) -> list[FciAnswer]:
        """Pass on what is asked, reply to what was answered, and return those answers."""
        for what, service in self._services.items():
            taken = service.take()
            if taken is not None:
                self._request(what, _replying(service, taken[1]))
        while not self._asked.empty():
            self._request('recover', self._asked.get())
        answers = self._link.take_answers()
        for answer in answers:
            self._open.pop(answer.number)(answer.success, answer.message)
        return answers

    def close(self) -> None:
        """End the action's thread."""
        if self._executor is not None:
            self._executor.shutdown(timeout_sec=1.0)
            self._thread.join(1.0)
            self._action_node.destroy_node()

    def _request(self, what: str, reply: Reply) -> None:
        """Ask the robot and remember who wants to know."""
        self._open[self._link.request(what)] = reply

    def _serve_action(self, node: Node, kind: Any, limit_s: float) -> None:
        """Offer the recovery of franka_ros2."""
        self._action_node = Node(
            f'{node.get_name()}_actions', context=node.context, namespace=node.get_namespace(),
            use_global_arguments=False)
        keep_clock(self._action_node)
        self._server = ActionServer(
            self._action_node, kind, RECOVERY_ACTION,
            recover_by_action(kind, self._asked.put, limit_s))
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(self._action_node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()


def _replying(service: DeferredService, header: Any) -> Reply:
    """Return what answers one request of a service."""
    return lambda success, message: service.answer(header, success=success, message=message)
