# SPDX-License-Identifier: Apache-2.0
"""The end of the robot's process that a node holds: start it, hear it, start it again."""

from __future__ import annotations

from dataclasses import dataclass, field
import json
import math
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.core.errors import MissingDependencyError
from ocrrl_ros.robot.adapters.franka_fci.channel import Channel, channel_pair
from ocrrl_ros.robot.adapters.franka_fci.config import FciConfig
from ocrrl_ros.robot.adapters.franka_fci.library import INSTALL
from ocrrl_ros.robot.adapters.franka_fci.process import EXIT_NO_LIBRARY
from ocrrl_ros.robot.adapters.franka_fci.state import FciState
from ocrrl_ros.robot.adapters.franka_fci.worker import FciPhase

_MODULE = 'ocrrl_ros.robot.adapters.franka_fci.process'
#: What a process may take to go after its channel is closed, beyond the end of a motion.
_END_S = 2.0
#: A connection that held this long makes the next pause a short one again.
_GOOD_S = 5.0
#: Phases in which a target is taken.
_TAKING = (FciPhase.IDLE, FciPhase.MOVING, FciPhase.HOLDING)


@dataclass(frozen=True, kw_only=True)
class FciAnswer:
    """How a request went."""

    number: int
    success: bool
    message: str


@dataclass(frozen=True, kw_only=True)
class FciReport:
    """The newest word of the robot's process."""

    phase: FciPhase = FciPhase.CONNECTING
    reason: str = 'not connected yet'
    refusal: str = ''
    in_motion: bool = False
    counts: dict[str, float] = field(default_factory=dict)


