# SPDX-License-Identifier: Apache-2.0
"""Check planned motions against the velocity limit that depends on the joint positions."""

from __future__ import annotations

import math

import numpy as np
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.catch_up import sampled, Trajectory
from ocrrl_ros.robot.limits import JointLimits
from ocrrl_ros.robot.motion_kernels import keeps_speed_limit

_CHECK_STEP_S = 0.005
_FINE_STEP_S = 0.001
_MAX_CHECKS = 1000
_TINY_RAD_S = 1e-6
# Bound on the second time derivative of the limit along a motion that keeps it, rad/s^3:
# d a / offset + (4 / 27) d^2 / offset with the FR3's largest d / offset and a = 10 rad/s^2.
_LIMIT_CURVATURE = 700.0
_STEPS = np.array([_CHECK_STEP_S, _MAX_CHECKS, _LIMIT_CURVATURE, _TINY_RAD_S])


class VelocityGuard:
    """
    Says whether ruckig trajectories keep the position-dependent velocity limit.

    Cheap where the limit is constant, by the extremes of the motion; by samples elsewhere.
    """

    def __init__(self, limits: JointLimits, max_velocity: np.ndarray, max_jerk: np.ndarray):
        """
        Prepare the range in which a joint may move at its full planned speed.

        :param max_velocity: largest planned speed (7,) in rad/s.
        :param max_jerk: jerk (7,) in rad/s^3 of plans and of stops.
        """
        self._limits = limits
        self._max_jerk = np.array(max_jerk, dtype=float)
        self._formula = np.array([
            limits.deceleration, limits.formula_lower, limits.formula_upper,
            limits.velocity_offset, limits.velocity, np.full(7, fr3.VELOCITY_TOLERANCE)])
        self.free_lower, self.free_upper = limits.box(max_velocity)
        self._free = list(zip(self.free_lower.tolist(), self.free_upper.tolist()))

    def is_free(self, trajectory: Trajectory) -> bool:
        """Return whether a trajectory stays where the velocity limit is constant."""
        return all(
            least >= lower and most <= upper
            for (least, most), (lower, upper) in zip(trajectory.extrema(), self._free))

    def leaves_free(self, trajectory: Trajectory) -> np.ndarray:
        """Return which joints (7,) leave the range where their velocity limit is constant."""
        extrema = np.array(trajectory.extrema())
        return (extrema[:, 0] < self.free_lower) | (extrema[:, 1] > self.free_upper)

    def keeps_limit(
            self, trajectory: Trajectory, end_s: float, acceleration: np.ndarray) -> bool:
        """
        Return whether a trajectory up to end_s keeps the limit, with room for a stop.

        The margin covers what a stop adds to the velocity while the acceleration turns, and how
        far limit and velocity can approach each other between two checked times.

        :param acceleration: largest (7,) of the trajectory, but for that of its start.
        """
        return keeps_speed_limit(
            trajectory.table, end_s, self._formula, acceleration, self._max_jerk, _STEPS)

    def just_keeps_limit(self, trajectory: Trajectory) -> bool:
        """Return whether a trajectory keeps position and velocity limits, with no margin."""
        count = max(math.ceil(trajectory.duration / _FINE_STEP_S), 1)
        step_s = trajectory.duration / count
        states = sampled(trajectory, [i * step_s for i in range(count + 1)])
        q, dq = states[:, :7], states[:, 7:]
        lower, upper = self._limits.velocity_bounds(q)
        return bool(
            ((q >= self._limits.position_lower) & (q <= self._limits.position_upper)
             & (dq >= lower - _TINY_RAD_S) & (dq <= upper + _TINY_RAD_S)).all())
