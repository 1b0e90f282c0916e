# SPDX-License-Identifier: Apache-2.0
"""The arm inside the mock robot: joints that follow a target under limits of speed and change."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.urdf_writer import numbers, urdf
import pinocchio as pin

_GAIN = 8.0  # of the distance to the target, 1/s
_ACCELERATION = 10.0  # rad/s^2
_STEP_S = 1e-3


def robot_urdf() -> str:
    """
    Return the URDF that the robot sends: the arm alone, with its braking distances.

    libfranka takes every joint whose name contains joint1 .. joint7 for one of the arm's, the
    fingers' too, so the hand is left out.
    """
    robot = ET.fromstring(urdf())
    for element in list(robot):
        if 'finger' in element.get('name', ''):
            robot.remove(element)
    for i, name in enumerate(fr3.ARM_JOINT_NAMES):
        ET.SubElement(
            robot.find(f"joint[@name='{name}']"), 'position_based_velocity_limits',
            velocity_offset=numbers(fr3.VELOCITY_OFFSET['5.9'][i]),
            deceleration_limit=numbers(fr3.DECELERATION[i]))
    return ET.tostring(robot, encoding='unicode')


def column_major(pose: np.ndarray) -> list[float]:
    """Return the (16,) of the FCI for a pose (7,)."""
    return pin.XYZQUATToSE3(pose).homogeneous.T.ravel().tolist()


class MockArm:
    """Seven joints at rest in the ready posture; 1 ms per step."""

    def __init__(self) -> None:
        """Stand still."""
        self.q = np.array(fr3.READY_POSITION)
        self.dq = np.zeros(7)
        self.target: np.ndarray | None = None
        self.max_velocity = np.zeros(7)
        self._kinematics = FrankaKinematics()

    def step(self) -> None:
        """Move for 1 ms toward the target, or brake where there is none."""
        wanted = np.zeros(7)
        if self.target is not None:
            wanted = np.clip(
                _GAIN * (self.target - self.q), -self.max_velocity, self.max_velocity)
        change = _ACCELERATION * _STEP_S
        self.dq = self.dq + np.clip(wanted - self.dq, -change, change)
        self.q = self.q + self.dq * _STEP_S

    def fields(self) -> dict[str, list[float]]:
        """Return what the state says of the arm."""
        pose = column_major(self._kinematics.forward(self.q))
        identity = np.eye(4).ravel().tolist()
        flange_T_tcp = column_major(np.array([0, 0, fr3.TCP_Z_M, 0, 0, *_half_turn()]))
        target = self.q if self.target is None else self.target
        # In this mock the controller follows its own plan exactly: desired is measured.
        return {
            'q': self.q.tolist(), 'q_d': self.q.tolist(), 'dq': self.dq.tolist(),
            'dq_d': self.dq.tolist(), 'theta': self.q.tolist(), 'dtheta': self.dq.tolist(),
            'tau_J': self._kinematics.gravity(self.q).tolist(), 'O_T_EE': pose,
            'O_T_EE_d': pose,
            'O_T_EE_c': column_major(self._kinematics.forward(np.array(target))),
            'F_T_EE': flange_T_tcp, 'F_T_NE': flange_T_tcp, 'NE_T_EE': identity,
            'EE_T_K': identity, 'O_ddP_O': [0.0, 0.0, -9.81]}


def _half_turn() -> tuple[float, float]:
    """Return the z and w of the quaternion from flange to hand."""
    return float(np.sin(fr3.HAND_YAW_RAD / 2)), float(np.cos(fr3.HAND_YAW_RAD / 2))
