# SPDX-License-Identifier: Apache-2.0
"""What the arm's state topics show, worked out from one reported arm state when asked for."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from ocrrl_ros.core.se3 import quat_conjugate, quat_rotate
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.world import ArmState

# Keeps the wrench estimate finite where the arm is straight.
_SINGULARITY = 1e-6


class ArmReading:
    """
    One reported arm state with its poses, twists and wrenches, each computed at most once.

    Everything is expressed as the FCI does: base frame, TCP ``fr3_hand_tcp``.
    """

    #: What the control box says of itself: the simulated one is always in mode move, sees every
    #: command and knows no errors.
    robot_mode, success_rate, errors = 2, 1.0, ()

    def __init__(
            self, state: ArmState, kinematics: FrankaKinematics, q_desired: np.ndarray,
            dq_desired: np.ndarray, target: np.ndarray | None = None):
        """
        Keep the state.

        :param q_desired: joint target (7,) in rad that the arm law follows now.
        :param dq_desired: its velocity (7,) in rad/s.
        :param target: pose target (7,) where the Cartesian law is at work.
        """
        self._target = target
        self.state = state
        self.q_desired = q_desired
        self.dq_desired = dq_desired
        self._kinematics = kinematics

    @cached_property
    def effort(self) -> np.ndarray:
        """Return measured joint torques (7,) in Nm, gravity included (tau_J)."""
        return self.state.tau + self._kinematics.gravity(self.state.q)

    @cached_property
    def base_T_tcp(self) -> np.ndarray:
        """Return O_T_EE (7,)."""
        return self._kinematics.forward(self.state.q)

    @cached_property
    def desired_base_T_tcp(self) -> np.ndarray:
        """Return O_T_EE_d (7,)."""
        if self._target is not None:
            return self._target
        return self._kinematics.forward(self.q_desired)

    @cached_property
    def jacobian(self) -> np.ndarray:
        """Return the TCP Jacobian (6, 7) in the base frame."""
        return self._kinematics.jacobian(self.state.q)

    @cached_property
    def desired_twist(self) -> np.ndarray:
        """Return O_dP_EE_d (6,) in m/s and rad/s, base frame."""
        return self._kinematics.jacobian(self.q_desired) @ self.dq_desired

    @cached_property
    def local_twist(self) -> np.ndarray:
        """Return the measured twist (6,) in the TCP frame."""
        return self._to_tcp(self.jacobian @ self.state.dq)

    @cached_property
    def wrench_base(self) -> np.ndarray:
        """Return O_F_ext_hat_K (6,) in N and Nm: the wrench that explains tau_external."""
        jacobian = self.jacobian
        regular = jacobian @ jacobian.T + _SINGULARITY * np.eye(6)
        return np.linalg.solve(regular, jacobian @ self.state.tau_external)

    @cached_property
    def wrench_tcp(self) -> np.ndarray:
        """Return K_F_ext_hat_K (6,) in N and Nm, in the stiffness (TCP) frame."""
        return self._to_tcp(self.wrench_base)

    @property
    def finger_positions(self) -> np.ndarray:
        """Return finger joint positions (2,) in m."""
        return self.state.finger_positions

    def _to_tcp(self, vector: np.ndarray) -> np.ndarray:
        """Return the two 3-vectors of (6,) in the TCP frame."""
        inverse = quat_conjugate(self.base_T_tcp[3:])
        return quat_rotate(inverse, vector.reshape(2, 3)).ravel()
