# SPDX-License-Identifier: Apache-2.0
"""
One command of the Franka Hand's driver from start to result: move, grasp, gripper command.

The simulated hand, like every streaming adapter for the real one, opens or closes: a move goes
to the nearer end, and its result says how far from the wanted width that is.
"""

from __future__ import annotations

from dataclasses import dataclass

from ocrrl_ros.core.errors import InputError
from ocrrl_ros.robot.fr3 import MAX_WIDTH_M

_SETTLED_M = 2e-4
_SETTLED_S = 0.15
_START_S = 0.3


@dataclass(frozen=True, kw_only=True)
class HandGoal:
    """Wanted width in m; for a grasp the object's width with its tolerances."""

    width_m: float
    is_grasp: bool = False
    epsilon_inner_m: float = 0.005
    epsilon_outer_m: float = 0.005

    def __post_init__(self) -> None:
        """Refuse widths that the hand does not have."""
        if not 0.0 <= self.width_m <= MAX_WIDTH_M + 1e-3:
            raise InputError(
                f'hand width is {self.width_m} m; allowed: 0 .. {MAX_WIDTH_M} m')

    @property
    def opening(self) -> float:
        """Return the opening to command, 0 closed or 1 open."""
        return float(not self.is_grasp and self.width_m > 0.5 * MAX_WIDTH_M)


@dataclass(frozen=True)
class HandResult:
    """How a command ended."""

    success: bool
    error: str


class HandMotion:
    """Watches the width until the fingers have come to rest."""

    def __init__(self, goal: HandGoal, now_s: float):
        """Start to watch at the moment of the command."""
        self._goal = goal
        self._start_s = now_s
        self._still_since_s = now_s
        self._width_m = float('nan')

    def update(self, width_m: float, now_s: float) -> HandResult | None:
        """
        Return the result once the fingers rest, else None.

        :param width_m: measured width.
        :param now_s: physics time.
        """
        if not abs(width_m - self._width_m) <= _SETTLED_M:
            self._still_since_s, self._width_m = now_s, width_m
        resting = now_s - self._still_since_s >= _SETTLED_S
        if now_s - self._start_s < _START_S or not resting:
            return None
        goal = self._goal
        inner, outer = goal.width_m - goal.epsilon_inner_m, goal.width_m + goal.epsilon_outer_m
        if inner < width_m < outer:
            return HandResult(True, '')
        return HandResult(
            False, f'width is {width_m:.4f} m; wanted {inner:.4f} .. {outer:.4f} m')
