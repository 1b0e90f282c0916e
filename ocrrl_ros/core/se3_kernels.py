# SPDX-License-Identifier: Apache-2.0
"""
Compiled kernels of `se3`: one rotation or pose per call, which numba makes numpy ufuncs of.

`se3` documents what each computes, `ufunc` why every kernel ends with templates.
"""

from ocrrl_ros.core import se3_inline as inline
from ocrrl_ros.core.ufunc import compiled_ufunc


@compiled_ufunc('(q),(q)->(q)')
def quat_canonical(q, _, out):
    """Write the representative whose scalar part is >= 0."""
    for i in range(4):
        out[i] = q[i]
    inline.make_canonical(out)


@compiled_ufunc('(q),(q),(q)->(q)')
def quat_multiply(a, b, _, out):
    """Write a * b."""
    inline.multiply(a, b, out)


@compiled_ufunc('(q),(v),(q),(v)->(v)')
def quat_rotate(q, v, _, __, out):
    """Write v rotated by q."""
    inline.rotate(q, v, out)


@compiled_ufunc('(v),(v),(q)->(q)')
def quat_from_rotvec(r, _, __, out):
    """Write the exponential of r."""
    inline.exponential(r[0], r[1], r[2], out)


@compiled_ufunc('(q),(q),(v)->(v)')
def quat_to_rotvec(q, _, __, out):
    """Write the logarithm of q."""
    out[0], out[1], out[2] = inline.logarithm(q[0], q[1], q[2], q[3])


@compiled_ufunc('(q),(q),(),(q)->(q)')
def quat_slerp(a, b, share, _, out):
    """Write the rotation at a share of the shorter arc from a to b."""
    inline.slerp(a, b, share, out)


@compiled_ufunc('(q),(q),(c)->(c)')
def rotation_6d(q, _, __, out):
    """Write the first two columns of the rotation matrix."""
    inline.rotation_6d(q, out)


@compiled_ufunc('(v),(q),(v),(q),(p)->(p)')
def pose(position, quaternion, _, __, ___, out):
    """Write position and canonical quaternion one after the other."""
    for i in range(3):
        out[i] = position[i]
    for i in range(4):
        out[3 + i] = quaternion[i]
    inline.make_canonical(out[3:])


@compiled_ufunc('(p),(p),(p)->(p)')
def pose_multiply(a, b, _, out):
    """Write a * b."""
    inline.pose_multiply(a, b, out)


@compiled_ufunc('(p),(p)->(p)')
def pose_inverse(a, _, out):
    """Write the inverse of a."""
    inline.pose_inverse(a, out)


@compiled_ufunc('(p),(p),(),(p)->(p)')
def pose_interpolate(a, b, share, _, out):
    """Write the pose at a share of the way from a to b."""
    inline.pose_interpolate(a, b, share, out)


@compiled_ufunc('(p),(p),(),(p),(c)->(c)')
def pose_twist(a, b, interval, _, __, out):
    """Write the mean velocity from a to b, linear and angular, in the frame of both."""
    for i in range(3):
        out[i] = (b[i] - a[i]) / interval
    x, y, z, w = inline.relative(a[3:], b[3:])
    out[3], out[4], out[5] = inline.logarithm(x, y, z, w)
    inline.rotate(a[3:], out[3:].copy(), out[3:])
    for i in range(3, 6):
        out[i] /= interval


@compiled_ufunc('(q),(s,q),(q),(q)->(q)')
def nearest_equivalent(rotation, group, reference, _, out):
    """Write the product of rotation and the member of a group that is nearest to reference."""
    inline.nearest_equivalent(rotation, group, group.shape[0], reference, out)
