# SPDX-License-Identifier: Apache-2.0
"""
The normal equations of a pose, compiled; `kernels_numpy`, `sdf` and `grid_sdf` document them.

All functions called here live in this file: numba's cache of compiled code does not notice
changes in other files.

Only what Python calls is cached on disk; `core/se3_inline.py` says why. Inlining, row numbers
in place of views and numpy's division by zero save a third of the time.
"""

from __future__ import annotations

import numba
import numpy as np
from ocrrl_ros.perception.surfaces import GRID, REVOLUTION

RAY_STEPS = 12
PLANE_FLOOR = 0.01
WALK_STEPS, FACE_STEPS, FACING = 2.0, 40, 0.05

_compiled = numba.njit(nogil=True, error_model='numpy')
_inlined = numba.njit(nogil=True, error_model='numpy', forceinline=True)


@_inlined
def _box(p, rows, k, normal):
    """Return the signed distance of a point to a box and write its gradient."""
    squared, best, axis = 0.0, -1e9, 0
    for i in range(3):
        q = abs(p[i] - rows[k, i]) - rows[k, i + 3]
        normal[i] = max(q, 0.0)
        squared += normal[i] * normal[i]
        if q > best:
            best, axis = q, i
    distance = np.sqrt(squared) if squared > 0.0 else best
    for i in range(3):
        sign = -1.0 if p[i] - rows[k, i] < 0.0 else 1.0
        normal[i] = sign * normal[i] / distance if squared > 0.0 else sign * (i == axis)
    return distance


@_inlined
def _radial(p):
    """Return the radius of a point and the unit radial direction."""
    radius = np.sqrt(p[0] ** 2 + p[1] ** 2)
    if radius < 1e-9:
        return radius, 1.0, 0.0
    return radius, p[0] / radius, p[1] / radius


@_inlined
def _edge_gap(radius, z, edges, k):
    """Return share of the way along a profile edge, gap (2) to it and its square."""
    along_r, along_z = edges[k, 2] - edges[k, 0], edges[k, 3] - edges[k, 1]
    offset_r, offset_z = radius - edges[k, 0], z - edges[k, 1]
    share = (offset_r * along_r + offset_z * along_z) / (along_r * along_r + along_z * along_z)
    cut = min(max(share, 0.0), 1.0)
    gap_r, gap_z = offset_r - cut * along_r, offset_z - cut * along_z
    return share, gap_r, gap_z, gap_r * gap_r + gap_z * gap_z


@_inlined
def _edge(radius, z, edges, k):
    """Return the signed distance to one profile edge and the gradient (2)."""
    share, gap_r, gap_z, squared = _edge_gap(radius, z, edges, k)
    side = gap_r * edges[k, 4] + gap_z * edges[k, 5]
    length = np.sqrt(squared)
    if 0.0 <= share <= 1.0 or length < 1e-9:
        return side, edges[k, 4], edges[k, 5]
    sign = -1.0 if side < 0.0 else 1.0
    return sign * length, sign * gap_r / length, sign * gap_z / length


@_inlined
def _face(p, ray, rows, k, axis, offset):
    """Write the offset from the face of a box across an axis; return squared length and sign."""
    squared, side = 0.0, -1.0 if ray[axis] > 0.0 else 1.0
    for i in range(3):
        at, half = p[i] - rows[k, i], rows[k, i + 3]
        offset[i] = at - (side * half if i == axis else min(max(at, -half), half))
        squared += offset[i] * offset[i]
    return squared, -1.0 if offset[axis] * side < 0.0 else 1.0


@_compiled
def _boxes_surface(p, ray, shape, normal, work):
    """Return the signed distance of a measured point to a union of boxes, write the gradient."""
    least, sign, face, rows = 1e18, 1.0, 0, shape.surface
    for k in range(rows.shape[0]):
        outside = 0.0
        for i in range(3):
            outside += max(abs(p[i] - rows[k, i]) - rows[k, i + 3], 0.0) ** 2
        if outside >= least:
            continue
        for axis in range(3):
            squared, side = _face(p, ray, rows, k, axis, work)
            if squared < least:
                least, sign, face = squared, side, axis
                normal[:] = work
    length = np.sqrt(least)
    if length < 1e-9:
        normal[:] = 0.0
        normal[face] = -1.0 if ray[face] > 0.0 else 1.0
        return sign * length
    for i in range(3):
        normal[i] *= sign / length
    return sign * length


