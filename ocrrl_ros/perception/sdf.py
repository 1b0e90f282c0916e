# SPDX-License-Identifier: Apache-2.0
"""
Signed distances of primitives, and of viewing rays to primitives (numpy).

A box's signed distance is convex, so its minimum along a ray is unique and, by the envelope
theorem, moves with the pose like the distance at that fixed point. One formula therefore serves
measured surface points (distance 0) and silhouette rays (tangent: minimum 0).
"""

from __future__ import annotations

import numpy as np

RAY_STEPS = 12


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


def nearest_on_rays(
        origin: np.ndarray, directions: np.ndarray, half: np.ndarray) -> np.ndarray:
    """
    Return, per ray, the point (P, 3) whose signed box distance is least.

    :param origin: (3,) common start of the rays in the box frame.
    :param directions: (P, 3) unit directions in the box frame.
    """
    middle = -(directions @ origin)
    reach = float(np.sqrt((half * half).sum()))
    low, high = middle - reach, middle + reach
    for _ in range(RAY_STEPS):
        centre = 0.5 * (low + high)
        gradient = box_gradient(origin + centre[:, None] * directions, half)
        rising = (gradient * directions).sum(axis=-1) > 0.0
        high = np.where(rising, centre, high)
        low = np.where(rising, low, centre)
    return origin + (0.5 * (low + high))[:, None] * directions


def box_entry(origin: np.ndarray, directions: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Return the distance (P,) in m along rays to the box's surface, infinity for a miss."""
    safe = np.where(np.abs(directions) < 1e-9, 1e-9, directions)
    first = (-half - origin) / safe
    second = (half - origin) / safe
    entry = np.minimum(first, second).max(axis=-1)
    leave = np.maximum(first, second).min(axis=-1)
    return np.where((entry <= leave) & (entry > 0.0), entry, np.inf)
