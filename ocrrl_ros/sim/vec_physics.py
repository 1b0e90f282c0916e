# SPDX-License-Identifier: Apache-2.0
"""Physics of N worlds, stepped together one tick at a time by MuJoCo's own threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
from mujoco.rollout import Rollout
import numpy as np
from ocrrl_ros.robot import fr3
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.physics import PhysicsConfig
from ocrrl_ros.sim.readout import half_extents, Readout
from ocrrl_ros.sim.scene import build_model
from ocrrl_ros.sim.tasks import InitialState, Task, TaskState
from ocrrl_ros.sim.vec_config import COMMAND_S, COMMANDS_PER_TICK, TICK_S

_STATE = mujoco.mjtState.mjSTATE_FULLPHYSICS


@dataclass
class Reading:
    """What the robots report, delayed as their worlds say; row i is environment i."""

    q: np.ndarray
    """Joint positions (N, 7), rad."""
    base_T_tcp: np.ndarray
    """(N, 7)."""
    tcp_velocity: np.ndarray
    """(N, 3), m/s, base frame."""
    opening: np.ndarray
    """(N,), 0 closed .. 1 open."""


class VecPhysics:
    """
    N worlds of one task, each in one of a pool of models with drawn dynamics.

    Commands act after the world's action delay, readings are as old as its observation delay,
    both in whole physics steps, as in `SimWorld`.
    """

    def __init__(
        self, task: Task, domains: list[Domain], physics: PhysicsConfig, num_envs: int,
        threads: int,
    ):
        """
        Compile one model per domain.

        :param domains: the pool of worlds; environments refer to them by index.
        """
        self._dt = physics.training_timestep_s
        self._models = [
            build_model(task, domain, physics, timestep_s=self._dt) for domain in domains]
        self.readout = Readout(self._models[0], task)
        self._extents = np.stack([half_extents(model, task) for model in self._models])
        self._action_delay_s = np.array([d.arm.action_delay_s for d in domains])
        self._late_steps = np.array(
            [round(d.arm.observation_delay_s / self._dt) for d in domains])
        self._steps = round(TICK_S / self._dt)
        self._rollout = Rollout(nthread=threads)
        self._data = [mujoco.MjData(self._models[0]) for _ in range(max(1, threads))]
        self._scratch = mujoco.MjData(self._models[0])
        model = self._models[0]
        self._world = np.zeros(num_envs, np.int64)
        self._start_poses = np.zeros((num_envs, len(task.objects), 7))
        shape = (num_envs, self._steps)
        self._states = np.zeros((*shape, mujoco.mj_stateSize(model, _STATE)))
        self._sensors = np.zeros((*shape, model.nsensordata))
        self._control = np.zeros((*shape, model.nu))
        self._arm_targets = np.zeros((num_envs, 2 * COMMANDS_PER_TICK, 7))
        self._qpos = slice(1, 1 + model.nq)
        self._qvel = slice(1 + model.nq, 1 + model.nq + model.nv)
        self.reading = Reading(
            q=np.zeros((num_envs, 7)), base_T_tcp=np.zeros((num_envs, 7)),
            tcp_velocity=np.zeros((num_envs, 3)), opening=np.zeros(num_envs))

    @property
    def model(self) -> mujoco.MjModel:
        """Return the first model of the pool, for rendering."""
        return self._models[0]

    def start(
        self, rows: np.ndarray, worlds: np.ndarray, initial: list[InitialState],
        start_poses: list[np.ndarray],
    ) -> None:
        """
        Put environments (M,) at rest at start states, in worlds (M,) of the pool.

        :param start_poses: M arrays (K, 7), where the episodes' objects were at first.
        """
        self._world[rows] = worlds
        for row, world, state, first in zip(rows, worlds, initial, start_poses):
            model, data = self._models[world], self._scratch
            mujoco.mj_resetData(model, data)
            data.qpos[:] = self.readout.initial_qpos(state)
            mujoco.mj_forward(model, data)
            mujoco.mj_getState(model, data, self._states[row, -1], _STATE)
            self._states[row] = self._states[row, -1]
            self._sensors[row] = data.sensordata
            self._arm_targets[row] = state.q
            self._start_poses[row] = first
        self._read(rows)

    def advance(self, arm_targets: np.ndarray, finger_targets: np.ndarray) -> None:
        """
        Step all worlds by one tick.

        :param arm_targets: joint set-points of the tick's commands (N, 10, 7), rad.
        :param finger_targets: finger set-points at the same times (N, 10), m.
        """
        per_tick = COMMANDS_PER_TICK
        self._arm_targets[:, :per_tick] = self._arm_targets[:, per_tick:]
        self._arm_targets[:, per_tick:] = arm_targets
        time_s = np.arange(self._steps) * self._dt + 1e-9
        delayed = time_s - self._action_delay_s[self._world, None]
        index = np.maximum(np.floor(delayed / COMMAND_S).astype(int) + per_tick, 0)
        rows = np.arange(len(index))
        self._control[:, :, self.readout.arm_ctrl] = self._arm_targets[rows[:, None], index]
        newest = np.floor(time_s / COMMAND_S).astype(int)
        self._control[:, :, self.readout.gripper_ctrl] = finger_targets[:, newest]
        self._rollout.rollout(
            [self._models[world] for world in self._world], self._data,
            self._states[:, -1].copy(), self._control, state=self._states,
            sensordata=self._sensors, skip_checks=True, nstep=self._steps)
        self._read(rows)

    def truth(self, rows: np.ndarray | slice = slice(None)) -> TaskState:
        """Return the true state of environments (M,), without delay."""
        state = self._states[rows, -1]
        return self.readout.task_state(
            state[:, self._qpos], state[:, self._qvel], self._sensors[rows, -1],
            self._start_poses[rows], self._extents[self._world[rows]])

    def world(self, row: int) -> int:
        """Return the world of the pool that an environment is in."""
        return int(self._world[row])

    def start_state(self, row: int) -> InitialState:
        """Return the present state of an environment, without its velocities."""
        qpos = self.qpos(row)
        return InitialState(
            q=qpos[self.readout.arm_qpos].copy(),
            opening=float(np.clip(self.readout.width(qpos) / fr3.MAX_WIDTH_M, 0.0, 1.0)),
            object_poses=self.readout.object_poses(qpos).copy(),
            joint_positions=qpos[self.readout.joint_qpos].copy())

    def diverged(self) -> np.ndarray:
        """Return (N,) bool, whether a state is no longer finite."""
        return ~np.isfinite(self._states[:, -1]).all(axis=1)

    def qpos(self, row: int, age_s: float = 0.0) -> np.ndarray:
        """Return the generalised positions (nq,) of one environment, up to a tick ago."""
        return self._states[row, self._steps - 1 - round(age_s / self._dt), self._qpos]

    def finger_positions(self) -> np.ndarray:
        """Return the mean measured finger positions (N,), m."""
        qpos = self._states[:, -1, self._qpos]
        return qpos[:, self.readout.finger_qpos].mean(axis=1)

    def _read(self, rows: np.ndarray) -> None:
        """Refresh the delayed readings of environments (M,)."""
        late = self._late_steps[self._world[rows]]
        state = self._states[rows, self._steps - 1 - late][:, self._qpos]
        # Row k of the sensors describes the state before step k.
        step = self._steps - np.maximum(late, 1)
        tcp = self.readout.tcp_pose(self._sensors[rows, step])
        before = self.readout.tcp_pose(self._sensors[rows, step - 1])
        reading = self.reading
        reading.q[rows] = state[:, self.readout.arm_qpos]
        reading.base_T_tcp[rows] = tcp
        reading.tcp_velocity[rows] = (tcp[:, :3] - before[:, :3]) / self._dt
        reading.opening[rows] = np.clip(self.readout.width(state) / fr3.MAX_WIDTH_M, 0.0, 1.0)

    def state_dict(self) -> dict[str, Any]:
        """Return arrays that restore all worlds."""
        return {
            'world': self._world.copy(), 'states': self._states.copy(),
            'sensors': self._sensors.copy(), 'arm_targets': self._arm_targets.copy(),
            'start_poses': self._start_poses.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state of the same pool."""
        self._world[:] = state['world']
        self._states[:] = state['states']
        self._sensors[:] = state['sensors']
        self._arm_targets[:] = state['arm_targets']
        self._start_poses[:] = state['start_poses']
        self._read(np.arange(len(self._world)))

    def close(self) -> None:
        """Stop the threads."""
        self._rollout.close()
