# SPDX-License-Identifier: Apache-2.0
"""
Hands that take whole commands, one at a time, and answer: franka_gripper, GripperCommand.

The Franka Hand's driver starts every command that it is sent, in a thread of its own, and takes
none back for a newer one. So there is one command under way at most; meanwhile the newest wish
waits, older ones are forgotten. The driver keeps pressing after a grasp: `stop` comes before the
opening.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import enum

from ocrrl_ros.robot.gripper_attempts import Attempts
from ocrrl_ros.robot.gripper_commands import (
    CommandResult, HandAction, HandCommand, HandPhase, HandStatus, Homed, Outcome)
from ocrrl_ros.robot.gripper_config import HandDriverConfig
from ocrrl_ros.robot.gripper_wish import Wish

#: A measured width older than this says nothing about now.
_MAX_WIDTH_AGE_S = 1.0
_NEVER_S = float('-inf')


class _Stop(enum.Enum):
    """Whether the driver must be told to stop."""

    NOT_NEEDED = 0
    #: It may be pressing, from a grasp of ours or of whoever was here before.
    BEFORE_OPENING = 1
    #: It may still be at a command that we have given up.
    NOW = 2


@dataclass(frozen=True)
class _Flight:
    """The command under way, for which target, and until when to wait for it."""

    command: HandCommand
    target: float | None
    deadline_s: float


class CommandedHand:
    """
    Turns wishes into commands, of which at most one is under way.

    :param is_binary: close with a grasp, open with a move; otherwise every target is a move.
    :param can_home: the driver has a homing.
    """

    def __init__(
            self, config: HandDriverConfig, wish: Wish, *, is_binary: bool,
            can_home: bool = True):
        """Start without a wish; nothing is known of the hand."""
        self._config, self._wish = config, wish
        self._is_binary, self._can_home = is_binary, can_home
        self._homed = Homed.UNKNOWN if can_home else Homed.NOT_OFFERED
        self._home_first, self._home_asked = config.home_first and can_home, False
        self._stop = _Stop.BEFORE_OPENING
        self._flight: _Flight | None = None
        self._number = 0
        self._target: float | None = None
        self._reached: float | None = None
        self._attempts = Attempts(config.retries, config.retry_wait_s)
        self._stopped_until_s = _NEVER_S
        self._wished_s = self._measured_s = _NEVER_S
        self._closed_s = float('inf')
        self._width_m = float('nan')
        self._ready_s: float | None = None
        self._is_ready = False
        self._last_result = ''

    def wish(self, opening: float, now_s: float) -> None:
        """
        Take a wished opening, 0..1; the newest counts.

        :raises InputError: it is not finite or outside; the wish stays as it was.
        """
        self._wish.take(opening)
        self._wished_s = now_s

    def measure(self, width_m: float, now_s: float) -> None:
        """Take the measured width between the fingers, m."""
        self._width_m, self._measured_s = width_m, now_s

    def ask_home(self) -> str | None:
        """Home the hand as the next command; return why that is not possible, or None."""
        if not self._can_home:
            return 'this driver offers no homing'
        self._home_asked = True
        self._attempts.forget()
        return None

    def step(
            self, now_s: float, *, is_ready: bool,
            results: Sequence[CommandResult] = ()) -> HandCommand | None:
        """
        Take the driver's answers and return the next command, if one is due.

        :param is_ready: all servers of the driver are there.
        :param results: what came since the last call; answers to commands that were given up
            are ignored.
        """
        for result in results:
            self._settle(result, now_s)
        self._follow_server(is_ready, now_s)
        self._give_up_overdue(now_s)
        if self._flight is not None or not is_ready:
            return None
        return self._next(now_s)

    def _follow_server(self, is_ready: bool, now_s: float) -> None:
        """Note when the server was there last; once it is back everything is tried anew."""
        if is_ready and not self._is_ready:
            self._attempts.forget()
        self._is_ready = is_ready
        if is_ready:
            self._ready_s = now_s

    def _give_up_overdue(self, now_s: float) -> None:
        """End a command of which no result is to be expected any more."""
        flight = self._flight
        if flight is None:
            return
        number = flight.command.number
        gone_s = now_s - self._ready_s
        if gone_s > self._config.gone_after_s:
            self._settle(CommandResult(
                number, Outcome.SERVER_GONE, f'away for {gone_s:.1f} s'), now_s)
        elif now_s > flight.deadline_s:
            self._settle(CommandResult(number, Outcome.TIMED_OUT), now_s)

    def _settle(self, result: CommandResult, now_s: float) -> None:
        """Take the end of the command under way."""
        flight = self._flight
        if flight is None or result.number != flight.command.number:
            return
        self._flight = None
        action = flight.command.action
        self._last_result = f'{action.value} {result.outcome.value}' + (
            f': {result.detail}' if result.detail else '')
        if result.outcome is Outcome.SUCCEEDED:
            self._on_success(flight, now_s)
        elif action is HandAction.STOP and result.outcome is Outcome.FAILED:
            # It was asked and has answered: a hand that cannot stop may well open.
            self._on_success(flight, now_s)
        else:
            self._on_failure(action, result.outcome, now_s)

    def _on_success(self, flight: _Flight, now_s: float) -> None:
        """Note what the hand is like now."""
        action = flight.command.action
        self._reached = flight.target
        self._closed_s = now_s if action is HandAction.GRASP else float('inf')
        if action is HandAction.STOP:
            # A hand that is told to stop lets go as well.
            self._stop, self._reached = _Stop.NOT_NEEDED, None
            self._stopped_until_s = now_s + self._config.command_timeout_s
            return
        self._attempts.forget()
        if action is HandAction.HOME:
            self._homed, self._home_asked, self._home_first = Homed.YES, False, False

    def _on_failure(self, action: HandAction, outcome: Outcome, now_s: float) -> None:
        """Try again later, or give up on this target."""
        self._reached = None
        self._closed_s = now_s if action is HandAction.GRASP else float('inf')
        if outcome in (Outcome.TIMED_OUT, Outcome.SERVER_GONE):
            self._stop = _Stop.NOW
        self._attempts.fail(now_s)
        if action is HandAction.HOME:
            self._homed = Homed.NO
            self._home_asked = self._home_asked and not self._attempts.is_over

    def _next(self, now_s: float) -> HandCommand | None:
        """Return the command that is due, or None."""
        target = self._wish.target
        if self._home_first and not self._home_asked and not self._is_measured(now_s):
            return None
        if self._home_asked or (self._home_first and not self._may_hold(target)):
            is_wanted = self._home_asked or self._is_fresh(now_s)
            return self._send_home(now_s) if is_wanted and self._attempts.may_try(now_s) else None
        if target is None or not self._wish.differs(target, self._reached):
            return None
        if self._target is None or self._wish.differs(target, self._target):
            self._attempts.forget()
        elif self._is_known_empty(now_s) and self._is_grasp(target):
            # The grasp failed for want of an object: another one would fail as well.
            self._reached = target
            return None
        # What was begun with a stop is finished, even without another wish.
        is_wanted = self._is_fresh(now_s) or now_s <= self._stopped_until_s
        if not is_wanted or not self._attempts.may_try(now_s):
            return None
        self._target = target
        return self._send_target(target, now_s)

    def _send_home(self, now_s: float) -> HandCommand:
        """Return the homing, or the stop before it: homing opens the hand."""
        if self._stop is not _Stop.NOT_NEEDED:
            return self._send(HandAction.STOP, None, now_s)
        return self._send(HandAction.HOME, None, now_s)

    def _send_target(self, target: float, now_s: float) -> HandCommand:
        """Return the command that goes to the target, or the stop before it."""
        if self._is_grasp(target):
            if self._stop is _Stop.NOW:
                return self._send(HandAction.STOP, target, now_s)
            self._stop = _Stop.BEFORE_OPENING
            return self._send(HandAction.GRASP, target, now_s)
        if self._stop is not _Stop.NOT_NEEDED:
            return self._send(HandAction.STOP, target, now_s)
        return self._send(HandAction.MOVE, target, now_s)

    def _send(self, action: HandAction, target: float | None, now_s: float) -> HandCommand:
        """Put a command under way."""
        config = self._config
        self._number += 1
        values: dict[str, float] = {}
        if action is HandAction.MOVE:
            values = {
                'opening': target, 'width_m': target * config.open_width_m,
                'speed_m_s': config.speed_m_s, 'force_n': config.force_n}
        elif action is HandAction.GRASP:
            values = {
                'width_m': config.grasp_width_m, 'speed_m_s': config.speed_m_s,
                'force_n': config.force_n, 'epsilon_inner_m': config.epsilon_inner_m,
                'epsilon_outer_m': config.epsilon_outer_m}
        if action is not HandAction.STOP:
            self._stopped_until_s = _NEVER_S
        is_homing = action is HandAction.HOME
        patience_s = config.homing_timeout_s if is_homing else config.command_timeout_s
        command = HandCommand(number=self._number, action=action, **values)
        self._flight = _Flight(command, target, now_s + patience_s)
        return command

    def _is_grasp(self, target: float) -> bool:
        """Return whether the target is reached by a grasp."""
        return self._is_binary and target == 0.0

    def _is_fresh(self, now_s: float) -> bool:
        """Return whether a wish came lately."""
        return now_s - self._wished_s <= self._config.max_wish_age_s

    def _is_measured(self, now_s: float) -> bool:
        """Return whether the measured width is of now."""
        return now_s - self._measured_s <= _MAX_WIDTH_AGE_S

    def _may_hold(self, target: float | None) -> bool:
        """
        Return whether homing would let go of what is to stay: this node may have been restarted.

        Fingers are apart but not open, nobody has stopped them, and no opening is wished.
        """
        config, width_m = self._config, self._width_m
        return (self._stop is _Stop.BEFORE_OPENING
                and config.empty_width_m <= width_m < config.open_width_m
                and (target is None or target * config.open_width_m < width_m))

    def _knows_width(self, now_s: float) -> bool:
        """Return whether the measured width is of now, and of after the last close."""
        return (self._measured_s >= self._closed_s + self._config.settle_s
                and self._is_measured(now_s))

    def _is_known_empty(self, now_s: float) -> bool:
        """Return whether the fingers touch each other."""
        return self._knows_width(now_s) and self._width_m < self._config.empty_width_m

    def status(self, now_s: float) -> HandStatus:
        """Say what is going on."""
        phase, reason = self._phase(now_s)
        if self._wished_s == _NEVER_S:
            wish = 'none'
        else:
            wish = 'fresh' if self._is_fresh(now_s) else 'stale'
        return HandStatus(
            phase=phase, reason=reason, target=self._target, last_result=self._last_result,
            homed=self._homed, wish=wish)

    def _phase(self, now_s: float) -> tuple[HandPhase, str]:
        """Return what the hand is doing, and what is to be said about it."""
        if self._flight is not None:
            return self._phase_under_way(self._flight.command), ''
        if not self._is_ready:
            return HandPhase.WAITING, 'the driver is not there'
        if self._attempts.is_over:
            return HandPhase.FAILED, (
                f'given up after {self._attempts.failures} tries: {self._last_result}')
        if self._reached is None:
            if self._home_first and not self._is_measured(now_s):
                return HandPhase.IDLE, 'homing waits for the measured width'
            return HandPhase.IDLE, self._last_result if self._attempts.failures else ''
        if not self._is_binary:
            return HandPhase.REACHED, ''
        if self._reached > 0.0:
            return HandPhase.OPEN, ''
        if not self._knows_width(now_s):
            return HandPhase.CLOSED, ''
        if self._is_known_empty(now_s):
            return HandPhase.EMPTY, 'nothing is between the fingers'
        return HandPhase.HOLDING, ''

    def _phase_under_way(self, command: HandCommand) -> HandPhase:
        """Return what the hand does with a command."""
        if command.action is HandAction.MOVE:
            return HandPhase.OPENING if self._is_binary else HandPhase.MOVING
        return {HandAction.HOME: HandPhase.HOMING, HandAction.STOP: HandPhase.STOPPING,
                HandAction.GRASP: HandPhase.CLOSING}[command.action]
