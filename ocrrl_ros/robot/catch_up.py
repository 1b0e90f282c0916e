# SPDX-License-Identifier: Apache-2.0
"""Trajectories that catch up with a moving point, and samples of any trajectory."""

from __future__ import annotations

from typing import NamedTuple, Union

import numpy as np
import ruckig

State = tuple[list[float], list[float], list[float]]


class Span(NamedTuple):
    """Least and greatest value of a joint position along a trajectory, rad."""

    min: float  # noqa: A003 (named as ruckig names it)
    max: float  # noqa: A003


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

    @property
    def position_extrema(self) -> list[Span]:
        """Return bounds of each joint's position, wider than the extremes but never narrower."""
        duration = self.duration
        return [
            Span(bound.min + origin + min(0.0, velocity * duration),
                 bound.max + origin + max(0.0, velocity * duration))
            for bound, origin, velocity in zip(
                self._relative.position_extrema, self._origin, self._velocity)]


Trajectory = Union[ruckig.Trajectory, CatchUp]


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
