# SPDX-License-Identifier: Apache-2.0
"""Compiled per-pixel work of the simulated camera; in numpy it costs as much as the drawing."""

import math

import numba
import numpy as np

# Beyond this angle of incidence the error of grazed surfaces grows no further, rad.
_STEEPEST_RAD = math.radians(80.0)


@numba.njit(cache=True, nogil=True)
def compose_rgb(front, front_z, back, back_z, out):
    """
    Lay what moves over what stands still.

    :param front: colour (H, W, 3) uint8 of what moves, bottom row first as OpenGL has it.
    :param front_z: its depth buffer (H, W) float32, greater is nearer.
    :param back: colour of what stands still, likewise.
    :param back_z: its depth buffer.
    :param out: picture (H, W, 3) uint8 to fill, top row first.
    """
    height, width = front_z.shape
    for v in range(height):
        row = height - 1 - v
        for u in range(width):
            is_front = front_z[v, u] > back_z[v, u]
            for channel in range(3):
                out[row, u, channel] = (
                    front[v, u, channel] if is_front else back[v, u, channel])


@numba.njit(cache=True, nogil=True)
def metric_depth(front_z, back_z, near_m, far_m, out):
    """
    Turn the nearer of two depth buffers into metres.

    :param front_z: (H, W) float32, 1 at the near plane and 0 at the far one, bottom row first.
    :param back_z: likewise.
    :param out: depth along the optical axis (H, W) float32 to fill, m, top row first.
    """
    height, width = front_z.shape
    scale = np.float32(far_m * near_m / (far_m - near_m))
    offset = np.float32(near_m / (far_m - near_m))
    for v in range(height):
        row = height - 1 - v
        for u in range(width):
            out[row, u] = scale / (max(front_z[v, u], back_z[v, u]) + offset)


@numba.njit(cache=True, nogil=True)
def depth_reading(depth, noise, gain, sigma_at_1m, near_m, far_m, out):
    """
    Turn perfect depth into the millimetres that a camera reports.

    :param depth: (H, W) float32 m.
    :param noise: (H, W) float32 of unit variance; the error grows with depth squared.
    :param gain: 1 + relative bias.
    :param sigma_at_1m: standard deviation at 1 m, m.
    :param out: (H, W) uint16 to fill, mm; 0 outside near_m .. far_m.
    """
    height, width = depth.shape
    for v in range(height):
        for u in range(width):
            z = depth[v, u]
            out[v, u] = 0
            if near_m <= z <= far_m:
                reading = z * gain + sigma_at_1m * z * z * noise[v, u]
                out[v, u] = np.uint16(np.rint(min(max(reading, 0.0), 65.0) * 1000.0))


@numba.njit(cache=True, nogil=True)
def grazing_factor(depth, seen, fx, fy, cx, cy, out):
    """
    Tell how much worse a depth camera sees surfaces that it grazes.

    The factor a² / (pi/2 - a)² of the angle of incidence a is the one by which axial noise grows
    in Nguyen, Izadi and Lovell, "Modeling Kinect sensor noise for improved 3D reconstruction and
    tracking", 3DIMPVT 2012: 0 face on, 1 at 45 deg, 4 at 60 deg; here at most 64, at 80 deg.

    :param depth: (H, W) float32 m. Of the slopes to both neighbours the smaller one counts, so
        that a step between two surfaces is no steep surface.
    :param seen: (H, W) float32 m, the depth that ``out`` was filled for. Where it is the same at
        a pixel and beside it the factor stays: most of a fixed camera's picture never changes.
    :param fx, fy, cx, cy: focal lengths and principal point, px.
    :param out: factor (H, W) float32 to bring up to date.
    """
    height, width = depth.shape
    for v in range(height):
        above, below = max(v - 1, 0), min(v + 1, height - 1)
        y = (v - cy) / fy
        for u in range(width):
            z = depth[v, u]
            before, after = max(u - 1, 0), min(u + 1, width - 1)
            if (z == seen[v, u] and depth[v, before] == seen[v, before]
                    and depth[v, after] == seen[v, after] and depth[above, u] == seen[above, u]
                    and depth[below, u] == seen[below, u]):
                continue
            left = z - depth[v, u - 1] if u > 0 else depth[v, min(u + 1, width - 1)] - z
            right = depth[v, u + 1] - z if u < width - 1 else left
            upper = z - depth[above, u] if v > 0 else depth[below, u] - z
            lower = depth[below, u] - z if v < height - 1 else upper
            slope_u = left if abs(left) < abs(right) else right
            slope_v = upper if abs(upper) < abs(lower) else lower
            x = (u - cx) / fx
            # Normal of the surface z(u, v); its product with the ray (x, y, 1) is z.
            nx, ny = fx * slope_u, fy * slope_v
            nz = z + x * nx + y * ny
            norm = math.sqrt((nx * nx + ny * ny + nz * nz) * (x * x + y * y + 1.0))
            cosine = min(z / norm, 1.0) if norm > 0.0 else 1.0
            angle = min(math.acos(cosine), _STEEPEST_RAD)
            out[v, u] = (angle / (0.5 * math.pi - angle)) ** 2
