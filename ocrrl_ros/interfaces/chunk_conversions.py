# SPDX-License-Identifier: Apache-2.0
"""
Convert action chunks between messages and arrays.

A chunk travels as two messages with one stamp: ``base_policy/tcp_chunk``
(MultiDOFJointTrajectory, frame ``base``, joint ``fr3_hand_tcp``) or ``base_policy/joint_chunk``
(JointTrajectory), and ``base_policy/gripper_chunk`` (JointTrajectory, joint ``gripper``).
"""

from __future__ import annotations

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Transform
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.interfaces.conversions import from_stamp, to_stamp
from ocrrl_ros.policy.action_chunk import ActionChunk
from trajectory_msgs.msg import (
    JointTrajectory, JointTrajectoryPoint, MultiDOFJointTrajectory, MultiDOFJointTrajectoryPoint)

BASE_FRAME = 'base'
TCP_JOINT = 'fr3_hand_tcp'
GRIPPER_JOINT = 'gripper'
_STEP_TOLERANCE_S = 1e-4


def to_duration(duration_s: float) -> Duration:
    """Return a message duration, rounded to the nanosecond."""
    stamp = to_stamp(duration_s)
    return Duration(sec=stamp.sec, nanosec=stamp.nanosec)


def from_duration(duration: Duration) -> float:
    """Return seconds."""
    return duration.sec + duration.nanosec * 1e-9


def chunk_to_messages(chunk: ActionChunk) -> tuple[MultiDOFJointTrajectory, JointTrajectory]:
    """Return the TCP and the gripper message of a chunk."""
    tcp = MultiDOFJointTrajectory(joint_names=[TCP_JOINT])
    tcp.header.frame_id = BASE_FRAME
    tcp.header.stamp = to_stamp(chunk.stamp_s)
    for index, pose in enumerate(chunk.poses):
        point = MultiDOFJointTrajectoryPoint(transforms=[_transform(pose)])
        point.time_from_start = to_duration(index * chunk.step_s)
        tcp.points.append(point)
    gripper = joint_trajectory(
        [GRIPPER_JOINT], chunk.grippers[:, None], chunk.step_s, chunk.stamp_s)
    return tcp, gripper


def joint_trajectory(
        names: list[str], positions: np.ndarray, step_s: float,
        stamp_s: float) -> JointTrajectory:
    """Return positions (H, len(names)) as evenly spaced points, the first one at the stamp."""
    message = JointTrajectory(joint_names=list(names))
    message.header.stamp = to_stamp(stamp_s)
    for index, values in enumerate(positions):
        point = JointTrajectoryPoint(positions=[float(value) for value in values])
        point.time_from_start = to_duration(index * step_s)
        message.points.append(point)
    return message


def messages_to_chunk(tcp: MultiDOFJointTrajectory, gripper: JointTrajectory) -> ActionChunk:
    """
    Return the chunk of a TCP and a gripper message.

    :raises InputError: stamps, lengths, steps or names do not fit, or a number is not finite.
    """
    if tcp.header.frame_id != BASE_FRAME or list(tcp.joint_names) != [TCP_JOINT]:
        raise InputError(
            f'tcp_chunk is for {list(tcp.joint_names)} in frame {tcp.header.frame_id!r}; '
            f'allowed: [{TCP_JOINT!r}] in {BASE_FRAME!r}')
    if any(len(point.transforms) != 1 for point in tcp.points):
        raise InputError('tcp_chunk has a point without exactly one transform')
    poses = np.array([
        [t.translation.x, t.translation.y, t.translation.z,
         t.rotation.x, t.rotation.y, t.rotation.z, t.rotation.w]
        for t in (point.transforms[0] for point in tcp.points)]).reshape(-1, 7)
    step_s = _step(tcp.points, 'tcp_chunk')
    return ActionChunk(
        stamp_s=_common_stamp(tcp, gripper), step_s=step_s, poses=poses,
        grippers=_gripper_values(gripper, len(poses), step_s))


def messages_to_joint_chunk(
        joints: JointTrajectory, gripper: JointTrajectory,
        names: list[str]) -> tuple[float, float, np.ndarray, np.ndarray]:
    """
    Return stamp and step in seconds, joints (H, len(names)) in that order, gripper (H,).

    :raises InputError: stamps, lengths, steps or names do not fit, or a number is not finite.
    """
    stamp_s = _common_stamp(joints, gripper)
    positions = trajectory_positions(joints, names, 'joint_chunk')
    step_s = _step(joints.points, 'joint_chunk')
    return stamp_s, step_s, positions, _gripper_values(gripper, len(positions), step_s)


def trajectory_positions(message: JointTrajectory, names: list[str], source: str) -> np.ndarray:
    """
    Return positions (H, len(names)) with the joints in the order of ``names``.

    :raises InputError: other joints, a wrong length, or a number that is not finite.
    """
    given = list(message.joint_names)
    if sorted(given) != sorted(names):
        raise InputError(f'{source} is for joints {given}; allowed: {list(names)}')
    if any(len(point.positions) != len(names) for point in message.points):
        raise InputError(f'{source} has a point without exactly {len(names)} positions')
    values = np.array([point.positions for point in message.points], dtype=float)
    values = values.reshape(-1, len(names))[:, [given.index(name) for name in names]]
    if not len(values) or not np.isfinite(values).all():
        raise InputError(f'{source} needs at least one point and finite positions')
    return values


def trajectory_times(message: JointTrajectory) -> np.ndarray:
    """Return time_from_start (H,) in seconds."""
    return np.array([from_duration(point.time_from_start) for point in message.points])


def _gripper_values(gripper: JointTrajectory, length: int, step_s: float) -> np.ndarray:
    """Return the openings (H,), checked against the arm's chunk."""
    values = trajectory_positions(gripper, [GRIPPER_JOINT], 'gripper_chunk')[:, 0]
    gripper_step_s = _step(gripper.points, 'gripper_chunk')
    if len(values) != length or abs(gripper_step_s - step_s) > _STEP_TOLERANCE_S:
        raise InputError(
            f'gripper_chunk has {len(values)} points every {gripper_step_s} s for an arm chunk '
            f'of {length} every {step_s} s')
    return values


def _common_stamp(
        arm: MultiDOFJointTrajectory | JointTrajectory, gripper: JointTrajectory) -> float:
    """Return the stamp that both messages carry."""
    if arm.header.stamp != gripper.header.stamp:
        raise InputError(
            f'arm chunk of {from_stamp(arm.header.stamp)} s came with a gripper chunk of '
            f'{from_stamp(gripper.header.stamp)} s; both must carry one stamp')
    return from_stamp(arm.header.stamp)


def _step(points: list, source: str) -> float:
    """Return the even spacing of the points in seconds; the first one is at the stamp."""
    times = np.array([from_duration(point.time_from_start) for point in points])
    if len(times) < 2:
        raise InputError(f'{source} has {len(times)} points; allowed: >= 2')
    step_s = float(times[-1] / (len(times) - 1))
    if np.abs(times - step_s * np.arange(len(times))).max() > _STEP_TOLERANCE_S or step_s <= 0:
        raise InputError(f'{source} has points at {times.tolist()} s; allowed: evenly from 0')
    return step_s


def _transform(pose: np.ndarray) -> Transform:
    """Return a transform from (7,)."""
    message = Transform()
    t, r = message.translation, message.rotation
    t.x, t.y, t.z, r.x, r.y, r.z, r.w = [float(value) for value in pose]
    return message
