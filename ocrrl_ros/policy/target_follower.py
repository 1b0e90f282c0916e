# SPDX-License-Identifier: Apache-2.0
"""
From TCP targets to shaped joint commands for one robot: the only way to the arm.

Trainer, evaluation, demonstrations and node all move the arm through this class, because the
control interface is what matters most for transfer (facts/residual_rl.md section 6).
"""

from __future__ import annotations

import numpy as np
from ocrrl_ros.robot.command_shaping import CommandShaper
from ocrrl_ros.robot.kinematics import FrankaKinematics


class TargetFollower:
    """
    Solves the inverse kinematics from the last command and shapes the way there.

    :param kinematics: shared; it keeps no state between calls.
    :param shaper: owned by this robot.
    """

    def __init__(self, kinematics: FrankaKinematics, shaper: CommandShaper):
        """Start unseeded; call ``seed`` with measured joints before the first target."""
        self._kinematics = kinematics
        self.shaper = shaper

    def seed(self, q: np.ndarray) -> None:
        """Start from rest at measured joint positions (7,) in rad."""
        self.shaper.seed(q)

    def aim(self, base_T_tcp: np.ndarray, twist: np.ndarray, duration_s: float) -> bool:
        """
        Head for a TCP target that is to be reached in ``duration_s``.

        :param base_T_tcp: (7,) target pose, robot base frame.
        :param twist: (6,) velocity of the target there, base frame, as feed-forward.
        :return: whether the inverse kinematics converged; the nearest solution is taken if not.
        """
        q, converged = self._kinematics.solve(base_T_tcp, self.shaper.q)
        self.shaper.set_goal(q, self._kinematics.joint_velocity(q, twist), duration_s)
        return converged

    def stop(self) -> None:
        """Decelerate to rest within the limits."""
        self.shaper.stop()

    def sample(self, dt_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Advance by ``dt_s`` and return commanded positions and velocities (7,), (7,)."""
        q, dq, _ = self.shaper.sample(dt_s)
        return q, dq

    def preview(self, dt_s: float, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and velocities (count, 7) ahead, every ``dt_s``, without advancing."""
        return self.shaper.preview(dt_s, count)
