# SPDX-License-Identifier: Apache-2.0
"""
Refuse inputs that are finite and yet cannot be true.

A single garbled number would otherwise drive the network out of everything that it was trained
on, or send the arm to the border of its workspace.
"""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.core.se3 import check_pose
from ocrrl_ros.robot.limits import JointLimits

#: Several times as far as the arm reaches: whoever means more does not mean this arm, m.
REACH_M = 5.0
#: No joint can be a whole turn beyond its limits; what is less is for a start to refuse, rad.
BEYOND_LIMIT_RAD = 6.28
#: What a planned joint may be beyond its limit, rad; the command keeps to the limit.
BEYOND_PLAN_RAD = 0.1
#: Twice what the fastest joint of the robot can do, rad/s.
FASTEST_RAD_S = 10.5


def check_near(poses: np.ndarray, source: str) -> np.ndarray:
    """
    Return poses (..., 7) in canonical sign, in the base frame and near enough to be meant.

    :param source: topic, field or file that they came from, for the message.
    :raises InputError: a number is not finite, a quaternion is no rotation, or a position lies
        further than REACH_M from the robot's base.
    """
    poses = check_pose(poses, source)
    farthest_m = float(np.abs(poses[..., :3]).max(initial=0.0))
    if farthest_m > REACH_M:
        raise InputError(
            f'pose from {source} lies {farthest_m:.4g} m from the base; allowed: {REACH_M} m')
    return poses


def check_planned_joints(q: np.ndarray, limits: JointLimits) -> np.ndarray:
    """
    Return joint positions (7,) in rad that a base policy may plan.

    :raises InputError: one is not finite or beyond its limit: the pose that it stands for would
        be some place that nobody meant.
    """
    beyond = np.maximum(limits.position_lower - q, q - limits.position_upper)
    if not beyond.max() <= BEYOND_PLAN_RAD:
        raise InputError(
            f'a point has joint positions {np.asarray(q).tolist()} rad; allowed: the joint limits')
    return q


def check_joint_state(
        q: np.ndarray, dq: np.ndarray, limits: JointLimits) -> tuple[np.ndarray, np.ndarray]:
    """
    Return measured joint positions (7,) in rad and velocities (7,) in rad/s that may be true.

    :raises InputError: wrong shape, a number that is not finite, a joint far beyond its limits,
        or one faster than the robot can be.
    """
    q, dq = np.asarray(q, dtype=float), np.asarray(dq, dtype=float)
    if q.shape != (7,) or dq.shape != (7,) or not np.isfinite([q, dq]).all():
        raise InputError(
            f'joint state has position {q.tolist()} and velocity {dq.tolist()}; '
            'allowed: 7 finite numbers each')
    beyond = np.maximum(limits.position_lower - q, q - limits.position_upper)
    if beyond.max() > BEYOND_LIMIT_RAD:
        raise InputError(
            f'joint state has position {q.tolist()} rad; allowed: the joint limits and '
            f'{BEYOND_LIMIT_RAD} rad beyond')
    if np.abs(dq).max() > FASTEST_RAD_S:
        raise InputError(
            f'joint state has velocity {dq.tolist()} rad/s; allowed: up to {FASTEST_RAD_S}')
    return q, dq
