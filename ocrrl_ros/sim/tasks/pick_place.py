# SPDX-License-Identifier: Apache-2.0
"""Pick-and-Place: put the block into the bowl and let go."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.object_shapes import Box, Tub
from ocrrl_ros.sim.tasks.task import (
    at_rest, held, ObjectSpec, reach, released, sample_apart, sample_arm, Task, tilt_rad)
from ocrrl_ros.sim.truth import InitialState, TaskState

BLOCK = ObjectSpec(object_id='block', shape=Box((0.04, 0.02, 0.02)), mass_kg=0.030)
BOWL = ObjectSpec(
    object_id='bowl', shape=Tub(bottom_m=0.060, mouth_m=0.095, height_m=0.050, wall_m=0.004),
    mass_kg=0.250)
CENTRE_M = (0.50, 0.0)
SPREAD_M = (0.10, 0.20)
SPREAD_YAW_RAD = np.pi / 4
APART_M = 0.15
INSIDE_M = 0.070
SUCCESS_HEIGHT_M = 0.055
BOWL_MOVED_M = 0.050
UPRIGHT_RAD = np.deg2rad(10.0)
CARRY_HEIGHT_M = 0.10


class PickPlace(Task):
    """
    Put a block of 80x40x40 mm and 30 g into a bowl of 95 mm radius.

    Start: both at x 0.50 ± 0.10 m, y ± 0.20 m, more than 0.15 m apart, block's yaw ± 45°.
    Success: block less than 70 mm from the bowl's axis and below 55 mm, bowl upright and moved
    less than 50 mm, block released, both at rest, for 10 ticks. Failure: 25 s, or an object
    leaves the workspace.
    """

    name = 'pick_place'
    instruction = 'put the red block into the bowl'
    objects = (BLOCK, BOWL)
    horizon_s = 25.0
    hold_ticks = 10
    reward_weights = {'reach': 0.10, 'grasp': 0.15, 'carry': 0.25, 'inside': 0.25, 'success': 0.25}

    def sample_initial(self, rng: np.random.Generator, domain: Domain) -> InitialState:
        """Draw the arm posture, both places and the block's yaw."""
        q = sample_arm(rng)
        block, bowl = sample_apart(rng, CENTRE_M, SPREAD_M, APART_M)
        yaw = rng.uniform(-SPREAD_YAW_RAD, SPREAD_YAW_RAD)
        scale = domain.objects.size_scale
        turn = se3.quat_from_rotvec(np.array([0.0, 0.0, yaw]))
        poses = np.stack([
            se3.pose(np.array([*block, BLOCK.half_extents_m[2] * scale]), turn),
            se3.pose(np.array([*bowl, BOWL.half_extents_m[2] * scale]),
                     np.array([0.0, 0.0, 0.0, 1.0]))])
        return InitialState(q=q, opening=1.0, object_poses=poses)

    def reward(self, state: TaskState) -> dict[str, np.ndarray]:
        """
        Return the stages; what is done stays paid in the next stage.

        reach: TCP to the block; grasp: both fingers touch; carry: grasped, nearer to the bowl's
        axis; inside: in the bowl; success: predicate.
        """
        inside = self.inside(state)
        grasp = held(state, 0)
        height = state.object_poses[:, 0, 2]
        level = self._level_m(state)
        lifted = np.clip(height / CARRY_HEIGHT_M, 0.0, 1.0)
        near = 1.0 - np.tanh(np.maximum(level - 0.02, 0.0) / 0.15)
        return {
            'reach': np.where(inside, 1.0, reach(state, 0)),
            'grasp': (grasp | inside).astype(float),
            'carry': np.where(inside, 1.0, grasp * lifted * near),
            'inside': inside * (0.5 + 0.5 * released(state, 0)),
            'success': self.success_now(state).astype(float),
        }

    def inside(self, state: TaskState) -> np.ndarray:
        """Return (N,) bool, whether the block lies in the bowl, held or not."""
        low = state.object_poses[:, 0, 2] < SUCCESS_HEIGHT_M
        return low & (self._level_m(state) < INSIDE_M)

    def success_now(self, state: TaskState) -> np.ndarray:
        """Return (N,) bool: inside, bowl where it was, released and at rest."""
        moved = np.linalg.norm(
            state.object_poses[:, 1, :3] - state.start_poses[:, 1, :3], axis=1)
        bowl_is_well = (moved < BOWL_MOVED_M) & (tilt_rad(state.object_poses[:, 1]) < UPRIGHT_RAD)
        rest = at_rest(state, 0) & at_rest(state, 1)
        return self.inside(state) & bowl_is_well & released(state, 0) & rest

    @staticmethod
    def _level_m(state: TaskState) -> np.ndarray:
        """Return the distance (N,) of the block's centre from the bowl's axis, m."""
        axis = se3.quat_rotate(state.object_poses[:, 1, 3:], np.array([0.0, 0.0, 1.0]))
        offset = state.object_poses[:, 0, :3] - state.object_poses[:, 1, :3]
        along = (offset * axis).sum(axis=1, keepdims=True)
        return np.linalg.norm(offset - along * axis, axis=1)
