# SPDX-License-Identifier: Apache-2.0
"""Compiled kernels that prove motions clear; motion_proof.py documents what it calls and how."""

import hashlib
from pathlib import Path

import numba
import numpy as np
from ocrrl_ros.core.ufunc import compiled_function
from ocrrl_ros.robot import body_kernels, motion_kernels
from ocrrl_ros.robot.body_kernels import (
    body_clearance, kinematics, least_singular_value, place_shapes)
from ocrrl_ros.robot.motion_kernels import (
    MATRIX, peaks, state_at, states, TABLE, VECTOR, write_stop)

_LEAST_STEP_S = 0.001
_SCAN = 32
# How much of what the last look allows an interval is planned to use.
_INTERVAL_SHARE = .9
_SOURCES = int.from_bytes(hashlib.sha256(b''.join(
    Path(module.__file__).read_bytes()
    for module in (body_kernels, motion_kernels))).digest()[:7], 'big')


@numba.njit
def _clearance(index, frames, arm, segments):
    """Return one clearance in a posture; the frames and segments are those of that posture."""
    _, shapes, links, pairs, body_planes, tcp_planes, _, limits = arm
    if index == 0:
        least = np.inf
        for row in range(tcp_planes.shape[0]):
            plane = tcp_planes[row]
            least = min(least, plane[0] * frames[9, 0] + plane[1] * frames[9, 1]
                        + plane[2] * frames[9, 2] - plane[3])
        return least
    if index == 1:
        return least_singular_value(frames) - limits[2] if limits[2] > 0.0 else np.inf
    least = body_clearance(index - 2, frames, shapes, links, pairs, body_planes, segments)
    return least if index == 5 else least - limits[3]


@numba.njit
def _speed_growth(speeds, accelerations, half_s, weights, jerk):
    """Return by how much the TCP can be faster than in the middle; motion_proof.py explains."""
    turning = speed = linear = 0.0
    for i in range(7):
        turning += speeds[i]
        speed += weights[0, i] * speeds[i]
        linear += weights[0, i] * accelerations[i]
    acceleration = linear + turning * speed
    jerk = jerk + 3.0 * turning * acceleration + turning * turning * speed
    build_up_s = min(acceleration / jerk, half_s)
    return 0.5 * jerk * build_up_s ** 2 + acceleration * (half_s - build_up_s)


@numba.njit
def _is_covered(index, q, speeds, half_s, reserve, weights, looks):
    """Return whether the last look at a clearance covers half_s to either side of a posture."""
    moved = reserve
    for i in range(7):
        moved += weights[index, i] * (abs(q[i] - looks[index, i]) + half_s * speeds[i])
    return moved < looks[index, 7]


@numba.njit
def _lasting(index, speeds, weights, looks):
    """Return for how long an interval the last look at a clearance may serve, s."""
    rate = 1e-12
    for i in range(7):
        rate += weights[index, i] * speeds[i]
    return _INTERVAL_SHARE * 2.0 * looks[index, 7] / rate


@numba.njit
def _look(index, q, frames, segments, arm, looks):
    """Look at a clearance in a posture, note and return it."""
    looks[index, :7] = q
    looks[index, 7] = _clearance(index, frames, arm, segments)
    return looks[index, 7]


@numba.njit
def _inspect(table, begin_s, end_s, reserves, arm, looks, work, scratch):
    """
    Return -1 where all is clear between two times, or the number of what may not be.

    Numbers from 10 on: 10 more than what is surely broken in the middle. A beginning that is the
    end asks for the reserves there. ``work``: takes away from the budget, and notes how long an
    interval may be, as far as the last looks tell.
    """
    rows, frames, segments = scratch
    q, dq, speeds, accelerations = rows[0], rows[1], rows[2], rows[3]
    half_s, weights, limits = 0.5 * (end_s - begin_s), arm[6], arm[7]
    work[1] = np.inf
    states(table, begin_s + half_s, q, dq)
    peaks(table, begin_s, end_s, speeds, accelerations)
    work[0] -= 1.0
    is_placed = False
    fastest = 0.0
    for i in range(7):
        fastest += weights[0, i] * speeds[i]
    if fastest > limits[0]:
        tcp_speed = kinematics(q, dq, arm[0], frames)
        place_shapes(arm[1], frames, segments)
        is_placed = True
        if tcp_speed > limits[0]:
            return 16
        if tcp_speed + _speed_growth(
                speeds, accelerations, half_s, weights, limits[1]) > limits[0]:
            return 6
    for index in range(6):
        reserve = reserves[index] if half_s == 0.0 else 0.0
        if _is_covered(index, q, speeds, half_s, reserve, weights, looks):
            continue
        if not is_placed:
            kinematics(q, dq, arm[0], frames)
            place_shapes(arm[1], frames, segments)
            is_placed = True
        work[0] -= 4.0
        if _look(index, q, frames, segments, arm, looks) <= reserve:
            return 10 + index
        if not _is_covered(index, q, speeds, half_s, reserve, weights, looks):
            work[1] = _lasting(index, speeds, weights, looks)
            return index
    for index in range(6 if half_s > 0.0 else 0):
        work[1] = min(work[1], _lasting(index, speeds, weights, looks))
    return -1


