# SPDX-License-Identifier: Apache-2.0
"""Tests of perception/rotation.py."""

import numpy as np
from ocrrl_ros.core.se3 import quat_from_rotvec, quat_to_matrix
from ocrrl_ros.core.symmetry import symmetry_group
from ocrrl_ros.perception.rotation import (
    orthonormal, rotation_exp, rotation_log, start_rotations)
import pytest


@pytest.mark.parametrize('size', [0.0, 1e-9, 1e-5, 0.3, 3.0])
def test_exponential_agrees_with_quaternions_and_logarithm_undoes_it(size):
    vector = size * np.array([0.36, -0.48, 0.8])
    matrix = rotation_exp(vector)
    np.testing.assert_allclose(matrix, quat_to_matrix(quat_from_rotvec(vector)), atol=1e-12)
    np.testing.assert_allclose(rotation_log(matrix), vector, atol=1e-9)


def test_drifted_matrix_becomes_a_rotation_again():
    matrix = orthonormal(rotation_exp(np.array([0.1, 0.2, 0.3])) * 1.00001)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-9)


def test_start_rotations_of_a_cube_leave_no_orientation_far_away():
    group = quat_to_matrix(symmetry_group('cube'))
    starts = start_rotations(symmetry_group('cube'), np.radians(24.0))
    vectors = np.random.default_rng(3).normal(size=(50, 3)) * 2.0
    for matrix in (rotation_exp(vector) for vector in vectors):
        traces = np.einsum('kij,sjl,il->ks', starts, group, matrix)
        angle = np.arccos(np.clip(0.5 * (traces.max() - 1.0), -1.0, 1.0))
        assert np.degrees(angle) < 27.0
    assert len(starts) < 60
