# SPDX-License-Identifier: Apache-2.0
"""Tests of perception/rotation.py."""

import numpy as np
from ocrrl_ros.core.se3 import (
    quat_angle, quat_from_rotvec, quat_multiply, quat_normalize, quat_to_matrix)
from ocrrl_ros.core.symmetry import symmetry_group
from ocrrl_ros.perception.rotation import (
    frame_with_z, orthonormal, rotation_exp, rotation_log, start_rotations, unspun,
    yaw_rotations)
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


def test_yaw_rotations_leave_no_gap_and_keep_the_vertical():
    axis = np.array([0.36, -0.48, 0.8])
    turns = frame_with_z(axis) @ yaw_rotations(np.radians(25.0))
    np.testing.assert_allclose(turns[:, :, 2], np.tile(axis, (15, 1)), atol=1e-12)
    steps = [rotation_log(one @ other.T) for one, other in zip(turns, np.roll(turns, 1, axis=0))]
    np.testing.assert_allclose(np.linalg.norm(steps, axis=1), np.radians(24.0), atol=1e-9)


def test_unspun_rotation_keeps_its_axis_and_is_the_nearest_of_all_turns():
    rng = np.random.default_rng(4)
    for reference, rotation in rng.normal(size=(20, 2, 4)):
        reference, rotation = quat_normalize(reference), quat_normalize(rotation)
        found = unspun(rotation, reference)
        np.testing.assert_allclose(
            quat_to_matrix(found)[:, 2], quat_to_matrix(rotation)[:, 2], atol=1e-9)
        spins = [quat_multiply(rotation, quat_from_rotvec(np.array([0.0, 0.0, angle])))
                 for angle in np.linspace(-np.pi, np.pi, 200)]
        nearest = min(quat_angle(spin, reference) for spin in spins)
        assert quat_angle(found, reference) < nearest + 1e-9
