# SPDX-License-Identifier: Apache-2.0
"""
An action client for nodes without an executor: goal, result and cancel are three services.

ROS 2 names them ``<action>/_action/{send_goal,get_result,cancel_goal}``; feedback is left out.
"""

from __future__ import annotations

import enum
from typing import Any
import uuid

from action_msgs.msg import GoalStatus
from action_msgs.srv import CancelGoal
from ocrrl_ros.interfaces.polling import PolledClient
from rclpy.node import Node
from unique_identifier_msgs.msg import UUID


class GoalState(enum.Enum):
    """What has become of the goal that was sent last."""

    NONE = 'none'
    SENT = 'sent'
    ACCEPTED = 'accepted'
    REJECTED = 'rejected'
    SUCCEEDED = 'succeeded'
    CANCELED = 'canceled'
    ABORTED = 'aborted'


_ENDS = {
    GoalStatus.STATUS_SUCCEEDED: GoalState.SUCCEEDED,
    GoalStatus.STATUS_CANCELED: GoalState.CANCELED}


class PolledAction:
    """
    One goal at a time; ``poll`` returns how far it has come.

    :param kind: an action type, such as control_msgs.action.FollowJointTrajectory.
    """

    def __init__(self, node: Node, kind: Any, name: str):
        """Create the clients."""
        self.name = name
        self._kind = kind
        self._send = PolledClient(node, kind.Impl.SendGoalService, f'{name}/_action/send_goal')
        self._get = PolledClient(node, kind.Impl.GetResultService, f'{name}/_action/get_result')
        self._cancel = PolledClient(node, CancelGoal, f'{name}/_action/cancel_goal')
        self._id = UUID()
        self.state = GoalState.NONE
        self.result: Any | None = None

    def is_ready(self) -> bool:
        """Return whether a server is there."""
        return self._send.is_ready() and self._get.is_ready()

    def send(self, goal: Any) -> None:
        """Send a goal; an earlier one is forgotten, not cancelled."""
        self._id = UUID(uuid=list(uuid.uuid4().bytes))
        self.state, self.result = GoalState.SENT, None
        self._send.send(self._kind.Impl.SendGoalService.Request(goal_id=self._id, goal=goal))

    def cancel(self) -> None:
        """Ask the server to end the goal."""
        request = CancelGoal.Request()
        request.goal_info.goal_id = self._id
        self._cancel.send(request)

    def forget(self) -> None:
        """Wait no longer for a server that does not answer."""
        self.state = GoalState.NONE

    def poll(self) -> GoalState:
        """Take what the server has answered."""
        if self.state is GoalState.SENT:
            answer = self._send.take()
            if answer is not None:
                self.state = GoalState.ACCEPTED if answer.accepted else GoalState.REJECTED
                if answer.accepted:
                    self._get.send(self._kind.Impl.GetResultService.Request(goal_id=self._id))
        elif self.state is GoalState.ACCEPTED:
            answer = self._get.take()
            if answer is not None:
                self.state = _ENDS.get(answer.status, GoalState.ABORTED)
                self.result = answer.result
        return self.state
