# SPDX-License-Identifier: Apache-2.0
"""
How far a plan is proven clear, and where the arm has to brake on it at the latest.

A plan may be adopted when the way up to some point and the stop from there are proven; the rest is
proven while the arm is on its way. What is spent is counted, not timed, so that the same inputs
give the same commands on every machine.
"""

from __future__ import annotations

import math

from ocrrl_ros.robot.cartesian_guard import Allowance, CartesianGuard, Violation
from ocrrl_ros.robot.trajectory_planner import Plan

#: What all plans for one goal may spend together, and a later step of proof.
GOAL_ALLOWANCE = 600.0
STEP_ALLOWANCE = 60.0
# What is spent before a plan is followed that is not proven to its end, and on stops from it.
_FIRST_SHARE = 150.0
_STOP_SHARE = 120.0
# Where less than this is left to the place where the arm brakes, a later one is looked for.
_LEAD_S = 0.1
# Shares of the proven way, where a stop is tried when the allowance is spent.
_HORIZONS = (1.0, 0.5, 0.2)
# Where an earlier stop is looked for: after so much time, growing by a fifth.
_LATER_STOPS_S = tuple(0.005 * (1.2 ** i - 1.0) / 0.2 for i in range(1, 25))


class PlanProof:
    """
    The proof of one plan; times are from its beginning, in s.

    ``brake_at_s``: the way up to there and the stop from there are clear; infinity: the plan
    rests where it ends. ``violation``: what was found not to be clear.
    """

    def __init__(self, guard: CartesianGuard, plan: Plan):
        """Begin with nothing proven."""
        self.plan = plan
        self.brake_at_s = 0.0
        self.violation: Violation | None = None
        self._guard = guard
        self._end_s = min(plan.brake_at_s, plan.trajectory.duration)
        self._is_stopped = plan.brake_at_s < math.inf
        self._path_until_s = 0.0
        self._step_s: float | None = None
        self._is_done = False

    @property
    def is_done(self) -> bool:
        """Return whether nothing more is to be proven."""
        return self._is_done

    def begin(self, allowance: Allowance) -> bool:
        """Return whether enough is proven to follow the plan."""
        while True:
            share = _taken(allowance, _FIRST_SHARE)
            self._go_on(share)
            allowance.left += share.left
            if self._is_done:
                return self.violation is None
            share = _taken(allowance, _STOP_SHARE)
            is_moved = self._move_horizon(share)
            allowance.left += share.left
            if is_moved:
                return True
            if allowance.left <= 0.0:
                return False

    def extend(self, now_s: float, dt_s: float, allowance: Allowance) -> None:
        """Prove more of the plan before the arm goes on for dt_s, as the allowance admits."""
        if self._is_done:
            return
        self._go_on(allowance)
        if not self._is_done and self.brake_at_s - now_s < dt_s + _LEAD_S:
            self._move_horizon(Allowance(_STOP_SHARE))

    def brake(self, now_s: float, allowance: Allowance) -> bool:
        """
        Look for the earliest stop that is clear; nothing more of the plan is proven from now on.

        :return: whether the search is over; otherwise the allowance is spent.
        """
        self._is_done = True
        end_s = min(self.brake_at_s, self._end_s)
        for later_s in _LATER_STOPS_S:
            time_s = now_s + later_s
            if time_s >= end_s:
                return True
            if allowance.left <= 0.0:
                return False
            if self._is_stop_clear(time_s, allowance):
                self.brake_at_s = time_s
                return True
        return True

    def _go_on(self, allowance: Allowance) -> None:
        """Go on with the proof of the way, and of the rest once that is complete."""
        verdict = self._guard.check(
            self.plan.trajectory, self._path_until_s, self._end_s, allowance,
            is_stopped=self._is_stopped, resumed_step_s=self._step_s)
        self._path_until_s, self._step_s = verdict.path_until_s, verdict.step_s
        if verdict.is_clear:
            self.brake_at_s = self.plan.brake_at_s
            self._is_done = True
        elif verdict.violation is not None:
            self.violation = verdict.violation
            self._is_done = True

    def _move_horizon(self, allowance: Allowance) -> bool:
        """Brake later, near the end of the proven way, where the stop is clear."""
        room_s = self._path_until_s - self.brake_at_s
        for share in _HORIZONS if room_s > 0.0 else ():
            time_s = self.brake_at_s + share * room_s
            if self._is_stop_clear(time_s, allowance):
                self.brake_at_s = time_s
                return True
        return False

    def _is_stop_clear(self, time_s: float, allowance: Allowance) -> bool:
        """Return whether the stop from a time is clear."""
        return self._guard.check(
            self.plan.trajectory, time_s, time_s, allowance, is_stopped=True).is_clear


def _taken(allowance: Allowance, most: float) -> Allowance:
    """Return a share of an allowance, which no longer has it."""
    share = Allowance(min(allowance.left, most))
    allowance.left -= share.left
    return share
