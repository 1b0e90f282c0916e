# SPDX-License-Identifier: Apache-2.0
"""
Signed distances of shapes to measured points and to viewing rays (numpy).

Along a ray the signed distance of a convex body has one minimum, which by the envelope theorem
moves with the pose like the distance at that fixed point. One formula therefore serves measured
surface points (distance 0) and silhouette rays (tangent: minimum 0). Of a union of boxes the
nearest box counts. A hollow body has the silhouette of its hull, and a thin wall two faces a few
noise widths apart: a point is compared with faces that look towards the camera only. Sampled
shapes are in `grid_sdf`.
"""

from __future__ import annotations

import numpy as np
from ocrrl_ros.perception import grid_sdf
from ocrrl_ros.perception.surfaces import GRID, REVOLUTION, Surfaces

RAY_STEPS = 12
MISS = np.inf
PLANE_FLOOR = 0.01
"""Keeps rays that run across the plane through the axis from being squared with noise."""


def box_distance(points: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Return signed distances (P,) in m, negative inside, of points (P, 3) in the box frame."""
    q = np.abs(points) - half
    outside = np.sqrt((np.maximum(q, 0.0) ** 2).sum(axis=-1))
    return outside + np.minimum(q.max(axis=-1), 0.0)


def box_gradient(points: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Return the unit gradients (P, 3) of `box_distance`, in the box frame."""
    q = np.abs(points) - half
    signs = np.where(points < 0.0, -1.0, 1.0)
    outer = np.maximum(q, 0.0)
    length = np.sqrt((outer * outer).sum(axis=-1, keepdims=True))
    inner = np.zeros_like(q)
    inner[np.arange(len(q)), np.argmax(q, axis=-1)] = 1.0
    return signs * np.where(length > 0.0, outer / np.maximum(length, 1e-12), inner)


def surface_distance(
        points: np.ndarray, directions: np.ndarray,
        shape: Surfaces) -> tuple[np.ndarray, np.ndarray]:
    """
    Return signed distances (P,) in m of measured points to the surface, and gradients (P, 3).

    :param points: (P, 3) in the object frame.
    :param directions: (P, 3) from the camera to the points, object frame, any length.
    """
    if shape.kind == GRID:
        return grid_sdf.surface_distance(points, directions, shape)
    if shape.kind == REVOLUTION:
        radial, flat = _to_profile(points)
        along = np.stack([(directions * radial).sum(axis=-1), directions[:, 2]], axis=-1)
        seen = along @ shape.surface[:, 4:].T <= 0.0
        distance, normal = _edge_distance(flat, shape.surface, seen)
        return distance, _from_profile(normal, radial)
    side = np.where(directions > 0.0, -1.0, 1.0)
    faces = [_face_distance(points - row[:3], side, row[3:], axis)
             for row in shape.surface for axis in range(3)]
    gap, distance, normal = _nearest([(np.abs(face[0]), *face) for face in faces])
    return distance, normal


def _face_distance(
        points: np.ndarray, side: np.ndarray, half: np.ndarray,
        axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return signed distances (P,) to the faces of a box across an axis, and gradients (P, 3)."""
    offset = points - np.clip(points, -half, half)
    offset[:, axis] = points[:, axis] - side[:, axis] * half[axis]
    length = np.sqrt((offset * offset).sum(axis=-1))
    sign = np.where(offset[:, axis] * side[:, axis] < 0.0, -1.0, 1.0)
    normal = sign[:, None] * offset / np.maximum(length, 1e-12)[:, None]
    flat = length < 1e-9
    normal[flat] = 0.0
    normal[flat, axis] = side[flat, axis]
    return sign * length, normal


def nearest_on_rays(
        origin: np.ndarray, directions: np.ndarray,
        shape: Surfaces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Return, per ray, the least signed distance (P,), its gradient and its place (P, 3).

    :param origin: (3,) common start of the rays in the object frame.
    :param directions: (P, 3) unit directions in the object frame.
    """
    if shape.kind == GRID:
        return grid_sdf.nearest_on_rays(origin, directions, shape)
    count = 1 if shape.kind == REVOLUTION else len(shape.hull)
    return _nearest([_nearest_on_body(origin, directions, shape, body) for body in range(count)])


def square_to_rays(
        points: np.ndarray, directions: np.ndarray, normal: np.ndarray,
        shape: Surfaces) -> tuple[np.ndarray, np.ndarray]:
    """
    Return unit gradients (P, 3) without their part along the rays, and which could be made.

    Where a ray touches an edge, the gradient of one of its two faces would claim that moving
    along the ray changes something. Of a solid of revolution the part is taken out within the
    plane through the axis, so that no gradient ever turns the solid about it.

    :param points: (P, 3) where the distance to each ray is least.
    :param directions: (P, 3) unit directions.
    :param normal: (P, 3) gradients there.
    """
    away, scale = directions, np.ones((len(points), 1))
    if shape.kind == REVOLUTION:
        radial = _to_profile(points)[0]
        tangent = np.stack([-radial[:, 1], radial[:, 0], np.zeros(len(points))], axis=-1)
        across = (directions * tangent).sum(axis=-1, keepdims=True)
        away = directions - across * tangent
        scale = 1.0 / (1.0 - across * across + PLANE_FLOOR)
    slope = (normal * directions).sum(axis=-1, keepdims=True)
    square = normal - scale * slope * away
    length = np.sqrt((square * square).sum(axis=-1, keepdims=True))
    return square / np.maximum(length, 1e-6), length[:, 0] > 1e-6


def _nearest_on_body(
        origin: np.ndarray, directions: np.ndarray, shape: Surfaces,
        body: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bisect the distance to one convex body along rays."""
    centre, reach = np.zeros(3), shape.reach
    if shape.kind != REVOLUTION:
        centre, half = shape.hull[body, :3], shape.hull[body, 3:]
        reach = float(np.sqrt((half * half).sum()))
    middle = -(directions @ (origin - centre))
    low, high = middle - reach, middle + reach
    for _ in range(RAY_STEPS):
        at = 0.5 * (low + high)
        gradient = _body_distance(origin + at[:, None] * directions, shape, body)[1]
        rising = (gradient * directions).sum(axis=-1) > 0.0
        high = np.where(rising, at, high)
        low = np.where(rising, low, at)
    points = origin + (0.5 * (low + high))[:, None] * directions
    return (*_body_distance(points, shape, body), points)


def _body_distance(
        points: np.ndarray, shape: Surfaces, body: int) -> tuple[np.ndarray, np.ndarray]:
    """Return signed distance (P,) and gradient (P, 3) of one convex body of the hull."""
    if shape.kind != REVOLUTION:
        row = shape.hull[body]
        return box_distance(points - row[:3], row[3:]), box_gradient(points - row[:3], row[3:])
    radial, flat = _to_profile(points)
    depth = ((flat[:, None] - shape.hull[:, :2]) * shape.hull[:, 4:]).sum(axis=-1)
    distance, normal = _edge_distance(flat, shape.hull, np.ones_like(depth, dtype=bool))
    face = np.argmax(depth, axis=-1)
    inside = depth.max(axis=-1) <= 0.0
    # At a corner the sign is that of one edge, which the point may lie behind: outside is +.
    normal = np.where(distance < 0.0, -1.0, 1.0)[:, None] * normal
    distance = np.where(inside, depth.max(axis=-1), np.abs(distance))
    return distance, _from_profile(
        np.where(inside[:, None], shape.hull[face, 4:], normal), radial)


def _nearest(found: list[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    """Return, per item, the results of the body with the least distance (the first of each)."""
    best = found[0]
    for other in found[1:]:
        closer = other[0] < best[0]
        best = tuple(
            np.where(closer if new.ndim == 1 else closer[:, None], new, old)
            for new, old in zip(other, best))
    return best


def _to_profile(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return unit radial directions (P, 3), and radius and z (P, 2), of points (P, 3)."""
    radius = np.sqrt(points[:, 0] ** 2 + points[:, 1] ** 2)
    safe = np.maximum(radius, 1e-12)
    radial = np.stack([points[:, 0] / safe, points[:, 1] / safe, np.zeros(len(points))], axis=-1)
    radial[radius < 1e-9] = (1.0, 0.0, 0.0)
    return radial, np.stack([radius, points[:, 2]], axis=-1)


def _from_profile(normal: np.ndarray, radial: np.ndarray) -> np.ndarray:
    """Return vectors (P, 3) of profile vectors (P, 2)."""
    result = normal[:, :1] * radial
    result[:, 2] = normal[:, 1]
    return result


def _edge_distance(
        flat: np.ndarray, edges: np.ndarray,
        seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Return distances (P,) to the nearest edge of those seen (P, M), with the side's sign.

    Gradients (P, 2) are normals where an edge is nearest, and point away from a corner elsewhere.
    """
    start, along = edges[:, :2], edges[:, 2:4] - edges[:, :2]
    offset = flat[:, None] - start
    share = (offset * along).sum(axis=-1) / (along * along).sum(axis=-1)
    gap = offset - np.clip(share, 0.0, 1.0)[..., None] * along
    squared = np.where(seen, (gap * gap).sum(axis=-1), np.inf)
    edge = np.argmin(squared, axis=-1)
    item = np.arange(len(flat))
    gap, normal = gap[item, edge], edges[edge, 4:]
    side = (gap * normal).sum(axis=-1)
    length = np.sqrt((gap * gap).sum(axis=-1))
    inner = (share[item, edge] >= 0.0) & (share[item, edge] <= 1.0) | (length < 1e-9)
    sign = np.where(side < 0.0, -1.0, 1.0)
    away = sign[:, None] * gap / np.maximum(length, 1e-12)[:, None]
    return np.where(inner, side, sign * length), np.where(inner[:, None], normal, away)


def entry(origin: np.ndarray, directions: np.ndarray, shape: Surfaces) -> np.ndarray:
    """
    Return the distance (P,) in m along rays to the surface, infinity for a miss.

    :param origin: (3,) start of the rays, outside of the shape.
    :param directions: (P, 3) unit directions; both in the object frame.
    """
    if shape.kind == GRID:
        return grid_sdf.entry(origin, directions, shape)
    one = _edge_entry if shape.kind == REVOLUTION else _box_entry
    return np.min([one(origin, directions, row) for row in shape.surface], axis=0)


def _box_entry(origin: np.ndarray, directions: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return the distance (P,) along rays to one box."""
    safe = np.where(np.abs(directions) < 1e-9, 1e-9, directions)
    first = (row[:3] - row[3:] - origin) / safe
    second = (row[:3] + row[3:] - origin) / safe
    near = np.minimum(first, second).max(axis=-1)
    leave = np.maximum(first, second).min(axis=-1)
    return np.where((near <= leave) & (near > 0.0), near, MISS)


def _edge_entry(origin: np.ndarray, directions: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """Return the distance (P,) along rays to the ring that one profile edge sweeps."""
    r0, z0, r1, z1 = edge[:4]
    if abs(z1 - z0) < 1e-9:
        along = np.where(np.abs(directions[:, 2]) < 1e-9, 1e-9, directions[:, 2])
        t = (z0 - origin[2]) / along
        radius = np.sqrt((origin[0] + t * directions[:, 0]) ** 2
                         + (origin[1] + t * directions[:, 1]) ** 2)
        hit = (t > 0.0) & (radius >= min(r0, r1)) & (radius <= max(r0, r1))
        return np.where(hit, t, MISS)
    slope = (r1 - r0) / (z1 - z0)
    base, rate = r0 + slope * (origin[2] - z0), slope * directions[:, 2]
    a = directions[:, 0] ** 2 + directions[:, 1] ** 2 - rate ** 2
    b = origin[0] * directions[:, 0] + origin[1] * directions[:, 1] - base * rate
    c = origin[0] ** 2 + origin[1] ** 2 - base ** 2
    square = b * b - a * c
    root = np.sqrt(np.maximum(square, 0.0))
    a = np.where(np.abs(a) < 1e-12, 1e-12, a)
    best = np.full(len(directions), MISS)
    for t in ((-b - root) / a, (-b + root) / a):
        z = origin[2] + t * directions[:, 2]
        hit = (square >= 0.0) & (t > 0.0) & (base + rate * t >= 0.0)
        hit &= (z >= min(z0, z1)) & (z <= max(z0, z1))
        best = np.where(hit, np.minimum(best, t), best)
    return best
