# SPDX-License-Identifier: Apache-2.0
"""Where an object may be before anything is known: rotations all around, and one place."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.perception.frame import Intrinsics

# Readings under a mask without which there is no place.
LEAST_PIXELS = 4


def rotation_grid(
        min_views: int, turn_step_deg: float, apart_deg: float, symmetries: np.ndarray,
) -> np.ndarray:
    """
    Return rotations (R, 4) of the object in the camera, all around and about the viewing axis.

    Views are the corners of an icosphere; of rotations that look alike up to a symmetry within
    ``apart_deg`` the first is kept (facts on perception, section 1.1, step 2).

    :param min_views: least number of views; 12, 42 and 162 are to be had.
    :param turn_step_deg: step of the turn about the viewing axis.
    :param symmetries: (S, 4) rotations that map the object onto itself.
    """
    turns = np.radians(np.arange(0.0, 360.0 - 1e-9, turn_step_deg))
    about_axis = np.stack([se3.quat_from_rotvec(np.array([0.0, 0.0, turn])) for turn in turns])
    found = [se3.quat_multiply(turn, view)
             for view in _views(min_views) for turn in about_axis]
    return _apart(np.array(found), np.radians(apart_deg), symmetries)


def _apart(rotations: np.ndarray, apart_rad: float, symmetries: np.ndarray) -> np.ndarray:
    """Return the rotations (K, 4) of which no earlier one looks alike."""
    kept: list[np.ndarray] = []
    for rotation in rotations:
        alike = se3.quat_multiply(rotation, symmetries)
        if kept and (se3.quat_angle(np.array(kept)[:, None], alike[None]) < apart_rad).any():
            continue
        kept.append(rotation)
    return np.array(kept)


def _views(min_views: int) -> list[np.ndarray]:
    """Return rotations (4,) of the object under which the camera sees it from each side."""
    found = []
    for away in icosphere(min_views):
        # Rows are the camera's axes in the object: z towards it, x level where there is a level.
        level = np.cross(-away, [0.0, 0.0, 1.0])
        if np.linalg.norm(level) < 1e-6:
            level = np.array([1.0, 0.0, 0.0])
        right = level / np.linalg.norm(level)
        found.append(se3.matrix_to_quat(np.stack([right, np.cross(-away, right), -away])))
    return found


def icosphere(min_points: int) -> np.ndarray:
    """Return at least that many unit vectors (P, 3), evenly spread."""
    golden = (1.0 + 5.0 ** 0.5) / 2.0
    points = np.array([
        point for one in (-1.0, 1.0) for other in (-golden, golden)
        for point in ([0.0, one, other], [one, other, 0.0], [other, 0.0, one])])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    spacing = np.linalg.norm(points[1:] - points[0], axis=1).min()
    while len(points) < min_points:
        gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
        # Edges of a subdivided sphere differ in length by less than a quarter.
        first, second = np.nonzero(np.triu((gaps > 0.0) & (gaps < 1.3 * spacing)))
        middles = points[first] + points[second]
        points = np.concatenate([
            points, middles / np.linalg.norm(middles, axis=1, keepdims=True)])
        spacing /= 2.0
    return points


def place(depth_m: np.ndarray, mask: np.ndarray, camera: Intrinsics) -> np.ndarray | None:
    """
    Return where (3,) the object under a mask may be in the camera, m.

    On the ray through the middle of the mask's bounding box, at its median depth.

    :param depth_m: (H, W) 0 where invalid.
    :param mask: (H, W) bool.
    :return: None where fewer than four of its pixels have depth.
    """
    readings = depth_m[mask & (depth_m > 0.0)]
    if len(readings) < LEAST_PIXELS:
        return None
    rows, columns = np.nonzero(mask)
    middle = 0.5 * np.array([columns.min() + columns.max(), rows.min() + rows.max()])
    ray = np.array([(middle[0] - camera.cx) / camera.fx, (middle[1] - camera.cy) / camera.fy, 1])
    return ray * float(np.median(readings))
