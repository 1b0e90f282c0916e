# SPDX-License-Identifier: Apache-2.0
"""
How far a posture is from what is forbidden, and for how long a motion is sure to stay clear.

A clearance is a function of the joint positions that changes by at most ``sum_j w_j |dq_j|``
between two postures. One value therefore clears a whole neighbourhood, and a path is checked
without gaps: from each looked-at posture the next look is due when the joints could have used up
the clearance, never later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
import math

import numpy as np
from ocrrl_ros.robot.guard_kernels import room_left
from ocrrl_ros.robot.sampled_motion import SampledMotion

#: Largest distance in m of any point of hand or arm from the axis of each joint, from the table
#: of fr3.MODIFIED_DH: 0.327 m from shoulder to elbow, 0.393 m from there to the wrist, 0.25 m from
#: the wrist to a fingertip of the open hand. A test looks.
BODY_REACH_M = (0.98, 0.98, 0.73, 0.65, 0.26, 0.26, 0.12)
#: The same of the TCP alone, which is 0.228 m from the wrist and lies on the axis of joint 7.
TCP_REACH_M = (0.95, 0.95, 0.71, 0.63, 0.23, 0.23, 0.0)
#: Change of the Jacobian's least singular value per rad. The largest that 20 000 random postures
#: showed was 0.37; joints 1 and 7 turn everything or nothing that counts.
SINGULAR_VALUE_PER_RAD = (0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.0)


@dataclass(frozen=True)
class Clearance:
    """
    One clearance; it is positive where the posture is allowed.

    :param look: clearance at joint positions (7,).
    :param describe: names what is nearest there.
    :param weights: how much it changes per rad of each joint at most, seven numbers.
    :param rest_reserve: what a motion must leave where it ends, so that the next can begin.
    """

    look: Callable[[np.ndarray], float]
    describe: Callable[[np.ndarray], str]
    weights: tuple[float, ...]
    rest_reserve: float


class Clearances:
    """Several clearances, each with its last look."""

    def __init__(self, parts: tuple[Clearance, ...], max_acceleration: np.ndarray):
        """
        Start without a look.

        :param max_acceleration: (7,) rad/s^2 of every motion.
        """
        self.parts = parts
        # One row for each clearance, a column for the samples of a motion: (C, 1, 7) and (C, 1).
        self._weights = np.array([part.weights for part in parts])[:, None]
        self._acceleration = self._weights @ max_acceleration
        self._reserve = np.array([part.rest_reserve for part in parts])
        self._centre = np.zeros((len(parts), 1, 7))
        self._value = np.full((len(parts), 1), -math.inf)

    def unclear(self, path: SampledMotion) -> Iterator[tuple[Clearance, int]]:
        """Yield clearances that may be used up along a motion, and the samples around which."""
        room = self._room(path, slice(None))
        if room.min() >= 0.0:
            return
        for row in (room.min(axis=1) < 0.0).nonzero()[0]:
            for index in self._look_along(path, int(row), room[row] < 0.0):
                yield self.parts[row], index

    def free_time_s(self, part: Clearance, q: np.ndarray, dq: np.ndarray) -> float:
        """Look at q (7,) and return for how long a motion at dq (7,) is sure to stay clear, s."""
        clearance = part.look(q)
        if clearance <= 0.0:
            return 0.0
        speed = float(np.dot(part.weights, np.abs(dq)))
        acceleration = float(self._acceleration[self.parts.index(part), 0])
        return 2.0 * clearance / (
            speed + math.sqrt(speed * speed + 2.0 * acceleration * clearance))

    def _room(self, path: SampledMotion, rows: slice | int) -> np.ndarray:
        """Return what the last looks leave around each sample, (C, N) or (N,) for one row."""
        room = room_left(
            path.q, path.dq, path.half_step_s, self._weights[rows], self._acceleration[rows],
            self._centre[rows], self._value[rows])
        room[..., -1] -= self._reserve[rows]
        return room

    def _look_along(self, path: SampledMotion, row: int, pending: np.ndarray) -> list[int]:
        """Look in the middle of what is pending, (N,) bool, until all is clear or known not to."""
        unclear: list[int] = []
        while pending.any():
            indices = pending.nonzero()[0]
            index = int(indices[len(indices) // 2])
            self._value[row] = self.parts[row].look(path.q[index])
            self._centre[row] = path.q[index]
            pending = pending & (self._room(path, row) < 0.0)
            if pending[index]:
                pending[index] = False
                unclear.append(index)
        return unclear
