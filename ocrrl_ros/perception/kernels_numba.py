# SPDX-License-Identifier: Apache-2.0
"""
The kernels of `kernels_numpy`, compiled; that module documents arguments and results.

Only what Python calls is cached on disk; `core/se3_inline.py` says why.
"""

from __future__ import annotations

import numba
import numpy as np
from ocrrl_ros.perception.compare_kernels_numba import compare
from ocrrl_ros.perception.pose_kernels_numba import accumulate

__all__ = ['accumulate', 'colour_score', 'compare', 'contour_rays', 'surface_points']

SEARCH_PX = 8


@numba.njit(cache=True, nogil=True, error_model='numpy')
def colour_score(rgb, cone):
    """Return how far inside a cone of hues each pixel lies; see `kernels_numpy`."""
    height, width = rgb.shape[0], rgb.shape[1]
    score = np.zeros((height, width), dtype=np.float32)
    for v in range(height):
        for u in range(width):
            red, green, blue = float(rgb[v, u, 0]), float(rgb[v, u, 1]), float(rgb[v, u, 2])
            value = max(red, green, blue)
            if value < cone[3]:
                continue
            alpha = red - 0.5 * (green + blue)
            beta = 0.8660254 * (green - blue)
            along = alpha * cone[0] + beta * cone[1]
            across = beta * cone[0] - alpha * cone[1]
            score[v, u] = (along - abs(across) * cone[2]) / max(value, 1.0)
    return score


@numba.njit(cache=True, nogil=True, error_model='numpy')
def surface_points(depth, mask, camera, stride, range_m):
    """Return the measured points of masked pixels on a grid; see `kernels_numpy`."""
    height, width = depth.shape
    points = np.empty((((height - 1) // stride + 1) * ((width - 1) // stride + 1), 3))
    count = 0
    for v in range(0, height, stride):
        for u in range(0, width, stride):
            z = float(depth[v, u])
            if mask[v, u] and range_m[0] < z < range_m[1]:
                points[count, 0] = (u + camera[4] - camera[2]) / camera[0] * z
                points[count, 1] = (v + camera[5] - camera[3]) / camera[1] * z
                points[count, 2] = z
                count += 1
    return points[:count].copy()


@numba.njit(nogil=True, error_model='numpy')
def _first_depth(depth, mask, v, u, dv, du, inside):
    """Return the first valid depth along a step on one side of the mask's edge, or 0."""
    height, width = depth.shape
    for k in range(0 if inside else 1, SEARCH_PX + 1):
        sign = -k if inside else k
        y, x = v + sign * dv, u + sign * du
        if y < 0 or y >= height or x < 0 or x >= width or mask[y, x] != inside:
            return 0.0
        if depth[y, x] > 0.0:
            return float(depth[y, x])
    return 0.0


@numba.njit(nogil=True, error_model='numpy')
def _crossing(inner, near, far, outer):
    """Return where between a masked pixel and its neighbour the score passes half way."""
    if not inner > outer:
        return 0.5
    half = 0.5 * (inner + outer)
    if near < half:
        fraction = -(half - near) / max(inner - near, 1e-6) if inner - near > 1e-6 else 0.0
    elif far > half:
        fraction = 1.0 + ((far - half) / max(far - outer, 1e-6) if far - outer > 1e-6 else 0.0)
    else:
        fraction = (near - half) / max(near - far, 1e-6)
    return min(max(fraction, -0.5), 1.5)


@numba.njit(nogil=True, error_model='numpy')
def _rim(mask):
    """Return rows and columns (N, 2) of masked pixels next to one that is not, row by row."""
    height, width = mask.shape
    rim, count = np.empty((height * width, 2), dtype=np.int64), 0
    for v in range(height):
        for u in range(width):
            if not mask[v, u]:
                continue
            if ((u + 1 < width and not mask[v, u + 1]) or (u > 0 and not mask[v, u - 1])
                    or (v + 1 < height and not mask[v + 1, u]) or (v > 0 and not mask[v - 1, u])):
                rim[count, 0], rim[count, 1] = v, u
                count += 1
    return rim[:count]


@numba.njit(cache=True, nogil=True, error_model='numpy')
def contour_rays(score, mask, depth, camera, plane, margins):
    """Return rays through the mask's edge and which are silhouette; see `kernels_numpy`."""
    height, width = mask.shape
    rim = _rim(mask)
    rays = np.empty((4 * len(rim), 3))
    silhouette = np.empty(4 * len(rim), dtype=np.bool_)
    count = 0
    for dv, du in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        for k in range(len(rim)):
            v, u = rim[k, 0], rim[k, 1]
            y, x = v + dv, u + du
            if y < 0 or y >= height or x < 0 or x >= width or mask[y, x]:
                continue
            inner = score[min(max(v - dv, 0), height - 1), min(max(u - du, 0), width - 1)]
            outer = score[min(max(v + 2 * dv, 0), height - 1), min(max(u + 2 * du, 0), width - 1)]
            fraction = _crossing(
                float(inner), float(score[v, u]), float(score[y, x]), float(outer))
            a = (u + du * fraction + camera[4] - camera[2]) / camera[0]
            b = (v + dv * fraction + camera[5] - camera[3]) / camera[1]
            length = np.sqrt(a * a + b * b + 1.0)
            rays[count, 0], rays[count, 1], rays[count, 2] = a / length, b / length, 1 / length
            z_in = _first_depth(depth, mask, v, u, dv, du, True)
            z_out = _first_depth(depth, mask, v, u, dv, du, False)
            a = (x + camera[4] - camera[2]) / camera[0]
            b = (y + camera[5] - camera[3]) / camera[1]
            level = (plane[0] * a + plane[1] * b + plane[2]) * z_out + plane[3]
            behind = z_out > z_in + margins[0] or abs(level) < margins[1]
            silhouette[count] = z_in > 0.0 and z_out > 0.0 and behind
            count += 1
    return rays[:count].copy(), silhouette[:count].copy()
