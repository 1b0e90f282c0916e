# SPDX-License-Identifier: Apache-2.0
"""
Turn joint goals that arrive now and then into a command stream that never breaks a limit.

Every goal becomes one *plan*, computed once by ruckig and then only sampled: a time-optimal
jerk-limited trajectory to the goal, for a moving goal at most one more goal period at its
velocity, then braking to rest. A silent policy therefore cannot make the arm drift.

A plan is adopted only when all of it, braking included, respects the position-dependent velocity
limit. Otherwise gentler plans are tried, and if none fits the arm brakes. Braking needs no check:
from any state of a checked plan the time-optimal stop stays below the plan's own speed at every
position, but for the time that the acceleration takes to turn, which the guard's margin covers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
import math

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.robot.limits import JointLimits
from ocrrl_ros.robot.velocity_guard import VelocityGuard
import ruckig

_DOFS = 7
_ZEROS = [0.0] * _DOFS
State = tuple[list[float], list[float], list[float]]


@dataclass(frozen=True, kw_only=True)
class ShapingConfig:
    """How much of the FR3's limits commands may use."""

    velocity_fraction: float = field(
        default=0.5, metadata={'description': 'share of the joint velocity limits, 0..1'})
    acceleration_fraction: float = field(
        default=0.8, metadata={'description': 'share of the 10 rad/s^2 acceleration limit, 0..1'})
    jerk_fraction: float = field(
        default=0.5, metadata={'description': 'share of the 5000 rad/s^3 jerk limit, 0..1'})
    goal_speed_rad_s: float = field(
        default=0.15, metadata={'description': (
            'goals are clipped to positions where each joint may still move this fast, rad/s')})

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        for name in ('velocity_fraction', 'acceleration_fraction', 'jerk_fraction'):
            value = getattr(self, name)
            if not 0.0 < value <= 1.0:
                raise ConfigError(f'{name} is {value}; allowed: 0 < x <= 1')
        if not 0.05 <= self.goal_speed_rad_s <= 1.0:
            raise ConfigError(
                f'goal_speed_rad_s is {self.goal_speed_rad_s} rad/s; allowed: 0.05..1')


# Gentler plans, in order: for joints that come near a limit, the share of velocity, and of the
# deceleration that the position-dependent limit assumes (a stop at less than all of it can follow
# the limit's curve). The first only gives up a moving goal's velocity.
_FALLBACKS = ((1.0, math.inf), (1.0, 0.4), (1.0, 0.25), (0.5, 0.15))


