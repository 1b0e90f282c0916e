# SPDX-License-Identifier: Apache-2.0
"""Close Drawer: push an open drawer shut."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.object_shapes import Drawer
from ocrrl_ros.sim.tasks.task import ObjectSpec, sample_arm, Task
from ocrrl_ros.sim.truth import InitialState, TaskState

DRAWER = ObjectSpec(object_id='drawer', shape=Drawer(), mass_kg=0.60)
# The drawer opens towards the camera, away from the robot: its front can be seen and reached.
CABINET_M = (0.44, -0.10)
CABINET_YAW_RAD = np.deg2rad(-135.0)
SPREAD_M = 0.030
SPREAD_YAW_RAD = np.deg2rad(10.0)
OPENING_M = (0.060, 0.130)
CLOSED_M = 0.013
SLOW_M_S = 0.005
REACH_SCALE_M = 0.10


class CloseDrawer(Task):
    """
    Push a drawer with 130 mm of travel and 2 to 6 N of dry friction shut.

    Start: open by 60 to 130 mm, cabinet at its place ± 30 mm in x and y, ± 10°.
    Success: open by at most 13 mm and slower than 5 mm/s, for 10 ticks. Failure: 25 s.
    """

    name = 'close_drawer'
    instruction = 'close the drawer'
    objects = (DRAWER,)
    horizon_s = 25.0
    hold_ticks = 10
    reward_weights = {'reach': 0.20, 'push': 0.55, 'success': 0.25}

    def sample_initial(self, rng: np.random.Generator, domain: Domain) -> InitialState:
        """Draw the arm posture, the cabinet's place and the opening."""
        q = sample_arm(rng)
        x, y, yaw = rng.uniform(-1.0, 1.0, 3) * (SPREAD_M, SPREAD_M, SPREAD_YAW_RAD)
        opening = rng.uniform(*OPENING_M)
        joints = np.array(
            [CABINET_M[0] + x, CABINET_M[1] + y, CABINET_YAW_RAD + yaw, opening])
        return InitialState(
            q=q, opening=1.0, object_poses=DRAWER.shape.pose(joints)[None],
            joint_positions=joints)

    def reward(self, state: TaskState) -> dict[str, np.ndarray]:
        """Return reach: TCP to the front of the drawer; push: how far it is shut; success."""
        distance = np.linalg.norm(
            state.object_poses[:, 0, :3] - state.base_T_tcp[:, :3], axis=1)
        opening = state.joint_positions[:, 3]
        shut = 1.0 - np.clip(opening / DRAWER.shape.travel_m, 0.0, 1.0)
        success = self.success_now(state)
        near = 1.0 - np.tanh(np.maximum(distance - 0.03, 0.0) / REACH_SCALE_M)
        return {'reach': np.where(success, 1.0, near), 'push': shut,
                'success': success.astype(float)}

    def success_now(self, state: TaskState) -> np.ndarray:
        """Return (N,) bool: shut and standing still."""
        slow = np.abs(state.joint_velocities[:, 3]) < SLOW_M_S
        return (state.joint_positions[:, 3] <= CLOSED_M) & slow

    def failed(self, state: TaskState) -> np.ndarray:
        """Return (N,) False: the drawer cannot leave the workspace."""
        return np.zeros(len(state), dtype=bool)
