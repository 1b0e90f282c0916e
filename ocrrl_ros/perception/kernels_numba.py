# SPDX-License-Identifier: Apache-2.0
"""The kernels of `kernels_numpy`, compiled; that module documents arguments and results."""

from __future__ import annotations

import numba
import numpy as np

SEARCH_PX = 8
RAY_STEPS = 12


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
def contour_rays(score, mask, depth, camera, plane, margins):
    """Return rays through the mask's edge and which are silhouette; see `kernels_numpy`."""
    height, width = mask.shape
    rays = np.empty((4 * height * width, 3))
    silhouette = np.empty(4 * height * width, dtype=np.bool_)
    count = 0
    for dv, du in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        for v in range(height):
            for u in range(width):
                y, x = v + dv, u + du
                if not mask[v, u] or y < 0 or y >= height or x < 0 or x >= width or mask[y, x]:
                    continue
                inner = score[min(max(v - dv, 0), height - 1), min(max(u - du, 0), width - 1)]
                outer = score[
                    min(max(v + 2 * dv, 0), height - 1), min(max(u + 2 * du, 0), width - 1)]
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


@numba.njit(cache=True, nogil=True)
def _box(p, half, normal):
    """Return the signed box distance of a point and write its gradient."""
    squared, best, axis = 0.0, -1e9, 0
    for i in range(3):
        q = abs(p[i]) - half[i]
        if q > 0.0:
            squared += q * q
        if q > best:
            best, axis = q, i
    distance = np.sqrt(squared) if squared > 0.0 else best
    for i in range(3):
        q = abs(p[i]) - half[i]
        sign = -1.0 if p[i] < 0.0 else 1.0
        if squared > 0.0:
            normal[i] = sign * max(q, 0.0) / distance
        else:
            normal[i] = sign if i == axis else 0.0
    return distance


@numba.njit(cache=True, nogil=True)
def _to_object(rotation, vector, result):
    """Write rotation^T vector."""
    for i in range(3):
        result[i] = (
            rotation[0, i] * vector[0] + rotation[1, i] * vector[1] + rotation[2, i] * vector[2])


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
def _nearest_on_ray(origin, direction, half, at, normal):
    """Write the point of a ray whose signed box distance is least."""
    middle = -(origin[0] * direction[0] + origin[1] * direction[1] + origin[2] * direction[2])
    reach = np.sqrt(half[0] ** 2 + half[1] ** 2 + half[2] ** 2)
    low, high = middle - reach, middle + reach
    for _ in range(RAY_STEPS):
        centre = 0.5 * (low + high)
        for i in range(3):
            at[i] = origin[i] + centre * direction[i]
        _box(at, half, normal)
        slope = normal[0] * direction[0] + normal[1] * direction[1] + normal[2] * direction[2]
        if slope > 0.0:
            high = centre
        else:
            low = centre
    centre = 0.5 * (low + high)
    for i in range(3):
        at[i] = origin[i] + centre * direction[i]
    return centre


@numba.njit(cache=True, nogil=True)
def accumulate(points, rays, silhouette, rotation, translation, half, noise):
    """Return the Gauss-Newton system and the robust cost of a pose; see `kernels_numpy`."""
    system, right, cost = np.zeros((6, 6)), np.zeros(6), 0.0
    at, normal, work, jacobian = np.empty(3), np.empty(3), np.empty(3), np.empty(6)
    for k in range(points.shape[0]):
        for i in range(3):
            work[i] = points[k, i] - translation[i]
        _to_object(rotation, work, at)
        distance = _box(at, half, normal)
        sigma = noise[0] * points[k, 2] ** 2 + noise[1]
        cost += _add(
            at, normal, distance, sigma, noise[2], noise[5], rotation, jacobian, system, right)
    origin, direction = np.empty(3), np.empty(3)
    _to_object(rotation, -translation, origin)
    for k in range(rays.shape[0]):
        _to_object(rotation, rays[k], direction)
        far = _nearest_on_ray(origin, direction, half, at, normal)
        distance = _box(at, half, normal)
        if distance <= 0.0 and not silhouette[k]:
            continue
        slope = normal[0] * direction[0] + normal[1] * direction[1] + normal[2] * direction[2]
        length = 0.0
        for i in range(3):
            normal[i] -= slope * direction[i]
            length += normal[i] ** 2
        length = np.sqrt(length)
        if length <= 1e-6:
            continue
        for i in range(3):
            normal[i] /= length
        cost += _add(
            at, normal, distance, noise[3] * abs(far), noise[4], noise[5], rotation, jacobian,
            system, right)
    for i in range(6):
        for j in range(i):
            system[j, i] = system[i, j]
    return system, right, cost


@numba.njit(cache=True, nogil=True)
def _entry(origin, direction, half):
    """Return the distance along a ray to the box, negative for a miss."""
    first, last = -1e9, 1e9
    for i in range(3):
        along = direction[i] if abs(direction[i]) >= 1e-9 else 1e-9
        a, b = (-half[i] - origin[i]) / along, (half[i] - origin[i]) / along
        first, last = max(first, min(a, b)), min(last, max(a, b))
    return first if first <= last else -1.0


@numba.njit(cache=True, nogil=True)
def compare(depth, mask, camera, rotation, translation, half, tolerance):
    """Return how a region agrees with the rendered object, as sums; see `kernels_numpy`."""
    sums = np.zeros(9)
    ray, direction, origin = np.empty(3), np.empty(3), np.empty(3)
    _to_object(rotation, -translation, origin)
    for v in range(depth.shape[0]):
        for u in range(depth.shape[1]):
            ray[0] = (u + camera[4] - camera[2]) / camera[0]
            ray[1] = (v + camera[5] - camera[3]) / camera[1]
            length = np.sqrt(ray[0] ** 2 + ray[1] ** 2 + 1.0)
            ray[0], ray[1], ray[2] = ray[0] / length, ray[1] / length, 1.0 / length
            _to_object(rotation, ray, direction)
            expected = _entry(origin, direction, half) / length
            if not expected > 0.0:
                sums[2] += mask[v, u]
                continue
            sums[0] += 1.0
            sums[1] += mask[v, u]
            measured = float(depth[v, u])
            if measured <= 0.0:
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