@_compiled
def _grid(p, shape, start, normal):
    """Return the sampled distance at a point, write its gradient; see `grid_sdf.distance`."""
    row, last, samples = shape.hull[0], shape.hull[1], shape.surface
    i, x, beyond_x, _ = _cell(p[0], row[0], row[3], last[0])
    j, y, beyond_y, ahead = _cell(p[1], row[1], row[4], last[1])
    k, z, beyond_z, _ = _cell(p[2], row[2], row[5], last[2])
    line = start + i * ahead + j
    a, b = samples[line, k], samples[line, k + 1]
    c, d = samples[line + 1, k], samples[line + 1, k + 1]
    rise_a, rise_b = samples[line + ahead, k] - a, samples[line + ahead, k + 1] - b
    rise_c, rise_d = samples[line + ahead + 1, k] - c, samples[line + ahead + 1, k + 1] - d
    a, b, c, d = a + x * rise_a, b + x * rise_b, c + x * rise_c, d + x * rise_d
    low, high = a + y * (c - a), b + y * (d - b)
    rise_low, rise_high = rise_a + y * (rise_c - rise_a), rise_b + y * (rise_d - rise_b)
    normal[0] = (rise_low + z * (rise_high - rise_low)) / row[3]
    normal[1] = (c - a + z * ((d - b) - (c - a))) / row[4]
    normal[2] = (high - low) / row[5]
    length = np.sqrt(beyond_x ** 2 + beyond_y ** 2 + beyond_z ** 2)
    for axis, beyond in ((0, beyond_x), (1, beyond_y), (2, beyond_z)):
        if beyond != 0.0:
            normal[axis] = beyond / length
    return low + z * (high - low) + length


@_compiled
def _cell(at, first, step, last):
    """Return a coordinate's cell, share of the way through it, way beyond, and all samples."""
    place, end = (at - first) / step, (last - first) / step
    inside, count = min(max(place, 0.0), end), int(end + 1.5)
    cell = min(int(inside), count - 2)
    return cell, inside - cell, (place - inside) * step, count


@_compiled
def _grid_surface(p, ray, shape, normal, work):
    """Return the signed distance to the sampled face seen; see `grid_sdf.surface_distance`."""
    value = _grid(p, shape, 0, normal)
    if normal[0] * ray[0] + normal[1] * ray[1] + normal[2] * ray[2] <= 0.0:
        return value
    length = np.sqrt(ray[0] ** 2 + ray[1] ** 2 + ray[2] ** 2)
    step = shape.hull[0, 3]
    at, gradient = work[0], work[1]
    for number in range(1, FACE_STEPS + 1):
        _along(p, ray, -number * step / length, at)
        _grid(at, shape, 0, gradient)
        slope = (gradient[0] * ray[0] + gradient[1] * ray[1] + gradient[2] * ray[2]) / length
        if slope >= -FACING:
            continue
        beyond = (number + 1) * step
        _along(p, ray, -beyond / length, at)
        other = _grid(at, shape, 0, gradient)
        slope = (gradient[0] * ray[0] + gradient[1] * ray[1] + gradient[2] * ray[2]) / length
        if slope < 0.0 and other < step:
            normal[:] = gradient
            return other + beyond * slope
        return value
    return value


@_compiled
def _grid_range(origin, direction, shape):
    """Return where a ray enters and leaves the grid, no sooner than 0."""
    near, end = 0.0, 1e9
    for i in range(3):
        along = direction[i] if abs(direction[i]) >= 1e-9 else 1e-9
        first = (shape.hull[0, i] - origin[i]) / along
        last = (shape.hull[1, i] - origin[i]) / along
        near, end = max(near, min(first, last)), min(end, max(first, last))
    return near, end


