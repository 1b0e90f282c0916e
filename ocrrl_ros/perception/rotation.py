# SPDX-License-Identifier: Apache-2.0
"""
Rotation matrices of the solver's inner loop, and start rotations for the global search.

`core.se3` broadcasts over batches of quaternions; one 3 x 3 matrix at a time is several times
faster here, and the compiled kernels take matrices.
"""

from __future__ import annotations

import math

import numpy as np
from ocrrl_ros.core.se3 import (
    matrix_to_quat, quat_conjugate, quat_multiply, quat_to_matrix)

POOL = 3000


def rotation_exp(vector: np.ndarray) -> np.ndarray:
    """Return the rotation matrix (3, 3) of a rotation vector (3,) in rad."""
    x, y, z = vector.tolist()
    squared = x * x + y * y + z * z
    angle = math.sqrt(squared)
    first = math.sin(angle) / angle if angle > 1e-6 else 1.0
    second = (1.0 - math.cos(angle)) / squared if angle > 1e-4 else 0.5
    return np.array([
        [1.0 - second * (y * y + z * z), second * x * y - first * z, second * x * z + first * y],
        [second * x * y + first * z, 1.0 - second * (x * x + z * z), second * y * z - first * x],
        [second * x * z - first * y, second * y * z + first * x, 1.0 - second * (x * x + y * y)]])


def rotation_log(matrix: np.ndarray) -> np.ndarray:
    """Return the rotation vector (3,) in rad of a rotation matrix whose angle is below pi."""
    # Python's numbers: of nine elements numpy takes most of its time to hand them out.
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = matrix.tolist()
    twice = np.array([zy - yz, xz - zx, yx - xy])
    sine = 0.5 * math.sqrt(twice @ twice)
    angle = float(np.arctan2(sine, 0.5 * (xx + yy + zz - 1.0)))
    return twice * (0.5 * angle / sine if sine > 1e-9 else 0.5)


def orthonormal(matrix: np.ndarray) -> np.ndarray:
    """Return the rotation matrix (3, 3) nearest one that has drifted by rounding (one step)."""
    return matrix @ (1.5 * np.eye(3) - 0.5 * (matrix.T @ matrix))


def to_pose(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Return the pose (7,) of a rotation matrix and a translation."""
    return np.concatenate([translation, matrix_to_quat(rotation)])


def start_rotations(group: np.ndarray, spacing_rad: float) -> np.ndarray:
    """
    Return rotations (K, 3, 3) that cover all orientations up to symmetry.

    Farthest-point choice among fixed random rotations: every one of these lies within the
    spacing of a chosen one, modulo the group (S, 4).
    """
    pool = np.random.default_rng(7).normal(size=(POOL, 4))
    pool /= np.linalg.norm(pool, axis=-1, keepdims=True)
    matrices = quat_to_matrix(pool)
    members = quat_to_matrix(group)
    nearest = np.full(len(pool), np.inf)
    chosen = [0]
    while True:
        equivalents = (matrices[chosen[-1]] @ members).reshape(len(group), 9)
        cosine = (matrices.reshape(-1, 9) @ equivalents.T).max(axis=-1)
        nearest = np.minimum(nearest, np.arccos(np.clip(0.5 * (cosine - 1.0), -1.0, 1.0)))
        farthest = int(np.argmax(nearest))
        if nearest[farthest] <= spacing_rad:
            return np.ascontiguousarray(matrices[chosen])
        chosen.append(farthest)


def yaw_rotations(spacing_rad: float) -> np.ndarray:
    """Return rotations (K, 3, 3) about z, evenly spaced by at most an angle."""
    count = int(np.ceil(2.0 * np.pi / spacing_rad))
    return np.stack([
        rotation_exp(np.array([0.0, 0.0, 2.0 * np.pi * index / count])) for index in range(count)])


def frame_with_z(axis: np.ndarray) -> np.ndarray:
    """Return a rotation (3, 3) whose third column is a unit vector (3,)."""
    helper = np.eye(3)[int(np.argmin(np.abs(axis)))]
    first = np.cross(helper, axis)
    first = first / np.linalg.norm(first)
    return np.stack([first, np.cross(axis, first), axis], axis=1)


def unspun(rotation: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """
    Return a rotation (4,) turned about its own z so that it is nearest to a reference (4,).

    The relative rotation keeps its swing and loses its twist about z.
    """
    _, _, z, w = quat_multiply(quat_conjugate(reference), rotation)
    length = math.hypot(z, w)
    if length < 1e-9:
        return rotation
    return quat_multiply(rotation, np.array([0.0, 0.0, -z / length, w / length]))
