# SPDX-License-Identifier: Apache-2.0
"""
Advance simulated time only when every participant has handled the last tick.

The bridge publishes states, then ``/clock``; each participant answers on ``lockstep/done`` with
that stamp and its node name once it has handled everything up to it. What is sent during tick t
is used from tick t + 1 on. Paired runs become independent of the machine's speed.
"""

from __future__ import annotations

from collections.abc import Iterable

from ocrrl_ros.interfaces.conversions import from_stamp, to_stamp
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import DEEP_RELIABLE, RELIABLE
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header

CLOCK_TOPIC = '/clock'
DONE_TOPIC = 'lockstep/done'
_SAME_S = 1e-6


class DoneBoard:
    """Which participants have answered which clock; pure, one per bridge."""

    def __init__(self, participants: Iterable[str]):
        """Wait for every one of the named participants."""
        self._done_s = dict.fromkeys(participants, float('-inf'))

    def report(self, name: str, clock_s: float) -> bool:
        """Note an answer; return False for a node that is not a participant."""
        if name not in self._done_s:
            return False
        self._done_s[name] = max(self._done_s[name], clock_s)
        return True

    def missing(self, clock_s: float) -> tuple[str, ...]:
        """Return the participants that have not answered this clock yet."""
        return tuple(
            name for name, done_s in self._done_s.items() if done_s < clock_s - _SAME_S)


class LockstepServer:
    """The bridge's end: publish the clock, collect the answers."""

    def __init__(self, node: Node, participants: Iterable[str]):
        """Create the clock publisher and the polled answer subscription."""
        self.board = DoneBoard(participants)
        self._clock = node.create_publisher(Clock, CLOCK_TOPIC, RELIABLE)
        self._answers = PolledSubscription(node, Header, DONE_TOPIC, DEEP_RELIABLE)
        self._message = Clock()

    def announce(self, clock_s: float) -> None:
        """Publish the clock; again for late joiners does no harm."""
        self._message.clock = to_stamp(clock_s)
        self._clock.publish(self._message)

    def missing(self, clock_s: float) -> tuple[str, ...]:
        """Take the waiting answers and return who has not answered this clock."""
        for message in self._answers.take_all():
            self.board.report(message.frame_id, from_stamp(message.stamp))
        return self.board.missing(clock_s)


class LockstepClient:
    """
    A participant's end, polled in its loop.

    ``take`` the clock, handle everything that has arrived, then call ``done``.
    """

    def __init__(self, node: Node):
        """Create the polled clock subscription and the answer publisher."""
        self._name = node.get_name()
        self._clock = PolledSubscription(node, Clock, CLOCK_TOPIC, RELIABLE)
        self._answer = node.create_publisher(Header, DONE_TOPIC, DEEP_RELIABLE)

    def take(self) -> float | None:
        """Return the newest clock in seconds since the last call, or None."""
        message = self._clock.take_newest()
        return None if message is None else from_stamp(message.clock)

    def done(self, clock_s: float) -> None:
        """Tell the bridge that everything up to this clock is handled."""
        self._answer.publish(Header(stamp=to_stamp(clock_s), frame_id=self._name))