@_compiled
def _nearest_in_grid(origin, direction, shape, at, normal):
    """Write point and gradient nearest to a ray, see `grid_sdf.nearest_on_rays`; return both."""
    low, high = _grid_range(origin, direction, shape)
    # Where there are two bodies, the second has the rows behind those of the first.
    extent = (shape.hull[1] - shape.hull[0]) / shape.hull[0, 3]
    start = shape.surface.shape[0] - int(extent[0] + 1.5) * int(extent[1] + 1.5)
    middle = -(origin[0] * direction[0] + origin[1] * direction[1] + origin[2] * direction[2])
    if low >= high:
        low = high = middle
    best = min(max(middle, low), high)
    _along(origin, direction, best, at)
    least = _grid(at, shape, start, normal)
    walk, far = WALK_STEPS * shape.hull[0, 3], low
    while far < high:
        _along(origin, direction, far, at)
        value = _grid(at, shape, start, normal)
        if value < least:
            least, best = value, far
        far += max(walk, value - least)
    low, high = max(low, best - walk), min(high, best + walk)
    for _ in range(RAY_STEPS + 1):
        far = 0.5 * (low + high)
        _along(origin, direction, far, at)
        value = _grid(at, shape, start, normal)
        if normal[0] * direction[0] + normal[1] * direction[1] + normal[2] * direction[2] > 0.0:
            high = far
        else:
            low = far
    return value, far


@_compiled
def _surface(p, ray, shape, normal, work):
    """Return the signed distance of a measured point; see `sdf.surface_distance`."""
    if shape.kind == GRID:
        return _grid_surface(p, ray, shape, normal, work)
    if shape.kind != REVOLUTION:
        return _boxes_surface(p, ray, shape, normal, work[1])
    radius, unit_x, unit_y = _radial(p)
    along_r = ray[0] * unit_x + ray[1] * unit_y
    nearest, least, edges = -1, 1e18, shape.surface
    for k in range(edges.shape[0]):
        if along_r * edges[k, 4] + ray[2] * edges[k, 5] <= 0.0:
            squared = _edge_gap(radius, p[2], edges, k)[3]
            if squared < least:
                least, nearest = squared, k
    distance, normal_r, normal_z = 0.0, 0.0, 1.0
    if nearest >= 0:
        distance, normal_r, normal_z = _edge(radius, p[2], edges, nearest)
    normal[0], normal[1], normal[2] = normal_r * unit_x, normal_r * unit_y, normal_z
    return distance


@_inlined
def _body(p, shape, body, normal):
    """Return the signed distance to one convex body of the hull; see `sdf._body_distance`."""
    if shape.kind != REVOLUTION:
        return _box(p, shape.hull, body, normal)
    radius, unit_x, unit_y = _radial(p)
    nearest, least, face, depth, edges = 0, 1e18, 0, -1e18, shape.hull
    for k in range(edges.shape[0]):
        squared = _edge_gap(radius, p[2], edges, k)[3]
        if squared < least:
            least, nearest = squared, k
        side = (radius - edges[k, 0]) * edges[k, 4] + (p[2] - edges[k, 1]) * edges[k, 5]
        if side > depth:
            depth, face = side, k
    if depth <= 0.0:
        distance, normal_r, normal_z = depth, edges[face, 4], edges[face, 5]
    else:
        distance, normal_r, normal_z = _edge(radius, p[2], edges, nearest)
        if distance < 0.0:
            distance, normal_r, normal_z = -distance, -normal_r, -normal_z
    normal[0], normal[1], normal[2] = normal_r * unit_x, normal_r * unit_y, normal_z
    return distance


@_inlined
def _to_object(rotation, vector, result):
    """Write rotation^T vector."""
    for i in range(3):
        result[i] = (
            rotation[0, i] * vector[0] + rotation[1, i] * vector[1] + rotation[2, i] * vector[2])


@_inlined
def _add(at, normal, distance, sigma, weight, width, rotation, jacobian, system, right):
    """Add one residual to the normal equations; return its cost."""
    residual = distance / sigma
    shrink = 1.0 / (1.0 + (residual / width) ** 2)
    c0 = at[1] * normal[2] - at[2] * normal[1]
    c1 = at[2] * normal[0] - at[0] * normal[2]
    c2 = at[0] * normal[1] - at[1] * normal[0]
    for i in range(3):
        jacobian[i] = -(
            rotation[i, 0] * normal[0] + rotation[i, 1] * normal[1]
            + rotation[i, 2] * normal[2]) / sigma
        jacobian[i + 3] = -(
            rotation[i, 0] * c0 + rotation[i, 1] * c1 + rotation[i, 2] * c2) / sigma
    factor = weight * shrink * shrink
    for i in range(6):
        right[i] -= factor * jacobian[i] * residual
        for j in range(i + 1):
            system[i, j] += factor * jacobian[i] * jacobian[j]
    return weight * residual * residual * shrink


@_inlined
def _along(origin, direction, far, at):
    """Write the point at a distance along a ray."""
    for i in range(3):
        at[i] = origin[i] + far * direction[i]


