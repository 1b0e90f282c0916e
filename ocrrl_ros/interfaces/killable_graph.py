# SPDX-License-Identifier: Apache-2.0
"""A supervised graph of the simulated robot whose nodes can be killed while it works."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import os
import signal
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
import numpy as np
from ocrrl_ros.core.errors import OcrrlError
from ocrrl_ros.interfaces.conversions import from_stamp
from ocrrl_ros.interfaces.monitor import DIAGNOSTICS_TOPIC
from ocrrl_ros.interfaces.polling import PolledClient, PolledSubscription
from ocrrl_ros.interfaces.qos import DEEP_LATCHED, DEEP_RELIABLE
from ocrrl_ros.interfaces.supervisor import Supervisor
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

_POLL_S = 0.002
#: As often as `stack` looks after its processes.
_CHECK_S = 0.1
_ACT_S = 0.5
_MOVING = 'executing'
#: What only a person's start of another episode ends.
_OVER = ('episode ended', 'no episode yet', 'started during', 'cannot start')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Restart:
    """What followed on a kill; times from the kill on, s."""

    node: str
    alive_s: float
    """Until the new process said on /diagnostics that its loop runs."""
    moving_s: float
    """Until the policy moved the arm again, with an operator who starts another episode at once
    where the node's part in the old one is lost."""
    silence_s: float
    """Longest pause between two targets until then."""
    states: tuple[str, ...]
    """What residual_policy/state showed until then."""


class KillableGraph:
    """
    Runs the graph, keeps an episode going and kills nodes.

    :param node: owned by the caller; nothing else spins it.
    :param supervisor: of the graph's processes, not yet started.
    :param patience_s: longest wait for anything.
    :param check: called while waiting; raises when the user wants to stop.
    """

    def __init__(
            self, node: Node, supervisor: Supervisor, patience_s: float = 120.0,
            check: Callable[[], None] = lambda: None):
        """Listen; nothing runs before ``start``."""
        self._supervisor = supervisor
        self._patience_s = patience_s
        self._check = check
        self._targets_in = PolledSubscription(node, JointState, 'target_joint', DEEP_RELIABLE)
        self._state_in = PolledSubscription(
            node, DiagnosticStatus, 'residual_policy/state', DEEP_LATCHED)
        self._diagnostics_in = PolledSubscription(
            node, DiagnosticArray, DIAGNOSTICS_TOPIC, DEEP_RELIABLE)
        self._start = PolledClient(node, Trigger, 'episode/start')
        self._stop = PolledClient(node, Trigger, 'episode/stop')
        self._checked_s = self._acted_s = float('-inf')
        self._is_stopping = False
        self._alive_s: dict[str, float] = {}
        self.diagnostics: dict[str, dict[str, str]] = {}
        """Newest values of every node's diagnostics."""
        self.states: list[str] = []
        """Everything that was shown on residual_policy/state, as state: reason."""
        self.received_s: list[float] = []
        """Monotonic times of the targets' arrival."""
        self.targets: list[tuple[float, np.ndarray]] = []
        """Stamps and joint positions (7,) of the targets."""

    def start(self) -> None:
        """
        Start the processes, and an episode when they are up.

        :raises OcrrlError: the arm is not moved in time, or the graph ends.
        """
        self._supervisor.start()
        self._until(lambda: self._is_moving_since(0), 'a policy that moves the arm')

    def stop(self) -> None:
        """End every process."""
        self._supervisor.stop()

    def kill(self, name: str) -> Restart:
        """
        Kill a node with SIGKILL and wait until the policy moves the arm again.

        :raises UnknownNameError: the graph has no such node.
        :raises OcrrlError: it does not come back in time, or the graph ends.
        """
        self._until(lambda: self._is_moving_since(len(self.targets) - 1), 'an arm that is moved')
        count, shown = len(self.targets), len(self.states)
        killed_s, killed_at_s = time.monotonic(), time.time()
        os.kill(self._supervisor.pid(name), signal.SIGKILL)
        self._until(lambda: self._alive_s.get(name, 0.0) > killed_at_s, f'{name} again')
        alive_s, count_then = time.monotonic() - killed_s, len(self.targets)
        self._until(lambda: self._is_moving_since(count_then), f'motion after {name} was killed')
        moving_s = time.monotonic() - killed_s
        arrivals = np.array([killed_s, *self.received_s[count:]])
        return Restart(
            node=name, alive_s=alive_s, moving_s=moving_s,
            silence_s=float(np.diff(arrivals).max(initial=0.0)),
            states=tuple(dict.fromkeys(self.states[max(shown - 1, 0):])))

    def watch(self, seconds: float) -> None:
        """Keep episodes going for a while."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self._poll()

    def _is_moving_since(self, count: int) -> bool:
        """Return whether the policy moves the arm and a target came after so many."""
        return len(self.targets) > count and bool(self.states) and (
            self.states[-1].endswith(f': {_MOVING}'))

    def _until(self, predicate: Callable[[], bool], what: str) -> None:
        """Poll until the predicate holds."""
        deadline_s = time.monotonic() + self._patience_s
        while not predicate():
            if time.monotonic() > deadline_s:
                raise OcrrlError(
                    f'waited {self._patience_s:.0f} s in vain for {what}; last state: '
                    f'{self.states[-1] if self.states else "none"}')
            self._poll()

    def _poll(self) -> None:
        """Take what has arrived, look after the processes, act as the operator."""
        self._check()
        now_s = time.monotonic()
        for message in self._targets_in.take_all():
            self.received_s.append(now_s)
            self.targets.append((from_stamp(message.header.stamp), np.array(message.position)))
        for message in self._state_in.take_all():
            values = {pair.key: pair.value for pair in message.values}
            self.states.append(f'{values.get("state", "")}: {message.message}')
        self._take_diagnostics()
        if now_s - self._checked_s >= _CHECK_S:
            self._checked_s = now_s
            code = self._supervisor.check()
            if code is not None:
                raise OcrrlError(f'the graph ended with code {code}')
        self._act(now_s)
        time.sleep(_POLL_S)

    def _take_diagnostics(self) -> None:
        """Note which nodes live and what they say."""
        for message in self._diagnostics_in.take_all():
            for status in message.status:
                self._alive_s[status.name] = from_stamp(message.header.stamp)
                self.diagnostics[status.name] = {
                    entry.key: entry.value for entry in status.values}

    def _act(self, now_s: float) -> None:
        """Start another episode where the old one is over for the policy."""
        is_over = not self.states or any(word in self.states[-1] for word in _OVER)
        if not is_over or now_s - self._acted_s < _ACT_S or not self._start.is_ready():
            return
        self._acted_s = now_s
        # A policy that joined late stays idle until the running episode has been stopped.
        self._is_stopping = not self._is_stopping
        (self._stop if self._is_stopping else self._start).send()
