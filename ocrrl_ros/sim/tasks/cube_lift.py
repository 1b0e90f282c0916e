# SPDX-License-Identifier: Apache-2.0
"""Cube Lift: grasp the cube and hold it clear of the table."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.object_shapes import Box
from ocrrl_ros.sim.tasks.task import lowest_points, ObjectSpec, sample_arm, Task
from ocrrl_ros.sim.truth import InitialState, TaskState

CUBE = ObjectSpec(object_id='cube', shape=Box((0.02, 0.02, 0.02)), mass_kg=0.080)
CENTRE_M = (0.50, 0.0)
SPREAD_M = (0.10, 0.15)
SPREAD_YAW_RAD = np.pi / 4
SUCCESS_HEIGHT_M = 0.050
SUCCESS_SPEED_M_S = 0.050
REACH_SCALE_M = 0.10


class CubeLift(Task):
    """
    Lift a 40 mm cube of 80 g.

    Start: cube at x 0.50 ± 0.10 m, y ± 0.15 m, yaw ± 45°, arm near the ready posture, open.
    Success: lowest point of the cube above 50 mm, both fingers touch it, it moves slower than
    50 mm/s, for 20 consecutive ticks. Failure: 15 s, or the cube leaves the workspace.
    """

    name = 'cube_lift'
    instruction = 'lift the red cube'
    objects = (CUBE,)
    horizon_s = 15.0
    hold_ticks = 20
    reward_weights = {'reach': 0.15, 'grasp': 0.20, 'lift': 0.40, 'success': 0.25}

    def sample_initial(self, rng: np.random.Generator, domain: Domain) -> InitialState:
        """Draw the arm posture, then x, y and yaw of the cube."""
        q = sample_arm(rng)
        x, y, yaw = rng.uniform(-1.0, 1.0, 3) * (*SPREAD_M, SPREAD_YAW_RAD)
        height = CUBE.half_extents_m[2] * domain.objects.size_scale
        position = np.array([CENTRE_M[0] + x, CENTRE_M[1] + y, height])
        turn = se3.quat_from_rotvec(np.array([0.0, 0.0, yaw]))
        return InitialState(q=q, opening=1.0, object_poses=se3.pose(position, turn)[None])

    def reward(self, state: TaskState) -> dict[str, np.ndarray]:
        """
        Return the stages, each complete before the next pays.

        reach: 1 with the TCP at the cube's centre, falling over 10 cm; grasp: both fingers
        touch; lift: height gained up to the success height, while grasped; success: predicate.
        """
        distance = np.linalg.norm(
            state.object_poses[:, 0, :3] - state.base_T_tcp[:, :3], axis=1)
        grasp = state.finger_contact[:, 0].all(axis=1)
        height = lowest_points(state.object_poses[:, 0], state.object_half_extents[:, 0])
        return {
            'reach': 1.0 - np.tanh(distance / REACH_SCALE_M),
            'grasp': grasp.astype(float),
            'lift': grasp * np.clip(height / SUCCESS_HEIGHT_M, 0.0, 1.0),
            'success': self.success_now(state).astype(float),
        }

    def success_now(self, state: TaskState) -> np.ndarray:
        """Return (N,) bool: high enough, held by both fingers and slow."""
        height = lowest_points(state.object_poses[:, 0], state.object_half_extents[:, 0])
        speed = np.linalg.norm(state.object_linear[:, 0], axis=1)
        held = state.finger_contact[:, 0].all(axis=1)
        return (height > SUCCESS_HEIGHT_M) & held & (speed < SUCCESS_SPEED_M_S)