@_compiled
def _nearest_on_body(origin, direction, shape, body, limit, at, normal):
    """
    Write point and gradient where a ray comes nearest to a body; return distance and place.

    A body whose bounding sphere stays farther than ``limit`` is left out: infinity.
    """
    x, y, z, reach = origin[0], origin[1], origin[2], shape.reach
    if shape.kind != REVOLUTION:
        rows = shape.hull
        x, y, z = x - rows[body, 0], y - rows[body, 1], z - rows[body, 2]
        reach = np.sqrt(rows[body, 3] ** 2 + rows[body, 4] ** 2 + rows[body, 5] ** 2)
    u, v, w = direction[0], direction[1], direction[2]
    middle = -(x * u) - y * v - z * w
    squared = (x + middle * u) ** 2 + (y + middle * v) ** 2 + (z + middle * w) ** 2
    if np.sqrt(squared) - reach > limit:
        return np.inf, 0.0
    low, high = middle - reach, middle + reach
    for _ in range(RAY_STEPS):
        far = 0.5 * (low + high)
        _along(origin, direction, far, at)
        _body(at, shape, body, normal)
        if normal[0] * u + normal[1] * v + normal[2] * w > 0.0:
            high = far
        else:
            low = far
    far = 0.5 * (low + high)
    _along(origin, direction, far, at)
    return _body(at, shape, body, normal), far


@_compiled
def _nearest_on_ray(origin, direction, shape, at, normal, work):
    """Write point and gradient of the least signed distance along a ray; return it, its place."""
    if shape.kind == GRID:
        return _nearest_in_grid(origin, direction, shape, at, normal)
    best, far = _nearest_on_body(origin, direction, shape, 0, np.inf, at, normal)
    count = 1 if shape.kind == REVOLUTION else shape.hull.shape[0]
    for body in range(1, count):
        distance, place = _nearest_on_body(
            origin, direction, shape, body, best, work[0], work[1])
        if distance < best:
            best, far = distance, place
            at[:] = work[0]
            normal[:] = work[1]
    return best, far


@_compiled
def _square_to_ray(at, direction, shape, normal, away):
    """Turn a gradient square to its ray, see `sdf.square_to_rays`; return whether it is one."""
    away[:] = direction
    scale = 1.0
    if shape.kind == REVOLUTION:
        _, unit_x, unit_y = _radial(at)
        across = unit_x * direction[1] - unit_y * direction[0]
        away[0] += across * unit_y
        away[1] -= across * unit_x
        scale = 1.0 / (1.0 - across * across + PLANE_FLOOR)
    slope, length = 0.0, 0.0
    for i in range(3):
        slope += normal[i] * direction[i]
    for i in range(3):
        normal[i] -= scale * slope * away[i]
        length += normal[i] ** 2
    length = np.sqrt(length)
    if length <= 1e-6:
        return False
    for i in range(3):
        normal[i] /= length
    return True


@numba.njit(cache=True, nogil=True, error_model='numpy')
def accumulate(points, rays, silhouette, rotation, translation, shape, noise):
    """Return the Gauss-Newton system and the robust cost of a pose; see `kernels_numpy`."""
    system, right, cost = np.zeros((6, 6)), np.zeros(6), 0.0
    at, normal, jacobian = np.empty(3), np.empty(3), np.empty(6)
    origin, direction, work = np.empty(3), np.empty(3), np.empty((2, 3))
    for k in range(points.shape[0]):
        _to_object(rotation, points[k], direction)
        for i in range(3):
            work[0, i] = points[k, i] - translation[i]
        _to_object(rotation, work[0], at)
        distance = _surface(at, direction, shape, normal, work)
        sigma = noise[0] * points[k, 2] ** 2 + noise[1]
        cost += _add(
            at, normal, distance, sigma, noise[2], noise[5], rotation, jacobian, system, right)
    _to_object(rotation, -translation, origin)
    for k in range(rays.shape[0]):
        _to_object(rotation, rays[k], direction)
        distance, far = _nearest_on_ray(origin, direction, shape, at, normal, work)
        if distance <= 0.0 and not silhouette[k]:
            continue
        if not _square_to_ray(at, direction, shape, normal, work[0]):
            continue
        cost += _add(
            at, normal, distance, noise[3] * abs(far), noise[4], noise[5], rotation, jacobian,
            system, right)
    for i in range(6):
        for j in range(i):
            system[j, i] = system[i, j]
    return system, right, cost
