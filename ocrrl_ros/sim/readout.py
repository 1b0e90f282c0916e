# SPDX-License-Identifier: Apache-2.0
"""Where things are in a model's arrays, and the truth read from them for N worlds at once."""

from __future__ import annotations

import mujoco
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.robot import fr3
from ocrrl_ros.sim.tasks.task import Task
from ocrrl_ros.sim.truth import InitialState, TaskState


class Readout:
    """
    Index arrays of one compiled model; valid for every world with the same structure.

    Sensors are computed at the start of a physics step, so they describe the state one step
    (1 or 2 ms) before qpos and qvel.
    """

    def __init__(self, model: mujoco.MjModel, task: Task):
        """Resolve all names once."""
        self.arm_qpos = np.array([model.joint(name).qposadr[0] for name in fr3.ARM_JOINT_NAMES])
        self.arm_dof = np.array([model.joint(name).dofadr[0] for name in fr3.ARM_JOINT_NAMES])
        fingers = [model.joint(name) for name in fr3.FINGER_JOINT_NAMES]
        self.finger_qpos = np.array([joint.qposadr[0] for joint in fingers])
        self.finger_dof = np.array([joint.dofadr[0] for joint in fingers])
        self.arm_ctrl = np.array([model.actuator(name).id for name in fr3.ARM_ACTUATOR_NAMES])
        self.gripper_ctrl = int(model.actuator(fr3.GRIPPER_ACTUATOR_NAME).id)
        self._free = [index for index, item in enumerate(task.objects) if item.is_free]
        self._drawers = [
            (index, item.shape) for index, item in enumerate(task.objects) if not item.is_free]
        self.free_qpos = np.array(
            [model.joint(f'{task.object_ids[index]}_free').qposadr[0] for index in self._free],
            dtype=int)
        self._count = len(task.objects)
        joints = [model.joint(name) for name in task.joint_names]
        self.joint_qpos = np.array([joint.qposadr[0] for joint in joints], dtype=int)
        self.joint_dof = np.array([joint.dofadr[0] for joint in joints], dtype=int)
        self._default_qpos = model.qpos0.copy()
        self._tcp = self._sensor(model, 'tcp_pos'), self._sensor(model, 'tcp_quat')
        self._frames = {
            suffix: np.stack([self._sensor(model, f'{name}_{suffix}') for name in task.object_ids])
            for suffix in ('pos', 'quat', 'linvel', 'angvel')}
        self._contacts = np.stack([
            np.concatenate([self._sensor(model, f'{side}_contact_{name}')
                            for side in ('left', 'right')])
            for name in task.object_ids])
        self.half_extents = half_extents(model, task)

    @staticmethod
    def _sensor(model: mujoco.MjModel, name: str) -> np.ndarray:
        """Return the sensordata indices of a sensor."""
        sensor = model.sensor(name)
        return np.arange(sensor.adr[0], sensor.adr[0] + sensor.dim[0])

    def initial_qpos(self, initial: InitialState) -> np.ndarray:
        """Return qpos (nq,) of a start state."""
        qpos = self._default_qpos.copy()
        qpos[self.arm_qpos] = initial.q
        qpos[self.finger_qpos] = 0.5 * fr3.MAX_WIDTH_M * initial.opening
        qpos[self.joint_qpos] = initial.joint_positions
        for address, pose in zip(self.free_qpos, initial.object_poses[self._free]):
            qpos[address:address + 3] = pose[:3]
            qpos[address + 3:address + 7] = np.roll(pose[3:], 1)
        return qpos

    def object_poses(self, qpos: np.ndarray) -> np.ndarray:
        """Return base_T_object (..., K, 7) at the time of qpos (..., nq)."""
        poses = np.empty((*qpos.shape[:-1], self._count, 7))
        free = qpos[..., self.free_qpos[:, None] + np.arange(7)]
        poses[..., self._free, :] = se3.pose(
            free[..., :3], np.roll(free[..., 3:], -1, axis=-1))
        for index, shape in self._drawers:
            poses[..., index, :] = shape.pose(qpos[..., self.joint_qpos])
        return poses

    def width(self, qpos: np.ndarray) -> np.ndarray:
        """Return the gap between the fingers (...) in m for qpos (..., nq)."""
        return qpos[..., self.finger_qpos].sum(axis=-1)

    def tcp_pose(self, sensordata: np.ndarray) -> np.ndarray:
        """Return base_T_tcp (..., 7) for sensordata (..., ns)."""
        return se3.pose(
            sensordata[..., self._tcp[0]], np.roll(sensordata[..., self._tcp[1]], -1, axis=-1))

    def task_state(
            self, qpos: np.ndarray, qvel: np.ndarray, sensordata: np.ndarray,
            start_poses: np.ndarray, half_extents: np.ndarray | None = None) -> TaskState:
        """
        Return the truth of N worlds.

        :param qpos: (N, nq).
        :param qvel: (N, nv).
        :param sensordata: (N, ns).
        :param start_poses: base_T_object at the episodes' starts (N, K, 7).
        :param half_extents: (N, K, 3) in m where worlds differ in size; the model's when None.
        """
        frames = {name: sensordata[:, index] for name, index in self._frames.items()}
        extents = self.half_extents if half_extents is None else half_extents
        return TaskState(
            object_poses=se3.pose(frames['pos'], np.roll(frames['quat'], -1, axis=-1)),
            object_linear=frames['linvel'],
            object_angular=frames['angvel'],
            object_half_extents=np.broadcast_to(extents, frames['pos'].shape),
            finger_contact=sensordata[:, self._contacts] > 0.0,
            base_T_tcp=self.tcp_pose(sensordata),
            width=self.width(qpos),
            width_speed=qvel[:, self.finger_dof].sum(axis=-1),
            start_poses=start_poses, joint_positions=qpos[:, self.joint_qpos],
            joint_velocities=qvel[:, self.joint_dof])


def half_extents(model: mujoco.MjModel, task: Task) -> np.ndarray:
    """Return half the edges of the objects' bounding boxes (K, 3) in a model, m."""
    return np.stack([model.numeric(f'{name}_half_extents').data for name in task.object_ids])
