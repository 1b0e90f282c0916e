# SPDX-License-Identifier: Apache-2.0
"""
Plan joint motions from any state of motion to a goal or to rest, within every limit.

A plan to a goal is a time-optimal jerk-limited trajectory (ruckig), for a moving goal at most one
more goal period at its velocity, then braking to rest. It counts only when all of it, braking
included, respects the position-dependent velocity limit; otherwise gentler plans are tried.

Stops need no check: from any state of a checked plan the time-optimal stop stays below the plan's
own speed at every position, but for the time that the acceleration takes to turn, which the
guard's margin covers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
import math

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.robot.limits import JointLimits
from ocrrl_ros.robot.velocity_guard import VelocityGuard
import ruckig

DOFS = 7
ZEROS = [0.0] * DOFS
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


@dataclass(frozen=True)
class Plan:
    """A trajectory, when to start braking from it, and whether it leads where it was asked to."""

    trajectory: ruckig.Trajectory
    brake_at_s: float
    is_as_asked: bool


class TrajectoryPlanner:
    """Plans for one arm; states and goals are lists of seven numbers."""

    def __init__(self, limits: JointLimits, config: ShapingConfig):
        """Prepare ruckig with the configured share of the limits."""
        self.limits = limits
        self.max_velocity = config.velocity_fraction * limits.velocity
        self.max_acceleration = config.acceleration_fraction * limits.acceleration
        self.max_jerk = config.jerk_fraction * limits.jerk
        self._goal_lower, self._goal_upper = limits.box(config.goal_speed_rad_s)
        self._guard = VelocityGuard(limits, self.max_velocity, self.max_jerk)
        self._ruckig = ruckig.Ruckig(DOFS)
        self._goal_input = self._input(ruckig.ControlInterface.Position)
        self._stop_input = self._input(ruckig.ControlInterface.Velocity)
        self._stop_input.synchronization = ruckig.Synchronization.No

    def _input(self, interface: ruckig.ControlInterface) -> ruckig.InputParameter:
        """Return planner input with this planner's limits."""
        parameters = ruckig.InputParameter(DOFS)
        parameters.control_interface = interface
        parameters.max_velocity = self.max_velocity.tolist()
        parameters.max_acceleration = self.max_acceleration.tolist()
        parameters.max_jerk = self.max_jerk.tolist()
        return parameters

    def plan_stop(self, state: State) -> Plan:
        """Return the time-optimal plan to rest."""
        parameters, trajectory = self._stop_input, ruckig.Trajectory(DOFS)
        parameters.current_position, parameters.current_velocity, \
            parameters.current_acceleration = state
        self._ruckig.calculate(parameters, trajectory)
        return Plan(trajectory, math.inf, True)

    def is_safe_stop(self, plan: Plan) -> bool:
        """Return whether a stop from a state of no checked plan keeps the velocity limit."""
        return self._guard.is_free(plan.trajectory) or self._keeps_limit(
            plan.trajectory, math.inf, self.max_acceleration)

    def plan_goal(
            self, state: State, position: np.ndarray, velocity: np.ndarray | None,
            min_duration_s: float, speed_scale: float) -> Plan | None:
        """
        Return a plan to a goal, the fastest that is admissible, or None.

        :param position: goal (7,), clipped to where the joints can still move.
        :param velocity: goal velocity (7,) or None for a goal at rest.
        :param speed_scale: share of the planned velocity limit, 0 < x <= 1.
        """
        position = np.minimum(np.maximum(position, self._goal_lower), self._goal_upper)
        target, target_velocity = position.tolist(), ZEROS
        max_velocity = speed_scale * self.max_velocity
        if velocity is not None:
            velocity = np.minimum(np.maximum(velocity, -max_velocity), max_velocity)
            target_velocity = self._safe_velocity(position, velocity, min_duration_s).tolist()
        parameters = self._goal_input
        parameters.current_position, parameters.current_velocity, \
            parameters.current_acceleration = state
        parameters.target_position = target
        parameters.target_velocity = target_velocity
        parameters.minimum_duration = min_duration_s
        trajectory = self._calculate(max_velocity, self.max_acceleration)
        if trajectory is not None:
            is_moving = any(target_velocity)
            brake_at_s = trajectory.duration + min_duration_s if is_moving else math.inf
            if self._guard.is_free(trajectory) or self._keeps_limit(
                    trajectory, brake_at_s, self.max_acceleration):
                return Plan(trajectory, brake_at_s, True)
        return self._gentle_plan(trajectory, max_velocity)

    def _gentle_plan(
            self, rejected: ruckig.Trajectory | None, max_velocity: np.ndarray) -> Plan | None:
        """Return the fastest admissible plan to rest at the goal that was set last, or None."""
        near = np.ones(DOFS, dtype=bool)
        if rejected is not None:
            near = self._guard.leaves_free(rejected)
        self._goal_input.target_velocity = ZEROS
        for velocity_share, deceleration_share in _FALLBACKS:
            gentle = np.minimum(
                self.max_acceleration, deceleration_share * self.limits.deceleration)
            acceleration = np.where(near, gentle, self.max_acceleration)
            trajectory = self._calculate(
                np.where(near, velocity_share, 1.0) * max_velocity, acceleration)
            if trajectory is None:
                continue
            if self._guard.is_free(trajectory) or self._keeps_limit(
                    trajectory, math.inf, acceleration):
                return Plan(trajectory, math.inf, False)
            near |= self._guard.leaves_free(trajectory)
        return None

    def _calculate(
            self, max_velocity: np.ndarray,
            max_acceleration: np.ndarray) -> ruckig.Trajectory | None:
        """Return the time-optimal trajectory to the goal that is set, or None if there is none."""
        parameters, trajectory = self._goal_input, ruckig.Trajectory(DOFS)
        parameters.max_velocity = max_velocity.tolist()
        parameters.max_acceleration = max_acceleration.tolist()
        try:
            result = self._ruckig.calculate(parameters, trajectory)
        except ruckig.RuckigError:
            return None
        is_found = result in (ruckig.Result.Working, ruckig.Result.Finished)
        return trajectory if is_found else None

    def _safe_velocity(
            self, position: np.ndarray, velocity: np.ndarray,
            min_duration_s: float) -> np.ndarray:
        """
        Return a goal velocity (7,), zero for joints that it would bring near a limit.

        Near is where the velocity limit depends on the position, and it counts whether going on
        for one goal period and then braking ends there.
        """
        stop_s = np.abs(velocity) / self.max_acceleration + self.max_acceleration / self.max_jerk
        end = position + velocity * (min_duration_s + stop_s)
        is_safe = (end >= self._guard.free_lower) & (end <= self._guard.free_upper)
        return np.where(is_safe, velocity, 0.0)

    def _keeps_limit(
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
        stop = self.plan_stop(trajectory.at_time(brake_at_s)).trajectory
        return self._guard.keeps_limit(stop, stop.duration, acceleration)
