# SPDX-License-Identifier: Apache-2.0
"""
The comparison of a rendered object with a frame, compiled; see `kernels_numpy` and `sdf`.

Only what Python calls is cached on disk; `core/se3_inline.py` says why.
"""

from __future__ import annotations

import numba
import numpy as np
from ocrrl_ros.perception.surfaces import GRID, REVOLUTION

TRACE_STEPS = 64
TOUCH = 2e-5
SURELY_OUTSIDE = 1.0 + 1e-6
"""Rays that miss the bounding sphere by this share of its radius, squared, need no exact test."""


@numba.njit(nogil=True, error_model='numpy', forceinline=True)
def _box_entry(origin, direction, rows, k):
    """Return the distance along a ray to a box, infinity for a miss."""
    first, last = -1e9, 1e9
    for i in range(3):
        along = direction[i] if abs(direction[i]) >= 1e-9 else 1e-9
        a = (rows[k, i] - rows[k, i + 3] - origin[i]) / along
        b = (rows[k, i] + rows[k, i + 3] - origin[i]) / along
        first, last = max(first, min(a, b)), min(last, max(a, b))
    return first if first <= last and first > 0.0 else np.inf


@numba.njit(nogil=True, error_model='numpy', forceinline=True)
def _edge_entry(origin, direction, edges, k):
    """Return the distance along a ray to the ring of a profile edge, infinity for a miss."""
    r0, z0, r1, z1 = edges[k, 0], edges[k, 1], edges[k, 2], edges[k, 3]
    if abs(z1 - z0) < 1e-9:
        t = (z0 - origin[2]) / (direction[2] if abs(direction[2]) >= 1e-9 else 1e-9)
        radius = np.sqrt((origin[0] + t * direction[0]) ** 2 + (origin[1] + t * direction[1]) ** 2)
        return t if t > 0.0 and min(r0, r1) <= radius <= max(r0, r1) else np.inf
    slope = (r1 - r0) / (z1 - z0)
    base, rate = r0 + slope * (origin[2] - z0), slope * direction[2]
    a = direction[0] ** 2 + direction[1] ** 2 - rate ** 2
    b = origin[0] * direction[0] + origin[1] * direction[1] - base * rate
    c = origin[0] ** 2 + origin[1] ** 2 - base ** 2
    square = b * b - a * c
    if square < 0.0:
        return np.inf
    root, best = np.sqrt(square), np.inf
    if abs(a) < 1e-12:
        a = 1e-12
    for t in ((-b - root) / a, (-b + root) / a):
        z = origin[2] + t * direction[2]
        on = t > 0.0 and base + rate * t >= 0.0
        if on and min(z0, z1) <= z <= max(z0, z1):
            best = min(best, t)
    return best


@numba.njit(nogil=True, error_model='numpy')
def _cell(at, first, step, last):
    """Return a coordinate's cell, its share of the way through it, and how many samples are."""
    end = (last - first) / step
    place, count = min(max((at - first) / step, 0.0), end), int(end + 1.5)
    cell = min(int(place), count - 2)
    return cell, place - cell, count


@numba.njit(nogil=True, error_model='numpy')
def _grid_value(origin, direction, far, shape):
    """Return the sampled distance at a place of a ray within the grid."""
    row, last, samples = shape.hull[0], shape.hull[1], shape.surface
    i, x, _ = _cell(origin[0] + far * direction[0], row[0], row[3], last[0])
    j, y, ahead = _cell(origin[1] + far * direction[1], row[1], row[4], last[1])
    k, z, _ = _cell(origin[2] + far * direction[2], row[2], row[5], last[2])
    line = i * ahead + j
    value = 0.0
    for up in range(2):
        a, b = samples[line, k + up], samples[line + 1, k + up]
        a += x * (samples[line + ahead, k + up] - a)
        b += x * (samples[line + ahead + 1, k + up] - b)
        value += (z if up else 1.0 - z) * (a + y * (b - a))
    return value


@numba.njit(nogil=True, error_model='numpy')
def _grid_entry(origin, direction, shape):
    """Return the distance along a ray to the sampled surface, infinity for a miss."""
    bounds = shape.hull[2]
    far, end = 0.0, 1e9
    for i in range(3):
        along = direction[i] if abs(direction[i]) >= 1e-9 else 1e-9
        first, last = (bounds[i] - origin[i]) / along, (bounds[i + 3] - origin[i]) / along
        far, end = max(far, min(first, last)), min(end, max(first, last))
    for _ in range(TRACE_STEPS):
        if far >= end:
            return np.inf
        value = _grid_value(origin, direction, far, shape)
        if value < TOUCH:
            return far
        far += max(value, TOUCH)
    return np.inf


@numba.njit(nogil=True, error_model='numpy', forceinline=True)
def _entry(origin, direction, shape):
    """Return the distance along a ray to the surface, infinity for a miss."""
    middle = -(origin[0] * direction[0] + origin[1] * direction[1] + origin[2] * direction[2])
    squared, best = 0.0, np.inf
    for i in range(3):
        squared += (origin[i] + middle * direction[i]) ** 2
    if squared > shape.reach ** 2:
        return best
    if shape.kind == GRID:
        return _grid_entry(origin, direction, shape)
    for k in range(shape.surface.shape[0]):
        if shape.kind == REVOLUTION:
            best = min(best, _edge_entry(origin, direction, shape.surface, k))
        else:
            best = min(best, _box_entry(origin, direction, shape.surface, k))
    return best


@numba.njit(cache=True, nogil=True, error_model='numpy')
def compare(depth, mask, camera, rotation, translation, shape, tolerance):
    """Return how a region agrees with the rendered object, as sums; see `kernels_numpy`."""
    sums = np.zeros(10)
    direction, origin = np.empty(3), -(translation @ rotation)
    far = translation[0] ** 2 + translation[1] ** 2 + translation[2] ** 2
    outside = far - SURELY_OUTSIDE * shape.reach ** 2
    for v in range(depth.shape[0]):
        for u in range(depth.shape[1]):
            x = (u + camera[4] - camera[2]) / camera[0]
            y = (v + camera[5] - camera[3]) / camera[1]
            squared = x ** 2 + y ** 2 + 1.0
            along = x * translation[0] + y * translation[1] + translation[2]
            if along * along < outside * squared:
                sums[2] += mask[v, u]
                continue
            length = np.sqrt(squared)
            for i in range(3):
                direction[i] = (
                    rotation[0, i] * x + rotation[1, i] * y + rotation[2, i]) / length
            expected = _entry(origin, direction, shape) / length
            if not np.isfinite(expected):
                sums[2] += mask[v, u]
                continue
            sums[0] += 1.0
            sums[1] += mask[v, u]
            measured = float(depth[v, u])
            if measured <= 0.0:
                sums[9] += not mask[v, u]
                continue
            error = measured - expected
            sums[8] += error > tolerance[2]
            if not mask[v, u]:
                sums[3 if error < -tolerance[2] else 4] += 1.0
                continue
            scaled = (error / (tolerance[0] * expected ** 2 + tolerance[1])) ** 2
            sums[5] += 1.0
            sums[6] += scaled < 1.0
            sums[7] += min(scaled, 9.0)
    return sums
