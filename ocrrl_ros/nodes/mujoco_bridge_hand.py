# SPDX-License-Identifier: Apache-2.0
"""Services of the Franka Hand's driver that need standard messages only."""

from __future__ import annotations

from ocrrl_ros.sim.world import SimWorld
from rclpy.node import Node
from std_srvs.srv import Trigger

_SAME_OPENING = 0.5


class HandServices:
    """
    The hand's commands and ``franka_gripper/stop``.

    A stop holds the fingers until another opening is commanded: the same opening again, as a
    streaming policy sends it, is the command that was stopped.
    """

    def __init__(self, node: Node, world: SimWorld):
        """Create the service."""
        self._world = world
        self._commanded: float | None = None
        self._is_stopped = False
        node.create_service(Trigger, 'franka_gripper/stop', self._on_stop)

    def command(self, opening: float) -> None:
        """Pass an opening on, 0 closed .. 1 open, unless it is the one that was stopped."""
        if self._is_stopped and self._commanded is not None \
                and abs(opening - self._commanded) < _SAME_OPENING:
            return
        self._is_stopped = False
        self._commanded = opening
        self._world.set_gripper(opening)

    def on_reset(self) -> None:
        """Forget what was commanded, at the start of an episode."""
        self._commanded = None
        self._is_stopped = False

    def _on_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Stop the fingers."""
        self._is_stopped = True
        self._world.stop_gripper()
        response.success = True
        return response
