# SPDX-License-Identifier: Apache-2.0
"""
The clearances that guards keep, and the arrays that the kernels know them by.

A clearance is a function of the joint positions that changes by at most ``sum_j w_j |dq_j|``
between two postures. One look therefore clears a whole neighbourhood. There are six: the TCP's
region, the distance to singularities, and the distances of the bodies in four parts
(self_collision.py).
"""

from __future__ import annotations

import math

import numpy as np
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.guard_config import GuardConfig, HalfSpace
from ocrrl_ros.robot.self_collision import (
    bodies, Body, FIRST_ABOVE_PLANES, HAND, LINKS_APART, PARTS)
from ocrrl_ros.robot.shapes import Rod

#: Largest distance in m of any point of hand or arm from the axis of each joint, from the table
#: of fr3.MODIFIED_DH: 0.327 m from shoulder to elbow, 0.393 m from there to the wrist, 0.25 m from
#: the wrist to a fingertip of the open hand. A test looks.
BODY_REACH_M = (0.98, 0.98, 0.73, 0.65, 0.26, 0.26, 0.12)
#: The same of the TCP alone, which is 0.228 m from the wrist and lies on the axis of joint 7.
TCP_REACH_M = (0.95, 0.95, 0.71, 0.63, 0.23, 0.23, 0.0)
#: Change of the Jacobian's least singular value per rad. The largest that 20 000 random postures
#: showed was 0.37; joints 1 and 7 turn everything or nothing that counts.
SINGULAR_VALUE_PER_RAD = (0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.0)
#: What a motion must leave where it ends: enough to begin the next one; m, and m and rad.
REST_RESERVES = (0.0005,) * 6

CAPSULE, BOX, CYLINDER = 0.0, 1.0, 2.0

Arm = tuple[np.ndarray, ...]


def arm_arrays(config: GuardConfig, max_jerk: np.ndarray) -> Arm:
    """
    Return what proof_kernels.py has to know about an arm.

    In this order: chain (9, 7), the way to each next frame as translation, cosine and sine of the
    roll about x, and of the turn about z where it is fixed; shapes (S, 16), the last nine
    spheres around whole links; the first shape and the one after the last of each link (10, 2),
    the last row without the fingers; pairs (P, 3) of
    links by part; planes (B, 4) of the bodies and (T, 4) of the TCP as normal and offset; weights
    (6, 7) of the clearances; and the limits: TCP speed, a bound on what the joints' jerk adds to
    its jerk, least singular value and least self-distance.

    :param max_jerk: (7,) rad/s^3 of every motion.
    """
    shapes = bodies()
    weights = np.array([
        TCP_REACH_M, SINGULAR_VALUE_PER_RAD,
        *((0.0,) * part.first_joint + BODY_REACH_M[part.first_joint:] for part in PARTS)])
    limits = np.array([
        config.tcp_speed_m_s, np.array(TCP_REACH_M) @ max_jerk, config.min_singular_value,
        config.self_distance_m])
    rows = [_row(body) for body in shapes]
    rows += [_sphere(link, rows) for link in range(HAND + 1)]
    return (
        _chain(), np.array(rows), _ranges(shapes), _pairs(),
        _plane_rows(config.body_planes()), _plane_rows(config.planes()), weights, limits)


def _chain() -> np.ndarray:
    """Return the way from each frame to the next, from the base to the TCP."""
    rows = [(*origin.xyz, math.cos(origin.roll), math.sin(origin.roll), 0.0, 0.0)
            for origin in fr3.JOINT_ORIGINS]
    turn = fr3.HAND_YAW_RAD
    return np.array([
        *rows, (0.0, 0.0, fr3.FLANGE_Z_M, 1.0, 0.0, math.cos(turn), math.sin(turn)),
        (0.0, 0.0, fr3.TCP_Z_M, 1.0, 0.0, 1.0, 0.0)])


def _row(body: Body) -> list[float]:
    """
    Return a shape as numbers.

    Kind, frame; of a solid its centre and half sizes (radius, radius, half height); the radius of
    the capsule that it is or lies in, the ends of that capsule's axis, and the radius of the
    sphere around it.
    """
    shape = body.shape
    if not isinstance(shape, Rod):
        half = np.array(shape.half)
        axis = int(half.argmax())
        way = np.where(np.arange(3) == axis, half, 0.0)
        centre = np.array(shape.centre)
        radius = float(np.linalg.norm(half - way))
        return [BOX, body.link, *centre, *half, radius, *(centre - way), *(centre + way),
                radius + float(half[axis])]
    start, end = np.array(shape.start, dtype=float), np.array(shape.end, dtype=float)
    half_height = 0.5 * float(np.linalg.norm(end - start))
    if not body.is_cylinder:
        return [CAPSULE, body.link, *(0.0,) * 6, shape.radius, *start, *end,
                shape.radius + half_height]
    centre = 0.5 * (start + end)
    radius = math.hypot(shape.radius, half_height)
    return [CYLINDER, body.link, *centre, shape.radius, shape.radius, half_height,
            radius, *centre, *centre, radius]


def _sphere(link: int, rows: list[list[float]]) -> list[float]:
    """Return a sphere around the shapes of a link, in the same form."""
    shapes = np.array([row for row in rows if row[1] == link])
    middles = 0.5 * (shapes[:, 9:12] + shapes[:, 12:15])
    centre = 0.5 * (middles.min(axis=0) + middles.max(axis=0))
    radius = (np.linalg.norm(middles - centre, axis=1) + shapes[:, 15]).max()
    return [CAPSULE, link, *(0.0,) * 6, radius, *centre, *centre, radius]


def _ranges(shapes: tuple[Body, ...]) -> np.ndarray:
    """Return the first shape and the one after the last of each link, of the bare hand last."""
    links = [body.link for body in shapes]
    rows = [(links.index(link), links.index(link) + links.count(link))
            for link in range(HAND + 1)]
    return np.array([*rows, (rows[-1][0], rows[-1][1] - 1)], dtype=np.int64)


def _pairs() -> np.ndarray:
    """Return (part, link, link), the links that are compared with each other."""
    rows = []
    for number, part in enumerate(PARTS):
        if part.links is None:
            above = [*range(FIRST_ABOVE_PLANES, HAND), HAND + 1]
            rows += [(number, link, link) for link in above]
            continue
        for near in range(part.links[0], part.links[1] + 1):
            # The farthest first: it is most likely the nearest.
            rows += [(number, near, far) for far in range(HAND, near + LINKS_APART - 1, -1)]
    return np.array(rows, dtype=np.int64)


def _plane_rows(planes: tuple[HalfSpace, ...]) -> np.ndarray:
    """Return normals and offsets (N, 4)."""
    return np.array([(*normal, offset) for normal, offset, _ in planes])
