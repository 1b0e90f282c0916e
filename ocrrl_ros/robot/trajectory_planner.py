# SPDX-License-Identifier: Apache-2.0
"""
Plan joint motions from any state of motion to a goal or to rest, within every limit.

A goal at rest is reached by a time-optimal jerk-limited trajectory (ruckig). A moving goal is a
point that passes through the goal position at the goal velocity; the plan catches up with it, at
most one more goal period goes on at its velocity, then the arm brakes to rest. Catching up is
planned in the frame that moves with the point: there it is at rest, the limits on acceleration
and jerk are the same, and a joint that has nothing to catch up does not move. (Planned as a fixed
state to be reached by all joints at once, a few mrad of inconsistency between position and
velocity in one joint would slow all seven: 2 mrad ask for 32 ms where the goal leaves 20.)

A plan counts only when all of it, braking included, respects the position-dependent velocity
limit; otherwise gentler plans are tried.

Stops need no check: from any state of a checked plan the time-optimal stop stays below the plan's
own speed at every position, but for the time that the acceleration takes to turn, which the
guard's margin covers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
import math

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.robot.catch_up import CatchUp, Direct, State, Trajectory
from ocrrl_ros.robot.limits import JointLimits
from ocrrl_ros.robot.velocity_guard import VelocityGuard
import ruckig

DOFS = 7
ZEROS = [0.0] * DOFS


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
    catch_up_s: float = field(
        default=0.05, metadata={'description': (
            'least time to catch up with a moving goal, s; spreads the noise of a policy')})
    seed_tolerance_rad_s: float = field(
        default=0.05, metadata={'description': (
            'measured joint speeds up to this count as rest at a start, rad/s; noise')})

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        for name in ('velocity_fraction', 'acceleration_fraction', 'jerk_fraction'):
            value = getattr(self, name)
            if not 0.0 < value <= 1.0:
                raise ConfigError(f'{name} is {value}; allowed: 0 < x <= 1')
        if not 0.05 <= self.goal_speed_rad_s <= 1.0:
            raise ConfigError(
                f'goal_speed_rad_s is {self.goal_speed_rad_s} rad/s; allowed: 0.05..1')
        if not 0.0 <= self.catch_up_s <= 0.5:
            raise ConfigError(f'catch_up_s is {self.catch_up_s} s; allowed: 0..0.5')
        if not 0.0 <= self.seed_tolerance_rad_s <= 0.2:
            raise ConfigError(
                f'seed_tolerance_rad_s is {self.seed_tolerance_rad_s} rad/s; allowed: 0..0.2')


# Share of the velocity limit that a moving goal may use: the rest is for catching up with it.
_MOVING_SHARE = 0.9
# Gentler plans, in order: for joints that come near a limit, the share of velocity, and of the
# deceleration that the position-dependent limit assumes (a stop at less than all of it can follow
# the limit's curve). The first only gives up a moving goal's velocity.
_FALLBACKS = ((1.0, math.inf), (1.0, 0.4), (1.0, 0.25), (0.5, 0.15))


@dataclass(frozen=True)
class Plan:
    """A trajectory, when to start braking from it, and whether it leads where it was asked to."""

    trajectory: Trajectory
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
        self._catch_up_s = config.catch_up_s
        lower, upper = limits.box(config.goal_speed_rad_s)
        # Seven numbers are handled faster as lists than as arrays, and this path is hot.
        self._goal_range = list(zip(lower.tolist(), upper.tolist()))
        self._speeds = self.max_velocity.tolist()
        self._guard = VelocityGuard(limits, self.max_velocity, self.max_jerk)
        # (lower, upper, acceleration, time to build it up) of each joint.
        self._free = list(zip(
            self._guard.free_lower.tolist(), self._guard.free_upper.tolist(),
            self.max_acceleration.tolist(), (self.max_acceleration / self.max_jerk).tolist()))
        self._ruckig = ruckig.Ruckig(DOFS)
        self._goal_input = self._input(ruckig.ControlInterface.Position)
        self._catch_up_input = self._input(ruckig.ControlInterface.Position)
        self._catch_up_input.target_position = ZEROS
        self._catch_up_input.target_velocity = ZEROS
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
        return Plan(Direct(trajectory), math.inf, True)

    def is_safe_start(self, state: State, stop: Plan) -> bool:
        """Return whether a measured state at no acceleration, and its stop, keep the limits."""
        if (np.abs(state[1]) > self.max_velocity).any():
            return False
        return self._guard.is_free(stop.trajectory) or self._keeps_limit(
            stop.trajectory, math.inf, self.max_acceleration)

    def is_inside(self, state: State, stop: Plan) -> bool:
        """Return whether a state and its stop keep the limits, with no room to spare."""
        slack = 1.0 + 1e-9
        velocity, acceleration = np.array(state[1]), np.array(state[2])
        # Taking the acceleration away costs time, in which it goes on to change the velocity.
        turning = velocity + 0.5 * acceleration * np.abs(acceleration) / self.max_jerk
        fastest = np.maximum(np.abs(velocity), np.abs(turning))
        if (fastest > slack * self.max_velocity).any() or (
                np.abs(acceleration) > slack * self.max_acceleration).any():
            return False
        return self._guard.is_free(stop.trajectory) or self._guard.just_keeps_limit(
            stop.trajectory)

    def plan_goal(
            self, state: State, position: np.ndarray, velocity: np.ndarray | None,
            min_duration_s: float, speed_scale: float) -> Plan | None:
        """
        Return a plan to a goal, the fastest that is admissible, or None.

        :param position: goal (7,), clipped to where the joints can still move.
        :param velocity: goal velocity (7,) or None for a goal at rest.
        :param speed_scale: share of the planned velocity limit, 0 < x <= 1.
        """
        goal = [min(max(q, lower), upper)
                for q, (lower, upper) in zip(position.tolist(), self._goal_range)]
        speeds = [speed_scale * speed for speed in self._speeds]
        if velocity is not None:
            moving = self._safe_velocity(goal, [
                min(max(v, -_MOVING_SHARE * speed), _MOVING_SHARE * speed)
                for v, speed in zip(velocity.tolist(), speeds)], min_duration_s)
            plan = self._catch_up_plan(
                state, goal, moving, min_duration_s, speeds) if any(moving) else None
            if plan is not None:
                return plan
        return self._resting_plan(
            state, goal, min_duration_s, np.array(speeds), is_as_asked=velocity is None)

    def _catch_up_plan(
            self, state: State, position: list[float], velocity: list[float],
            min_duration_s: float, max_velocity: list[float]) -> Plan | None:
        """Return an admissible plan that joins the point passing through the goal, or None."""
        origin = [q - v * min_duration_s for q, v in zip(position, velocity)]
        parameters, relative = self._catch_up_input, ruckig.Trajectory(DOFS)
        parameters.current_position = [q - o for q, o in zip(state[0], origin)]
        parameters.current_velocity = [v - p for v, p in zip(state[1], velocity)]
        parameters.current_acceleration = state[2]
        parameters.max_velocity = [speed - v for speed, v in zip(max_velocity, velocity)]
        parameters.min_velocity = [-speed - v for speed, v in zip(max_velocity, velocity)]
        parameters.minimum_duration = max(min_duration_s, self._catch_up_s)
        if not self._is_calculated(parameters, relative):
            return None
        trajectory = CatchUp(relative, origin, velocity)
        brake_at_s = trajectory.duration + min_duration_s
        if self._is_free(trajectory, velocity, min_duration_s) or self._keeps_limit(
                trajectory, brake_at_s, self.max_acceleration):
            return Plan(trajectory, brake_at_s, True)
        return None

    def _is_free(
            self, trajectory: CatchUp, velocity: list[float], min_duration_s: float) -> bool:
        """Return whether catching up, going on and braking stay clear of every joint limit."""
        end = trajectory.at_time(trajectory.duration)[0]
        return self._safe_velocity(end, velocity, min_duration_s) == velocity and \
            self._guard.is_free(trajectory)

    def _resting_plan(
            self, state: State, position: list[float], min_duration_s: float,
            max_velocity: np.ndarray, *, is_as_asked: bool) -> Plan | None:
        """Return the fastest admissible plan to rest at the goal, or None."""
        parameters = self._goal_input
        parameters.current_position, parameters.current_velocity, \
            parameters.current_acceleration = state
        parameters.target_position = position
        parameters.target_velocity = ZEROS
        parameters.minimum_duration = min_duration_s
        trajectory = self._calculate(max_velocity, self.max_acceleration)
        if trajectory is not None and (
                self._guard.is_free(trajectory) or self._keeps_limit(
                    trajectory, math.inf, self.max_acceleration)):
            return Plan(trajectory, math.inf, is_as_asked)
        return self._gentle_plan(trajectory, max_velocity)

    def _gentle_plan(
            self, rejected: Direct | None, max_velocity: np.ndarray) -> Plan | None:
        """Return the fastest admissible plan to rest at the goal that was set last, or None."""
        near = np.ones(DOFS, dtype=bool)
        if rejected is not None:
            near = self._guard.leaves_free(rejected)
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
            max_acceleration: np.ndarray) -> Direct | None:
        """Return the time-optimal trajectory to the goal that is set, or None if there is none."""
        parameters, trajectory = self._goal_input, ruckig.Trajectory(DOFS)
        parameters.max_velocity = max_velocity.tolist()
        parameters.max_acceleration = max_acceleration.tolist()
        return Direct(trajectory) if self._is_calculated(parameters, trajectory) else None

    def _is_calculated(
            self, parameters: ruckig.InputParameter, trajectory: ruckig.Trajectory) -> bool:
        """Calculate the time-optimal trajectory, and return whether there is one."""
        try:
            result = self._ruckig.calculate(parameters, trajectory)
        except ruckig.RuckigError:
            return False
        return result in (ruckig.Result.Working, ruckig.Result.Finished)

    def _safe_velocity(
            self, position: list[float], velocity: list[float],
            min_duration_s: float) -> list[float]:
        """
        Return a goal velocity, zero for joints that it would bring near a limit.

        Near is where the velocity limit depends on the position, and it counts whether going on
        for one goal period and then braking ends there.
        """
        return [
            v if lower <= q + v * (min_duration_s + abs(v) / acceleration + build_up_s) <= upper
            else 0.0
            for q, v, (lower, upper, acceleration, build_up_s) in zip(
                position, velocity, self._free)]

    def _keeps_limit(
            self, trajectory: Trajectory, brake_at_s: float, acceleration: np.ndarray) -> bool:
        """
        Return whether a plan, braking included, respects the position-dependent limit.

        :param acceleration: largest acceleration (7,) of the plan, but for that of its start.
        """
        is_moving = brake_at_s < math.inf
        end_s = brake_at_s if is_moving else trajectory.duration
        if not self._guard.keeps_limit(trajectory, end_s, acceleration):
            return False
        if not is_moving:
            return True
        stop = self.plan_stop(trajectory.at_time(brake_at_s)).trajectory
        # The margin of the plan counts for its stop.
        start = np.abs(trajectory.at_time(0.0)[2])
        return self._guard.keeps_limit(stop, stop.duration, np.maximum(acceleration, start))
