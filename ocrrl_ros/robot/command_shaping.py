# SPDX-License-Identifier: Apache-2.0
"""
Turn joint goals that arrive now and then into a command stream that never breaks a limit.

Every goal becomes one plan, computed once and then only sampled. It ends at rest: a moving goal
is passed for at most one more goal period, so a silent policy cannot make the arm drift. When no
plan to a goal is admissible, the arm brakes.
"""

from __future__ import annotations

import math

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.robot.limits import JointLimits
from ocrrl_ros.robot.trajectory_planner import (
    DOFS, Plan, ShapingConfig, State, TrajectoryPlanner, ZEROS)

__all__ = ['CommandShaper', 'ShapingConfig']


class CommandShaper:
    """Joint-space shaping of one arm: seed, then set goals and sample."""

    def __init__(self, limits: JointLimits | None = None, config: ShapingConfig | None = None):
        """
        Prepare the planner; call ``seed`` before anything else.

        ``max_velocity``, ``max_acceleration`` and ``max_jerk`` (7,) are what commands keep to.
        """
        self.config = config or ShapingConfig()
        self.limits = limits or JointLimits.for_image()
        self._planner = TrajectoryPlanner(self.limits, self.config)
        self.max_velocity = self._planner.max_velocity
        self.max_acceleration = self._planner.max_acceleration
        self.max_jerk = self._planner.max_jerk
        self._speed_scale = 1.0
        self._state: State | None = None
        self._plan: Plan | None = None
        self._time_s = 0.0
        self.substituted_goals = 0
        self.refused_goals = 0

    @property
    def q(self) -> np.ndarray:
        """Return the commanded positions (7,) in rad."""
        return np.array(self._seeded()[0])

    @property
    def dq(self) -> np.ndarray:
        """Return the commanded velocities (7,) in rad/s."""
        return np.array(self._seeded()[1])

    @property
    def ddq(self) -> np.ndarray:
        """Return the commanded accelerations (7,) in rad/s^2."""
        return np.array(self._seeded()[2])

    @property
    def is_seeded(self) -> bool:
        """Return whether the shaper knows where the arm is."""
        return self._state is not None

    def seed(self, q: np.ndarray, dq: np.ndarray | None = None) -> None:
        """
        Start from a state of the arm, q and dq (7,), and brake to rest from there.

        A velocity that the limits do not allow at q counts as zero.

        :raises InputError: a value is not finite, or q lies outside the joint limits.
        """
        q = self._checked(q, 'q')
        velocity = np.zeros(DOFS) if dq is None else self._checked(dq, 'dq')
        outside = (q < self.limits.position_lower) | (q > self.limits.position_upper)
        if outside.any():
            raise InputError(
                f'seed q {q.tolist()} rad lies outside the joint limits '
                f'{self.limits.position_lower.tolist()} .. {self.limits.position_upper.tolist()}')
        lower, upper = self.limits.velocity_bounds(q)
        limit = np.minimum(self.max_velocity, np.where(velocity > 0.0, upper, -lower))
        velocity = np.where(np.abs(velocity) <= limit, velocity, 0.0)
        self._state = (q.tolist(), velocity.tolist(), ZEROS)
        plan = self._planner.plan_stop(self._state)
        if not self._planner.is_safe_stop(plan):
            self._state = (q.tolist(), ZEROS, ZEROS)
            plan = self._planner.plan_stop(self._state)
        self._adopt(plan)

    def restore(self, q: np.ndarray, dq: np.ndarray, ddq: np.ndarray) -> None:
        """
        Go on from a command that this or an equal shaper had reached, braking until a goal comes.

        Unlike ``seed`` it keeps velocity and acceleration as they are; q, dq, ddq are (7,).

        :raises InputError: a value is not finite.
        """
        state = tuple(
            self._checked(values, name).tolist()
            for values, name in ((q, 'q'), (dq, 'dq'), (ddq, 'ddq')))
        self._state = (state[0], state[1], state[2])
        self.stop()

    def set_speed_scale(self, scale: float) -> None:
        """
        Scale the velocity limit of later goals by 0 < scale <= 1.

        :raises InputError: the scale is outside that range.
        """
        if not 0.0 < scale <= 1.0:
            raise InputError(f'speed scale is {scale}; allowed: 0 < x <= 1')
        self._speed_scale = float(scale)

    def set_goal(
            self, q: np.ndarray, dq: np.ndarray | None = None,
            min_duration_s: float = 0.0) -> bool:
        """
        Plan from the current command to joint positions q with velocities dq (7,).

        Goals beyond the limits are clipped to them. The arm gets there in min_duration_s, or as
        soon as the limits allow.

        :return: whether the plan leads there as asked (after clipping); otherwise it is slower,
            or, when no plan fits, the arm brakes.
        :raises InputError: a value is not finite; the plan under way goes on.
        """
        position = self._checked(q, 'goal q')
        velocity = None if dq is None else self._checked(dq, 'goal dq')
        if not 0.0 <= min_duration_s < math.inf:
            raise InputError(f'min_duration_s is {min_duration_s} s; allowed: 0 <= x < inf')
        plan = self._planner.plan_goal(
            self._seeded(), position, velocity, min_duration_s, self._speed_scale)
        if plan is None:
            self.refused_goals += 1
            self.stop()
            return False
        self._adopt(plan)
        self.substituted_goals += not plan.is_as_asked
        return plan.is_as_asked

    def stop(self) -> None:
        """Brake every joint to rest as fast as its limits allow."""
        self._adopt(self._planner.plan_stop(self._seeded()))

    def sample(self, dt_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Advance by dt_s and return the command: q, dq, ddq (7,) each."""
        self._advance(dt_s)
        q, dq, ddq = self._state
        return np.array(q), np.array(dq), np.array(ddq)

    def sample_positions(self, dt_s: float, count: int) -> np.ndarray:
        """Advance by count steps of dt_s and return the positions (count, 7) after each."""
        rows = []
        for _ in range(count):
            self._advance(dt_s)
            rows.append(self._state[0])
        return np.array(rows)

    def preview(self, dt_s: float, count: int) -> tuple[np.ndarray, np.ndarray]:
        """
        Return what ``sample`` would after each of count steps of dt_s if no goal came, unadvanced.

        :return: positions (count, 7) in rad and velocities (count, 7) in rad/s.
        :raises InputError: dt_s is negative or not finite, count < 1, or nothing was seeded.
        """
        self._seeded()
        if not 0.0 <= dt_s < math.inf or count < 1:
            raise InputError(
                f'preview is of {count} steps of {dt_s} s; allowed: >= 1 step, 0 <= x < inf')
        plan, time_s, rows = self._plan, self._time_s, []
        for _ in range(count):
            time_s += dt_s
            if time_s > plan.brake_at_s:
                time_s -= plan.brake_at_s
                plan = self._planner.plan_stop(plan.trajectory.at_time(plan.brake_at_s))
            rows.append(plan.trajectory.at_time(time_s)[:2])
        q, dq = np.moveaxis(np.array(rows), 1, 0)
        return q, dq

    def _advance(self, dt_s: float) -> None:
        """Move the state along the plan, into braking when its time has come."""
        if not 0.0 <= dt_s < math.inf:
            raise InputError(f'sample step is {dt_s} s; allowed: 0 <= x < inf')
        if self._plan is None:
            self._seeded()
        time_s = self._time_s + dt_s
        brake_at_s = self._plan.brake_at_s
        if time_s > brake_at_s:
            time_s -= brake_at_s
            self._state = self._plan.trajectory.at_time(brake_at_s)
            self.stop()
        self._time_s = time_s
        self._state = self._plan.trajectory.at_time(time_s)

    def _adopt(self, plan: Plan) -> None:
        """Follow a plan that starts at the current state."""
        self._plan = plan
        self._time_s = 0.0

    def _seeded(self) -> State:
        """Return the state, or raise if there is none."""
        if self._state is None:
            raise InputError('the command shaper is not seeded: call seed(q, dq) first')
        return self._state

    @staticmethod
    def _checked(values: np.ndarray, name: str) -> np.ndarray:
        """Return finite values (7,), or raise InputError."""
        values = np.asarray(values, dtype=float)
        if values.shape != (DOFS,) or not math.isfinite(sum(values.tolist())):
            raise InputError(f'{name} is {values.tolist()}; allowed: {DOFS} finite numbers')
        return values
