# SPDX-License-Identifier: Apache-2.0
"""What topics say about the arm before it may move; every look takes what waits and returns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.interfaces.conversions import checked_pose, from_stamp, joint_values
from ocrrl_ros.interfaces.monitor import DIAGNOSTICS_TOPIC
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATCHED, LATEST_BEST_EFFORT, RELIABLE
from ocrrl_ros.robot.adapters.franka_fci.state import RobotMode
from ocrrl_ros.robot.arming_facts import JointSample, PayloadSample, PoseSample
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
from rclpy.node import Node
from sensor_msgs.msg import JointState

_WINDOW_S = 1.0
#: ``/diagnostics`` come once a second.
_DIAGNOSTICS_AGE_S = 5.0
_FCI_NODE = 'fci_arm'


@dataclass
class Seen:
    """What the sources have told: fields of an ``ArmObservation``, and why others lack."""

    values: dict[str, Any] = field(default_factory=dict)
    offsets_s: dict[str, float] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)

    def lack(self, facts: Sequence[str], reason: str) -> None:
        """Note why facts are not known; the first reason counts."""
        for fact in facts:
            self.why.setdefault(fact, reason)


class Source(Protocol):
    """One thing that is looked at."""

    period_s: float
    """Least time between two looks."""

    def look(self, now_s: float) -> None:
        """Take what has come, without waiting."""

    def tell(self, now_s: float, seen: Seen) -> None:
        """Write what is known into ``seen``, or why it is not."""


class StampedSource:
    """
    The newest message of a stamped topic, and how late messages come.

    :param convert: makes a sample of a message; an InputError becomes the reason.
    :param key: field of the observation.
    :param facts: what is unknown without it.
    """

    period_s = 0.05

    def __init__(
            self, node: Node, message_type: type, name: str, convert: Callable[[Any], Any], *,
            key: str, facts: Sequence[str], max_age_s: float):
        """Subscribe to the newest message."""
        self._name, self._convert, self._key = name, convert, key
        self._facts, self._max_age_s = facts, max_age_s
        self._topic = PolledSubscription(node, message_type, name, LATEST_BEST_EFFORT)
        self._is_simulated = bool(node.get_parameter('use_sim_time').value)
        self._offsets: deque[tuple[float, float]] = deque()
        self._sample: Any = None
        self._arrived_s = float('-inf')
        self._problem = ''

    def look(self, now_s: float) -> None:
        """Take the newest message."""
        found = self._topic.take_received()
        if found is None:
            return
        message, received_s = found
        if self._is_simulated or received_s <= 0.0:
            received_s = now_s
        try:
            self._sample, self._problem = self._convert(message), ''
        except InputError as error:
            self._sample, self._problem = None, str(error)
            return
        self._arrived_s = received_s
        self._offsets.append((received_s, received_s - self._sample.stamp_s))

    def tell(self, now_s: float, seen: Seen) -> None:
        """Write the sample where it is new enough, and the least delay of the newest second."""
        while self._offsets and self._offsets[0][0] < now_s - _WINDOW_S:
            self._offsets.popleft()
        age_s = now_s - self._arrived_s
        if self._problem:
            seen.lack(self._facts, f'{self._name} cannot be used: {self._problem}')
        elif self._sample is None:
            seen.lack(self._facts, f'nothing has come on {self._topic.name}')
        elif age_s > self._max_age_s:
            seen.lack(self._facts, (
                f'the newest message on {self._topic.name} is {age_s:.1f} s old, allowed: '
                f'{self._max_age_s:g} s'))
        else:
            seen.values[self._key] = self._sample
            if self._offsets:
                seen.offsets_s[self._name] = min(offset for _, offset in self._offsets)


def joint_sample(message: JointState) -> JointSample:
    """
    Return the arm's joints.

    :raises InputError: one is missing or not finite.
    """
    q, dq = (joint_values(message, ARM_JOINT_NAMES, name) for name in ('position', 'velocity'))
    return JointSample(q=q, dq=dq, stamp_s=from_stamp(message.header.stamp))


def pose_sample(message: PoseStamped) -> PoseSample:
    """
    Return a pose with its frame.

    :raises InputError: it is no pose.
    """
    return PoseSample(
        frame_T_tcp=checked_pose(message.pose, 'the message'), frame=message.header.frame_id,
        stamp_s=from_stamp(message.header.stamp))


class StatusSource:
    """
    A latched DiagnosticStatus whose publisher is still there.

    :param keys: from the status' values to fields of the observation.
    """

    period_s = 0.1

    def __init__(self, node: Node, name: str, keys: dict[str, str], facts: Sequence[str]):
        """Subscribe."""
        self._topic = PolledSubscription(node, DiagnosticStatus, name, LATCHED)
        self._name, self._keys, self._facts = name, keys, facts
        self._values: dict[str, str] | None = None
        self._is_alive = False

    def look(self, now_s: float) -> None:
        """Take the newest state, and look whether who said it is alive."""
        message = self._topic.take_newest()
        if message is not None:
            self._values = {pair.key: pair.value for pair in message.values}
        self._is_alive = self._topic.publisher_count() > 0

    def tell(self, now_s: float, seen: Seen) -> None:
        """Write the values."""
        if self._values is None or not self._is_alive:
            seen.lack(self._facts, f'nobody publishes {self._topic.name}')
            return
        for key, field_name in self._keys.items():
            seen.values[field_name] = self._values.get(key)


class FciDiagnosticsSource:
    """What ``fci_arm`` says of the end effector and the masses that are set in Desk."""

    period_s = 0.1
    _facts = ('end_effector', 'payload')

    def __init__(self, node: Node):
        """Subscribe to the diagnostics of every node."""
        self._topic = PolledSubscription(node, DiagnosticArray, DIAGNOSTICS_TOPIC, RELIABLE)
        self._values: dict[str, str] = {}
        self._arrived_s = float('-inf')

    def look(self, now_s: float) -> None:
        """Keep the values of fci_arm."""
        for message in self._topic.take_all():
            for status in message.status:
                if status.name == _FCI_NODE:
                    self._values = {pair.key: pair.value for pair in status.values}
                    self._arrived_s = now_s

    def tell(self, now_s: float, seen: Seen) -> None:
        """Write offset and masses."""
        if now_s - self._arrived_s > _DIAGNOSTICS_AGE_S:
            seen.lack(self._facts, f'{_FCI_NODE} is not heard on {DIAGNOSTICS_TOPIC}')
            return
        try:
            seen.values['ee_offset_m'] = 1e-3 * float(self._values['ee_offset_mm'])
            seen.values['payload'] = PayloadSample(
                ee_mass_kg=float(self._values['ee_mass_kg']),
                load_mass_kg=float(self._values['load_mass_kg']))
        except KeyError as error:
            seen.lack(self._facts, f'{_FCI_NODE} has not told {error.args[0]} yet')


class RobotStateSource:
    """
    Masses and mode of ``franka_robot_state_broadcaster/robot_state``.

    :param message_type: FrankaRobotState, or None where franka_msgs is not installed.
    """

    #: The message is large: its conversion is the dearest look of all.
    period_s = 0.25
    _facts = ('payload', 'mode')

    def __init__(self, node: Node, message_type: type | None, max_age_s: float):
        """Subscribe where the type is there."""
        self._topic = None if message_type is None else PolledSubscription(
            node, message_type, 'franka_robot_state_broadcaster/robot_state', LATEST_BEST_EFFORT)
        self._max_age_s = max_age_s
        self._message: Any = None
        self._arrived_s = float('-inf')

    def look(self, now_s: float) -> None:
        """Take the newest state."""
        message = None if self._topic is None else self._topic.take_newest()
        if message is not None:
            self._message, self._arrived_s = message, now_s

    def tell(self, now_s: float, seen: Seen) -> None:
        """Write masses and mode."""
        if self._topic is None:
            seen.lack(self._facts, 'franka_msgs is not installed on this computer')
        elif now_s - self._arrived_s > self._max_age_s + self.period_s:
            seen.lack(self._facts, f'nothing new has come on {self._topic.name}')
        else:
            seen.values |= robot_state_values(self._message)


def robot_state_values(message: Any) -> dict[str, Any]:
    """Return masses and mode of a franka_msgs/FrankaRobotState."""
    number = int(message.robot_mode)
    known = number in [int(mode) for mode in RobotMode]
    return {
        'mode': RobotMode(number).label if known else f'number {number}',
        'payload': PayloadSample(
            ee_mass_kg=float(message.inertia_ee.inertia.m),
            load_mass_kg=float(message.inertia_load.inertia.m))}
