# SPDX-License-Identifier: Apache-2.0
"""What every sink is to the node, and how those that send less often than commands come do it."""

from __future__ import annotations

import abc
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from ocrrl_ros.policy.controller import Command
from rclpy.publisher import Publisher

#: Takes a step in s and a count n; returns positions and velocities (n, 7) ahead of the command.
Preview = Callable[[float, int], tuple[np.ndarray, np.ndarray]]
_TIME_TOLERANCE_S = 1e-6


class ArmSink(abc.ABC):
    """Sole publisher of one command topic."""

    #: Why nothing may be sent, or None.
    problem: str | None = None
    _publisher: Publisher

    @property
    def topic_name(self) -> str:
        """Return the resolved name of the topic."""
        return self._publisher.topic_name

    @abc.abstractmethod
    def send(self, command: Command, now_s: float, preview: Preview) -> None:
        """
        Publish one command.

        :param now_s: ROS time of the command.
        :param preview: what follows the command if no new goal comes.
        """

    def rest(self, q: np.ndarray | None, now_s: float) -> None:
        """
        Note a tick without a command.

        :param q: measured joint positions (7,) in rad, None before the first.
        """


class PacedSink(ArmSink):
    """
    Sends at most ``rate_hz`` times per second, and the last command of a motion always.

    :param rate_hz: 0 sends every command.
    """

    def __init__(self, rate_hz: float):
        """Have the first command sent at once."""
        self._period_s = 1.0 / rate_hz if rate_hz > 0.0 else 0.0
        self._due_s = -np.inf
        self._skipped: tuple[Command, Preview] | None = None

    def send(self, command: Command, now_s: float, preview: Preview) -> None:
        """Publish the command, or keep it while the last one is too recent."""
        if now_s < self._due_s - _TIME_TOLERANCE_S:
            self._skipped = command, preview
            return
        self._pass_on(command, now_s, preview)

    def rest(self, q: np.ndarray | None, now_s: float) -> None:
        """Publish the command that a motion ended with, should the pace have left it out."""
        if self._skipped is not None and now_s >= self._due_s - _TIME_TOLERANCE_S:
            self._pass_on(self._skipped[0], now_s, self._skipped[1])

    def _pass_on(self, command: Command, now_s: float, preview: Preview) -> None:
        """Publish and note when the next one is due, on an even beat."""
        late_s = now_s - self._due_s
        self._due_s = self._period_s + (
            self._due_s if 0.0 <= late_s < self._period_s else now_s)
        self._skipped = None
        self._publish(command, now_s, preview)

    @abc.abstractmethod
    def _publish(self, command: Command, now_s: float, preview: Preview) -> None:
        """Fill the message and publish it."""


def joint_values_of(message: Any, field: str) -> np.ndarray:
    """
    Give a field of a message seven zeros, and return the array (7,) that writes them in place.

    Later ticks then neither build an array nor copy one into the message.
    """
    setattr(message, field, array('d', bytes(7 * 8)))
    # Setting has made a copy; the getter gives that.
    return np.frombuffer(getattr(message, field), dtype=float)
