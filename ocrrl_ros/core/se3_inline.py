# SPDX-License-Identifier: Apache-2.0
"""
Rigid-body math on one rotation or pose at a time, for use inside compiled kernels.

Conventions are those of `se3`, which is what everybody else calls. Results go to `out`.

None is cached on disk: they compile into the kernels that call them, and those are. A function
that is called with several types has one entry per type in its cache, and two processes that
compile different ones at the same time end with an entry that holds the other's code.
"""

import math

import numba

_TINY = 1e-12


@numba.njit
def multiply(a, b, out):
    """Write the Hamilton product of two quaternions."""
    ax, ay, az, aw = a[0], a[1], a[2], a[3]
    bx, by, bz, bw = b[0], b[1], b[2], b[3]
    out[0] = aw * bx + ax * bw + ay * bz - az * by
    out[1] = aw * by - ax * bz + ay * bw + az * bx
    out[2] = aw * bz + ax * by - ay * bx + az * bw
    out[3] = aw * bw - ax * bx - ay * by - az * bz


@numba.njit
def rotate(q, v, out):
    """Write a vector rotated by a unit quaternion, by two cross products."""
    x, y, z, w = q[0], q[1], q[2], q[3]
    a, b, c = v[0], v[1], v[2]
    tx, ty, tz = 2.0 * (y * c - z * b), 2.0 * (z * a - x * c), 2.0 * (x * b - y * a)
    out[0] = a + w * tx + y * tz - z * ty
    out[1] = b + w * ty + z * tx - x * tz
    out[2] = c + w * tz + x * ty - y * tx


@numba.njit
def rotate_back(q, v, out):
    """Write a vector rotated by the inverse of a unit quaternion."""
    x, y, z, w = q[0], q[1], q[2], q[3]
    a, b, c = v[0], v[1], v[2]
    tx, ty, tz = 2.0 * (z * b - y * c), 2.0 * (x * c - z * a), 2.0 * (y * a - x * b)
    out[0] = a + w * tx - y * tz + z * ty
    out[1] = b + w * ty - z * tx + x * tz
    out[2] = c + w * tz - x * ty + y * tx


@numba.njit
def make_canonical(q):
    """Change the sign of a quaternion in place where its scalar part is negative."""
    if math.copysign(1.0, q[3]) < 0.0:
        for i in range(4):
            q[i] = -q[i]


@numba.njit
def exponential(x, y, z, out):
    """Write the quaternion of a rotation vector."""
    half = 0.5 * math.sqrt(x * x + y * y + z * z)
    # sin(x) / x is 1 to double precision below 1e-8, where the quotient would be 0 / 0.
    scale = 0.5 * math.sin(half + _TINY) / (half + _TINY)
    out[0], out[1], out[2], out[3] = x * scale, y * scale, z * scale, math.cos(half)


@numba.njit
def logarithm(x, y, z, w):
    """Return the rotation vector of a unit quaternion, of norm <= pi."""
    sign = math.copysign(1.0, w)
    sine = math.sqrt(x * x + y * y + z * z)
    scale = 2.0 * sign
    if sine > 1e-9:
        scale = 2.0 * math.atan2(sine, sign * w) / sine * sign
    return x * scale, y * scale, z * scale


@numba.njit
def relative(a, b):
    """Return the four numbers of the rotation from a to b, expressed in a."""
    ax, ay, az, aw = a[0], a[1], a[2], a[3]
    bx, by, bz, bw = b[0], b[1], b[2], b[3]
    return (
        aw * bx - ax * bw - ay * bz + az * by, aw * by + ax * bz - ay * bw - az * bx,
        aw * bz - ax * by + ay * bx - az * bw, aw * bw + ax * bx + ay * by + az * bz)


@numba.njit
def slerp(a, b, share, out):
    """Write the rotation at a share of the shorter arc from a to b; out must not be a or b."""
    x, y, z, w = relative(a, b)
    rx, ry, rz = logarithm(x, y, z, w)
    exponential(rx * share, ry * share, rz * share, out)
    multiply(a, out, out)
    make_canonical(out)


@numba.njit
def pose_multiply(a, b, out):
    """Write the product of two poses; out must not be a or b."""
    rotate(a[3:], b[:3], out[:3])
    for i in range(3):
        out[i] += a[i]
    multiply(a[3:], b[3:], out[3:])
    make_canonical(out[3:])


@numba.njit
def pose_inverse(a, out):
    """Write the inverse of a pose; out must not be a."""
    rotate_back(a[3:], a[:3], out[:3])
    for i in range(3):
        out[i] = -out[i]
        out[3 + i] = -a[3 + i]
    out[6] = a[6]
    make_canonical(out[3:])


@numba.njit
def pose_interpolate(a, b, share, out):
    """Write the pose at a share of the way from a to b; out must not be a or b."""
    for i in range(3):
        out[i] = a[i] + share * (b[i] - a[i])
    slerp(a[3:], b[3:], share, out[3:])


@numba.njit
def rotation_6d(q, out):
    """Write the first two columns of the rotation matrix of a unit quaternion."""
    x, y, z, w = q[0], q[1], q[2], q[3]
    out[0] = 1.0 - 2.0 * (y * y + z * z)
    out[1] = 2.0 * (x * y + z * w)
    out[2] = 2.0 * (x * z - y * w)
    out[3] = 2.0 * (x * y - z * w)
    out[4] = 1.0 - 2.0 * (x * x + z * z)
    out[5] = 2.0 * (y * z + x * w)


@numba.njit
def nearest_equivalent(rotation, group, size, reference, out):
    """
    Write the product of rotation and a member of a group that is nearest to reference.

    :param group: (S, 4), of which the first `size` count.
    """
    product = out.copy()
    best = -1.0
    for member in range(size):
        multiply(rotation, group[member], product)
        nearness = abs(relative(reference, product)[3])
        if nearness > best:
            best = nearness
            for i in range(4):
                out[i] = product[i]
    make_canonical(out)
