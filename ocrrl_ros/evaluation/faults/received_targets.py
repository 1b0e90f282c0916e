# SPDX-License-Identifier: Apache-2.0
"""
Judge the joint targets that another process received: motion and guards.

Only positions travel, at uneven times. Of a motion whose third derivative is bounded every divided
difference of three neighbours is half a mean of its acceleration, and that of four a sixth of a
mean of its jerk; no mean lies beyond the limit. So what is counted here is broken for certain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from ocrrl_ros.policy.assembly import build_follower
from ocrrl_ros.policy.command_clock import LONGEST_S
from ocrrl_ros.robot.command_shaping import CommandShaper
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.robot_config import load_robot

#: After a longer pause the command may begin anew, where the arm is then.
_SILENCE_S = 0.2
_BODY_EVERY = 20
_SLACK = 1e-6
#: Two stamps that are read back from messages are off by a rounding of seconds since 1970.
_STAMP_S = 3e-7
_ROUNDING_RAD = 1e-12
#: Closer ticks, after a late one, tell nothing: their times are rounded too coarsely.
_LEAST_S = 1e-5


def shaper_of(robot_file: str = 'config/robots/fr3.yaml') -> CommandShaper:
    """Return the shaping, with its guards, that a node with this robot file uses."""
    robot = load_robot(robot_file)
    return build_follower(robot, FrankaKinematics(robot.kinematics, robot.limits())).shaper


def broken_targets(
        times_s: np.ndarray, q: np.ndarray, shaper: CommandShaper, *, period_s: float = 0.005,
        clock_sets_s: Sequence[float] = ()) -> Counter[str]:
    """
    Return how many targets broke what; empty where nothing was broken.

    :param times_s: (N,) stamps of the sender; q (N, 7) rad, in the order of arrival.
    :param clock_sets_s: by how much the sender's clock was set, at unknown times.
    """
    if not len(q):
        return Counter()
    if not np.isfinite(q).all():
        return Counter({'not finite': int((~np.isfinite(q)).any(axis=1).sum())})
    limits, steps_s = shaper.limits, np.diff(times_s)
    for set_s in clock_sets_s:
        # The motion goes on by one period, whatever the clock says.
        is_set = np.abs(steps_s - period_s - set_s) < 0.5 * abs(set_s)
        lost_s = steps_s - set_s - period_s
        steps_s = np.where(is_set, np.where(
            np.abs(lost_s) < 0.5 * period_s, period_s, LONGEST_S + np.abs(lost_s)), steps_s)
    counts = Counter({'position': _rows(
        (q < limits.position_lower) | (q > limits.position_upper))})
    leaps = (np.abs(np.diff(q, axis=0)) > shaper.max_velocity * np.abs(steps_s)[:, None] + 1e-6)
    counts['leap'] = _rows(leaps & (np.abs(steps_s) < _SILENCE_S)[:, None])
    # What was lost on the way, and how a hung process went on, cannot be told from each other.
    breaks = np.flatnonzero((steps_s < 0.0) | (steps_s > LONGEST_S)) + 1
    for rows in np.split(np.arange(len(q)), breaks):
        counts += _of_motion(np.append(0.0, np.cumsum(steps_s[rows[:-1]])), q[rows], shaper)
    return +(counts + _of_guards(q, shaper))


def _of_motion(times_s: np.ndarray, q: np.ndarray, shaper: CommandShaper) -> Counter[str]:
    """Count what the mean derivatives of one unbroken motion break."""
    counts: Counter[str] = Counter()
    keep = np.append(True, np.diff(times_s) > _LEAST_S)
    times_s, q = times_s[keep], q[keep]
    if len(q) < 4:
        return counts
    speeds, _ = _means(times_s, q, 1)
    fuzz_rad = np.abs(speeds) * _STAMP_S + _ROUNDING_RAD
    lower, upper = shaper.limits.velocity_bounds(q)
    room = 0.5 * np.diff(times_s)[:, None] * shaper.max_acceleration + _SLACK
    counts['position-dependent velocity'] = _rows(
        (speeds < np.minimum(lower[1:], lower[:-1]) - room)
        | (speeds > np.maximum(upper[1:], upper[:-1]) + room))
    for order, name, limit in (
            (1, 'velocity', shaper.max_velocity), (2, 'acceleration', shaper.max_acceleration),
            (3, 'jerk', shaper.max_jerk)):
        means, weights = _means(times_s, q, order)
        nearby = np.arange(len(means))[:, None] + np.arange(order)
        slack = fuzz_rad[nearby].max(axis=1) * weights[:, None] + limit * _SLACK
        counts[name] = _rows(np.abs(means) > limit + slack)
    return counts


def _means(times_s: np.ndarray, q: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Return means of a derivative (N - order, 7), and how much each magnifies errors of q."""
    count = len(q) - order
    window = np.arange(count)[:, None] + np.arange(order + 1)
    apart = times_s[window][:, :, None] - times_s[window][:, None, :]
    apart[:, np.arange(order + 1), np.arange(order + 1)] = 1.0
    weights = np.prod(np.arange(1, order + 1)) / apart.prod(axis=2)
    return np.einsum('nk,nkj->nj', weights, q[window]), np.abs(weights).sum(axis=1)


def _of_guards(q: np.ndarray, shaper: CommandShaper) -> Counter[str]:
    """Count where hand and bodies are that they may not be."""
    guard, counts = shaper.guard, Counter()
    counts['TCP region'] = int((guard.region_clearances(q) < -_SLACK).sum())
    for row in q[::_BODY_EVERY]:
        for name, left in guard.body_clearances(row).items():
            counts[name] += int(left < -_SLACK)
    return counts


def _rows(is_broken: np.ndarray) -> int:
    """Return how many rows hold something broken."""
    return int(is_broken.any(axis=1).sum())