class CommandShaper:
    """Joint-space shaping of one arm: seed, then set goals and sample."""

    def __init__(self, limits: JointLimits | None = None, config: ShapingConfig | None = None):
        """Prepare ruckig; call ``seed`` before anything else."""
        self.config = config or ShapingConfig()
        self.limits = limits or JointLimits.for_image()
        self.max_velocity = self.config.velocity_fraction * self.limits.velocity
        self.max_acceleration = self.config.acceleration_fraction * self.limits.acceleration
        self.max_jerk = self.config.jerk_fraction * self.limits.jerk
        self._goal_lower, self._goal_upper = self.limits.box(self.config.goal_speed_rad_s)
        self._guard = VelocityGuard(self.limits, self.max_velocity, self.max_jerk)
        self._near = np.ones(_DOFS, dtype=bool)
        self._speed_scale = 1.0
        self._planner = ruckig.Ruckig(_DOFS)
        self._goal_input = self._input(ruckig.ControlInterface.Position)
        self._stop_input = self._input(ruckig.ControlInterface.Velocity)
        self._stop_input.synchronization = ruckig.Synchronization.No
        self._trajectory = ruckig.Trajectory(_DOFS)
        self._spare = ruckig.Trajectory(_DOFS)
        self._brake = ruckig.Trajectory(_DOFS)
        self._state: State | None = None
        self._time_s = 0.0
        self._brake_at_s = math.inf
        self.substituted_goals = 0
        self.refused_goals = 0

    def _input(self, interface: ruckig.ControlInterface) -> ruckig.InputParameter:
        """Return planner input with this shaper's limits."""
        parameters = ruckig.InputParameter(_DOFS)
        parameters.control_interface = interface
        parameters.max_velocity = self.max_velocity.tolist()
        parameters.max_acceleration = self.max_acceleration.tolist()
        parameters.max_jerk = self.max_jerk.tolist()
        return parameters

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
        velocity = np.zeros(_DOFS) if dq is None else self._checked(dq, 'dq')
        outside = (q < self.limits.position_lower) | (q > self.limits.position_upper)
        if outside.any():
            raise InputError(
                f'seed q {q.tolist()} rad lies outside the joint limits '
                f'{self.limits.position_lower.tolist()} .. {self.limits.position_upper.tolist()}')
        lower, upper = self.limits.velocity_bounds(q)
        limit = np.minimum(self.max_velocity, np.where(velocity > 0.0, upper, -lower))
        velocity = np.where(np.abs(velocity) <= limit, velocity, 0.0)
        self._state = (q.tolist(), velocity.tolist(), _ZEROS)
        self._plan_stop()
        if not self._is_admissible(self._trajectory, math.inf, self.max_acceleration):
            self._state = (q.tolist(), _ZEROS, _ZEROS)
            self._plan_stop()

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
        self._plan_stop()

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
        self._seeded()
        position = np.minimum(np.maximum(position, self._goal_lower), self._goal_upper)
        self._near[:] = True
        if velocity is not None:
            velocity = self._clipped_velocity(position, velocity, min_duration_s)
        goal = position.tolist(), _ZEROS if velocity is None else velocity.tolist()
        if self._plan(goal, min_duration_s, 1.0, math.inf):
            return True
        for velocity_share, deceleration_share in _FALLBACKS:
            if self._plan((goal[0], _ZEROS), min_duration_s, velocity_share, deceleration_share):
                self.substituted_goals += 1
                return False
        self.refused_goals += 1
        self.stop()
        return False

    def stop(self) -> None:
        """Brake every joint to rest as fast as its limits allow."""
        self._seeded()
        self._plan_stop()

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

    def _advance(self, dt_s: float) -> None:
        """Move the state along the plan, into braking when its time has come."""
        if not 0.0 <= dt_s < math.inf:
            raise InputError(f'sample step is {dt_s} s; allowed: 0 <= x < inf')
        if self._state is None:
            self._seeded()
        time_s = self._time_s + dt_s
        if time_s > self._brake_at_s:
            late_s = time_s - self._brake_at_s
            self._state = self._trajectory.at_time(self._brake_at_s)
            self._plan_stop()
            time_s = late_s
        self._time_s = time_s
        self._state = self._trajectory.at_time(time_s)

    def _plan(
            self, goal: tuple[list[float], list[float]], min_duration_s: float,
            velocity_share: float, deceleration_share: float) -> bool:
        """Adopt a plan to the goal if there is an admissible one; return whether."""
        parameters = self._goal_input
        velocity, acceleration = self._speed_scale * self.max_velocity, self.max_acceleration
        if deceleration_share < math.inf:
            velocity = np.where(self._near, velocity_share * velocity, velocity)
            gentle = np.minimum(acceleration, deceleration_share * self.limits.deceleration)
            acceleration = np.where(self._near, gentle, acceleration)
        parameters.max_velocity = velocity.tolist()
        parameters.max_acceleration = acceleration.tolist()
        parameters.current_position, parameters.current_velocity, \
            parameters.current_acceleration = self._state
        parameters.target_position, parameters.target_velocity = goal
        parameters.minimum_duration = min_duration_s
        try:
            result = self._planner.calculate(parameters, self._spare)
        except ruckig.RuckigError:
            return False
        if result not in (ruckig.Result.Working, ruckig.Result.Finished):
            return False
        is_moving = any(goal[1])
        brake_at_s = self._spare.duration + min_duration_s if is_moving else math.inf
        if not self._guard.is_free(self._spare):
            if not self._is_admissible(self._spare, brake_at_s, acceleration):
                self._near = self._guard.leaves_free(self._spare)
                return False
        self._trajectory, self._spare = self._spare, self._trajectory
        self._time_s = 0.0
        self._brake_at_s = brake_at_s
        return True

    def _plan_stop(self) -> None:
        """Adopt the time-optimal plan to rest from the current state."""
        self._calculate_stop(self._state, self._spare)
        self._trajectory, self._spare = self._spare, self._trajectory
        self._time_s = 0.0
        self._brake_at_s = math.inf

    def _calculate_stop(self, state: State, trajectory: ruckig.Trajectory) -> None:
        """Write the time-optimal stop from a state into a trajectory."""
        parameters = self._stop_input
        parameters.current_position, parameters.current_velocity, \
            parameters.current_acceleration = state
        self._planner.calculate(parameters, trajectory)

    def _clipped_velocity(
            self, position: np.ndarray, velocity: np.ndarray,
            min_duration_s: float) -> np.ndarray:
        """
        Return a goal velocity (7,) within the limits.

        It is zero for joints that, going on for one goal period and then braking, would come
        where the velocity limit depends on the position.
        """
        limit = self._speed_scale * self.max_velocity
        velocity = np.minimum(np.maximum(velocity, -limit), limit)
        stop_s = np.abs(velocity) / self.max_acceleration + self.max_acceleration / self.max_jerk
        end = position + velocity * (min_duration_s + stop_s)
        is_safe = (end >= self._guard.free_lower) & (end <= self._guard.free_upper)
        return np.where(is_safe, velocity, 0.0)

    def _is_admissible(
            self, trajectory: ruckig.Trajectory, brake_at_s: float,
            acceleration: np.ndarray) -> bool:
        """
        Return whether a plan, braking included, respects the position-dependent limit.

        :param acceleration: largest acceleration (7,) of the plan, but for that of its start.
        """
        acceleration = np.maximum(acceleration, np.abs(trajectory.at_time(0.0)[2]))
        is_moving = brake_at_s < math.inf
        end_s = brake_at_s if is_moving else trajectory.duration
        if not self._guard.keeps_limit(trajectory, end_s, acceleration):
            return False
        if not is_moving:
            return True
        self._calculate_stop(trajectory.at_time(brake_at_s), self._brake)
        return self._guard.keeps_limit(self._brake, self._brake.duration, acceleration)

    def _seeded(self) -> State:
        """Return the state, or raise if there is none."""
        if self._state is None:
            raise InputError('the command shaper is not seeded: call seed(q, dq) first')
        return self._state

    @staticmethod
    def _checked(values: np.ndarray, name: str) -> np.ndarray:
        """Return finite values (7,), or raise InputError."""
        values = np.asarray(values, dtype=float)
        if values.shape != (_DOFS,) or not np.isfinite(values).all():
            raise InputError(f'{name} is {values.tolist()}; allowed: {_DOFS} finite numbers')
        return values
