# SPDX-License-Identifier: Apache-2.0
"""
Find out whether raw commands would reach a real arm, from what its controller manager says.

The FCI takes positions and velocities at 1 kHz with every limiter off (facts/franka.md sections 0
and 1.4): a command that stays for more than a millisecond is a discontinuity, and the arm stops
with a reflex. On its effort interface the same numbers would be torques.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ocrrl_ros.interfaces.optional import optional
from ocrrl_ros.interfaces.polling import PolledClient
from rclpy.node import Node

FCI_PLUGIN = 'franka_hardware/FrankaHardwareInterface'


def raw_command_refusal(
        controller: str, interface: str, controllers: Iterable[Any],
        components: Iterable[Any]) -> str | None:
    """
    Return why a controller may not be fed with raw commands, or None.

    :param interface: position or velocity: what is sent.
    :param controllers: controller_manager_msgs/ControllerState of list_controllers.
    :param components: controller_manager_msgs/HardwareComponentState of
        list_hardware_components.
    """
    for component in components:
        # The field was renamed between distributions.
        plugin = getattr(component, 'plugin_name', '') or getattr(component, 'class_type', '')
        if plugin == FCI_PLUGIN:
            return (
                f'float64_commands is refused: hardware component {component.name!r} is a real '
                f'FCI ({FCI_PLUGIN}), which needs {interface} commands at 1 kHz without a step; '
                'use crisp_joint, crisp_pose or jtc_trajectory')
    for state in controllers:
        wrong = [name for name in state.claimed_interfaces
                 if name.rpartition('/')[2] != interface]
        if state.name == controller and wrong:
            return (
                f'float64_commands is refused: controller {controller!r} has claimed '
                f'{wrong[0]!r}; allowed: {interface} interfaces (parameter float64_interface)')
    return None


class FciCheck:
    """
    Asks the controller manager once, where its messages are installed and it is there.

    ``is_pending`` while an answer is awaited; ``refusal`` says why nothing may be sent.
    """

    def __init__(self, node: Node, controller: str, interface: str):
        """Create the clients, or none where controller_manager_msgs is not installed."""
        self._controller, self._interface = controller, interface
        self.refusal: str | None = None
        services = optional('controller_manager_msgs.srv')
        self._clients = () if services is None else (
            PolledClient(node, services.ListControllers, 'controller_manager/list_controllers'),
            PolledClient(node, services.ListHardwareComponents,
                         'controller_manager/list_hardware_components'))
        self._answers: list[Any] | None = None

    @property
    def is_pending(self) -> bool:
        """Return whether an answer is awaited."""
        return self._answers is not None and None in self._answers

    def poll(self) -> None:
        """Ask when the manager has come up; take its answers and judge them."""
        if self._answers is None:
            if self._clients and all(client.is_ready() for client in self._clients):
                self._answers = [None for _ in self._clients]
                for client in self._clients:
                    client.send()
            return
        if not self.is_pending:
            return
        for i, client in enumerate(self._clients):
            self._answers[i] = self._answers[i] or client.take()
        if not self.is_pending:
            listed, hardware = self._answers
            self.refusal = raw_command_refusal(
                self._controller, self._interface, listed.controller, hardware.component)
