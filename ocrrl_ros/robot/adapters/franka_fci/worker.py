# SPDX-License-Identifier: Apache-2.0
"""When the arm may move: targets in, motions of the robot out, and what ends them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import enum
from typing import Protocol

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.robot.adapters.franka_fci.config import FciConfig
from ocrrl_ros.robot.adapters.franka_fci.errors import FciRefusedError
from ocrrl_ros.robot.adapters.franka_fci.state import FciState, RobotMode
from ocrrl_ros.robot.adapters.franka_fci.target_gate import TargetGate
from ocrrl_ros.robot.limits import JointLimits

#: Part of a period that a target may come early, so that a steady stream at the rate is not
#: thinned out by its own jitter.
_EARLY = 0.1
_CUT_OFF = 'the connection was lost during a motion, or ended'


class FciPhase(enum.Enum):
    """What is being done with the robot."""

    CONNECTING = 'connecting'
    LOST = 'lost'
    IDLE = 'idle'
    """Connected and at rest; a target starts a motion."""
    MOVING = 'moving'
    HOLDING = 'holding'
    """A motion runs and stands still, as no target comes any more."""
    STOPPED = 'stopped'
    """No target is taken, for the reason that is given."""
    CLOSED = 'closed'
    """There is no connection, and none is to be made."""

    @property
    def is_connected(self) -> bool:
        """Return whether states come."""
        return self not in (FciPhase.CONNECTING, FciPhase.LOST, FciPhase.CLOSED)


class MotionPort(Protocol):
    """The calls of ``FciRobot`` that move the arm or let it move; see there."""

    def begin(self) -> None:
        """Start a motion that holds its position."""

    def send(self, target: np.ndarray) -> None:
        """Give the motion a target (7,) in rad."""

    def finish(self) -> None:
        """End the motion."""

    def abandon(self) -> None:
        """Let go of a motion that the robot has ended."""

    def recover(self) -> None:
        """Clear the robot's errors."""


@dataclass
class WorkerCounts:
    """What became of the targets."""

    accepted: int = 0
    refused: int = 0


