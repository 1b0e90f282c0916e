# SPDX-License-Identifier: Apache-2.0
"""A planned motion as samples that together stand for all of its time."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from ocrrl_ros.robot.catch_up import sampled, Trajectory

_STEP_S = 0.02
_FINE_STEP_S = 0.0025


class Leg(NamedTuple):
    """A part of a motion: a trajectory from its beginning to end_s."""

    trajectory: Trajectory
    end_s: float


class Stretch(NamedTuple):
    """The time in s that a sample stands for, within one trajectory."""

    trajectory: Trajectory
    begin_s: float
    end_s: float


class SampledMotion:
    """
    Joint positions and velocities along a motion of one or more legs.

    Samples are evenly spaced in each leg, both of its ends included.
    """

    def __init__(self, legs: list[Leg]):
        """
        Sample every leg.

        ``q`` and ``dq`` are (N, 7), ``half_step_s`` (N,) is the time to either side that a sample
        stands for.
        """
        self._legs = legs
        self._first: list[int] = []
        parts, half = [], []
        for leg in legs:
            count = max(math.ceil(leg.end_s / _STEP_S), 1)
            step_s = leg.end_s / count
            self._first.append(len(half))
            parts.append(sampled(leg.trajectory, [i * step_s for i in range(count + 1)]))
            half += [0.5 * step_s] * (count + 1)
        states = parts[0] if len(parts) == 1 else np.concatenate(parts)
        self.q, self.dq = states[:, :7], states[:, 7:]
        self.half_step_s = np.array(half)
        self.size = len(half)

    def around(self, index: int) -> Stretch:
        """Return the time that a sample stands for."""
        number = max(i for i, first in enumerate(self._first) if first <= index)
        leg, half_s = self._legs[number], float(self.half_step_s[index])
        time_s = 2.0 * half_s * (index - self._first[number])
        return Stretch(
            leg.trajectory, max(time_s - half_s, 0.0), min(time_s + half_s, leg.end_s))


def fine_states(stretch: Stretch) -> tuple[np.ndarray, np.ndarray, float]:
    """Return positions (N, 7), velocities (N, 7) and half the step in s of a closer look."""
    length_s = stretch.end_s - stretch.begin_s
    count = max(math.ceil(length_s / _FINE_STEP_S), 1)
    states = sampled(stretch.trajectory, [
        stretch.begin_s + i * length_s / count for i in range(count + 1)])
    return states[:, :7], states[:, 7:], 0.5 * length_s / count
