# SPDX-License-Identifier: Apache-2.0
"""Stack Cube: put one cube on top of the other and let go."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.object_shapes import Box
from ocrrl_ros.sim.tasks.task import (
    at_rest, held, ObjectSpec, reach, released, sample_apart, sample_arm, Task)
from ocrrl_ros.sim.truth import InitialState, TaskState

CUBE = ObjectSpec(object_id='cube', shape=Box((0.02, 0.02, 0.02)), mass_kg=0.080)
BASE_CUBE = ObjectSpec(object_id='base_cube', shape=Box((0.02, 0.02, 0.02)), mass_kg=0.080)
CENTRE_M = (0.50, 0.0)
SPREAD_M = (0.10, 0.15)
SPREAD_YAW_RAD = np.pi / 4
APART_M = 0.08
OFFSET_M = 0.020
RISE_M = 0.040
RISE_TOLERANCE_M = 0.005
CARRY_HEIGHT_M = 0.10


class StackCube(Task):
    """
    Put the red cube on the green one; both have edges of 40 mm and weigh 80 g.

    Start: both at x 0.50 ± 0.10 m, y ± 0.15 m, more than 0.08 m apart, yaw ± 45°.
    Success: centres less than 20 mm apart seen from above, 40 ± 5 mm in height, the red cube
    held by nothing else, released and at rest, for 10 ticks. Failure: 25 s, or an object leaves
    the workspace.
    """

    name = 'stack_cube'
    instruction = 'stack the red cube on the green cube'
    objects = (CUBE, BASE_CUBE)
    horizon_s = 25.0
    hold_ticks = 10
    reward_weights = {'reach': 0.10, 'grasp': 0.15, 'carry': 0.25, 'stacked': 0.25,
                      'success': 0.25}

    def sample_initial(self, rng: np.random.Generator, domain: Domain) -> InitialState:
        """Draw the arm posture, both places and both yaws."""
        q = sample_arm(rng)
        places = sample_apart(rng, CENTRE_M, SPREAD_M, APART_M)
        yaws = rng.uniform(-SPREAD_YAW_RAD, SPREAD_YAW_RAD, 2)
        height = CUBE.half_extents_m[2] * domain.objects.size_scale
        turns = se3.quat_from_rotvec(np.stack([0 * yaws, 0 * yaws, yaws], axis=1))
        poses = se3.pose(np.column_stack([places, np.full(2, height)]), turns)
        return InitialState(q=q, opening=1.0, object_poses=poses)

    def reward(self, state: TaskState) -> dict[str, np.ndarray]:
        """
        Return the stages; what is done stays paid in the next stage.

        reach: TCP to the red cube; grasp: both fingers touch; carry: grasped, nearer to its
        place; stacked: on top; success: predicate.
        """
        stacked = self.stacked(state)
        grasp = held(state, 0)
        offset = state.object_poses[:, 0, :3] - state.object_poses[:, 1, :3]
        lifted = np.clip(state.object_poses[:, 0, 2] / CARRY_HEIGHT_M, 0.0, 1.0)
        level = np.linalg.norm(offset[:, :2], axis=1)
        near = 1.0 - np.tanh(level / 0.10)
        # Right above the place the height must be given up again.
        above = level < OFFSET_M
        low = 1.0 - np.tanh(np.abs(offset[:, 2] - RISE_M) / 0.10)
        return {
            'reach': np.where(stacked, 1.0, reach(state, 0)),
            'grasp': (grasp | stacked).astype(float),
            'carry': np.where(stacked, 1.0, grasp * near * np.where(above, low, lifted)),
            'stacked': stacked * (0.5 + 0.5 * released(state, 0)),
            'success': self.success_now(state).astype(float),
        }

    def stacked(self, state: TaskState) -> np.ndarray:
        """Return (N,) bool, whether the red cube is where it belongs, held or not."""
        offset = state.object_poses[:, 0, :3] - state.object_poses[:, 1, :3]
        level = np.linalg.norm(offset[:, :2], axis=1)
        return (level < OFFSET_M) & (np.abs(offset[:, 2] - RISE_M) < RISE_TOLERANCE_M)

    def success_now(self, state: TaskState) -> np.ndarray:
        """
        Return (N,) bool: stacked, released, both at rest.

        A cube so high above the table that nobody holds can only rest on the other one.
        """
        rest = at_rest(state, 0) & at_rest(state, 1)
        return self.stacked(state) & released(state, 0) & rest
