# SPDX-License-Identifier: Apache-2.0
"""
The process that talks to the robot; ``FciLink`` starts it and holds the other end.

pylibfranka holds Python's global lock while it waits for a packet: in a thread it would stop the
node for a millisecond at a time, and for good where the robot accepts a connection and says
nothing. A process of its own waits alone, and an alarm of the kernel ends it where a call does
not come back.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time

from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.core.errors import MissingDependencyError
from ocrrl_ros.robot.adapters.franka_fci.channel import Channel
from ocrrl_ros.robot.adapters.franka_fci.config import FciConfig
from ocrrl_ros.robot.adapters.franka_fci.errors import FciLostError, FciRefusedError
from ocrrl_ros.robot.adapters.franka_fci.library import load_pylibfranka
from ocrrl_ros.robot.adapters.franka_fci.packets import PacketCounter
from ocrrl_ros.robot.adapters.franka_fci.robot import FciRobot
from ocrrl_ros.robot.adapters.franka_fci.worker import FciWorker

#: Exit codes; a call that took too long ends the process by SIGALRM.
EXIT_DONE, EXIT_LOST, EXIT_NO_LIBRARY = 0, 1, 2
_REPORT_S = 0.2


class Alarm:
    """Ends this process unless it is set anew in time, and says what it is waiting for."""

    def __init__(self, channel: Channel):
        """Leave SIGALRM what it is by default: the end, even inside a call."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        self._channel = channel
        self._what = ''

    def allow(self, limit_s: float, what: str) -> None:
        """Give the next call so many seconds."""
        if what != self._what:
            self._what = what
            self._channel.send_event(doing=what, limit_s=limit_s)
        signal.setitimer(signal.ITIMER_REAL, limit_s)


class RobotProcess:
    """Reads states, hands them on, and lets the worker act on them."""

    def __init__(self, channel: Channel, config: FciConfig, *, is_latched: bool):
        """
        Connect.

        :raises MissingDependencyError: pylibfranka is missing.
        :raises FciLostError: the robot cannot be reached.
        """
        library = load_pylibfranka()
        self._channel = channel
        self._period_s = 1.0 / config.state_rate_hz
        self._robot = FciRobot(library, config, Alarm(channel).allow, time.monotonic)
        self._worker = FciWorker(self._robot, config, is_latched=is_latched)
        self._packets = PacketCounter()
        self._next_state_s = self._next_report_s = -float('inf')
        self._reported: tuple[object, ...] = ()

    def run(self) -> None:
        """
        Go on until the other side closes the channel, then end a motion.

        :raises FciLostError: the robot is gone.
        """
        while self._channel.is_open:
            # Before the state is read: a request may change what the next state says.
            self._take_messages()
            state = self._robot.read()
            self._packets.add(state.robot_time_s)
            now_s = time.monotonic()
            self._worker.step(state, now_s)
            self._report(now_s)
            if now_s >= self._next_state_s:
                # From one deadline to the next, so that the rate is kept in the mean.
                self._next_state_s = max(self._next_state_s, now_s - self._period_s)
                self._next_state_s += self._period_s
                self._channel.send_state(state)
        if self._worker.in_motion:
            self._worker.stop('the driver ends')

    def _take_messages(self) -> None:
        """Take what the other side has sent."""
        while (message := self._channel.receive()) is not None:
            if isinstance(message, tuple):
                self._worker.on_target(*message)
            elif isinstance(message, dict):
                self._answer(message['request'], message['number'])

    def _answer(self, request: str, number: int) -> None:
        """Carry out a request and say how it went."""
        try:
            if request == 'recover':
                text = self._worker.recover()
            else:
                self._worker.stop('stopped on request')
                text = 'stopped'
            succeeded = True
        except FciRefusedError as error:
            text, succeeded = str(error), False
        self._channel.send_event(answer=number, success=succeeded, message=text)

    def _report(self, now_s: float) -> None:
        """Tell of a new phase, reason or refusal at once, and of the counts now and then."""
        worker, packets = self._worker, self._packets
        told = (worker.phase, worker.reason, worker.refusal, worker.in_motion)
        if told == self._reported and now_s < self._next_report_s:
            return
        self._reported, self._next_report_s = told, now_s + _REPORT_S
        self._channel.send_event(
            phase=worker.phase.value, reason=worker.reason, refusal=worker.refusal,
            in_motion=worker.in_motion, counts={
                'states_received': packets.received, 'states_lost': packets.lost,
                'states_lost_in_a_row': packets.longest_gap,
                'states_share': packets.share, 'states_skipped': self._channel.skipped,
                'targets_accepted': worker.counts.accepted,
                'targets_refused': worker.counts.refused})


def main(arguments: list[str]) -> int:
    """
    Run until the channel closes; the exit code says why it ended.

    :param arguments: descriptor of the channel, settings as JSON, 1 where targets are refused
        until a recovery.
    """
    # Ctrl-C reaches the whole terminal group: who started this process ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor, config, latched = arguments
    channel = Channel(socket.socket(fileno=int(descriptor)), waits=True)
    try:
        RobotProcess(
            channel, from_mapping(FciConfig, json.loads(config), 'the parent process'),
            is_latched=latched == '1').run()
    except MissingDependencyError as error:
        channel.send_event(lost=str(error))
        return EXIT_NO_LIBRARY
    except (FciLostError, FciRefusedError) as error:
        channel.send_event(lost=str(error))
        return EXIT_LOST
    return EXIT_DONE


if __name__ == '__main__':
    # Without the library's destructors, which may wait for the robot; the kernel closes the
    # connection, and with that a motion is over.
    os._exit(main(sys.argv[1:]))
