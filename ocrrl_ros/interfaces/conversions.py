# SPDX-License-Identifier: Apache-2.0
"""
Convert stamps, poses, joints, twists and wrenches between messages and arrays.

Poses are (7,) ``x y z qx qy qz qw``, wrenches and twists (6,) linear then angular; joints are
matched by name, never by position in the message.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from builtin_interfaces.msg import Time
from geometry_msgs.msg import (
    Pose, PoseStamped, PoseWithCovarianceStamped, TransformStamped, Twist, TwistStamped, Wrench,
    WrenchStamped)
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.core.se3 import check_pose
from sensor_msgs.msg import JointState

_NANO = 1_000_000_000


def to_stamp(stamp_s: float) -> Time:
    """Return a message stamp, rounded to the nanosecond."""
    seconds, nanoseconds = divmod(round(stamp_s * _NANO), _NANO)
    return Time(sec=int(seconds), nanosec=int(nanoseconds))


def fill_stamp(message: Time, stamp_s: float) -> Time:
    """Write a stamp, rounded to the nanosecond, into an existing message and return it."""
    message.sec, message.nanosec = divmod(round(stamp_s * _NANO), _NANO)
    return message


def from_stamp(stamp: Time) -> float:
    """Return seconds."""
    return stamp.sec + stamp.nanosec / _NANO


def pose_to_array(message: Pose) -> np.ndarray:
    """Return (7,), unchecked: :func:`checked_pose` refuses what is not a pose."""
    p, q = message.position, message.orientation
    return np.array([p.x, p.y, p.z, q.x, q.y, q.z, q.w])


def checked_pose(message: Pose, source: str) -> np.ndarray:
    """
    Return (7,) in canonical sign.

    :raises InputError: a value is not finite or the quaternion is not of unit length.
    """
    return check_pose(pose_to_array(message), source)


def fill_pose(message: Pose, pose: Sequence[float]) -> Pose:
    """Write (7,) into an existing message and return it."""
    p, q = message.position, message.orientation
    p.x, p.y, p.z, q.x, q.y, q.z, q.w = [float(value) for value in pose]
    return message


def array_to_pose(pose: Sequence[float]) -> Pose:
    """Return a message from (7,)."""
    return fill_pose(Pose(), pose)


def pose_stamped(pose: Sequence[float], frame_id: str, stamp_s: float) -> PoseStamped:
    """Return a stamped message from (7,)."""
    message = PoseStamped()
    message.header.frame_id = frame_id
    message.header.stamp = to_stamp(stamp_s)
    fill_pose(message.pose, pose)
    return message


def pose_with_covariance(
        pose: Sequence[float], covariance: np.ndarray, frame_id: str,
        stamp_s: float) -> PoseWithCovarianceStamped:
    """Return a message from (7,) and (6, 6) or (36,), translation before rotation."""
    message = PoseWithCovarianceStamped()
    message.header.frame_id = frame_id
    message.header.stamp = to_stamp(stamp_s)
    fill_pose(message.pose.pose, pose)
    message.pose.covariance = np.asarray(covariance, dtype=float).reshape(36)
    return message


def pose_with_covariance_to_arrays(
        message: PoseWithCovarianceStamped) -> tuple[np.ndarray, np.ndarray, float]:
    """Return pose (7,), covariance (36,) and stamp in seconds, unchecked."""
    covariance = np.array(message.pose.covariance, dtype=float)
    return pose_to_array(message.pose.pose), covariance, from_stamp(message.header.stamp)


def transform_stamped(
        a_T_b: Sequence[float], frame_id: str, child_frame_id: str,
        stamp_s: float = 0.0) -> TransformStamped:
    """Return the pose (7,) of the child frame in the frame as a transform."""
    message = TransformStamped()
    message.header.frame_id = frame_id
    message.header.stamp = to_stamp(stamp_s)
    message.child_frame_id = child_frame_id
    t, r = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z, r.x, r.y, r.z, r.w = [float(value) for value in a_T_b]
    return message


def transform_to_array(message: TransformStamped) -> np.ndarray:
    """Return the pose (7,) of the child frame in the header's frame."""
    t, r = message.transform.translation, message.transform.rotation
    return np.array([t.x, t.y, t.z, r.x, r.y, r.z, r.w])


