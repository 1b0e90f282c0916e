# SPDX-License-Identifier: Apache-2.0
"""Lift the cube that the instruction names, of two: the scene of the language check."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.tasks.cube_lift import CubeLift
from ocrrl_ros.sim.tasks.stack_cube import (
    APART_M, BASE_CUBE, CENTRE_M, CUBE, SPREAD_M, SPREAD_YAW_RAD)
from ocrrl_ros.sim.tasks.task import sample_apart, sample_arm
from ocrrl_ros.sim.truth import InitialState


class LiftRedOfTwo(CubeLift):
    """
    Lift the red cube; a green one of the same size stands beside it.

    Start: both as in Stack Cube; the same draws give the same scene whichever cube is named.
    Success and failure: those of Cube Lift, for the named cube, which is the first object.
    """

    name = 'lift_red_of_two'
    instruction = 'lift the red cube'
    objects = (CUBE, BASE_CUBE)

    def sample_initial(self, rng: np.random.Generator, domain: Domain) -> InitialState:
        """Draw the arm posture, then place and yaw of the red and of the green cube."""
        q = sample_arm(rng)
        places = sample_apart(rng, CENTRE_M, SPREAD_M, APART_M)
        yaws = rng.uniform(-SPREAD_YAW_RAD, SPREAD_YAW_RAD, 2)
        poses = []
        for item in self.objects:
            index = (CUBE, BASE_CUBE).index(item)
            height = item.half_extents_m[2] * domain.objects.size_scale
            poses.append(se3.pose(
                np.array([*places[index], height]),
                se3.quat_from_rotvec(np.array([0.0, 0.0, yaws[index]]))))
        return InitialState(q=q, opening=1.0, object_poses=np.stack(poses))


class LiftGreenOfTwo(LiftRedOfTwo):
    """Lift the green cube of the same scene."""

    name = 'lift_green_of_two'
    instruction = 'lift the green cube'
    objects = (BASE_CUBE, CUBE)
