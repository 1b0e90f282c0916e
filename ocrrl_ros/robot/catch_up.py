# SPDX-License-Identifier: Apache-2.0
"""Trajectories, as they are planned or to catch up with a moving point, and their samples."""

from __future__ import annotations

from functools import cached_property
from typing import Union

import numpy as np
from ocrrl_ros.robot.motion_kernels import fill_table
import ruckig

State = tuple[list[float], list[float], list[float]]
_NO_BRAKE = [0.0, 0.0]


class Direct:
    """
    A trajectory of ruckig's as it is.

    ``at_time`` returns positions, velocities and accelerations, seven numbers each, ``duration``
    is in s.
    """

    def __init__(self, trajectory: ruckig.Trajectory):
        """Take over the trajectory."""
        self.duration = trajectory.duration
        self.at_time = trajectory.at_time
        self._trajectory = trajectory

    @cached_property
    def table(self) -> np.ndarray:
        """Return the pieces (7, 10, 5); motion_kernels.py says how."""
        return _table(self._trajectory, self.at_time(0.0))

    def extrema(self) -> list[tuple[float, float]]:
        """Return the least and the greatest position of each joint."""
        return [(bound.min, bound.max) for bound in self._trajectory.position_extrema]


class CatchUp:
    """
    A trajectory planned in the frame of a moving point, seen from the robot's base.

    :param relative: ruckig trajectory of position minus point.
    :param origin: position of the point at time 0, seven numbers.
    :param velocity: of the point, seven numbers.
    """

    def __init__(
            self, relative: ruckig.Trajectory, origin: list[float], velocity: list[float]):
        """Take over the trajectory."""
        self.duration = relative.duration
        self._relative = relative
        self._origin = origin
        self._velocity = velocity

    def at_time(self, time_s: float) -> State:
        """Return positions, velocities and accelerations, seven numbers each."""
        position, velocity, acceleration = self._relative.at_time(time_s)
        return (
            [p + o + v * time_s
             for p, o, v in zip(position, self._origin, self._velocity)],
            [a + b for a, b in zip(velocity, self._velocity)], acceleration)

    def states(self, times_s: list[float]) -> np.ndarray:
        """Return positions and velocities (N, 14) at times, to the last bit as ``at_time``."""
        states = sampled(self._relative, times_s)
        states[:, :7] += self._origin
        states[:, :7] += np.multiply.outer(times_s, self._velocity)
        states[:, 7:] += self._velocity
        return states

    @cached_property
    def table(self) -> np.ndarray:
        """Return the pieces (7, 10, 5); motion_kernels.py says how."""
        return _table(self._relative, self.at_time(0.0))

    def extrema(self) -> list[tuple[float, float]]:
        """Return bounds of each joint's position, wider than the extremes but never narrower."""
        duration = self.duration
        return [
            (bound.min + origin + min(0.0, velocity * duration),
             bound.max + origin + max(0.0, velocity * duration))
            for bound, origin, velocity in zip(
                self._relative.position_extrema, self._origin, self._velocity)]


Trajectory = Union[Direct, CatchUp]


def _table(trajectory: ruckig.Trajectory, start: State) -> np.ndarray:
    """Return the pieces (7, 10, 5) of the jerks of a trajectory from another start."""
    steps: list[float] = []
    for profile in trajectory.profiles[0]:
        brake = profile.brake
        if brake.duration > 0.0:
            steps += brake.t + profile.t + brake.j + profile.j
        else:
            steps += _NO_BRAKE + profile.t + _NO_BRAKE + profile.j
    table = np.empty((7, 10, 5))
    fill_table(np.array(start), np.array(steps).reshape(7, 18), table)
    return table


def sampled(trajectory: Trajectory, times_s: list[float]) -> np.ndarray:
    """Return positions and velocities (N, 14) of a trajectory at some times."""
    if isinstance(trajectory, CatchUp):
        return trajectory.states(times_s)
    numbers: list[float] = []
    for time_s in times_s:
        q, dq, _ = trajectory.at_time(time_s)
        numbers += q
        numbers += dq
    return np.array(numbers).reshape(-1, 14)
