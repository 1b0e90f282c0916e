# SPDX-License-Identifier: Apache-2.0
"""
Compiled kernels of the arm's frames and of distances between its bodies; bodies.py documents them.

They are compiled into those of proof_kernels.py.
"""

import math

import numba
import numpy as np

# Leaves a fifth of a millimetre of a metre.
_SECTIONS = 18
# Greater distances need not be known, and bodies that far apart are told by their spheres.
_FAR_M = 0.3
_SHRINK = 0.5 * (math.sqrt(5.0) - 1.0)


@numba.njit
def kinematics(q, dq, chain, frames):
    """Write the frames (10, 12) of base, links, hand and TCP; return the TCP's speed."""
    frames[0] = 0.0
    frames[0, 3] = frames[0, 7] = frames[0, 11] = 1.0
    vx = vy = vz = wx = wy = wz = 0.0
    for i in range(9):
        old, new = frames[i], frames[i + 1]
        a, b, c = chain[i, 0], chain[i, 1], chain[i, 2]
        rx = a * old[3] + b * old[6] + c * old[9]
        ry = a * old[4] + b * old[7] + c * old[10]
        rz = a * old[5] + b * old[8] + c * old[11]
        new[0], new[1], new[2] = old[0] + rx, old[1] + ry, old[2] + rz
        vx, vy, vz = vx + wy * rz - wz * ry, vy + wz * rx - wx * rz, vz + wx * ry - wy * rx
        cos_roll, sin_roll = chain[i, 3], chain[i, 4]
        cos, sin = chain[i, 5], chain[i, 6]
        if i < 7:
            cos, sin = math.cos(q[i]), math.sin(q[i])
        for k in range(3):
            x, y, z = old[3 + k], old[6 + k], old[9 + k]
            y, z = cos_roll * y + sin_roll * z, cos_roll * z - sin_roll * y
            new[3 + k], new[6 + k], new[9 + k] = cos * x + sin * y, cos * y - sin * x, z
        if i < 7:
            wx, wy, wz = wx + new[9] * dq[i], wy + new[10] * dq[i], wz + new[11] * dq[i]
    return math.sqrt(vx * vx + vy * vy + vz * vz)


@numba.njit
def _between_segments(segments, first, second):
    """Return the distance between the axes of two shapes."""
    ax, ay, az = segments[first, 0], segments[first, 1], segments[first, 2]
    bx, by, bz = segments[second, 0], segments[second, 1], segments[second, 2]
    ux, uy, uz = segments[first, 3] - ax, segments[first, 4] - ay, segments[first, 5] - az
    vx, vy, vz = segments[second, 3] - bx, segments[second, 4] - by, segments[second, 5] - bz
    wx, wy, wz = ax - bx, ay - by, az - bz
    uu, uv, vv = (ux * ux + uy * uy + uz * uz, ux * vx + uy * vy + uz * vz,
                  vx * vx + vy * vy + vz * vz)
    uw, vw = ux * wx + uy * wy + uz * wz, vx * wx + vy * wy + vz * wz
    spread = uu * vv - uv * uv
    s = 0.0
    if spread > 1e-12 * uu * vv:
        s = min(max((uv * vw - vv * uw) / spread, 0.0), 1.0)
    t = (uv * s + vw) / vv if vv > 0.0 else 0.0
    if t < 0.0 or t > 1.0 or vv <= 0.0:
        t = min(max(t, 0.0), 1.0)
        s = min(max((uv * t - uw) / uu, 0.0), 1.0) if uu > 0.0 else 0.0
    x, y, z = wx + s * ux - t * vx, wy + s * uy - t * vy, wz + s * uz - t * vz
    return math.sqrt(x * x + y * y + z * z)


@numba.njit(inline='always')
def _to_solid(shapes, row, x, y, z):
    """Return the signed distance of a point of the frame of a box (1) or upright cylinder (2)."""
    dx, dy = x - shapes[row, 2], y - shapes[row, 3]
    dz = abs(z - shapes[row, 4]) - shapes[row, 7]
    if shapes[row, 0] == 2.0:
        dx, dy = math.sqrt(dx * dx + dy * dy) - shapes[row, 5], -np.inf
    else:
        dx, dy = abs(dx) - shapes[row, 5], abs(dy) - shapes[row, 6]
    inside = min(max(dx, dy, dz), 0.0)
    dx, dy, dz = max(dx, 0.0), max(dy, 0.0), max(dz, 0.0)
    return inside + math.sqrt(dx * dx + dy * dy + dz * dz)


@numba.njit(inline='always')
def _seen_from(frames, frame, x, y, z):
    """Return a point of the base's frame in another one."""
    x, y, z = x - frames[frame, 0], y - frames[frame, 1], z - frames[frame, 2]
    return (x * frames[frame, 3] + y * frames[frame, 4] + z * frames[frame, 5],
            x * frames[frame, 6] + y * frames[frame, 7] + z * frames[frame, 8],
            x * frames[frame, 9] + y * frames[frame, 10] + z * frames[frame, 11])


