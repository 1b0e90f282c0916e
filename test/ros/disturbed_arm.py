# SPDX-License-Identifier: Apache-2.0
"""A played arm, camera and base policy whose messages a fault loses, delays or shuffles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
import time

from diagnostic_msgs.msg import DiagnosticStatus
import numpy as np
from ocrrl_ros.core.se3 import pose
from ocrrl_ros.evaluation.faults.channel import FaultyChannel
from ocrrl_ros.evaluation.faults.plan import FaultPlan
from ocrrl_ros.evaluation.faults.received_targets import broken_targets, shaper_of
from ocrrl_ros.evaluation.faults.settings import FaultConfig
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.chunk_conversions import chunk_to_messages
from ocrrl_ros.interfaces.conversions import from_stamp
from ocrrl_ros.policy.action_chunk import ActionChunk
from played_arm import Arm, START
from ros_harness import NodeProcess, Probe

_DISTURBED = ('franka/joint_states', 'objects/cube/pose', 'base_policy/tcp_chunk',
              'base_policy/gripper_chunk')
_PLAN_S, _LOOK_S = 0.15, 0.033
_SWING_M, _SWING_S = 0.08, 4.0
_NONE = FaultPlan(name='none', begin_s=0.0, lasts_s=0.0)
_FOREVER_S = 1e6


class DisturbedArm(Arm):
    """
    An arm whose base swings to and fro along y for as long as it ``is_planning``.

    Where the swing is depends on the time alone: after a pause the plans begin elsewhere.
    """

    def __init__(self, probe: Probe, process: NodeProcess, namespace: str = ''):
        """Listen; nothing is disturbed yet."""
        super().__init__(probe, process, namespace)
        self.states = self._listen(
            DiagnosticStatus, 'residual_policy/state', qos.DEEP_LATCHED)
        self.is_planning = False
        self.sent: Counter[str] = Counter()
        self.arrived: Counter[str] = Counter()
        self._planned_s = self._looked_s = 0.0
        self._fault, self._rng = _NONE, np.random.default_rng(0)
        self._channels: dict[str, FaultyChannel] = {}
        self._shaper = shaper_of()

    @contextmanager
    def disturbed(self, name: str) -> Iterator[None]:
        """Let a fault of ``ocrrl evaluate --faults`` act on joint states, poses and chunks."""
        now_s = time.monotonic()
        self._begin(FaultPlan(name=name, begin_s=now_s, lasts_s=_FOREVER_S))
        self.sent.clear()
        self.arrived.clear()
        yield
        self._begin(_NONE)

    def _begin(self, fault: FaultPlan) -> None:
        """Put new channels in place; what is under way in the old ones is lost."""
        self._fault, self._channels = fault, {}

    def publish(self, name: str, message: object, profile: object = qos.RELIABLE) -> None:
        """Publish below the node's namespace, as the fault lets it."""
        if name not in _DISTURBED:
            super().publish(name, message, profile)
            return
        if name not in self._channels:
            self._channels[name] = FaultyChannel(
                self._fault, FaultConfig(), self._rng.spawn(1)[0], lambda sent, *_: sent)
        self.sent[name] += 1
        self._pass_on(name, [message])

    def _pass_on(self, name: str, messages: list) -> None:
        """Send what arrives now."""
        for message in self._channels[name].deliver(messages, time.monotonic()):
            self.arrived[name] += 1
            super().publish(name, message, qos.RELIABLE)

    def _beat(self, respond: bool) -> None:
        """Take what has arrived, report the joints, look and plan; send what is late."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= _LOOK_S:
            self._looked_s = now_s
            self.see_cube()
        if self.is_planning and now_s - self._planned_s >= _PLAN_S:
            self._planned_s = now_s
            self.swing()
        super()._beat(respond)
        for name in list(self._channels):
            self._pass_on(name, [])

    def swing(self) -> None:
        """Plan the swing from now on."""
        now_s = self.now_s()
        times_s = now_s + 0.05 * np.arange(16)
        self.send_chunk(now_s, _SWING_M * np.sin(2.0 * np.pi * times_s / _SWING_S))

    def send_chunk(self, stamp_s: float, y: np.ndarray | float) -> None:
        """Publish a chunk beside the start, at y (16,) of the base frame, m."""
        points = np.tile(START[:3], (16, 1))
        points[:, 1] += y
        halves = chunk_to_messages(ActionChunk(
            stamp_s, 0.05, pose(points, np.tile(START[3:], (16, 1))), np.ones(16)))
        for half, message in zip(('tcp', 'gripper'), halves):
            self.publish(f'base_policy/{half}_chunk', message)

    def value(self, key: str) -> str:
        """Return a value of the newest state."""
        return {pair.key: pair.value for pair in self.states[-1].values}[key]

    def shows(self, *words: str) -> bool:
        """Return whether the newest state's text has all these words."""
        return all(word in self.states[-1].message for word in words)

    def travelled(self, since: int) -> float:
        """Return how far joint 1 was sent since a number of targets, rad."""
        return float(np.abs(np.diff([message.position[0] for message in self.targets[
            since:]])).sum())

    def works(self, targets: int, actions: int) -> bool:
        """Return whether the policy has moved the arm far, mostly without holds, since then."""
        # A policy that does not hold acts once in four targets.
        share = (len(self.actions) - actions) / max(len(self.targets) - targets, 1)
        return self.travelled(targets) > 0.1 and share > 0.18

    def goes_on(self) -> None:
        """Live until the policy moves the arm, and it has come far."""
        self.live_until(lambda: self.shows('executing'), f'a policy at work: {self.states[-1]}')
        count = len(self.targets)
        self.live_until(lambda: self.travelled(count) > 0.03, 'a motion')

    def broken(self, since: int = 0, **how: object) -> Counter[str]:
        """Return what the targets since a number of them broke."""
        targets = self.targets[since:]
        assert len(targets) > 100
        return broken_targets(
            np.array([from_stamp(message.header.stamp) for message in targets]),
            np.array([message.position for message in targets]), self._shaper, **how)
