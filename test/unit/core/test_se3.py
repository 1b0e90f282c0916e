# SPDX-License-Identifier: Apache-2.0
"""Rigid-body math agrees with scipy and obeys the axioms of its groups."""

from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from hypothesis.strategies import floats
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import InputError
import pytest
from scipy.spatial.transform import Rotation

VECTOR = arrays.arrays(float, 3, elements=floats(-3.0, 3.0))
QUATERNION = arrays.arrays(float, 4, elements=floats(-1.0, 1.0)).filter(
    lambda q: np.linalg.norm(q) > 0.05)
UNIT = floats(0.0, 1.0)


def _pose(position, quaternion):
    return se3.pose(position, se3.quat_normalize(quaternion))


def _same_rotation(a, b, tolerance=1e-9):
    return bool((se3.quat_angle(a, b) < tolerance).all())


@pytest.fixture(name='rotations')
def _rotations():
    return Rotation.random(500, random_state=3)


def test_conversions_agree_with_scipy(rotations):
    q = rotations.as_quat()
    assert np.allclose(se3.quat_to_matrix(q), rotations.as_matrix())
    assert np.allclose(se3.matrix_to_quat(rotations.as_matrix()), se3.quat_canonical(q))
    assert np.allclose(se3.quat_to_rotvec(q), rotations.as_rotvec())
    assert _same_rotation(se3.quat_from_rotvec(rotations.as_rotvec()), q, 1e-7)


def test_product_and_rotation_agree_with_scipy(rotations):
    other = Rotation.random(500, random_state=4)
    product = se3.quat_multiply(rotations.as_quat(), other.as_quat())
    assert np.allclose(se3.quat_to_matrix(product), (rotations * other).as_matrix())
    vectors = np.random.default_rng(0).normal(size=(500, 3))
    assert np.allclose(se3.quat_rotate(rotations.as_quat(), vectors), rotations.apply(vectors))


@pytest.mark.parametrize('angle', [0.0, 1e-12, 1e-7, np.pi - 1e-7, np.pi])
def test_matrix_and_rotvec_round_trips_hold_at_special_angles(angle):
    for axis in np.eye(3):
        q = se3.quat_from_rotvec(angle * axis)
        assert np.allclose(se3.quat_to_matrix(se3.matrix_to_quat(se3.quat_to_matrix(q))),
                           se3.quat_to_matrix(q), atol=1e-12)
        assert np.isclose(np.linalg.norm(se3.quat_to_rotvec(q)), angle, atol=1e-7)


@given(VECTOR, QUATERNION)
def test_inverse_undoes_a_pose(position, quaternion):
    a_T_b = _pose(position, quaternion)
    assert np.allclose(se3.pose_multiply(a_T_b, se3.pose_inverse(a_T_b)),
                       se3.pose_identity(), atol=1e-9)


@given(VECTOR, QUATERNION, VECTOR, QUATERNION, VECTOR)
def test_composition_is_associative_on_points(p, q, r, s, point):
    a_T_b, b_T_c = _pose(p, q), _pose(r, s)
    direct = se3.pose_transform(se3.pose_multiply(a_T_b, b_T_c), point)
    nested = se3.pose_transform(a_T_b, se3.pose_transform(b_T_c, point))
    assert np.allclose(direct, nested, atol=1e-9)


@given(QUATERNION)
def test_six_dimensional_rotation_round_trips(quaternion):
    q = se3.quat_normalize(quaternion)
    assert _same_rotation(se3.quat_from_rotation_6d(se3.rotation_6d(q)), q, 1e-6)


@settings(max_examples=50)
@given(VECTOR, QUATERNION, VECTOR, QUATERNION, UNIT)
def test_interpolation_starts_ends_and_turns_evenly(p, q, r, s, share):
    first, last = _pose(p, q), _pose(r, s)
    assert np.allclose(se3.pose_interpolate(first, last, 0.0)[:3], p)
    assert _same_rotation(se3.pose_interpolate(first, last, 1.0)[3:], last[3:], 1e-6)
    angle = se3.quat_angle(first[3:], last[3:])
    if angle < np.pi - 1e-3:
        part = se3.quat_angle(first[3:], se3.pose_interpolate(first, last, share)[3:])
        assert np.isclose(part, share * angle, atol=1e-6)


def test_poses_broadcast_over_batches():
    batch = _pose(np.zeros((4, 1, 3)), np.tile([0.0, 0.0, 0.0, 1.0], (4, 1, 1)))
    assert se3.pose_multiply(batch, np.tile(se3.pose_identity(), (1, 5, 1))).shape == (4, 5, 7)


@pytest.mark.parametrize('value', [
    [np.nan, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0.9], [0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 1]])
def test_bad_pose_is_refused_with_its_source(value):
    with pytest.raises(InputError, match='topic target_pose'):
        se3.check_pose(np.array(value, dtype=float), 'topic target_pose')


def test_bad_pose_of_many_is_named_by_its_place():
    poses = np.tile(se3.pose_identity(), (16, 1))
    poses[3, 2] = np.nan
    with pytest.raises(InputError, match=r'nan.*point 3 of 16') as caught:
        se3.check_pose(poses, 'topic tcp_chunk')
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize('call', [
    lambda: se3.quat_multiply(np.zeros(3), np.zeros(4)),
    lambda: se3.quat_rotate(np.zeros(4), np.zeros(4)),
    lambda: se3.quat_from_rotvec(np.zeros(2)),
    lambda: se3.pose_multiply(np.zeros(7), np.zeros(6)),
    lambda: se3.pose_interpolate(np.zeros((2, 7)), np.zeros((3, 7)), 0.5)])
def test_arrays_of_a_wrong_size_are_refused(call):
    with pytest.raises(ValueError):
        call()
