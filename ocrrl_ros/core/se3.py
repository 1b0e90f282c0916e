# SPDX-License-Identifier: Apache-2.0
"""
Rigid-body math on arrays with leading batch dimensions.

Quaternions are (..., 4) scalar-last ``x y z w``; poses are (..., 7) ``x y z qx qy qz qw`` in
metres, named ``a_T_b`` for the pose of frame b expressed in frame a. Every function broadcasts
over leading dimensions, which is why this is not ``scipy.spatial.transform`` (its objects copy
and validate per call, 5-10 us each, and hold one flat batch): the same code serves one robot at
50 Hz and 64 simulated ones. What the command path calls is compiled (`se3_kernels`): one call for
one robot takes 2 us where numpy took 30.
"""

from __future__ import annotations

import numpy as np

from ocrrl_ros.core import se3_kernels
from ocrrl_ros.core.errors import InputError

_TINY = 1e-12
_CONJUGATE = np.array([-1.0, -1.0, -1.0, 1.0])
# Templates that tell the kernels how many numbers a vector, a quaternion, ... has.
_V, _Q, _C, _P = (np.zeros(size) for size in (3, 4, 6, 7))


def quat_normalize(q: np.ndarray) -> np.ndarray:
    """Return unit quaternions (..., 4); a zero quaternion becomes the identity."""
    q = np.asarray(q, dtype=float)
    norm = np.sqrt((q * q).sum(axis=-1, keepdims=True))
    identity = np.array([0.0, 0.0, 0.0, 1.0])
    return np.where(norm > _TINY, q / np.maximum(norm, _TINY), identity)


def quat_canonical(q: np.ndarray) -> np.ndarray:
    """Return the representative (..., 4) of each rotation whose scalar part is >= 0."""
    return se3_kernels.quat_canonical(q, _Q)


def quat_multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the Hamilton products a * b, (..., 4): rotate by b, then by a."""
    return se3_kernels.quat_multiply(a, b, _Q)


def quat_conjugate(q: np.ndarray) -> np.ndarray:
    """Return the inverse rotations (..., 4) of unit quaternions."""
    return np.asarray(q, dtype=float) * _CONJUGATE


def quat_rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Rotate vectors v (..., 3) by unit quaternions q (..., 4)."""
    return se3_kernels.quat_rotate(q, v, _Q, _V)


def quat_to_matrix(q: np.ndarray) -> np.ndarray:
    """Return rotation matrices (..., 3, 3) of unit quaternions (..., 4)."""
    x, y, z, w = np.moveaxis(np.asarray(q, dtype=float), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def matrix_to_quat(m: np.ndarray) -> np.ndarray:
    """
    Return canonical quaternions (..., 4) of rotation matrices (..., 3, 3).

    Takes, per matrix, the one of Shepperd's four formulas whose divisor is largest, so that no
    rotation angle is numerically special.
    """
    m = np.asarray(m, dtype=float)
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    squares = np.stack(
        [1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22, 1 + m00 + m11 + m22],
        axis=-1)
    transposed = np.swapaxes(m, -1, -2)
    symmetric, skew = m + transposed, m - transposed
    xy, xz, yz = symmetric[..., 0, 1], symmetric[..., 0, 2], symmetric[..., 1, 2]
    wx, wy, wz = skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]
    products = np.stack(
        [
            np.stack([squares[..., 0], xy, xz, wx], axis=-1),
            np.stack([xy, squares[..., 1], yz, wy], axis=-1),
            np.stack([xz, yz, squares[..., 2], wz], axis=-1),
            np.stack([wx, wy, wz, squares[..., 3]], axis=-1),
        ],
        axis=-2)
    best = np.argmax(squares, axis=-1)
    rows = np.take_along_axis(products, best[..., None, None], axis=-2)[..., 0, :]
    return quat_canonical(quat_normalize(rows))


def quat_from_rotvec(r: np.ndarray) -> np.ndarray:
    """Return quaternions (..., 4) of rotation vectors (..., 3) in rad (exponential map)."""
    return se3_kernels.quat_from_rotvec(r, _V, _Q)


def quat_to_rotvec(q: np.ndarray) -> np.ndarray:
    """Return rotation vectors (..., 3) in rad, of norm <= pi (logarithmic map)."""
    return se3_kernels.quat_to_rotvec(q, _Q, _V)