class FciWorker:
    """
    Turns targets into motions, one state of the robot after another.

    The arm never moves before a target comes. Whatever ended a motion that nobody asked to end
    -- a reflex, the user stop, guiding, a lost connection -- is latched: targets are refused
    until ``recover`` was called. Times are seconds on one clock.

    :param is_latched: start refusing targets, as the motion before was cut off.
    """

    def __init__(self, robot: MotionPort, config: FciConfig, *, is_latched: bool = False):
        """Start at rest."""
        self._robot = robot
        self._config = config
        self._gate = TargetGate(
            JointLimits.for_image(config.system_image), config.max_target_distance_rad)
        self._pending: tuple[np.ndarray, float] | None = None
        self._accepted_s = self._sent_s = -float('inf')
        self._in_motion = False
        self._mode = RobotMode.OTHER
        self._latch = _CUT_OFF if is_latched else ''
        self.phase, self.reason = FciPhase.CONNECTING, 'waiting for a first state'
        self.refusal = ''
        """Why the newest target was refused; empty when it was not."""
        self.counts = WorkerCounts()

    @property
    def in_motion(self) -> bool:
        """Return whether a motion runs on the robot, moving or holding."""
        return self._in_motion

    def on_target(self, target: np.ndarray, sent_s: float) -> None:
        """Keep the newest target (7,) in rad; the next states decide about it."""
        self._pending = (target, sent_s)

    def step(self, state: FciState, now_s: float) -> None:
        """Look at a new state and do what it and the newest target ask for."""
        self._mode = state.mode
        self._look_at(state)
        if not self._latch and state.mode.allows_motion:
            self._stop_when_stale(state, now_s)
            self._send_when_due(state, now_s)
        self._refuse_what_is_left(state)
        self._set_phase(state)

    def recover(self) -> str:
        """
        Clear errors, then the latch, and return what was done.

        In this order: the motion is let go of, the robot recovers, and settings and a new motion
        follow with the next target. Targets that came before are forgotten.

        :raises FciRefusedError: a person has to do something first; the message says what.
        """
        if self._mode is RobotMode.USER_STOPPED:
            raise FciRefusedError(
                'the user stop is pressed: release it, then call error recovery again')
        if self._mode is RobotMode.GUIDING:
            raise FciRefusedError('the arm is being guided by hand')
        self._pending = None
        if self._in_motion and not self._latch:
            return 'nothing to recover from: a motion runs'
        if self._mode is RobotMode.REFLEX:
            self._robot.recover()
            self._latch = ''
            return 'the errors are cleared; the next target moves the arm'
        was_latched, self._latch = bool(self._latch), ''
        return 'targets are taken again' if was_latched else 'nothing to recover from'

    def stop(self, reason: str) -> None:
        """
        End a motion and take no target until ``recover``.

        :raises FciRefusedError: the robot ended the motion otherwise.
        """
        self._latch = reason
        self._pending = None
        if self._in_motion:
            self._in_motion = False
            self._robot.finish()

    def _look_at(self, state: FciState) -> None:
        """Notice that the robot has ended a motion."""
        if self._in_motion and state.mode is not RobotMode.MOVE:
            self._in_motion = False
            self._latch = _why_ended(state)
            self._robot.abandon()
        elif state.mode is RobotMode.REFLEX and not self._latch:
            self._latch = _why_ended(state)

    def _stop_when_stale(self, state: FciState, now_s: float) -> None:
        """Stop at the robot's own desired position when targets no longer come."""
        if self.phase is FciPhase.MOVING and self._in_motion and (
                now_s - self._accepted_s > self._config.target_timeout_s):
            if self._try(lambda: self._robot.send(state.q_desired)):
                self.phase = FciPhase.HOLDING

    def _send_when_due(self, state: FciState, now_s: float) -> None:
        """Check the newest target and send it, not more often than the rate allows."""
        period_s = 1.0 / self._config.command_rate_hz
        if self._pending is None or now_s - self._sent_s < (1.0 - _EARLY) * period_s:
            return
        (target, sent_s), self._pending = self._pending, None
        if now_s - sent_s > self._config.target_timeout_s:
            self._refuse(f'joint target is {now_s - sent_s:.2f} s old; allowed: '
                         f'{self._config.target_timeout_s:g} s (target_timeout_s)')
            return
        try:
            self._gate.check(target, state.q)
        except InputError as error:
            self._refuse(str(error))
            return
        if self._try(lambda: self._move_to(target)):
            self.counts.accepted += 1
            self.refusal = ''
            self._accepted_s = self._sent_s = now_s
            self.phase = FciPhase.MOVING

    def _move_to(self, target: np.ndarray) -> None:
        """Send a target, on a new motion where none runs."""
        if not self._in_motion:
            self._robot.begin()
            self._in_motion = True
            # The state that ``begin`` waited for is not this one: no conclusion from its mode.
            self._mode = RobotMode.MOVE
        self._robot.send(target)

    def _try(self, action: Callable[[], None]) -> bool:
        """Do what the robot may refuse; a refusal is latched, not repeated at every state."""
        try:
            action()
        except FciRefusedError as error:
            self._latch = str(error)
            if self._in_motion:
                self._in_motion = False
                self._robot.abandon()
            return False
        return True

    def _refuse_what_is_left(self, state: FciState) -> None:
        """Refuse a target that came while none is taken."""
        if self._pending is not None and (self._latch or not state.mode.allows_motion):
            self._pending = None
            self._refuse(f'no target is taken: {self._why_stopped(state)}')

    def _refuse(self, text: str) -> None:
        """Count a refusal and keep its reason."""
        self.counts.refused += 1
        self.refusal = text

    def _why_stopped(self, state: FciState) -> str:
        """Return why no target is taken."""
        if self._latch:
            return f'{self._latch}; call error recovery'
        return f'the robot is in mode {state.mode.label}'

    def _set_phase(self, state: FciState) -> None:
        """Name what is going on."""
        if self._latch or not state.mode.allows_motion:
            self.phase, self.reason = FciPhase.STOPPED, self._why_stopped(state)
        elif not self._in_motion:
            self.phase, self.reason = FciPhase.IDLE, 'connected, at rest'
        elif self.phase is FciPhase.HOLDING:
            self.reason = f'no target for {self._config.target_timeout_s:g} s: stopped here'
        else:
            self.phase, self.reason = FciPhase.MOVING, 'following targets'


def _why_ended(state: FciState) -> str:
    """Return what ended a motion, by mode and errors of the robot."""
    names = state.errors or state.last_motion_errors
    errors = f' ({", ".join(names)})' if names else ''
    if state.mode is RobotMode.IDLE:
        return f'the robot has ended the motion{errors}'
    return f'the robot is in mode {state.mode.label}{errors}'
