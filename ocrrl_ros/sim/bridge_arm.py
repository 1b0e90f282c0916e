# SPDX-License-Identifier: Apache-2.0
"""Turn accepted targets into commands of the simulated arm, once per physics step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ocrrl_ros.robot.impedance import CartesianImpedance, CartesianImpedanceConfig
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.limits import JointLimits
from ocrrl_ros.sim.bridge_commands import ArmCommander, ArmMode
from ocrrl_ros.sim.bridge_readout import ArmReading
from ocrrl_ros.sim.world import SimWorld


class ArmDriver:
    """
    The arm's laws: MuJoCo's affine actuators for joint targets, CRISP's law for poses.

    The Cartesian law starts from the torque that acts at the moment it takes over, so that its
    rate limit holds across the change too.
    """

    def __init__(self, world: SimWorld):
        """Hold the present posture of a world that was reset."""
        self._world = world
        self.kinematics = FrankaKinematics()
        self.commander = ArmCommander(world.arm_state().q)
        self._law: CartesianImpedance | None = None
        self._posture = np.zeros(7)
        self._law_stiffness: np.ndarray | None = None

    def reading(self) -> ArmReading:
        """Return the newest reported arm state."""
        return ArmReading(
            self._world.arm_state(), self.kinematics, self.commander.q_desired,
            self.commander.dq_desired, self.commander.pose)

    def hold(self) -> None:
        """Hold the present posture and forget every target, after a reset."""
        self._law = None
        self.commander.hold(self._world.arm_state().q)

    def act(self, now_s: float) -> None:
        """
        Command the arm for the step from now on.

        :param now_s: physics time that trajectories run on.
        """
        commander = self.commander
        if commander.mode is ArmMode.CARTESIAN:
            self._world.set_joint_torque(self._cartesian_torque())
            return
        command = commander.joint_command(now_s)
        if command is not None:
            self._law = None
            self._world.set_joint_target(*command)

    def _cartesian_torque(self) -> np.ndarray:
        """Return the torques (7,) of the Cartesian law in Nm."""
        commander = self.commander
        reading = self.reading()
        state = reading.state
        if self._law is None or commander.stiffness is not self._law_stiffness:
            self._start_law(state.q, state.tau)
        tau = self._law.torque(
            state.q, state.dq, base_T_tcp=reading.base_T_tcp, jacobian=reading.jacobian,
            base_T_target=commander.pose, q_nullspace=self._posture,
            dt_s=self._world.timestep_s)
        return tau + reading.jacobian.T @ commander.wrench

    def _start_law(self, q: np.ndarray, tau: np.ndarray) -> None:
        """Begin the law with the stiffness asked for; the posture is where it first began."""
        config = CartesianImpedanceConfig()
        stiffness = self.commander.stiffness
        if stiffness is not None:
            config = replace(
                config, translation_stiffness=float(stiffness[:3].mean()),
                rotation_stiffness=float(stiffness[3:].mean()))
        if self._law is None:
            self._posture = q.copy()
        limits = JointLimits.for_image()
        self._law = CartesianImpedance(config, limits.position_lower, limits.position_upper)
        self._law.reset(tau)
        self._law_stiffness = stiffness
        self.commander.q_desired = q.copy()
        self.commander.dq_desired = np.zeros(7)