class FciLink:
    """
    One robot, whatever happens to its connection.

    Each connection has a process of its own (see ``process.py``). A process that ends, for
    whatever reason, is started again after a pause that doubles up to ``reconnect_max_s``. No
    method waits, ``close`` apart. Times are seconds on CLOCK_MONOTONIC.
    """

    def __init__(self, config: FciConfig):
        """Start the first process at the first step."""
        self._config = config
        self._arguments = json.dumps(to_mapping(config))
        self._process: subprocess.Popen | None = None
        self._channel: Channel | None = None
        self._doing = ('starting', math.inf)
        self._lost = ''
        self._latched = False
        self._pause_s = config.reconnect_s
        self._started_s = self._next_start_s = -math.inf
        self._requests = 0
        self._open_requests: list[int] = []
        self._answers: list[FciAnswer] = []
        self.report = FciReport()
        self.losses = 0
        """How often a connection was lost that had been there."""

    def step(self, now_s: float) -> FciState | None:
        """
        Return the newest state that was not returned before; start the process where it is due.

        :raises MissingDependencyError: pylibfranka is missing; starting again would not help.
        """
        if self._process is None:
            if now_s < self._next_start_s:
                return None
            self._start(now_s)
        newest = self._take_messages()
        if not self._channel.is_open:
            self._on_end(now_s)
        return newest

    def send_target(self, target: np.ndarray, now_s: float) -> bool:
        """Pass on a joint target (7,) in rad and return whether there is a connection for it."""
        if self._channel is None or not self.report.phase.is_connected:
            return False
        self._channel.send_target(target, now_s)
        return True

    def request(self, what: str) -> int:
        """Ask for ``recover`` or ``stop`` and return the number that the answer will have."""
        self._requests += 1
        if self._channel is None or not self.report.phase.is_connected:
            self._refuse(f'there is no connection: {self.report.reason}')
        elif not self._channel.send_event(request=what, number=self._requests):
            self._refuse(f'busy, try again: {self._doing[0]}')
        else:
            self._open_requests.append(self._requests)
        return self._requests

    def _refuse(self, message: str) -> None:
        """Answer the newest request with no."""
        self._answers.append(FciAnswer(number=self._requests, success=False, message=message))

    def take_answers(self) -> list[FciAnswer]:
        """Return the answers that came since the last call."""
        answers, self._answers = self._answers, []
        return answers

    def close(self) -> None:
        """
        End the process: a motion is ended, then the connection; what hangs is killed.

        A later step connects anew, at once. Where a motion ran or was stopped, targets are then
        refused until a recovery: whoever still sends the old ones must not start it again.
        """
        if self._process is not None:
            self._take_messages()
            self._latched = (
                self._latched or self.report.in_motion or self.report.phase is FciPhase.STOPPED)
            self._channel.close()
            self._end_process()
        self._give_up('the connection was ended')
        self._pause_s, self._next_start_s = self._config.reconnect_s, -math.inf
        # Why there was none is still worth knowing.
        if self.report.phase.is_connected:
            self.report = FciReport(phase=FciPhase.CLOSED, reason='the connection was ended')

    def _end_process(self) -> None:
        """Wait for the end of a process whose channel is closed, or bring it about."""
        # Without a connection there is no motion to end.
        limit_s = self._config.answer_timeout_s + _END_S
        try:
            self._process.wait(limit_s if self.report.phase.is_connected else 0.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = self._channel = None

    def _give_up(self, reason: str) -> None:
        """Answer the requests that nobody carries out any more with no."""
        for number in self._open_requests:
            self._answers.append(FciAnswer(number=number, success=False, message=reason))
        self._open_requests.clear()

    def _take_messages(self) -> FciState | None:
        """Take what the process says and return the newest state."""
        newest = None
        while (message := self._channel.receive()) is not None:
            if isinstance(message, FciState):
                newest = message
            elif isinstance(message, dict):
                self._on_event(message)
        return newest

    def _start(self, now_s: float) -> None:
        """Start a process with its end of a new channel."""
        self._channel, theirs = channel_pair()
        command = [sys.executable, '-m', _MODULE, str(theirs.fileno()), self._arguments,
                   str(int(self._latched))]
        # Ctrl-C reaches the whole terminal group, this process too before it can ignore it.
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        theirs.close()
        self._started_s = now_s
        self._doing, self._lost = ('starting', math.inf), ''
        if self.report.phase is not FciPhase.LOST:
            self.report = FciReport(reason=f'waiting for {self._config.robot_ip}')

    def _on_event(self, event: dict[str, Any]) -> None:
        """Take what the process says."""
        if 'doing' in event:
            self._doing = (event['doing'], event['limit_s'])
        elif 'lost' in event:
            self._lost = event['lost']
        elif 'answer' in event:
            self._open_requests.remove(event['answer'])
            self._answers.append(FciAnswer(
                number=event['answer'], success=event['success'], message=event['message']))
        else:
            self.report = FciReport(**(event | {'phase': FciPhase(event['phase'])}))
            # Targets are taken: there has been a recovery since.
            self._latched = self._latched and self.report.phase not in _TAKING

    def _on_end(self, now_s: float) -> None:
        """Note why the process has ended and when the next one starts."""
        code = self._process.wait()
        self._channel.close()
        self._process = self._channel = None
        reason = self._lost or _why_it_ended(code, *self._doing)
        if code == EXIT_NO_LIBRARY:
            raise MissingDependencyError('pylibfranka (for the FCI)', INSTALL)
        # What was under way when the connection went must not go on by itself when it is back.
        self._latched = self._latched or self.report.in_motion
        if self.report.phase.is_connected:
            self.losses += 1
        if now_s - self._started_s > _GOOD_S and self.report.phase.is_connected:
            self._pause_s = self._config.reconnect_s
        self._next_start_s = now_s + self._pause_s
        self._pause_s = min(2.0 * self._pause_s, self._config.reconnect_max_s)
        self.report = FciReport(phase=FciPhase.LOST, reason=reason)
        self._give_up(f'the connection was lost: {reason}')


def _why_it_ended(code: int, doing: str, limit_s: float) -> str:
    """Return why a process ended that has not said so itself."""
    if code == -signal.SIGALRM:
        return f'{doing}: no answer within {limit_s:g} s'
    return f"{doing}: the robot's process has ended with code {code}"


def wait_for_state(link: FciLink, timeout_s: float) -> FciState | None:
    """Step a link until a state comes or the first attempt has failed; None then."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s and link.report.phase is not FciPhase.LOST:
        state = link.step(time.monotonic())
        if state is not None:
            return state
        time.sleep(0.002)
    return None
