# SPDX-License-Identifier: Apache-2.0
"""Targets from topics as CRISP takes them: by index, and from one publisher only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
from sensor_msgs.msg import JointState

M = TypeVar('M')
_WARN_EVERY_S = 2.0


def joint_target(message: JointState) -> tuple[np.ndarray, np.ndarray]:
    """
    Return positions in rad and velocities in rad/s, by index; velocities left out are zeros.

    :raises InputError: names are given, and not those of the arm in its order.
    """
    names = tuple(message.name)
    if names and names != ARM_JOINT_NAMES:
        raise InputError(
            f'names are {list(names)}; the controller goes by index, so they must be '
            f'{list(ARM_JOINT_NAMES)} or left out')
    velocity = np.array(message.velocity) if len(message.velocity) else np.zeros(7)
    return np.array(message.position), velocity


class TargetGuard:
    """
    Hands targets over; what cannot be used changes nothing and is named, not too often.

    :param warn: takes a line for the operator.
    """

    def __init__(self, warn: Callable[[str], object]):
        """Start without refusals."""
        self._warn = warn
        self._warned_s: dict[str, float] = {}
        self.refused = 0

    def take(
            self, subscription: PolledSubscription[M], accept: Callable[[M], None],
            now_s: float) -> None:
        """Take the newest message of a topic and hand it over, or say why not."""
        message = subscription.take_newest()
        if message is None:
            return
        publishers = subscription.publisher_count()
        if publishers > 1:
            self.refuse(subscription.name, (
                f'SAFETY WARNING: {publishers} publishers on {subscription.name}; every '
                'message is ignored until only one is left'), now_s)
            return
        try:
            accept(message)
        except InputError as error:
            self.refuse(
                subscription.name, f'message on {subscription.name} refused: {error}', now_s)

    def refuse(self, name: str, text: str, now_s: float) -> None:
        """Count a refusal and warn at most every two seconds per topic and kind of text."""
        self.refused += 1
        # Without its numbers a text tells the kind of refusal.
        kind = name + ''.join(letter for letter in text if letter.isalpha())
        if now_s - self._warned_s.get(kind, float('-inf')) >= _WARN_EVERY_S:
            self._warned_s[kind] = now_s
            self._warn(text)
