# SPDX-License-Identifier: Apache-2.0
"""The drivers that the gripper node commands, one small class each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.interfaces.gripper_actions import (
    ActionDriver, FrankaDriver, GripperCommandDriver)
from ocrrl_ros.interfaces.gripper_state import GRIPPER_COMMAND_TOPIC
from ocrrl_ros.interfaces.qos import LATEST
from ocrrl_ros.robot.gripper_commands import CommandResult, HandCommand, HandLogic
from ocrrl_ros.robot.gripper_config import HandDriverConfig
from ocrrl_ros.robot.gripper_driver import CommandedHand
from ocrrl_ros.robot.gripper_stream import StreamedHand
from ocrrl_ros.robot.gripper_wish import BinaryWish, ProportionalWish
from rclpy.node import Node
from std_msgs.msg import Float32, Float64MultiArray

DriverName = Literal['franka', 'gripper_command', 'width_percent', 'crisp']
ModeName = Literal['auto', 'binary', 'proportional']


@dataclass(frozen=True, kw_only=True)
class DriverNames:
    """Relative names of the drivers' interfaces; only those of the chosen driver are used."""

    franka: str = field(default='franka_gripper', metadata={'description': (
        'driver franka: what stands before /move, /grasp, /homing and /stop')})
    gripper_command: str = field(
        default='franka_gripper/gripper_action', metadata={'description': (
            'driver gripper_command: action')})
    width_percent: str = field(
        default='gripper/gripper_client/target_gripper_width_percent', metadata={
            'description': 'driver width_percent: topic, 0 closed .. 1 open'})
    crisp: str = field(
        default='crisp_gripper/gripper_position_controller/commands', metadata={
            'description': (
                "driver crisp: topic to which the adapter's gripper/gripper_position_controller/"
                'commands is remapped, as the node itself listens there')})


class HandDriver(Protocol):
    """What the node needs of a driver; nothing here waits."""

    def is_ready(self) -> bool:
        """Return whether everything of the driver is there."""

    def missing(self) -> list[str]:
        """Return the names of what is not there."""

    def send(self, command: HandCommand) -> None:
        """Send a command; one that is still under way is forgotten."""

    def take(self) -> list[CommandResult]:
        """Return the results that have come since the last call."""


class StreamDriver:
    """Publishes openings, 0 closed .. 1 open, on one topic; nothing answers."""

    def __init__(self, node: Node, message_type: Any, topic: str):
        """Create the publisher."""
        self._type = message_type
        self._publisher = node.create_publisher(message_type, topic, LATEST)

    def is_ready(self) -> bool:
        """Return whether somebody listens."""
        return self._publisher.get_subscription_count() > 0

    def missing(self) -> list[str]:
        """Return the topic where nobody listens."""
        return [] if self.is_ready() else [self._publisher.topic_name]

    def send(self, command: HandCommand) -> None:
        """Publish the opening."""
        is_array = self._type is Float64MultiArray
        self._publisher.publish(
            self._type(data=[command.opening] if is_array else command.opening))

    def take(self) -> list[CommandResult]:
        """Return nothing: a topic does not answer."""
        return []


def make_driver(name: str, node: Node, names: DriverNames) -> HandDriver:
    """
    Return the driver of this name.

    :raises UnknownNameError: there is none; the message lists them.
    :raises ConfigError: its messages are not installed; the message has the install line.
    """
    if name == 'franka':
        return FrankaDriver(node, names.franka)
    if name == 'gripper_command':
        return GripperCommandDriver(node, names.gripper_command)
    if name == 'width_percent':
        return StreamDriver(node, Float32, names.width_percent)
    if name == 'crisp':
        return _crisp(node, names.crisp)
    raise UnknownNameError(
        'driver', name, DriverName.__args__, f'parameter driver of {node.get_name()}')


def _crisp(node: Node, topic: str) -> StreamDriver:
    """Return the driver of CRISP's adapter, unless the node would hear itself."""
    if node.resolve_topic_name(topic) == node.resolve_topic_name(GRIPPER_COMMAND_TOPIC):
        raise ConfigError(
            f'names.crisp is {topic!r}, the topic that this node listens to; allowed: another, to '
            "which the adapter's is remapped")
    return StreamDriver(node, Float64MultiArray, topic)


def make_logic(driver: HandDriver, mode: str, config: HandDriverConfig, name: str) -> HandLogic:
    """
    Return the logic that fits a driver.

    :param mode: binary, proportional, or auto: binary for franka, proportional for the others.
    :param name: of the driver, for messages.
    :raises ConfigError: the driver cannot do that.
    """
    is_franka = isinstance(driver, FrankaDriver)
    if is_franka and mode == 'proportional':
        raise ConfigError(
            f'mode is proportional; driver {name} allows: auto, binary, as its hand takes whole '
            'commands and cannot be interrupted')
    is_binary = mode == 'binary' or (mode == 'auto' and is_franka)
    wish = BinaryWish(config) if is_binary else ProportionalWish(config)
    if isinstance(driver, ActionDriver):
        return CommandedHand(config, wish, is_binary=is_binary, can_home=driver.CAN_HOME)
    return StreamedHand(config, wish)
