# SPDX-License-Identifier: Apache-2.0
"""Count where a stream of commands breaks a limit, a guard or its own continuity."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from ocrrl_ros.robot.cartesian_guard import CartesianGuard
from ocrrl_ros.robot.command_shaping import CommandShaper

#: Commands between two looks at bodies and singularity, which take longer than the rest together.
BODY_EVERY = 5
# Rounding: relative to limits, and of differences of positions in rad.
_SLACK = 1e-6
_ROUNDING_RAD = 1e-12


@dataclass(frozen=True)
class Stream:
    """
    Consecutive commands of one shaper, dt_s apart, from a start on.

    :param q: (N, 7) rad; dq and ddq (N, 7) in rad/s and rad/s^2 likewise.
    """

    dt_s: float
    q: np.ndarray
    dq: np.ndarray
    ddq: np.ndarray


def count_violations(
        stream: Stream, shaper: CommandShaper, guard: CartesianGuard | None) -> Counter[str]:
    """
    Return the number of commands that break each limit.

    Limits are the FR3's, those of acceleration and jerk by differences of the commands, and the
    shares of them that the shaper is set to. Continuity means that each derivative is the
    integral of the next, so that positions are twice continuously differentiable.
    """
    counts = _count_joints(stream, shaper)
    counts.update(_count_differences(stream, shaper))
    if guard is not None:
        counts.update(_count_guards(stream, guard))
    return counts


def _count_joints(stream: Stream, shaper: CommandShaper) -> Counter[str]:
    """Count what each command breaks by itself."""
    limits, q, dq = shaper.limits, stream.q, stream.dq
    lower, upper = limits.velocity_bounds(q)
    return Counter({
        'position': _rows((q < limits.position_lower) | (q > limits.position_upper)),
        'position-dependent velocity': _rows((dq < lower - _SLACK) | (dq > upper + _SLACK)),
        'velocity': _rows(np.abs(dq) > shaper.max_velocity + _SLACK),
        'acceleration': _rows(np.abs(stream.ddq) > shaper.max_acceleration + _SLACK)})


def _count_differences(stream: Stream, shaper: CommandShaper) -> Counter[str]:
    """Count what two or three commands in a row break."""
    dt_s, jerk = stream.dt_s, shaper.max_jerk
    dq_mean = np.diff(stream.q, axis=0) / dt_s
    ddq_mean = np.diff(stream.dq, axis=0) / dt_s
    lower, upper = shaper.limits.velocity_bounds(stream.q)
    # A mean lies between the values that it is the mean of, so no more than half a step away.
    room = 0.5 * dt_s * shaper.max_acceleration + _SLACK + _ROUNDING_RAD / dt_s
    middle = 0.5 * (stream.dq[1:] + stream.dq[:-1])
    # The area of a trapezoid differs from that of a curve by no more than its bend allows.
    bend = jerk * dt_s ** 2 / 4.0 + _SLACK + _ROUNDING_RAD / dt_s
    turn = jerk * dt_s / 4.0 + _SLACK * jerk / 1000.0
    return Counter({
        'velocity by differences': _rows(
            (dq_mean < np.minimum(lower[1:], lower[:-1]) - room)
            | (dq_mean > np.maximum(upper[1:], upper[:-1]) + room)),
        'acceleration by differences': _rows(
            np.abs(ddq_mean) > shaper.max_acceleration + _SLACK / dt_s),
        'jerk by differences': _rows(
            np.abs(np.diff(stream.ddq, axis=0)) / dt_s > jerk * (1.0 + _SLACK) + 1e-3),
        'continuity of position': _rows(np.abs(dq_mean - middle) > bend),
        'continuity of velocity': _rows(
            np.abs(ddq_mean - 0.5 * (stream.ddq[1:] + stream.ddq[:-1])) > turn)})


def _count_guards(stream: Stream, guard: CartesianGuard) -> Counter[str]:
    """Count what arm and TCP break in space."""
    counts: Counter[str] = Counter({
        'TCP speed': int((guard.tcp_speeds(stream.q, stream.dq)
                          > guard.config.tcp_speed_m_s + _SLACK).sum()),
        'TCP region': int((guard.region_clearances(stream.q) < -_SLACK).sum())})
    for name in guard.body_names:
        counts[name] = 0
    for q in stream.q[::BODY_EVERY]:
        for name, left in guard.body_clearances(q).items():
            counts[name] += left < -_SLACK
    return counts


def _rows(broken: np.ndarray) -> int:
    """Return how many rows of (N, 7) hold a broken limit."""
    return int(broken.any(axis=1).sum())
