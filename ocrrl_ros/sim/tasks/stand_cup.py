# SPDX-License-Identifier: Apache-2.0
"""Stand Cup Up: set a lying cup on its base and let go."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.object_shapes import lying_pose, Tub
from ocrrl_ros.sim.tasks.task import (
    at_rest, held, ObjectSpec, reach, released, sample_arm, Task, tilt_rad)
from ocrrl_ros.sim.truth import InitialState, TaskState

CUP = ObjectSpec(
    object_id='cup', shape=Tub(bottom_m=0.025, mouth_m=0.0375, height_m=0.100, wall_m=0.003),
    mass_kg=0.150)
CENTRE_M = (0.50, 0.0)
SPREAD_M = (0.08, 0.12)
SPREAD_YAW_RAD = np.deg2rad(60.0)
UPRIGHT_RAD = np.deg2rad(10.0)
ON_TABLE_M = 0.005


class StandCup(Task):
    """
    Stand a hollow cup up: radius 37.5 mm at the mouth, 25 mm at the base, 100 mm high, 150 g.

    Start: lying, centre at x 0.50 ± 0.08 m, y ± 0.12 m, mouth away from the robot ± 60°.
    Success: mouth up, tilted less than 10°, base on the table, released and at rest, for 10
    ticks. Failure: 25 s, or the cup leaves the workspace.
    """

    name = 'stand_cup'
    instruction = 'stand the cup up'
    objects = (CUP,)
    horizon_s = 25.0
    hold_ticks = 10
    reward_weights = {'reach': 0.10, 'grasp': 0.15, 'upright': 0.25, 'standing': 0.25,
                      'success': 0.25}

    def sample_initial(self, rng: np.random.Generator, domain: Domain) -> InitialState:
        """Draw the arm posture, the cup's place and the direction of its mouth."""
        q = sample_arm(rng)
        x, y, yaw = rng.uniform(-1.0, 1.0, 3) * (*SPREAD_M, SPREAD_YAW_RAD)
        pose = lying_pose(
            CUP.shape, domain.objects.size_scale, CENTRE_M[0] + x, CENTRE_M[1] + y, yaw)
        return InitialState(q=q, opening=1.0, object_poses=pose[None])

    def reward(self, state: TaskState) -> dict[str, np.ndarray]:
        """
        Return the stages; what is done stays paid in the next stage.

        reach: TCP to the cup; grasp: both fingers touch; upright: axis turned up, while grasped;
        standing: upright with its base on the table; success: predicate.
        """
        standing = self.standing(state)
        grasp = held(state, 0)
        tilt = tilt_rad(state.object_poses[:, 0])
        turned = np.clip(1.0 - tilt / (0.5 * np.pi), 0.0, 1.0)
        return {
            'reach': np.where(standing, 1.0, reach(state, 0)),
            'grasp': (grasp | standing).astype(float),
            'upright': np.where(standing, 1.0, grasp * turned),
            'standing': standing * (0.5 + 0.5 * released(state, 0)),
            'success': self.success_now(state).astype(float),
        }

    def standing(self, state: TaskState) -> np.ndarray:
        """Return (N,) bool, whether the cup is upright with its base on the table."""
        pose = state.object_poses[:, 0]
        half = state.object_half_extents[:, 0, 2:]
        up = se3.quat_rotate(pose[:, 3:], np.array([0.0, 0.0, 1.0]))
        base = pose[:, :3] - half * up
        return (tilt_rad(pose) < UPRIGHT_RAD) & (np.abs(base[:, 2]) < ON_TABLE_M)

    def success_now(self, state: TaskState) -> np.ndarray:
        """Return (N,) bool: standing, released with the rim clear of both fingers, at rest."""
        return self.standing(state) & released(state, 0) & at_rest(state, 0)
