# SPDX-License-Identifier: Apache-2.0
"""
Compiled kernels over motions as tables of their pieces; motion.py documents what it calls.

A table (7, 10, 5) has for each joint its pieces of constant jerk as begin in s, position,
velocity, acceleration and jerk; pieces that are not used begin at infinity.
"""

import math

import numba
import numpy as np
from ocrrl_ros.core.ufunc import compiled_function

TABLE = 'float64[:,:,::1]'
MATRIX = 'float64[:,::1]'
VECTOR = 'float64[::1]'


@numba.njit(inline='always')
def _piece(table, joint, time_s):
    """Return the number of the piece at a time."""
    number = 0
    while number < 9 and table[joint, number + 1, 0] <= time_s:
        number += 1
    return number


@numba.njit
def states(table, time_s, q, dq):
    """Write positions and velocities at a time."""
    for i in range(7):
        k = _piece(table, i, time_s)
        t = time_s - table[i, k, 0]
        p, v, a, j = table[i, k, 1], table[i, k, 2], table[i, k, 3], table[i, k, 4]
        q[i] = p + t * (v + t * (0.5 * a + t * j / 6.0))
        dq[i] = v + t * (a + 0.5 * t * j)


@numba.njit
def peaks(table, begin_s, end_s, speeds, accelerations):
    """Write the largest speed and acceleration of each joint between two times."""
    for i in range(7):
        speed = acceleration = 0.0
        k = _piece(table, i, begin_s)
        while True:
            start = max(begin_s - table[i, k, 0], 0.0)
            is_last = k == 9 or table[i, k + 1, 0] >= end_s
            stop = (end_s if is_last else table[i, k + 1, 0]) - table[i, k, 0]
            v, a, j = table[i, k, 2], table[i, k, 3], table[i, k, 4]
            first, last = a + j * start, a + j * stop
            acceleration = max(acceleration, abs(first), abs(last))
            speed = max(speed, abs(v + start * (a + 0.5 * start * j)),
                        abs(v + stop * (a + 0.5 * stop * j)))
            if first * last < 0.0:
                speed = max(speed, abs(v - 0.5 * a * a / j))
            if is_last:
                break
            k += 1
        speeds[i], accelerations[i] = speed, acceleration


@numba.njit
def write_table(start, steps, table):
    """Write a table from the start of a motion (3, 7) and its durations and jerks (7, 18)."""
    for i in range(7):
        t, p, v, a = 0.0, start[0, i], start[1, i], start[2, i]
        row = 0
        for k in range(9):
            length, j = steps[i, k], steps[i, 9 + k]
            if length <= 0.0:
                continue
            table[i, row, 0], table[i, row, 1], table[i, row, 2] = t, p, v
            table[i, row, 3], table[i, row, 4] = a, j
            row += 1
            t += length
            p += length * (v + length * (0.5 * a + length * j / 6.0))
            v += length * (a + 0.5 * length * j)
            a += length * j
        # Beyond its pieces a joint keeps its speed.
        table[i, row, 0], table[i, row, 1], table[i, row, 2] = t, p, v
        table[i, row, 3] = table[i, row, 4] = 0.0
        for k in range(row + 1, 10):
            table[i, k, 0] = np.inf


@compiled_function(f'void({MATRIX}, {MATRIX}, {TABLE})')
def fill_table(start, steps, table):
    """Write a table from the start of a motion (3, 7) and its durations and jerks (7, 18)."""
    write_table(start, steps, table)


@numba.njit
def write_stop(start, accelerations, jerks, steps, table):
    """Write the time-optimal stop of each joint and return how long the last one takes."""
    duration_s = 0.0
    for i in range(7):
        v, a, most, jerk = start[1, i], start[2, i], accelerations[i], jerks[i]
        # The speed that is left once the acceleration is gone decides which way to push.
        sign = -1.0 if v + 0.5 * a * abs(a) / jerk > 0.0 else 1.0
        v, a = -sign * v, -sign * a
        peak = math.sqrt(max(jerk * v + 0.5 * a * a, 0.0))
        held = 0.0
        if peak > most:
            held = (v + 0.5 * a * a / jerk - most * most / jerk) / most
            peak = most
        for k in range(18):
            steps[i, k] = 0.0
        steps[i, 0], steps[i, 1], steps[i, 2] = max((a + peak) / jerk, 0.0), held, peak / jerk
        steps[i, 9], steps[i, 11] = sign * jerk, -sign * jerk
        duration_s = max(duration_s, steps[i, 0] + held + steps[i, 2])
    write_table(start, steps, table)
    return duration_s


@numba.njit
def state_at(table, time_s, state):
    """Write positions, velocities and accelerations (3, 7) at a time."""
    states(table, time_s, state[0], state[1])
    for i in range(7):
        k = _piece(table, i, time_s)
        state[2, i] = table[i, k, 3] + (time_s - table[i, k, 0]) * table[i, k, 4]


@compiled_function(f'boolean({TABLE}, float64, {MATRIX}, {VECTOR}, {VECTOR}, {VECTOR})')
def keeps_speed_limit(table, end_s, formula, acceleration, jerk, steps):
    """
    Return whether states up to end_s keep the position-dependent velocity limit less a margin.

    :param formula: (6, 7) deceleration, lower and upper bound, offset, velocity, tolerance.
    :param acceleration: (7,) largest of the trajectory, but for that of its start.
    :param steps: longest step, most steps, bound on the limit's second derivative, rounding.
    """
    count = int(min(max(math.ceil(end_s / steps[0]), 1.0), steps[1]))
    step_s = end_s / count
    margin, q, dq = np.empty(7), np.empty(7), np.empty(7)
    for i in range(7):
        most = max(acceleration[i], abs(table[i, 0, 3]))
        margin[i] = 0.5 * (most * most) / jerk[i] + step_s ** 2 / 8.0 * (jerk[i] + steps[2])
    for sample in range(count + 1):
        states(table, sample * step_s, q, dq)
        for i in range(7):
            above = math.sqrt(max(2.0 * formula[0, i] * (formula[2, i] - q[i]), 0.0))
            below = math.sqrt(max(2.0 * formula[0, i] * (q[i] - formula[1, i]), 0.0))
            upper = min(max(above - formula[3, i], 0.0), formula[4, i]) - formula[5, i]
            lower = formula[5, i] - min(max(below - formula[3, i], 0.0), formula[4, i])
            if dq[i] > max(max(upper, 0.0) - margin[i], 0.0) + steps[3] or \
                    dq[i] < min(min(lower, 0.0) + margin[i], 0.0) - steps[3]:
                return False
    return True
