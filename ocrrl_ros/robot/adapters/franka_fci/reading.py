# SPDX-License-Identifier: Apache-2.0
"""A state of the robot in the words of the arm's state topics."""

from __future__ import annotations

from functools import cached_property
from types import SimpleNamespace

import numpy as np
from ocrrl_ros.core.se3 import quat_conjugate, quat_rotate
from ocrrl_ros.robot.adapters.franka_fci.state import FciState, RobotMode
from ocrrl_ros.robot.kinematics import FrankaKinematics


class FciReading:
    """
    What the topics of the arm show of one state; the robot's own figures, but for the TCP.

    The TCP is ``fr3_hand_tcp`` by the URDF that everything here is trained with. Desk may have
    another end effector set, or none: ``ee_offset_m`` tells how far apart the two are.
    """

    def __init__(self, state: FciState, kinematics: FrankaKinematics):
        """Keep the state."""
        self._state = state
        self._kinematics = kinematics
        self.state = SimpleNamespace(q=state.q, dq=state.dq, tau_external=state.tau_external)
        self.effort = state.tau
        self.q_desired, self.dq_desired = state.q_desired, state.dq_desired
        self.wrench_base, self.wrench_tcp = state.wrench_base, state.wrench_stiffness
        self.desired_twist = state.twist_desired
        self.success_rate = state.success_rate
        self.errors = state.errors

    @property
    def robot_mode(self) -> RobotMode:
        """Return the mode, whose number is that of franka_msgs."""
        return self._state.mode

    @cached_property
    def base_T_tcp(self) -> np.ndarray:
        """Return the measured TCP (7,) in the base frame."""
        return self._kinematics.forward(self._state.q)

    @cached_property
    def desired_base_T_tcp(self) -> np.ndarray:
        """Return the TCP (7,) of the desired joint positions."""
        return self._kinematics.forward(self._state.q_desired)

    @cached_property
    def local_twist(self) -> np.ndarray:
        """Return the measured twist (6,) of the TCP in its own frame, m/s and rad/s."""
        twist = self._kinematics.jacobian(self._state.q) @ self._state.dq
        return quat_rotate(
            quat_conjugate(self.base_T_tcp[3:]), twist.reshape(2, 3)).ravel()

    @property
    def ee_offset_m(self) -> float:
        """Return the distance between the TCP and the robot's own end effector, m."""
        return float(np.linalg.norm(self.base_T_tcp[:3] - self._state.base_T_ee[:3, 3]))