def fill_wrench(message: Wrench, wrench: Sequence[float]) -> Wrench:
    """Write (6,), force in N then torque in Nm, into an existing message."""
    f, t = message.force, message.torque
    f.x, f.y, f.z, t.x, t.y, t.z = [float(value) for value in wrench]
    return message


def wrench_to_array(message: Wrench) -> np.ndarray:
    """Return (6,), force in N then torque in Nm."""
    f, t = message.force, message.torque
    return np.array([f.x, f.y, f.z, t.x, t.y, t.z])


def wrench_stamped(wrench: Sequence[float], frame_id: str, stamp_s: float) -> WrenchStamped:
    """Return a stamped message from (6,)."""
    message = WrenchStamped()
    message.header.frame_id = frame_id
    message.header.stamp = to_stamp(stamp_s)
    fill_wrench(message.wrench, wrench)
    return message


def fill_twist(message: Twist, twist: Sequence[float]) -> Twist:
    """Write (6,), m/s then rad/s, into an existing message."""
    v, w = message.linear, message.angular
    v.x, v.y, v.z, w.x, w.y, w.z = [float(value) for value in twist]
    return message


def twist_to_array(message: Twist | TwistStamped) -> np.ndarray:
    """Return (6,), m/s then rad/s."""
    twist = message.twist if isinstance(message, TwistStamped) else message
    v, w = twist.linear, twist.angular
    return np.array([v.x, v.y, v.z, w.x, w.y, w.z])


def joint_state(
        names: Sequence[str], position: Sequence[float], velocity: Sequence[float] = (),
        effort: Sequence[float] = (), *, stamp_s: float = 0.0, frame_id: str = '') -> JointState:
    """Return a message; velocity and effort may be left out."""
    message = JointState()
    message.header.stamp = to_stamp(stamp_s)
    message.header.frame_id = frame_id
    message.name = list(names)
    message.position = array('d', position)
    message.velocity = array('d', velocity)
    message.effort = array('d', effort)
    return message


def joint_values(
        message: JointState, names: Sequence[str], field: str = 'position',
        source: str = 'joint state') -> np.ndarray:
    """
    Return one field of the message in the order of ``names``; other joints are ignored.

    :param field: ``position``, ``velocity`` or ``effort``; left out by the sender it is zeros.
    :raises InputError: a joint is missing, the lengths differ or a value is not finite.
    """
    given = list(message.name)
    values = np.array(getattr(message, field), dtype=float)
    if not len(values) and field != 'position':
        return np.zeros(len(names))
    if len(values) != len(given):
        raise InputError(
            f'{source}: {len(values)} values of {field} for {len(given)} names {given}')
    missing = [name for name in names if name not in given]
    if missing:
        raise InputError(f'{source}: joints {missing} are missing; given: {given}')
    found = values[[given.index(name) for name in names]]
    if not np.isfinite(found).all():
        raise InputError(f'{source}: {field} is {found.tolist()}; every value must be finite')
    return found


def has_joints(message: JointState, names: Sequence[str]) -> bool:
    """Return whether the message holds every one of the joints."""
    return set(names) <= set(message.name)


def named_vector(values: dict[str, float], stamp_s: float) -> JointState:
    """Return scalars with names as a joint state (``residual_policy/action``)."""
    return joint_state(list(values), list(values.values()), stamp_s=stamp_s)


def named_vector_to_dict(message: JointState) -> dict[str, float]:
    """Return the scalars of a named vector by name."""
    return dict(zip(message.name, (float(value) for value in message.position)))
