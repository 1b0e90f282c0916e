# SPDX-License-Identifier: Apache-2.0
"""Compiled kernels of where the TCP is and may be; their callers document them."""

import math

from ocrrl_ros.core.ufunc import compiled_ufunc


@compiled_ufunc('(j),(j),(j,o),(t)->(t)')
def tcp_motion(q, dq, origins, tool, out):
    """Write position and speed of the tool, (x, y, z, speed)."""
    xx, xy, xz = 1.0, 0.0, 0.0
    yx, yy, yz = 0.0, 1.0, 0.0
    zx, zy, zz = 0.0, 0.0, 1.0
    px = py = pz = vx = vy = vz = wx = wy = wz = 0.0
    for i in range(q.shape[0] + 1):
        is_tool = i == q.shape[0]
        a = tool[0] if is_tool else origins[i, 0]
        b = tool[1] if is_tool else origins[i, 1]
        c = tool[2] if is_tool else origins[i, 2]
        rx = a * xx + b * yx + c * zx
        ry = a * xy + b * yy + c * zy
        rz = a * xz + b * yz + c * zz
        px += rx
        py += ry
        pz += rz
        vx += wy * rz - wz * ry
        vy += wz * rx - wx * rz
        vz += wx * ry - wy * rx
        if is_tool:
            break
        # Roll about x by origins[i, 3:5] = (cos, sin), then turn about z by q.
        cos, sin = origins[i, 3], origins[i, 4]
        yx, yy, yz, zx, zy, zz = (
            cos * yx + sin * zx, cos * yy + sin * zy, cos * yz + sin * zz,
            cos * zx - sin * yx, cos * zy - sin * yy, cos * zz - sin * yz)
        wx += zx * dq[i]
        wy += zy * dq[i]
        wz += zz * dq[i]
        cos, sin = math.cos(q[i]), math.sin(q[i])
        xx, xy, xz, yx, yy, yz = (
            cos * xx + sin * yx, cos * xy + sin * yy, cos * xz + sin * yz,
            cos * yx - sin * xx, cos * yy - sin * xy, cos * yz - sin * xz)
    out[0], out[1], out[2] = px, py, pz
    out[3] = math.sqrt(vx * vx + vy * vy + vz * vz)


@compiled_ufunc('(d),(p,d),(p)->()')
def within(position, normals, offsets, out):
    """Write 1 where a position is inside of all half-spaces, else 0."""
    out[0] = 1.0
    for row in range(offsets.shape[0]):
        height = 0.0
        for k in range(position.shape[0]):
            height += normals[row, k] * position[k]
        if not height >= offsets[row]:
            out[0] = 0.0
