# SPDX-License-Identifier: Apache-2.0
"""Joint vectors for a forward command controller, in simulation only."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.interfaces.arm_sinks.base import joint_values_of, PacedSink, Preview
from ocrrl_ros.interfaces.arm_sinks.config import SinkConfig
from ocrrl_ros.interfaces.arm_sinks.fci_check import FciCheck
from ocrrl_ros.interfaces.qos import LATEST
from ocrrl_ros.policy.controller import Command
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray


class Float64CommandsSink(PacedSink):
    """
    ``<controller>/commands`` (Float64MultiArray): positions or velocities in joint order.

    Refused for a real arm by the parameter ``robot``, and by what the controller manager lists
    where one answers: until it has answered nothing is sent.
    """

    def __init__(self, node: Node, config: SinkConfig):
        """
        Create the publisher.

        :raises ConfigError: a real arm listens.
        """
        if config.robot != 'sim':
            raise ConfigError(
                f'sink float64_commands is refused with robot {config.robot!r}: the '
                f'{config.float64_interface} interface of a real FCI takes 1 kHz without a step, '
                'and stops with a reflex otherwise; allowed: crisp_joint, crisp_pose, '
                'jtc_trajectory, or robot sim where no real arm listens')
        super().__init__(config.paced_hz(0.0))
        self._sends_velocity = config.float64_interface == 'velocity'
        self._publisher = node.create_publisher(
            Float64MultiArray, f'{config.float64_controller}/commands', LATEST)
        self._message = Float64MultiArray()
        self._values = joint_values_of(self._message, 'data')
        self._check = FciCheck(node, config.float64_controller, config.float64_interface)

    def send(self, command: Command, now_s: float, preview: Preview) -> None:
        """Publish a command unless a real arm was found, or may yet be."""
        if self._is_allowed():
            super().send(command, now_s, preview)

    def rest(self, q: np.ndarray | None, now_s: float) -> None:
        """Look for the controller manager, and send the last command of a motion."""
        if self._is_allowed():
            super().rest(q, now_s)

    def _is_allowed(self) -> bool:
        """Return whether commands may go out, and note why not."""
        self._check.poll()
        self.problem = self._check.refusal
        return self.problem is None and not self._check.is_pending

    def _publish(self, command: Command, now_s: float, preview: Preview) -> None:
        """Publish positions in rad or velocities in rad/s."""
        self._values[:] = command.dq if self._sends_velocity else command.q
        self._publisher.publish(self._message)
