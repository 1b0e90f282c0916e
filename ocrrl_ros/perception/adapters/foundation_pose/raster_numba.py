# SPDX-License-Identifier: Apache-2.0
"""Draw a mesh into many small pictures: colours and points, z-buffered, compiled."""

import math

import numba
import numpy as np

# Nothing nearer than this is drawn, m.
_NEAR_M = 0.01
_AMBIENT, _DIFFUSE = 0.8, 0.5


@numba.njit(cache=True, nogil=True)
def draw(vertices, faces, colours, cameras, rgb, points):
    """
    Draw one mesh at N poses, each with a camera of its own.

    Light comes from the camera, with the weights that the networks were trained with (facts on
    perception, section 1.1).

    :param vertices: (N, V, 3) in the camera's frame, m.
    :param faces: (F, 3) indices.
    :param colours: (V, 3) 0 .. 255.
    :param cameras: (N, 4) fx, fy, cx, cy, px; pixel centres at whole numbers.
    :param rgb: (N, H, W, 3) float32 to fill, 0 .. 255, 0 where nothing is.
    :param points: (N, H, W, 3) float32 to fill, m, 0 where nothing is.
    """
    for index in range(len(vertices)):
        rgb[index] = 0.0
        points[index] = 0.0
        for face in range(len(faces)):
            _triangle(
                vertices[index], faces[face], colours, cameras[index], rgb[index], points[index])


@numba.njit(nogil=True)
def _triangle(vertices, face, colours, camera, rgb, points):
    """Draw one triangle where nothing nearer is."""
    height, width = points.shape[0], points.shape[1]
    a, b, c = vertices[face[0]], vertices[face[1]], vertices[face[2]]
    if min(a[2], b[2], c[2]) < _NEAR_M:
        return
    au, av = camera[0] * a[0] / a[2] + camera[2], camera[1] * a[1] / a[2] + camera[3]
    bu, bv = camera[0] * b[0] / b[2] + camera[2], camera[1] * b[1] / b[2] + camera[3]
    cu, cv = camera[0] * c[0] / c[2] + camera[2], camera[1] * c[1] / c[2] + camera[3]
    area = (bu - au) * (cv - av) - (bv - av) * (cu - au)
    if abs(area) < 1e-12:
        return
    nx, ny, nz = _normal(a, b, c)
    first_u = max(0, int(math.ceil(min(au, bu, cu))))
    last_u = min(width - 1, int(math.floor(max(au, bu, cu))))
    first_v = max(0, int(math.ceil(min(av, bv, cv))))
    last_v = min(height - 1, int(math.floor(max(av, bv, cv))))
    for v in range(first_v, last_v + 1):
        for u in range(first_u, last_u + 1):
            wa = ((bu - u) * (cv - v) - (bv - v) * (cu - u)) / area
            wb = ((cu - u) * (av - v) - (cv - v) * (au - u)) / area
            wc = 1.0 - wa - wb
            if wa < 0.0 or wb < 0.0 or wc < 0.0:
                continue
            # What is linear on the surface is linear in the picture once divided by depth.
            wa, wb, wc = wa / a[2], wb / b[2], wc / c[2]
            z = 1.0 / (wa + wb + wc)
            if points[v, u, 2] != 0.0 and z >= points[v, u, 2]:
                continue
            x, y = (u - camera[2]) / camera[0], (v - camera[3]) / camera[1]
            points[v, u, 0], points[v, u, 1], points[v, u, 2] = x * z, y * z, z
            facing = abs(nx * x + ny * y + nz) / math.sqrt(x * x + y * y + 1.0)
            light = _AMBIENT + _DIFFUSE * facing
            for k in range(3):
                colour = z * (wa * colours[face[0], k] + wb * colours[face[1], k]
                              + wc * colours[face[2], k])
                rgb[v, u, k] = min(255.0, light * colour)


@numba.njit(nogil=True)
def _normal(a, b, c):
    """Return the unit normal of a triangle, to either side; 0 where it has no area."""
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    if length == 0.0:
        return 0.0, 0.0, 0.0
    return nx / length, ny / length, nz / length


@numba.njit(cache=True, nogil=True)
def eroded(depth, radius, jump_m, ratio, out):
    """
    Take readings away that stand alone among their neighbours.

    :param depth: (H, W) float32 m, 0 where invalid.
    :param jump_m: difference from which a neighbour belongs to something else.
    :param ratio: share of such or invalid neighbours from which a reading is taken away.
    :param out: (H, W) float32 to fill.
    """
    height, width = depth.shape
    for v in range(height):
        for u in range(width):
            out[v, u] = 0.0
            z = depth[v, u]
            if z <= 0.0:
                continue
            bad = total = 0
            for y in range(max(0, v - radius), min(height, v + radius + 1)):
                for x in range(max(0, u - radius), min(width, u + radius + 1)):
                    total += 1
                    other = depth[y, x]
                    if other <= 0.0 or abs(other - z) > jump_m:
                        bad += 1
            if bad <= ratio * total:
                out[v, u] = z


@numba.njit(cache=True, nogil=True)
def smoothed(depth, radius, sigma_px, reach_m, out):
    """
    Average readings with their neighbours on the same surface.

    :param depth: (H, W) float32 m, 0 where invalid.
    :param reach_m: neighbours that differ by more are on another surface.
    :param out: (H, W) float32 to fill.
    """
    height, width = depth.shape
    weights = np.empty((2 * radius + 1, 2 * radius + 1))
    for y in range(-radius, radius + 1):
        for x in range(-radius, radius + 1):
            weights[y + radius, x + radius] = math.exp(
                -(x * x + y * y) / (2.0 * sigma_px * sigma_px))
    for v in range(height):
        for u in range(width):
            out[v, u] = 0.0
            z = depth[v, u]
            if z <= 0.0:
                continue
            weight = total = 0.0
            for y in range(max(0, v - radius), min(height, v + radius + 1)):
                for x in range(max(0, u - radius), min(width, u + radius + 1)):
                    other = depth[y, x]
                    if other > 0.0 and abs(other - z) <= reach_m:
                        w = weights[y - v + radius, x - u + radius]
                        weight += w
                        total += w * other
            out[v, u] = total / weight