def quat_angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the angles (...) in rad, 0 .. pi, between rotations a and b (..., 4)."""
    relative = quat_multiply(quat_conjugate(a), b)
    sine = np.sqrt((relative[..., :3] ** 2).sum(axis=-1))
    return 2.0 * np.arctan2(sine, np.abs(relative[..., 3]))


def quat_slerp(a: np.ndarray, b: np.ndarray, s: np.ndarray | float) -> np.ndarray:
    """Interpolate from a (s = 0) to b (s = 1) along the shorter arc; s broadcasts over (...)."""
    return se3_kernels.quat_slerp(a, b, s, _Q)


def rotation_6d(q: np.ndarray) -> np.ndarray:
    """
    Return the first two columns (..., 6) of the rotation matrices of q.

    Continuous over SO(3), unlike quaternions or Euler angles (Zhou et al., CVPR 2019).
    """
    return se3_kernels.rotation_6d(q, _Q, _C)


def quat_from_rotation_6d(r: np.ndarray) -> np.ndarray:
    """Return quaternions (..., 4) of 6-D rotations (..., 6), orthonormalised by Gram-Schmidt."""
    r = np.asarray(r, dtype=float)
    first = r[..., :3] / np.maximum(np.linalg.norm(r[..., :3], axis=-1, keepdims=True), _TINY)
    second = r[..., 3:] - (first * r[..., 3:]).sum(axis=-1, keepdims=True) * first
    second = second / np.maximum(np.linalg.norm(second, axis=-1, keepdims=True), _TINY)
    return matrix_to_quat(np.stack([first, second, np.cross(first, second)], axis=-1))


def pose(position: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """Join positions (..., 3) and quaternions (..., 4) to poses (..., 7); both broadcast."""
    return se3_kernels.pose(position, quaternion, _V, _Q, _P)


def pose_identity() -> np.ndarray:
    """Return the identity pose (7,)."""
    return np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])


def pose_multiply(a_T_b: np.ndarray, b_T_c: np.ndarray) -> np.ndarray:
    """Return a_T_c (..., 7)."""
    return se3_kernels.pose_multiply(a_T_b, b_T_c, _P)


def pose_inverse(a_T_b: np.ndarray) -> np.ndarray:
    """Return b_T_a (..., 7)."""
    return se3_kernels.pose_inverse(a_T_b, _P)


def pose_transform(a_T_b: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Express points (..., 3) given in frame b in frame a."""
    a_T_b = np.asarray(a_T_b, dtype=float)
    return a_T_b[..., :3] + quat_rotate(a_T_b[..., 3:], points)


def pose_interpolate(p: np.ndarray, q: np.ndarray, s: np.ndarray | float) -> np.ndarray:
    """Interpolate from p (s = 0) to q (s = 1): position linearly, rotation by slerp."""
    return se3_kernels.pose_interpolate(p, q, s, _P)


def pose_twist(first: np.ndarray, second: np.ndarray, interval_s: float) -> np.ndarray:
    """
    Return the mean twists (..., 6) from one pose to the next, in the poses' parent frame.

    Linear velocity in m/s, then angular velocity in rad/s.

    :param first: (..., 7).
    :param second: (..., 7), ``interval_s`` later.
    """
    return se3_kernels.pose_twist(first, second, interval_s, _P, _C)


def check_pose(value: np.ndarray, source: str) -> np.ndarray:
    """
    Return the pose (..., 7) with canonical unit quaternions, or raise.

    :param source: topic, field or file that the pose came from, for the message.
    :raises InputError: a number is not finite, or a quaternion's norm is off 1 by over 1e-3.
    """
    value = np.asarray(value, dtype=float)
    if value.shape[-1:] != (7,):
        raise InputError(f'pose from {source} has shape {value.shape}, allowed: (..., 7)')
    rows = value.reshape(-1, 7)
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        raise InputError(
            f'pose from {source} is {_first(rows, bad)}; every number must be finite')
    norm = np.linalg.norm(rows[:, 3:], axis=1)
    bad = np.abs(norm - 1.0) > 1e-3
    if bad.any():
        raise InputError(
            f'pose from {source} has a quaternion of norm {_first(norm, bad)}; '
            'allowed: 1 +- 0.001')
    return pose(value[..., :3], quat_normalize(value[..., 3:]))


def _first(rows: np.ndarray, bad: np.ndarray) -> str:
    """Return the first bad row, and its place where there are several rows."""
    index = int(bad.argmax())
    place = f' (point {index} of {len(rows)})' if len(rows) > 1 else ''
    return f'{rows[index].tolist()}{place}'
