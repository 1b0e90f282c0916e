# SPDX-License-Identifier: Apache-2.0
"""
The observation of the published recipe, for the comparison row of the protocol (section 7).

Everything is in the world frame (here the robot base frame): pose of the TCP, poses of the
objects, current base action. No chunk phase, no next target, no validity and no age; a lost object
is a row of zeros, as in that recipe's training (facts/residual_rl.md sections 1.6 and 1.7).
Two choices are made in its favour: the sign of a quaternion is the one that makes its largest
component positive, which is continuous for a hand that points down, and so is the roll angle,
which is counted from 0 to a full turn.
"""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.se3 import quat_to_matrix

_OWN = (('base_tcp_position', 3), ('base_tcp_quaternion', 4), ('gripper_opening', 1))
_OBJECT = (('base_object_position', 3), ('base_object_quaternion', 4))
_BASE_ACTION = (
    ('base_target_position', 3), ('base_target_euler', 3), ('target_opening', 1))


def world_fields(object_ids: tuple[str, ...]) -> list[tuple[str, int]]:
    """Return (name, size) of every entry in order."""
    objects = [(f'{object_id}.{name}', size)
               for object_id in object_ids for name, size in _OBJECT]
    return [*_OWN, *objects, *_BASE_ACTION]


def observe_world(
        base_T_tcp: np.ndarray, opening: np.ndarray, objects: np.ndarray, valid: np.ndarray,
        targets: np.ndarray, target_openings: np.ndarray) -> np.ndarray:
    """
    Return observations (N, D) float32 in the order of `world_fields`.

    :param base_T_tcp: (N, 7) measured.
    :param opening: (N,) measured gripper opening 0 .. 1.
    :param objects: (N, K, 7) poses in the base frame; used where ``valid`` (N, K).
    :param targets: (N, 7) base action now, and ``target_openings`` (N,).
    """
    seen = np.where(valid[..., None], _with_sign(objects), 0.0)
    return np.hstack([
        _with_sign(base_T_tcp), opening[:, None], seen.reshape(len(seen), -1), targets[:, :3],
        euler_angles(targets[:, 3:]), target_openings[:, None]]).astype(np.float32)


def euler_angles(quaternion: np.ndarray) -> np.ndarray:
    """
    Return roll, pitch and yaw (N, 3) in rad about the fixed axes x, y and z, in that order.

    Roll is in [0, 2 pi): a hand that points down has half a turn of it, where -pi would meet pi.

    :param quaternion: (N, 4), scalar last.
    """
    matrix = quat_to_matrix(quaternion)
    roll = np.arctan2(matrix[:, 2, 1], matrix[:, 2, 2])
    pitch = -np.arcsin(np.clip(matrix[:, 2, 0], -1.0, 1.0))
    yaw = np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0])
    return np.stack([roll % (2.0 * np.pi), pitch, yaw], axis=1)


def _with_sign(poses: np.ndarray) -> np.ndarray:
    """Return poses (..., 7) whose quaternions' largest component is positive."""
    quaternion = poses[..., 3:]
    largest = np.abs(quaternion).argmax(axis=-1)[..., None]
    sign = np.copysign(1.0, np.take_along_axis(quaternion, largest, axis=-1))
    return np.concatenate([poses[..., :3], sign * quaternion], axis=-1)
