# SPDX-License-Identifier: Apache-2.0
"""Turn accepted targets into commands of the simulated arm, once per physics step."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.robot.impedance import CartesianImpedance, JointImpedanceMonitor
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.robot_config import RobotConfig
from ocrrl_ros.sim.bridge_commands import ArmCommander, ArmMode
from ocrrl_ros.sim.bridge_readout import ArmReading
from ocrrl_ros.sim.world import SimWorld

# As often as evaluate looks (its command tick); each physics step would cost five times as much.
_CLIP_PERIOD_S = 0.005


class ArmDriver:
    """
    The arm's laws: MuJoCo's affine actuators for joint targets, CRISP's law for poses.

    The Cartesian law starts from the torque that acts at the moment it takes over, so that its
    rate limit holds across the change too. ``clips`` counts where CRISP would have clipped a
    joint target or trajectory and the actuators do not.
    """

    def __init__(self, world: SimWorld, robot: RobotConfig | None = None):
        """
        Hold the present posture of a world that was reset.

        :param robot: gains of the Cartesian law, joint limits and kinematics; the FR3's defaults
            when None. The joint law is the world's own (``PhysicsConfig.arm``).
        """
        self._world = world
        self._config = robot or RobotConfig()
        self._limits = self._config.limits()
        self.kinematics = FrankaKinematics(self._config.kinematics, self._limits)
        self.commander = ArmCommander(world.arm_state().q)
        self.clips = JointImpedanceMonitor(world.physics.arm)
        self._clip_steps = max(1, round(_CLIP_PERIOD_S / world.timestep_s))
        self._next_clip_step: int | None = None
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
        self._next_clip_step = None
        self.commander.hold(self._world.arm_state().q)

    def act(self, now_s: float) -> None:
        """
        Command the arm for the step from now on.

        :param now_s: physics time that trajectories run on.
        """
        commander = self.commander
        mode = commander.mode
        if mode is ArmMode.CARTESIAN:
            self._next_clip_step = None
            self._world.set_joint_torque(self._cartesian_torque())
            return
        command = commander.joint_command(now_s)
        if command is not None:
            self._law = None
            self._world.set_joint_target(*command)
        if mode is ArmMode.HOLD:
            self._next_clip_step = None
        elif command is not None or self._next_clip_step is not None:
            self._watch_clips()

    def _watch_clips(self) -> None:
        """Count one tick in 5 ms of a joint target or trajectory, the first against now."""
        world = self._world
        step = world.step_count
        if self._next_clip_step is None:
            self.clips.reset(world.arm_state().tau)
        elif step < self._next_clip_step:
            return
        self._next_clip_step = step + self._clip_steps
        commander = self.commander
        q, dq = world.joint_state()
        self.clips.update(
            commander.q_desired, q, dq, self._clip_steps * world.timestep_s,
            dq_target=None if commander.mode is ArmMode.TRAJECTORY else commander.dq_desired)

    def _cartesian_torque(self) -> np.ndarray:
        """Return the torques (7,) of the Cartesian law in Nm."""
        commander = self.commander
        reading = self.reading()
        state = reading.state
        if self._law is None or commander.stiffness is not self._law_stiffness:
            self._start_law(state.q, state.tau)
        commander.on_cartesian_motion(state.q)
        tau = self._law.torque(
            state.q, state.dq, base_T_tcp=reading.base_T_tcp, jacobian=reading.jacobian,
            base_T_target=commander.pose, q_nullspace=self._posture,
            dt_s=self._world.timestep_s)
        return tau + reading.jacobian.T @ commander.wrench

    def _start_law(self, q: np.ndarray, tau: np.ndarray) -> None:
        """Begin the law with the stiffness asked for; the posture is where it first began."""
        if self._law is None:
            self._posture = q.copy()
        self._law_stiffness = self.commander.stiffness
        self._law = CartesianImpedance(
            self._config.cartesian_impedance, self._limits.position_lower,
            self._limits.position_upper, self._law_stiffness)
        self._law.reset(tau)
