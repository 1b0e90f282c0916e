# SPDX-License-Identifier: Apache-2.0
"""One simulated world for evaluation and the ROS bridge."""

from __future__ import annotations

from collections import deque

import mujoco
import numpy as np
from ocrrl_ros.core.errors import InputError, OcrrlError, UnknownNameError
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.gripper import GripperConfig, GripperModel
from ocrrl_ros.sim.arm_state import ArmState, external_torque
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.drag import Drag
from ocrrl_ros.sim.gripper_play import GripperPlay
from ocrrl_ros.sim.physics import PhysicsConfig
from ocrrl_ros.sim.readout import Readout
from ocrrl_ros.sim.scene import build_model
from ocrrl_ros.sim.tasks.task import initial_sha256, Task
from ocrrl_ros.sim.truth import InitialState, TaskState

MOST_PUSH = 1000.0
"""N and Nm; the solver follows that, and nobody pushes harder."""
PUSH_DURATION_S = 0.05
GRIPPER_PERIOD_S = 0.005
_DIVERGED = [
    int(kind) for kind in (
        mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL,
        mujoco.mjtWarning.mjWARN_BADQACC)]


class SimWorld:
    """
    One task in one domain, stepped by whole physics steps.

    Commands act ``arm.action_delay_s`` after they are given, states are reported
    ``arm.observation_delay_s`` after they were measured; both count in physics steps.
    """

    def __init__(
            self, task: Task, domain: Domain, physics: PhysicsConfig, *,
            timestep_s: float | None = None, estimates_torque: bool = True):
        """
        Build the model; call :meth:`reset` before stepping.

        :param timestep_s: physics step; the evaluation step of ``physics`` when None.
        :param estimates_torque: whether ``ArmState.tau_external`` is computed; zeros if not,
            which is a sixth faster. May be changed at any time, as ``estimates_torque``.
        """
        self.task = task
        self.domain = domain
        self.physics = physics
        self.timestep_s = physics.timestep_s if timestep_s is None else timestep_s
        self.model = build_model(task, domain, physics, timestep_s=self.timestep_s)
        self.data = mujoco.MjData(self.model)
        self.readout = Readout(self.model, task)
        self._gains = (
            self.model.actuator_gainprm[self.readout.arm_ctrl].copy(),
            self.model.actuator_biasprm[self.readout.arm_ctrl].copy())
        gains, biases = self._gains
        self._lead_s = -biases[:, 2] / gains[:, 0]
        self._torque_limit = np.array(fr3.MAX_TORQUE)
        self._gripper_config = GripperConfig(
            speed_m_s=domain.hand.speed_m_s, latency_s=domain.hand.latency_s)
        self._play = GripperPlay(domain.hand.backlash_m)
        self._action_steps = round(domain.arm.action_delay_s / self.timestep_s)
        self._observation_steps = round(domain.arm.observation_delay_s / self.timestep_s)
        self.estimates_torque = estimates_torque
        self._gripper_steps = max(1, round(GRIPPER_PERIOD_S / self.timestep_s))
        self._no_torque = np.zeros(self.model.nv)
        # After a changed command the hand's controller settles within this many steps.
        settle_s = domain.hand.latency_s + fr3.MAX_WIDTH_M / domain.hand.speed_m_s + 0.05
        self._gripper_settle_steps = round(settle_s / self.timestep_s)
        self.initial: InitialState | None = None
        self.init_sha256 = ''

    # -- episode ------------------------------------------------------------------------------

    def reset(self, rng: np.random.Generator) -> InitialState:
        """Draw a start state from the episode's ``initial`` stream and go there."""
        initial = self.task.sample_initial(rng, self.domain)
        self.reset_to(initial)
        return initial

    def reset_to(self, initial: InitialState) -> None:
        """Go to a start state at rest, holding it, time zero."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = self.readout.initial_qpos(initial)
        self.initial = initial
        self.init_sha256 = initial_sha256(initial)
        self._step_count = 0
        self._commands: deque[tuple[int, str, np.ndarray]] = deque()
        self._history: deque[tuple[int, tuple[np.ndarray, ...]]] = deque()
        self._gripper_command = float(initial.opening)
        self._gripper_busy_until = 0
        self._pushes: list[tuple[int, int]] = []
        self._drag: Drag | None = None
        self._gripper = GripperModel(1, self._gripper_config)
        self._gripper.reset(np.array([0]), np.array([initial.opening]))
        self._gripper_is_stopped = False
        self._act('q', np.asarray(initial.q, dtype=float))
        finger_m = 0.5 * fr3.MAX_WIDTH_M * initial.opening
        self.data.ctrl[self.readout.gripper_ctrl] = finger_m
        self._play.reset(finger_m)
        mujoco.mj_forward(self.model, self.data)
        self._record()

    # -- commands -----------------------------------------------------------------------------

    def set_joint_target(self, q: np.ndarray, dq: np.ndarray | None = None) -> None:
        """
        Command the impedance law K (q_d - q) + D (dq_d - dq).

        :param q: (7,) rad.
        :param dq: (7,) rad/s; at rest when None.
        :raises InputError: not seven finite numbers.
        """
        target = self._checked(q, 'joint target', 'rad')
        if dq is not None:
            target += self._lead_s * self._checked(dq, 'joint target velocity', 'rad/s')
        self._command('q', target)

    def set_joint_torque(self, tau: np.ndarray) -> None:
        """
        Command joint torques (7,) in Nm on top of gravity compensation, until the next command.

        :raises InputError: not seven finite numbers.
        """
        self._command('tau', self._checked(tau, 'joint torque', 'Nm'))

    def set_gripper(self, opening: float) -> None:
        """
        Command the hand, 0 closed .. 1 open.

        :raises InputError: not a number in 0..1.
        """
        if not 0.0 <= opening <= 1.0:
            raise InputError(f'gripper command is {opening}; allowed: 0 closed .. 1 open')
        self._command('gripper', np.array([opening], dtype=float))

    def stop_gripper(self) -> None:
        """Stop the fingers where they are, until the next command to the hand."""
        self._gripper_is_stopped = True

    def apply_push(
            self, body: str, wrench: np.ndarray, duration_s: float = PUSH_DURATION_S) -> None:
        """
        Push a body for a while from now on.

        :param wrench: (6,) force in N and torque in Nm at its centre of mass, base frame.
        :raises UnknownNameError: no such body; the message lists the bodies.
        """
        names = [self.model.body(i).name for i in range(1, self.model.nbody)]
        if body not in names:
            raise UnknownNameError('body', body, names, 'push')
        wrench = np.asarray(wrench, dtype=float)
        if wrench.shape != (6,) or not (np.abs(wrench) <= MOST_PUSH).all():
            raise InputError(
                f'push wrench is {wrench}; allowed: 6 finite numbers up to {MOST_PUSH:g}')
        index = self.model.body(body).id
        self.data.xfrc_applied[index] = wrench
        end = self._step_count + max(1, round(duration_s / self.timestep_s))
        self._pushes = [push for push in self._pushes if push[1] != index] + [(end, index)]

    def drag_object(self, object_id: str, velocity_xy: np.ndarray, yaw_rate: float,
                    duration_s: float) -> None:
        """
        Move a free object in the table's plane for a while from now on, then stop it.

        Its velocity is set anew before every physics step, so that friction does not slow it;
        contacts act within the step. It neither tumbles nor rolls meanwhile.

        :param velocity_xy: (2,) m/s, base frame.
        :param yaw_rate: rad/s about the vertical.
        :raises UnknownNameError: no such task object, or it is not free.
        """
        free = [item.object_id for item in self.task.objects if item.is_free]
        if object_id not in free:
            raise UnknownNameError('free object', object_id, free)
        end = self._step_count + max(1, round(duration_s / self.timestep_s))
        self._drag = Drag(
            end, int(self.model.joint(f'{object_id}_free').dofadr[0]),
            self.model.body(object_id).id, np.array([*velocity_xy, yaw_rate], dtype=float))

    # -- time ---------------------------------------------------------------------------------

    @property
    def time_s(self) -> float:
        """Time since reset, an exact multiple of the physics step."""
        return self._step_count * self.timestep_s

    @property
    def step_count(self) -> int:
        """Physics steps since reset."""
        return self._step_count

    def step(self, n: int = 1) -> None:
        """
        Advance by n physics steps.

        :raises OcrrlError: the physics diverged.
        """
        end = self._step_count + n
        while self._step_count < end:
            self._serve_events()
            count = self._next_event(end) - self._step_count
            mujoco.mj_step(self.model, self.data, nstep=count)
            self._step_count += count
            self._record()
        if self.data.warning.number[_DIVERGED].any():
            raise OcrrlError(
                f'physics diverged at {self.time_s:.3f} s of task {self.task.name!r} '
                f'in domain {self.domain.name!r}')

    # -- state --------------------------------------------------------------------------------

    def arm_state(self) -> ArmState:
        """Return the newest state that is at least the observation delay old."""
        wanted = self._step_count - self._observation_steps
        step, arrays = next(
            (entry for entry in reversed(self._history) if entry[0] <= wanted), self._history[0])
        qpos, qvel, tau, tau_external = arrays
        readout = self.readout
        return ArmState(
            stamp_s=step * self.timestep_s, q=qpos[readout.arm_qpos], dq=qvel[readout.arm_dof],
            tau=tau[readout.arm_dof], tau_external=tau_external[readout.arm_dof],
            finger_positions=qpos[readout.finger_qpos],
            finger_velocities=qvel[readout.finger_dof])

    def joint_state(self) -> tuple[np.ndarray, np.ndarray]:
        """Return true joint positions (7,) in rad and velocities (7,) in rad/s, without delay."""
        readout = self.readout
        return self.data.qpos[readout.arm_qpos], self.data.qvel[readout.arm_dof]

    def opening(self) -> float:
        """Return the reported gripper opening, 0 closed .. 1 open."""
        return self.arm_state().opening

    def task_state(self) -> TaskState:
        """Return the truth of this world, N = 1, without delay."""
        data = self.data
        return self.readout.task_state(
            data.qpos[None], data.qvel[None], data.sensordata[None],
            self.initial.object_poses[None])

    def object_pose(self, object_id: str) -> np.ndarray:
        """
        Return base_T_object (7,) now.

        :raises UnknownNameError: no such task object.
        """
        if object_id not in self.task.object_ids:
            raise UnknownNameError('object', object_id, self.task.object_ids)
        return self.readout.object_poses(self.data.qpos)[self.task.object_ids.index(object_id)]

    def tcp_pose(self) -> np.ndarray:
        """Return base_T_tcp (7,), at most one physics step old."""
        return self.readout.tcp_pose(self.data.sensordata)

    def render_state(self) -> np.ndarray:
        """Return [time s, qpos] (1 + nq,) float64, all that a renderer needs."""
        return np.concatenate([[self.time_s], self.data.qpos])

    # -- inside -------------------------------------------------------------------------------

    @staticmethod
    def _checked(values: np.ndarray, what: str, unit: str) -> np.ndarray:
        """Return a copy of seven finite numbers or raise."""
        array = np.array(values, dtype=float)
        if array.shape != (7,) or not np.isfinite(array).all():
            raise InputError(f'{what} is {array} {unit}; allowed: 7 finite numbers')
        return array

    def _command(self, kind: str, value: np.ndarray) -> None:
        """Queue a command until the action delay has passed."""
        if self._action_steps == 0:
            self._act(kind, value)
        else:
            self._commands.append((self._step_count + self._action_steps, kind, value))

    def _act(self, kind: str, value: np.ndarray) -> None:
        """Let a command take effect."""
        arm = self.readout.arm_ctrl
        if kind == 'gripper':
            if value[0] != self._gripper_command:
                self._gripper_command = float(value[0])
                self._gripper.command(value)
                self._gripper_busy_until = self._step_count + self._gripper_settle_steps
            self._gripper_is_stopped = False
        elif kind == 'q':
            self.model.actuator_gainprm[arm], self.model.actuator_biasprm[arm] = self._gains
            self.data.qfrc_applied[self.readout.arm_dof] = 0.0
            self.data.ctrl[arm] = value
        else:
            self.model.actuator_gainprm[arm] = 0.0
            self.model.actuator_biasprm[arm] = 0.0
            self.data.qfrc_applied[self.readout.arm_dof] = np.clip(
                value, -self._torque_limit, self._torque_limit)

    def _write_gripper(self, dt_s: float) -> None:
        """Advance the hand's own controller and give its target to the finger servo."""
        if self._gripper_is_stopped:
            return
        fingers = self.data.qpos[self.readout.finger_qpos].mean(keepdims=True)
        drive = self._gripper.step(dt_s, fingers + self._play.offset_m)[0]
        self.data.ctrl[self.readout.gripper_ctrl] = self._play.follow(drive)

    def _serve_events(self) -> None:
        """Apply what is due at the present step."""
        while self._commands and self._commands[0][0] <= self._step_count:
            _, kind, value = self._commands.popleft()
            self._act(kind, value)
        for end, body in self._pushes:
            if end <= self._step_count:
                self.data.xfrc_applied[body] = 0.0
        self._pushes = [push for push in self._pushes if push[0] > self._step_count]
        if self._drag is not None:
            over = self._drag.end_step <= self._step_count
            self._drag.apply(self.data, 0.0 if over else 1.0)
            self._drag = None if over else self._drag
        on_grid = self._step_count % self._gripper_steps == 0
        if on_grid and self._step_count < self._gripper_busy_until:
            self._write_gripper(self._gripper_steps * self.timestep_s)

    def _next_event(self, end: int) -> int:
        """Return the step at which something changes next, at most ``end``."""
        period = self._gripper_steps
        events = [end, (self._step_count // period + 1) * period]
        if self._commands:
            events.append(self._commands[0][0])
        events.extend(push[0] for push in self._pushes)
        if self._drag is not None:
            events.append(self._step_count + 1)
        return min(events)

    def _record(self) -> None:
        """Remember the present state for delayed reading."""
        data = self.data
        qpos = data.qpos.copy()
        qpos[self.readout.finger_qpos] += self._play.offset_m
        external = (
            external_torque(self.model, data) if self.estimates_torque else self._no_torque)
        self._history.append((self._step_count, (
            qpos, data.qvel.copy(), data.qfrc_actuator + data.qfrc_applied, external)))
        oldest = self._step_count - self._observation_steps
        while len(self._history) > 1 and self._history[1][0] <= oldest:
            self._history.popleft()
