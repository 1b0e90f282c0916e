# SPDX-License-Identifier: Apache-2.0
"""A body that is moved by hand: its velocity is set, its contacts are left to the solver."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np


@dataclass(frozen=True)
class Drag:
    """
    One object that is dragged over the table.

    :param end_step: physics step from which it is left alone.
    :param first_dof: first of the six velocities of its free joint.
    :param body: its body.
    :param velocity: (3,) along x and y in m/s, about z in rad/s, base frame.
    """

    end_step: int
    first_dof: int
    body: int
    velocity: np.ndarray

    def apply(self, data: mujoco.MjData, share: float) -> None:
        """Set a share of the velocity; the vertical one stays as it is."""
        turn = data.xmat[self.body].reshape(3, 3)
        first = self.first_dof
        data.qvel[first:first + 2] = share * self.velocity[:2]
        # MuJoCo keeps the angular velocity of a free joint in the frame of its body.
        data.qvel[first + 3:first + 6] = turn.T @ np.array([0.0, 0.0, share * self.velocity[2]])
