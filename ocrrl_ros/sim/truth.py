# SPDX-License-Identifier: Apache-2.0
"""Simulator truth: tasks score it, scripted policies see it, deployed policies never do."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, kw_only=True)
class TaskState:
    """True state of N worlds with K task objects, from the simulator's sensors."""

    object_poses: np.ndarray
    """base_T_object (N, K, 7)."""
    object_linear: np.ndarray
    """Velocity of the object origins (N, K, 3), m/s, base frame."""
    object_angular: np.ndarray
    """Angular velocity (N, K, 3), rad/s, base frame."""
    object_half_extents: np.ndarray
    """Half edge lengths of the objects' bounding boxes (N, K, 3), m, object frame."""
    finger_contact: np.ndarray
    """Whether the left and the right finger touch each object (N, K, 2), bool."""
    base_T_tcp: np.ndarray
    """TCP pose (N, 7)."""
    width: np.ndarray
    """Gap between the fingers (N,), m."""
    width_speed: np.ndarray
    """Rate of the gap (N,), m/s, negative while closing."""
    start_poses: np.ndarray
    """base_T_object at the start of the episode (N, K, 7)."""
    joint_positions: np.ndarray = field(default_factory=lambda: np.zeros((1, 0)))
    """Joints of objects that are not free (N, J), m and rad."""
    joint_velocities: np.ndarray = field(default_factory=lambda: np.zeros((1, 0)))
    """Their rates (N, J)."""

    def __len__(self) -> int:
        """Return N."""
        return len(self.base_T_tcp)


# Scripted policies decide from the same arrays that tasks score.
TruthState = TaskState


@dataclass(frozen=True, kw_only=True)
class InitialState:
    """Start of one episode."""

    q: np.ndarray
    """Arm joint positions (7,), rad."""
    opening: float
    """Gripper opening, 0 closed .. 1 open."""
    object_poses: np.ndarray
    """base_T_object (K, 7)."""
    joint_positions: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Joints of objects that are not free (J,), m and rad."""