@numba.njit
def _segment_to_solid(shapes, row, frames, segments, other):
    """Return the least signed distance of a shape's axis from a solid, less a trifle."""
    frame = int(shapes[row, 1])
    x, y, z = _seen_from(
        frames, frame, segments[other, 0], segments[other, 1], segments[other, 2])
    ux, uy, uz = _seen_from(
        frames, frame, segments[other, 3], segments[other, 4], segments[other, 5])
    ux, uy, uz = ux - x, uy - y, uz - z
    # Convex along the segment: by golden sections.
    low, high = 0.0, 1.0
    s, t = 1.0 - _SHRINK, _SHRINK
    at_s = _to_solid(shapes, row, x + s * ux, y + s * uy, z + s * uz)
    at_t = _to_solid(shapes, row, x + t * ux, y + t * uy, z + t * uz)
    for _ in range(_SECTIONS):
        if at_s < at_t:
            high, t, at_t = t, s, at_s
            s = high - _SHRINK * (high - low)
            at_s = _to_solid(shapes, row, x + s * ux, y + s * uy, z + s * uz)
        else:
            low, s, at_s = s, t, at_t
            t = low + _SHRINK * (high - low)
            at_t = _to_solid(shapes, row, x + t * ux, y + t * uy, z + t * uz)
    return min(at_s, at_t) - (high - low) * math.sqrt(ux * ux + uy * uy + uz * uz)


@numba.njit
def _between(first, second, shapes, frames, segments, least):
    """Return the distance of two shapes, or a lower bound of it that is at least ``least``."""
    a, b = shapes[first, 8], shapes[second, 8]
    near = _between_segments(segments, first, second) - a - b
    if near >= least:
        return near
    # Only the base has solids among the first of a pair; of two, the other is its capsule.
    if shapes[first, 0] > 0.0:
        return _segment_to_solid(shapes, first, frames, segments, second) - b
    if shapes[second, 0] > 0.0:
        return _segment_to_solid(shapes, second, frames, segments, first) - a
    return near


@numba.njit(inline='always')
def _are_apart(first, second, shapes, segments, least):
    """Return whether the spheres around two shapes or links are at least so far apart."""
    x = segments[first, 6] - segments[second, 6]
    y = segments[first, 7] - segments[second, 7]
    z = segments[first, 8] - segments[second, 8]
    far = least + shapes[first, 15] + shapes[second, 15]
    return x * x + y * y + z * z >= far * far


@numba.njit
def _link_clearance(first, begin, end, shapes, frames, segments, least):
    """Return the least distance of a shape from those of a link where below ``least``."""
    for second in range(begin, end):
        if not _are_apart(first, second, shapes, segments, least):
            least = min(least, _between(first, second, shapes, frames, segments, least))
    return least


@numba.njit
def _from_plane(planes, plane, shapes, row, frames, segments):
    """Return the distance of a shape from a half-space."""
    x, y, z = planes[plane, 0], planes[plane, 1], planes[plane, 2]
    if shapes[row, 0] == 0.0:
        return min(
            x * segments[row, 0] + y * segments[row, 1] + z * segments[row, 2],
            x * segments[row, 3] + y * segments[row, 4] + z * segments[row, 5]
        ) - planes[plane, 3] - shapes[row, 8]
    n = int(shapes[row, 1])
    distance = x * frames[n, 0] + y * frames[n, 1] + z * frames[n, 2] - planes[plane, 3]
    for k in range(3):
        along = (x * frames[n, 3 + 3 * k] + y * frames[n, 4 + 3 * k]
                 + z * frames[n, 5 + 3 * k])
        distance += along * shapes[row, 2 + k] - abs(along) * shapes[row, 5 + k]
    return distance


@numba.njit
def body_clearance(part, frames, shapes, links, pairs, planes, segments):
    """Return the least distance of the bodies of a part; of the arm's from itself at most 0.3."""
    least = np.inf if part == 3 else _FAR_M
    # The spheres around whole links follow the shapes.
    spheres = shapes.shape[0] - 9
    for n in range(pairs.shape[0]):
        if pairs[n, 0] != part:
            continue
        a, b = pairs[n, 1], pairs[n, 2]
        if part < 3 and _are_apart(spheres + a, spheres + b, shapes, segments, least):
            continue
        for first in range(links[a, 0], links[a, 1]):
            if part == 3:
                for row in range(planes.shape[0]):
                    least = min(
                        least, _from_plane(planes, row, shapes, first, frames, segments))
                continue
            least = _link_clearance(
                first, links[b, 0], links[b, 1], shapes, frames, segments, least)
    return least


@numba.njit
def place_shapes(shapes, frames, segments):
    """Write ends and middle (S, 9) of the axes of shapes in the base's frame."""
    for n in range(shapes.shape[0]):
        m = int(shapes[n, 1])
        for end in range(2):
            x, y, z = shapes[n, 9 + 3 * end], shapes[n, 10 + 3 * end], shapes[n, 11 + 3 * end]
            for k in range(3):
                segments[n, 3 * end + k] = (
                    frames[m, k] + x * frames[m, 3 + k] + y * frames[m, 6 + k]
                    + z * frames[m, 9 + k])
        for k in range(3):
            segments[n, 6 + k] = 0.5 * (segments[n, k] + segments[n, 3 + k])


@numba.njit
def least_singular_value(frames):
    """Return the least singular value of the TCP's Jacobian."""
    jacobian = np.empty((6, 7))
    for i in range(7):
        zx, zy, zz = frames[i + 1, 9], frames[i + 1, 10], frames[i + 1, 11]
        x, y = frames[9, 0] - frames[i + 1, 0], frames[9, 1] - frames[i + 1, 1]
        z = frames[9, 2] - frames[i + 1, 2]
        jacobian[0, i], jacobian[1, i], jacobian[2, i] = (
            zy * z - zz * y, zz * x - zx * z, zx * y - zy * x)
        jacobian[3, i], jacobian[4, i], jacobian[5, i] = zx, zy, zz
    return math.sqrt(max(np.linalg.eigvalsh(jacobian @ jacobian.T)[0], 0.0))
