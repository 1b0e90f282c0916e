# SPDX-License-Identifier: Apache-2.0
"""
Turn joint goals that arrive now and then into a command stream that never breaks a limit.

Every goal becomes one plan, computed once and then only sampled. It ends at rest: a moving goal
is passed for at most one more goal period, so a silent policy cannot make the arm drift. When no
plan to a goal is admissible, the arm brakes.

The *invariant set* is what this is guaranteed from: states of motion whose time-optimal stop keeps
every joint limit, the position-dependent velocity limit included, at no more than the configured
shares of velocity and acceleration, and, where guards are set, every guard of
cartesian_guard.py. ``seed`` and ``restore`` refuse any other state. Each command stays in the
set: a plan is adopted only after it was checked to its end, which is at rest, and a stop whose
own path is not clear begins later on the adopted plan. Guards may check the far part of a long
plan while the arm is on its way; it brakes before it gets to what is not checked
(docs/safety.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
import dataclasses
import math

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.robot.cartesian_guard import (
    Allowance, CartesianGuard, TCP_SPEED, Verdict, Violation)
from ocrrl_ros.robot.catch_up import State
from ocrrl_ros.robot.guard_config import GuardConfig
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.limits import JointLimits
from ocrrl_ros.robot.plan_proof import GOAL_ALLOWANCE, PlanProof, STEP_ALLOWANCE
from ocrrl_ros.robot.trajectory_planner import (
    DOFS, Plan, ShapingConfig, TrajectoryPlanner, ZEROS)

__all__ = ['CommandShaper', 'ShapingConfig']

# A goal at which the TCP is too fast is planned anew this often, each time at most this share of
# the speed that would just do.
_SLOWER_TRIES = 4
_SLOWER_SHARE = 0.85
# A step of proof is for so much time of commands.
_PROOF_STEP_S = 0.001
_JOINT_LIMITS = 'joint limits'
_NOT_PROVEN = Violation('no proof in time', 'no proof in time')
# Rounding of a trajectory's end, rad/s and rad/s^2.
_AT_REST = 1e-9


class CommandShaper:
    """Joint-space shaping of one arm: seed, then set goals and sample."""

    def __init__(
            self, limits: JointLimits | None = None, config: ShapingConfig | None = None,
            guard: GuardConfig | None = None, kinematics: FrankaKinematics | None = None):
        """
        Prepare the planner; call ``seed`` before anything else.

        ``max_velocity``, ``max_acceleration`` and ``max_jerk`` (7,) are what commands keep to.

        :param guard: what arm and TCP may do in space; None leaves that unchecked.
        :param kinematics: for the guards; a new one when None.
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
        self._proof: PlanProof | None = None
        self._is_braking = False
        self._brake_at_s = math.inf
        self._time_s = 0.0
        self._guard = None if guard is None else CartesianGuard(
            guard, kinematics or FrankaKinematics(limits=self.limits),
            self.max_velocity, self.max_acceleration, self.max_jerk)
        self.substituted_goals = 0
        self.refused_goals = 0
        self.late_stops = 0
        self.guard_counts: Counter[str] = Counter()
        self.refusal = ''

    @property
    def guard(self) -> CartesianGuard | None:
        """Return the guards, or None."""
        return self._guard

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

    @property
    def is_at_rest(self) -> bool:
        """Return whether the command stands still."""
        _, dq, ddq = self._seeded()
        return max(map(abs, dq)) < _AT_REST and max(map(abs, ddq)) < _AT_REST

    def seed(self, q: np.ndarray, dq: np.ndarray | None = None) -> None:
        """
        Start from a measured state of the arm, q and dq (7,), and brake to rest from there.

        Speeds of at most ``seed_tolerance_rad_s`` in every joint count as rest. Otherwise dq
        counts as it is or, where that lies outside the invariant set, slower by the tolerance.

        :raises InputError: a value is not finite, or the state lies outside the invariant set;
            the shaper is as before then.
        """
        q = self._checked(q, 'q')
        velocity = np.zeros(DOFS) if dq is None else self._checked(dq, 'dq')
        outside = (q < self.limits.position_lower) | (q > self.limits.position_upper)
        if outside.any():
            raise InputError(
                f'seed q {q.tolist()} rad lies outside the joint limits '
                f'{self.limits.position_lower.tolist()} .. {self.limits.position_upper.tolist()}')
        for start in self._starts(velocity):
            state: State = (q.tolist(), start, ZEROS)
            plan = self._planner.plan_stop(state)
            if start == ZEROS or self._planner.is_safe_start(state, plan):
                break
        else:
            raise InputError(
                f'seed dq {velocity.tolist()} rad/s at q {q.tolist()} rad is too fast; allowed: '
                f'what can stop within the limits, at most {self.max_velocity.tolist()} rad/s')
        self._begin(state, plan)

    def restore(self, q: np.ndarray, dq: np.ndarray, ddq: np.ndarray) -> None:
        """
        Go on from a command that this or an equal shaper had reached, braking until a goal comes.

        Unlike ``seed`` it keeps velocity and acceleration as they are; q, dq, ddq are (7,).

        :raises InputError: a value is not finite, or the state lies outside the invariant set;
            the shaper is as before then.
        """
        state = tuple(
            self._checked(values, name).tolist()
            for values, name in ((q, 'q'), (dq, 'dq'), (ddq, 'ddq')))
        plan = self._planner.plan_stop(state)
        if not self._planner.is_inside(state, plan):
            raise InputError(
                f'state q {state[0]} rad, dq {state[1]} rad/s, ddq {state[2]} rad/s^2 lies '
                'outside the invariant set; allowed: what can stop within the limits')
        self._begin(state, plan)

    def _starts(self, velocity: np.ndarray) -> Iterator[list[float]]:
        """Yield the velocities (7,) that a measured one may stand for, the likeliest first."""
        tolerance = self.config.seed_tolerance_rad_s
        slower = np.sign(velocity) * np.maximum(np.abs(velocity) - tolerance, 0.0)
        if slower.any():
            yield velocity.tolist()
        yield slower.tolist() if slower.any() else ZEROS

    def _begin(self, state: State, plan: Plan) -> None:
        """Take over a state of motion and its stop, or raise where a guard forbids them."""
        if self._guard is not None:
            verdict = self._check_stop(plan, math.inf)
            if not verdict.is_clear:
                raise InputError(
                    f'start at q {state[0]} rad, dq {state[1]} rad/s is refused: '
                    f'{verdict.violation.detail}')
        self._state = state
        self._adopt(plan)

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
        self.refusal = ''
        if self._guard is None:
            plan, proof = self._free_plan(position, velocity, min_duration_s), None
        else:
            plan, proof = self._guarded_plan(position, velocity, min_duration_s)
        if plan is None:
            self.refused_goals += 1
            self.stop()
            return False
        self._adopt(plan, proof)
        self.substituted_goals += not plan.is_as_asked
        return plan.is_as_asked

    def stop(self) -> None:
        """
        Brake every joint to rest as fast as its limits allow.

        Where a guard forbids the path of that stop, the arm goes on along the plan that it
        follows, which is known to be clear, and brakes from there as soon as that is clear; at
        the latest it rests where the plan ends.
        """
        plan = self._planner.plan_stop(self._seeded())
        if self._guard is None or self._check_stop(plan, GOAL_ALLOWANCE).is_clear:
            self._adopt(plan)
        else:
            self._brake_later()

    def _check_stop(self, plan: Plan, allowance: float) -> Verdict:
        """Return what the guards find on the plan of a stop."""
        return self._guard.check(
            plan.trajectory, 0.0, plan.trajectory.duration, Allowance(allowance),
            is_stopped=False)

    def _free_plan(
            self, position: np.ndarray, velocity: np.ndarray | None,
            min_duration_s: float) -> Plan | None:
        """Return a plan to a goal that the limits admit, or None and note why."""
        plan = self._planner.plan_goal(
            self._seeded(), position, velocity, min_duration_s, self._speed_scale)
        self.refusal = _JOINT_LIMITS if plan is None else ''
        return plan

    def _guarded_plan(
            self, position: np.ndarray, velocity: np.ndarray | None,
            min_duration_s: float) -> tuple[Plan | None, PlanProof | None]:
        """
        Return a plan to a goal that limits and guards admit, or None and note why.

        Where a guard forbids the first plan, a slower one and one that rests at the goal are
        tried.
        """
        state, violation = self._seeded(), None
        allowance = Allowance(GOAL_ALLOWANCE)
        for moving in ((None,) if velocity is None else (velocity, None)):
            scale = self._speed_scale
            for _ in range(_SLOWER_TRIES):
                plan = self._planner.plan_goal(state, position, moving, min_duration_s, scale)
                if plan is None:
                    break
                proof = PlanProof(self._guard, plan)
                if proof.begin(allowance):
                    if violation is not None:
                        plan = dataclasses.replace(plan, is_as_asked=False)
                    return plan, proof
                found = proof.violation or _NOT_PROVEN
                if violation is None:
                    self.guard_counts[found.guard] += 1
                violation = found
                if found.guard != TCP_SPEED or allowance.left <= 0.0:
                    break
                scale = _SLOWER_SHARE * min(scale, found.speed_share)
            if violation is None:
                break
        self.refusal = _JOINT_LIMITS if violation is None else violation.detail
        return None, None

    def _brake_later(self) -> None:
        """Follow the plan under way to where a stop is clear."""
        self.late_stops += 1
        self._is_braking = True
        if self._proof is None:
            # A stop is under way, which is the shortest that there is.
            return
        self._seek_stop(Allowance(GOAL_ALLOWANCE))

    def _seek_stop(self, allowance: Allowance) -> None:
        """Go on looking for a stop on the plan under way."""
        self._is_braking = not self._proof.brake(self._time_s, allowance)
        self._brake_at_s = self._proof.brake_at_s

    def _prove(self, dt_s: float) -> None:
        """Spend what dt_s of commands may on the proof of the plan under way."""
        proof = self._proof
        allowance = Allowance(STEP_ALLOWANCE * max(math.ceil(dt_s / _PROOF_STEP_S), 1))
        if self._is_braking:
            self._seek_stop(allowance)
            return
        proof.extend(self._time_s, dt_s, allowance)
        self._brake_at_s = proof.brake_at_s
        if proof.violation is not None:
            self.guard_counts[proof.violation.guard] += 1
            self.refused_goals += 1
            self.refusal = proof.violation.detail

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
        if self._proof is not None and (self._is_braking or not self._proof.is_done):
            self._prove(dt_s)
        time_s = self._time_s + dt_s
        brake_at_s = self._brake_at_s
        if time_s > brake_at_s:
            time_s -= brake_at_s
            self._state = self._plan.trajectory.at_time(brake_at_s)
            self._adopt(self._planner.plan_stop(self._state))
        self._time_s = time_s
        self._state = self._plan.trajectory.at_time(time_s)

    def _adopt(self, plan: Plan, proof: PlanProof | None = None) -> None:
        """Follow a plan that starts at the current state, proven or to be proven on the way."""
        self._plan, self._proof = plan, proof
        self._is_braking = False
        self._brake_at_s = plan.brake_at_s if proof is None else proof.brake_at_s
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
