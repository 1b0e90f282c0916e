# SPDX-License-Identifier: Apache-2.0
"""Finite rotation groups of symmetric objects, and the choice of one representative."""

from __future__ import annotations

import functools
import itertools

import numpy as np
from ocrrl_ros.core import se3_kernels
from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.core.se3 import matrix_to_quat, quat_multiply

REVOLUTION, CYLINDER = 'revolution', 'cylinder'
GROUPS = (
    'none', 'half_turn_z', 'box', 'square_prism', 'square_prism_x', 'cube', REVOLUTION, CYLINDER)
_REVOLUTION_STEPS = 24
_IDENTITY = np.array([0.0, 0.0, 0.0, 1.0])
_FLIP = np.array([1.0, 0.0, 0.0, 0.0])


@functools.lru_cache(maxsize=None)
def symmetry_group(name: str) -> np.ndarray:
    """
    Return the rotations (S, 4) in the object's frame that leave it looking the same.

    ``none`` is asymmetric, ``half_turn_z`` looks the same after a half turn about z, ``box`` has
    three unequal edges (half turns about each axis), ``square_prism`` a square section across z,
    ``square_prism_x`` the same across x, ``cube`` all 24 rotations of a cube, ``revolution`` turns
    about z in steps of 15 degrees, which stand for all, ``cylinder`` these and half turns across
    z.

    :raises UnknownNameError: no such group.
    """
    if name not in GROUPS:
        raise UnknownNameError('symmetry group', name, GROUPS)
    if name == REVOLUTION:
        half_rad = np.pi * np.arange(_REVOLUTION_STEPS) / _REVOLUTION_STEPS
        zero = np.zeros(_REVOLUTION_STEPS)
        group = np.stack([zero, zero, np.sin(half_rad), np.cos(half_rad)], axis=1)
        group.setflags(write=False)
        return group
    if name == CYLINDER:
        turns = symmetry_group(REVOLUTION)
        group = np.concatenate([turns, quat_multiply(turns, _FLIP)])
        group.setflags(write=False)
        return group
    members = [matrix for matrix in _axis_permutations() if _belongs(name, matrix)]
    group = matrix_to_quat(np.array(members))
    group.setflags(write=False)
    return group


def _axis_permutations() -> list[np.ndarray]:
    """Return the 24 proper signed permutation matrices, identity first."""
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[order, range(3)] = signs
            if np.linalg.det(matrix) > 0:
                found.append(matrix)
    return found


def _belongs(name: str, matrix: np.ndarray) -> bool:
    """Tell whether a signed permutation is a member of the named group."""
    diagonal = bool((np.abs(np.diag(matrix)) == 1).all())
    if name == 'none':
        return bool((matrix == np.eye(3)).all())
    if name == 'half_turn_z':
        return diagonal and matrix[2, 2] == 1
    if name == 'box':
        return diagonal
    if name == 'square_prism_x':
        return abs(matrix[0, 0]) == 1
    return name == 'cube' or abs(matrix[2, 2]) == 1


def canonical_rotation(
        rotation: np.ndarray, group: np.ndarray,
        reference: np.ndarray | None = None) -> np.ndarray:
    """
    Return the equivalent rotation that is nearest to a reference.

    :param rotation: (..., 4) orientation of the object in any frame.
    :param group: (S, 4) from ``symmetry_group``.
    :param reference: (..., 4) in the same frame; identity when None.
    :return: (..., 4) ``rotation * s`` for the member s that is closest to the reference.
    """
    return se3_kernels.nearest_equivalent(
        rotation, group, _IDENTITY if reference is None else reference, _IDENTITY)