@numba.njit
def _prove_leg(table, begin_s, end_s, reserves, arm, looks, work, scratch, out):
    """Prove a part of a motion, the earliest first; write to ``out`` as ``prove`` does."""
    at_s, step_s = begin_s, out[6]
    while at_s < end_s:
        to_s = min(at_s + step_s, end_s)
        found = _inspect(table, at_s, to_s, reserves, arm, looks, work, scratch)
        if found < 0:
            at_s = to_s
            step_s = min(4.0 * step_s, work[1])
        elif found >= 10 or to_s - at_s < _LEAST_STEP_S:
            out[0], out[1], out[3] = 1.0, found % 10, 0.5 * (at_s + to_s)
            break
        elif work[0] <= 0.0:
            out[0] = 2.0
            break
        else:
            step_s = max(min(0.5 * (to_s - at_s), work[1]), 0.9 * _LEAST_STEP_S)
    out[2], out[6] = at_s, step_s
    return at_s >= end_s


@numba.njit
def _inspect_ends(table, begin_s, end_s, arm, out):
    """Return whether the TCP is slow enough where a part begins and ends; else write to out."""
    q, dq, frames = np.empty(7), np.empty(7), np.empty((10, 12))
    for time_s in (begin_s, end_s):
        states(table, time_s, q, dq)
        if kinematics(q, dq, arm[0], frames) > arm[7][0]:
            out[0], out[1], out[3] = 1.0, 6.0, time_s
            return False
    return True


_ARM = (f'Tuple(({MATRIX}, {MATRIX}, int64[:,::1], int64[:,::1], {MATRIX}, {MATRIX}, {MATRIX}, '
        f'{VECTOR}))')


@compiled_function(
    f'void({TABLE}, float64, float64, boolean, boolean, {MATRIX}, {_ARM}, {MATRIX}, {VECTOR})')
def prove(table, begin_s, end_s, is_stopped, is_resumed, bounds, arm, looks, out):
    """
    Prove a motion from begin_s to end_s, at rest there or stopped from there, within a budget.

    :param is_resumed: a former call has looked at where the motion ends.
    :param bounds: (3, 7) largest accelerations and jerks, and the reserves at rest.
    :param looks: (6, 8) the last look at each clearance: posture and value; brought up to date.
    :param out: status (0 clear, 1 broken or not to be proven, 2 budget used up), number of what
        is not clear, time up to which the way to end_s is proven, time of what is not, 1 if that
        is on the stop. Then, also read: the budget, and how long a step to begin with.
    """
    work = np.array([out[5], 0.0])
    scratch = np.empty((4, 7)), np.empty((10, 12)), np.empty((arm[1].shape[0], 9))
    reserves = bounds[2]
    out[:5] = 0.0
    out[2] = begin_s
    stop, stopped_s = table, end_s
    if is_stopped:
        stop, state = np.empty((7, 10, 5)), np.empty((3, 7))
        state_at(table, end_s, state)
        stopped_s = write_stop(state, bounds[0], bounds[1], np.empty((7, 18)), stop)
    found = -1
    # Where it ends is where most of what is forbidden breaks a guard.
    if not is_resumed:
        found = _inspect(stop, stopped_s, stopped_s, reserves, arm, looks, work, scratch)
    if found >= 0:
        out[0], out[1], out[3], out[4] = 1.0, found % 10, stopped_s, is_stopped
    else:
        is_clear = _inspect_ends(table, begin_s, end_s, arm, out) and (
            begin_s == end_s or _prove_leg(
                table, begin_s, end_s, reserves, arm, looks, work, scratch, out))
        if is_clear and is_stopped:
            step_s, out[6] = out[6], np.inf
            _prove_leg(stop, 0.0, stopped_s, reserves, arm, looks, work, scratch, out)
            out[2], out[4], out[6] = end_s, 1.0, step_s
    out[5] = work[0]


@compiled_function(f'float64({TABLE}, float64, float64, {VECTOR}, {_ARM})')
def slow_share(table, begin_s, end_s, speeds, arm):
    """Return the share of the joint speed limits (7,) that keeps the TCP's speed, about."""
    q, dq, frames = np.empty(7), np.empty(7), np.empty((10, 12))
    fastest, share = 0.0, 1.0
    for sample in range(_SCAN + 1):
        states(table, begin_s + (end_s - begin_s) * sample / _SCAN, q, dq)
        speed = kinematics(q, dq, arm[0], frames)
        if speed > fastest:
            fastest = speed
            share = np.max(np.abs(dq) / speeds) * arm[7][0] / speed
    return share


@compiled_function(f'void({VECTOR}, {_ARM}, {VECTOR})')
def clearances_at(q, arm, values):
    """Write the six clearances at joint positions (7,)."""
    frames, segments = np.empty((10, 12)), np.empty((arm[1].shape[0], 9))
    kinematics(q, q, arm[0], frames)
    place_shapes(arm[1], frames, segments)
    for index in range(6):
        values[index] = _clearance(index, frames, arm, segments)


@compiled_function('int64()')
def _compiled_from():
    """Return what the kernels of the other files were when this was compiled."""
    return _SOURCES


# numba looks at the file of a cached kernel alone, and these hold code of two others.
if _compiled_from() != _SOURCES:
    for _kernel in (prove, slow_share, clearances_at, _compiled_from):
        _kernel.recompile()
