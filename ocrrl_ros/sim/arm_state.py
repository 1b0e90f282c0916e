# SPDX-License-Identifier: Apache-2.0
"""What the simulated robot reports about its arm and hand."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from ocrrl_ros.robot import fr3


@dataclass(frozen=True, kw_only=True)
class ArmState:
    """What the robot reports, as old as the domain's observation delay makes it."""

    stamp_s: float
    """Time of measurement, s."""
    q: np.ndarray
    """Joint positions (7,), rad."""
    dq: np.ndarray
    """Joint velocities (7,), rad/s."""
    tau: np.ndarray
    """Torques of the arm law without gravity compensation (7,), Nm."""
    tau_external: np.ndarray
    """Torques that contacts and pushes exert on the joints (7,), Nm."""
    finger_positions: np.ndarray
    """Finger joint positions (2,), m."""
    finger_velocities: np.ndarray
    """Finger joint velocities (2,), m/s."""

    @property
    def opening(self) -> float:
        """Return the measured opening, 0 closed .. 1 open."""
        return float(np.clip(self.finger_positions.sum() / fr3.MAX_WIDTH_M, 0.0, 1.0))


def external_torque(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    """
    Return the generalised force (nv,) of contacts and applied wrenches in the last step.

    Dry friction and joint limits are the robot's own and are left out, as in the FCI's
    estimate of external torques.
    """
    force = data.efc_force.copy()
    kinds = data.efc_type
    contact = kinds >= int(mujoco.mjtConstraint.mjCNSTR_CONTACT_FRICTIONLESS)
    force[~contact] = 0.0
    torque = np.zeros(model.nv)
    if force.size:
        mujoco.mj_mulJacTVec(model, data, torque, force)
    applied = data.qfrc_smooth - (
        data.qfrc_passive - data.qfrc_bias + data.qfrc_applied + data.qfrc_actuator)
    return torque + applied
