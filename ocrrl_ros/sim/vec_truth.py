# SPDX-License-Identifier: Apache-2.0
"""What the training critic sees beyond the actor's observation: simulator truth."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.se3 import pose_inverse, pose_multiply, quat_conjugate, quat_rotate
from ocrrl_ros.core.se3 import rotation_6d
from ocrrl_ros.core.symmetry import canonical_rotation, REVOLUTION, symmetry_group
from ocrrl_ros.policy.observation import near
from ocrrl_ros.robot import fr3
from ocrrl_ros.sim.tasks import lowest_points, Task
from ocrrl_ros.sim.truth import TaskState

_PER_OBJECT = 21
_PER_GOAL = 3
_COMMON = 4


def critic_truth_size(task: Task) -> int:
    """Return the number of entries of `critic_truth`."""
    count = len(task.object_ids)
    return _COMMON + _PER_OBJECT * count + _PER_GOAL * (count - 1) + len(task.reward_weights)


def critic_truth(
    task: Task, state: TaskState, symmetries: tuple[str, ...], held_ticks: np.ndarray,
    width_target_m: np.ndarray,
) -> np.ndarray:
    """
    Return truth entries (N, size) float32.

    Per object: pose in the TCP frame (position, 6-D rotation reduced over its symmetry), linear
    and angular velocity in that frame, height of the lowest point, position compressed at the
    scale of a grasp, contact of either finger. Per object after the first: the first one's place
    seen from it, compressed likewise.
    Common: finger gap, its rate, the hand's target gap, progress of the success count. Then the
    reward terms.

    :param held_ticks: (N,) consecutive ticks of the success predicate.
    :param width_target_m: (N,) gap that the hand heads for.
    """
    tcp_T_base = pose_inverse(state.base_T_tcp)[:, None]
    tcp_T_object = pose_multiply(tcp_T_base, state.object_poses)
    turns = [_turn(tcp_T_object[:, index, 3:], name) for index, name in enumerate(symmetries)]
    to_tcp = quat_conjugate(state.base_T_tcp[:, None, 3:])
    height = lowest_points(state.object_poses, state.object_half_extents)
    objects = np.concatenate(
        [
            tcp_T_object[..., :3], np.stack(turns, axis=1),
            quat_rotate(to_tcp, state.object_linear),
            0.1 * quat_rotate(to_tcp, state.object_angular),
            height[..., None], near(tcp_T_object[..., :3]), state.finger_contact,
        ],
        axis=-1)
    common = np.stack(
        [
            state.width / fr3.MAX_WIDTH_M, state.width_speed, width_target_m / fr3.MAX_WIDTH_M,
            held_ticks / task.hold_ticks,
        ],
        axis=1)
    terms = np.stack(list(task.reward(state).values()), axis=1)
    flat = objects.reshape(len(objects), -1)
    # Velocities of a world that is flying apart must not reach a network.
    goals = near(tcp_T_object[:, :1, :3] - tcp_T_object[:, 1:, :3]).reshape(len(objects), -1)
    return np.clip(
        np.hstack([common, flat, goals, terms]), -10.0, 10.0).astype(np.float32)


def _turn(rotation: np.ndarray, symmetry: str) -> np.ndarray:
    """Return what is observed of rotations (N, 4): (N, 6), as in the actor's observation."""
    if symmetry == REVOLUTION:
        axis = quat_rotate(rotation, np.array([0.0, 0.0, 1.0]))
        return np.hstack([axis, np.zeros_like(axis)])
    return rotation_6d(canonical_rotation(rotation, symmetry_group(symmetry)))
