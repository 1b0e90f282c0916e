# SPDX-License-Identifier: Apache-2.0
"""Hands whose adapter takes a stream of openings and answers nothing: CRISP, GELLO."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ocrrl_ros.robot.gripper_commands import (
    CommandResult, HandAction, HandCommand, HandPhase, HandStatus, Homed)
from ocrrl_ros.robot.gripper_config import HandDriverConfig
from ocrrl_ros.robot.gripper_wish import Wish

_TOLERANCE_S = 1e-6


class StreamedHand:
    """
    Repeats the target at a steady rate while wishes come, at most ``max_delta`` further each time.

    It is repeated although nothing changed: GELLO's adapter ignores what arrives while its hand
    moves, so that a target sent once may be lost. Without fresh wishes nothing is sent and the
    adapter keeps what it has.
    """

    def __init__(self, config: HandDriverConfig, wish: Wish):
        """Start without a wish."""
        self._config, self._wish = config, wish
        self._wished_s = self._due_s = float('-inf')
        self._measured: float | None = None
        self._sent: float | None = None
        self._is_streaming = self._is_ready = False
        self._number = 0

    def wish(self, opening: float, now_s: float) -> None:
        """
        Take a wished opening, 0..1; the newest counts.

        :raises InputError: it is not finite or outside.
        """
        self._wish.take(opening)
        self._wished_s = now_s

    def measure(self, width_m: float, now_s: float) -> None:
        """Take the measured width, m: the first command starts there."""
        self._measured = float(np.clip(width_m / self._config.max_width_m, 0.0, 1.0))

    def step(
            self, now_s: float, *, is_ready: bool,
            results: Sequence[CommandResult] = ()) -> HandCommand | None:
        """Return the next command of the stream when it is due."""
        self._is_ready = is_ready
        target = self._wish.target
        if not is_ready or target is None or not self._is_fresh(now_s):
            self._is_streaming = False
            return None
        if self._is_streaming and now_s < self._due_s - _TOLERANCE_S:
            return None
        if not self._is_streaming:
            self._due_s = now_s
            # Another may have moved the hand meanwhile.
            self._sent = self._sent if self._measured is None else self._measured
            self._is_streaming = True
        self._due_s = max(self._due_s + 1.0 / self._config.stream_rate_hz, now_s)
        return self._command(target)

    def _command(self, target: float) -> HandCommand:
        """Return the command that goes toward the target."""
        step = self._config.max_delta
        start = target if self._sent is None else self._sent
        self._sent = float(np.clip(target, start - step, start + step))
        self._number += 1
        return HandCommand(
            number=self._number, action=HandAction.MOVE, opening=self._sent,
            width_m=self._sent * self._config.open_width_m, speed_m_s=self._config.speed_m_s,
            force_n=self._config.force_n)

    def _is_fresh(self, now_s: float) -> bool:
        """Return whether a wish came lately."""
        return now_s - self._wished_s <= self._config.max_wish_age_s

    def ask_home(self) -> str | None:
        """Return why the hand is not homed from here."""
        return 'this driver offers no homing; home the hand where its adapter runs'

    def status(self, now_s: float) -> HandStatus:
        """Say what is going on."""
        if self._wished_s == float('-inf'):
            wish = 'none'
        else:
            wish = 'fresh' if self._is_fresh(now_s) else 'stale'
        if not self._is_ready:
            phase, reason = HandPhase.WAITING, 'the adapter does not listen'
        elif self._is_streaming:
            phase, reason = HandPhase.STREAMING, ''
        else:
            phase, reason = HandPhase.IDLE, 'no fresh wish'
        return HandStatus(
            phase=phase, reason=reason, target=self._sent, homed=Homed.NOT_OFFERED, wish=wish)
