# SPDX-License-Identifier: Apache-2.0
"""Send goals to an action server from a loop: send now, look for the result later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
import uuid

from action_msgs.msg import GoalStatus
from action_msgs.srv import CancelGoal
from ocrrl_ros.interfaces.polling import PolledGroup
from rclpy.action import ActionClient
from rclpy.node import Node
from unique_identifier_msgs.msg import UUID

_ENDS = {
    GoalStatus.STATUS_SUCCEEDED: 'succeeded', GoalStatus.STATUS_CANCELED: 'canceled',
    GoalStatus.STATUS_ABORTED: 'aborted'}


@dataclass(frozen=True)
class GoalEnd:
    """
    How a goal ended: succeeded, canceled, aborted, rejected or unknown.

    Unknown: the server does not know the goal, as after a restart. ``result`` is the action's
    Result, None where there is none.
    """

    end: str
    result: Any = None


class PolledActionClient:
    """
    One goal at a time to one action server; nothing blocks and no executor is needed.

    rclpy's client is made for executors, which take its answers from a wait set. Here they are
    taken in the caller's loop, with the same calls; feedback and status are not looked at.
    """

    def __init__(self, node: Node, action_type: Any, name: str):
        """Create the client in a group that executors skip."""
        self.name = name
        self._type = action_type
        self._client = ActionClient(node, action_type, name, callback_group=PolledGroup())
        # The one thing of rclpy that its client does not show: the handle with the takes.
        self._handle = self._client._client_handle
        self._goal_request: int | None = None
        self._result_request: int | None = None
        self._goal_id: UUID | None = None

    def is_ready(self) -> bool:
        """Return whether a server is there."""
        return self._client.server_is_ready()

    @property
    def is_busy(self) -> bool:
        """Return whether a goal is under way, accepted or not."""
        return self._goal_id is not None

    @property
    def is_accepted(self) -> bool:
        """Return whether the server has accepted the goal under way."""
        return self._result_request is not None

    def forget(self) -> None:
        """Wait no longer for a server that does not answer."""
        self._goal_id = self._goal_request = self._result_request = None

    def send(self, goal: Any) -> None:
        """Send a goal; one that is still under way is forgotten, and goes on at the server."""
        self._goal_id = UUID(uuid=list(uuid.uuid4().bytes))
        request = self._type.Impl.SendGoalService.Request(goal_id=self._goal_id, goal=goal)
        self._goal_request = self._handle.send_goal_request(request)
        self._result_request = None

    def cancel(self) -> bool:
        """Ask the server to cancel the goal under way; return whether there is one."""
        if self._goal_id is None:
            return False
        request = CancelGoal.Request()
        request.goal_info.goal_id = self._goal_id
        self._handle.send_cancel_request(request)
        return True

    def take(self) -> GoalEnd | None:
        """Return how the goal ended, once, or None while it has not."""
        rejected = self._take_acceptance()
        return rejected or self._take_result()

    def _take_acceptance(self) -> GoalEnd | None:
        """Ask for the result of an accepted goal; return the end of a rejected one."""
        while True:
            number, response = self._handle.take_goal_response(
                self._type.Impl.SendGoalService.Response)
            if number is None:
                return None
            if number != self._goal_request:
                continue
            self._goal_request = None
            if not response.accepted:
                self._goal_id = None
                return GoalEnd('rejected')
            request = self._type.Impl.GetResultService.Request(goal_id=self._goal_id)
            self._result_request = self._handle.send_result_request(request)

    def _take_result(self) -> GoalEnd | None:
        """Return the end of the goal under way."""
        while True:
            number, response = self._handle.take_result_response(
                self._type.Impl.GetResultService.Response)
            if number is None:
                return None
            if number == self._result_request:
                self._goal_id = self._result_request = None
                return GoalEnd(_ENDS.get(response.status, 'unknown'), response.result)

    def destroy(self) -> None:
        """Take the client off the graph."""
        self._client.destroy()
