# SPDX-License-Identifier: Apache-2.0
"""
Signed distances of sampled shapes to measured points and to viewing rays (numpy).

Between samples the distance is trilinear, and gradients are those of that function, so that
distance and gradient agree with each other. Along a ray it may have several minima: it is walked
in steps that no lower value fits between, and refined where it was lowest.
"""

from __future__ import annotations

import numpy as np
from ocrrl_ros.perception.surfaces import Surfaces

REFINEMENTS = 12
WALK_STEPS = 2.0
FACE_STEPS = 40
FACING = 0.05
TRACE_STEPS = 64
TOUCH = 2e-5
MISS = np.inf


def distance(points: np.ndarray, shape: Surfaces, which: int) -> tuple[np.ndarray, np.ndarray]:
    """
    Return signed distances (P,) in m of points (P, 3) in the object frame, and gradients (P, 3).

    Beyond the grid it is the distance to its border and the value there together.

    :param which: 0 for the surface, -1 for the body that has its silhouette.
    """
    samples, row = _samples(shape)[which], shape.hull[0]
    count = np.array(samples.shape)
    place = (points - row[:3]) / row[3:]
    inside = np.clip(place, 0.0, count - 1.0)
    cell = np.minimum(inside.astype(int), count - 2)
    share = inside - cell
    corner = [
        samples[cell[:, 0] + i, cell[:, 1] + j, cell[:, 2] + k]
        for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    x, y, z = share.T
    at_x = [low + x * (high - low) for low, high in zip(corner[:4], corner[4:])]
    at_xy = [low + y * (high - low) for low, high in zip(at_x[:2], at_x[2:])]
    value = at_xy[0] + z * (at_xy[1] - at_xy[0])
    rise_x = [high - low for low, high in zip(corner[:4], corner[4:])]
    rise_xy = [low + y * (high - low) for low, high in zip(rise_x[:2], rise_x[2:])]
    rise_y = [high - low for low, high in zip(at_x[:2], at_x[2:])]
    gradient = np.stack([
        rise_xy[0] + z * (rise_xy[1] - rise_xy[0]), rise_y[0] + z * (rise_y[1] - rise_y[0]),
        at_xy[1] - at_xy[0]], axis=-1) / row[3:]
    beyond = (place - inside) * row[3:]
    length = np.sqrt((beyond * beyond).sum(axis=-1))
    outwards = beyond / np.maximum(length, 1e-12)[:, None]
    return value + length, np.where(beyond != 0.0, outwards, gradient)


def surface_distance(
        points: np.ndarray, directions: np.ndarray,
        shape: Surfaces) -> tuple[np.ndarray, np.ndarray]:
    """
    Return signed distances (P,) in m of measured points to the face that is seen, and gradients.

    A point behind the middle of a wall is nearer to the face that looks away. It is moved back
    along its ray to where the other face is nearer, and its distance to that face continued.

    :param directions: (P, 3) from the camera to the points, object frame, any length.
    """
    rays = directions / np.sqrt((directions * directions).sum(axis=-1, keepdims=True))
    value, gradient = distance(points, shape, 0)
    result, normal = value.copy(), gradient.copy()
    step = shape.hull[0, 3]
    hidden = (gradient * rays).sum(axis=-1) > 0.0
    for number in range(1, FACE_STEPS + 1):
        if not hidden.any():
            break
        turned = np.zeros_like(hidden)
        back = points[hidden] - number * step * rays[hidden]
        turned[hidden] = (distance(back, shape, 0)[1] * rays[hidden]).sum(axis=-1) < -FACING
        # Where the faces are equally near they mix; one step on there is one face alone.
        beyond = (number + 1) * step
        value, gradient = distance(points[turned] - beyond * rays[turned], shape, 0)
        slope = (gradient * rays[turned]).sum(axis=-1)
        whole = (slope < 0.0) & (value < step)
        where = np.flatnonzero(turned)[whole]
        result[where] = (value + beyond * slope)[whole]
        normal[where] = gradient[whole]
        hidden &= ~turned
    return result, normal


def nearest_on_rays(
        origin: np.ndarray, directions: np.ndarray,
        shape: Surfaces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Return, per ray, the least signed distance (P,), its gradient and its place (P, 3).

    It is that of the body with the same silhouette.

    :param origin: (3,) common start of the rays in the object frame.
    :param directions: (P, 3) unit directions in the object frame.
    """
    def value_at(far: np.ndarray) -> np.ndarray:
        return distance(origin + far[:, None] * directions, shape, -1)[0]

    near, end = _within(origin, directions, shape.hull[0, :3], shape.hull[1, :3])
    middle = -(directions @ origin)
    crosses = near < end
    low, high = np.where(crosses, near, middle), np.where(crosses, end, middle)
    best = np.minimum(np.maximum(middle, low), high)
    least, at = value_at(best), low.copy()
    walk = WALK_STEPS * shape.hull[0, 3]
    while (at < high).any():
        value = value_at(at)
        closer = (value < least) & (at < high)
        least, best = np.where(closer, value, least), np.where(closer, at, best)
        at = at + np.maximum(walk, value - least)
    low, high = np.maximum(low, best - walk), np.minimum(high, best + walk)
    for _ in range(REFINEMENTS):
        at = 0.5 * (low + high)
        gradient = distance(origin + at[:, None] * directions, shape, -1)[1]
        rising = (gradient * directions).sum(axis=-1) > 0.0
        high, low = np.where(rising, at, high), np.where(rising, low, at)
    points = origin + (0.5 * (low + high))[:, None] * directions
    return (*distance(points, shape, -1), points)


def entry(origin: np.ndarray, directions: np.ndarray, shape: Surfaces) -> np.ndarray:
    """
    Return the distance (P,) in m along rays to the surface, infinity for a miss.

    :param origin: (3,) start of the rays, outside of the shape.
    :param directions: (P, 3) unit directions; both in the object frame.
    """
    at, end = _within(origin, directions, shape.hull[2, :3], shape.hull[2, 3:])
    found = np.full(len(directions), MISS)
    going = at < end
    for _ in range(TRACE_STEPS):
        if not going.any():
            break
        value = distance(origin + at[going, None] * directions[going], shape, 0)[0]
        touches = np.zeros_like(going)
        touches[going] = value < TOUCH
        found[touches] = at[touches]
        at[going] += np.maximum(value, TOUCH)
        going &= ~touches & (at < end)
    return found


def _samples(shape: Surfaces) -> np.ndarray:
    """Return the samples (S, X, Y, Z)."""
    first, step, last = shape.hull[0, :3], shape.hull[0, 3:], shape.hull[1, :3]
    return shape.surface.reshape(-1, *(np.rint((last - first) / step).astype(int) + 1))


def _within(
        origin: np.ndarray, directions: np.ndarray, least: np.ndarray,
        greatest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where (P,) rays enter and leave a box, no sooner than 0; enter >= leave: never."""
    safe = np.where(np.abs(directions) < 1e-9, 1e-9, directions)
    first, second = (least - origin) / safe, (greatest - origin) / safe
    near = np.minimum(first, second).max(axis=-1)
    return np.maximum(near, 0.0), np.maximum(first, second).min(axis=-1)
