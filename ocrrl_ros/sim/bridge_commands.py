# SPDX-License-Identifier: Apache-2.0
"""
Decide what the simulated arm does from the targets that it has accepted.

The last accepted kind of target wins: joint target (joint impedance), pose target (Cartesian
impedance) or joint trajectory (joint impedance along it). At the start the arm holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.policy.plausible import check_near

MAX_STIFFNESS = np.array([900.0, 900.0, 900.0, 60.0, 60.0, 60.0])
_AT_REST = np.zeros(7)
#: Numbers beyond are no targets but broken messages; the physics would follow them, rad and rad/s.
_MOST_JOINT = 100.0
#: N and Nm.
_MOST_WRENCH = 1000.0


class ArmMode(Enum):
    """Which kind of target drives the arm."""

    HOLD = 'hold'
    JOINT = 'joint'
    CARTESIAN = 'cartesian'
    TRAJECTORY = 'trajectory'


@dataclass(frozen=True)
class JointTrajectoryPlan:
    """
    Joint positions over time, as joint_trajectory_controller takes them.

    :param times_s: (H,) seconds since the start, increasing.
    :param positions: (H, 7) rad.
    :param velocities: (H, 7) rad/s or None for straight lines between the points.
    """

    times_s: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Refuse what the controller would refuse."""
        if self.positions.ndim != 2 or self.positions.shape[1] != 7 or not len(self.positions):
            raise InputError(
                f'trajectory positions are {self.positions.shape}; allowed: (H, 7), H >= 1')
        if len(self.times_s) != len(self.positions) or (np.diff(self.times_s) <= 0).any() \
                or self.times_s[0] < 0.0:
            raise InputError(
                f'trajectory times are {self.times_s.tolist()} s; allowed: increasing from >= 0')
        if not (np.abs(self.positions) <= _MOST_JOINT).all():
            raise InputError(f'trajectory positions must be finite and up to {_MOST_JOINT:g} rad')
        if self.velocities is not None and (
                self.velocities.shape != self.positions.shape
                or not (np.abs(self.velocities) <= _MOST_JOINT).all()):
            raise InputError(
                f'trajectory velocities must be finite, up to {_MOST_JOINT:g} rad/s, one per '
                'position, or left out')

    def starting_from(self, q: np.ndarray, dq: np.ndarray) -> JointTrajectoryPlan:
        """Return the plan with the present desired state as its first point."""
        if self.times_s[0] <= 0.0:
            return self
        velocities = None
        if self.velocities is not None:
            velocities = np.vstack([dq, self.velocities])
        return JointTrajectoryPlan(
            np.concatenate([[0.0], self.times_s]), np.vstack([q, self.positions]), velocities)

    def sample(self, elapsed_s: float) -> np.ndarray:
        """Return joint positions (7,): cubic with velocities, else linear; then hold."""
        upper = int(np.searchsorted(self.times_s, elapsed_s, side='right'))
        if upper == 0:
            return self.positions[0]
        if upper == len(self.times_s):
            return self.positions[-1]
        width = self.times_s[upper] - self.times_s[upper - 1]
        s = (elapsed_s - self.times_s[upper - 1]) / width
        start, end = self.positions[upper - 1], self.positions[upper]
        if self.velocities is None:
            return start + s * (end - start)
        v0, v1 = self.velocities[upper - 1] * width, self.velocities[upper] * width
        return (
            (1 + 2 * s) * (1 - s) ** 2 * start + s * (1 - s) ** 2 * v0
            + s * s * (3 - 2 * s) * end + s * s * (s - 1) * v1)

    def velocity(self, elapsed_s: float) -> np.ndarray:
        """Return the velocities (7,) in rad/s of :meth:`sample`; zero before and behind it."""
        upper = int(np.searchsorted(self.times_s, elapsed_s, side='right'))
        if upper in (0, len(self.times_s)):
            return np.zeros(7)
        width = self.times_s[upper] - self.times_s[upper - 1]
        mean = (self.positions[upper] - self.positions[upper - 1]) / width
        if self.velocities is None:
            return mean
        s = (elapsed_s - self.times_s[upper - 1]) / width
        v0, v1 = self.velocities[upper - 1], self.velocities[upper]
        return (
            6 * s * (1 - s) * mean + (1 - s) * (1 - 3 * s) * v0 + s * (3 * s - 2) * v1)


class ArmCommander:
    """Holds the accepted target; the bridge asks it once per physics step."""

    def __init__(self, q: np.ndarray):
        """Hold joint positions (7,)."""
        self.wrench = np.zeros(6)
        self.stiffness: np.ndarray | None = None
        self.hold(q)

    def hold(self, q: np.ndarray) -> None:
        """Hold joint positions (7,) and forget every target."""
        self.mode = ArmMode.HOLD
        self.q_desired = np.array(q, dtype=float)
        self.dq_desired = np.zeros(7)
        self.pose: np.ndarray | None = None
        self.wrench[:] = 0.0
        self._plan: JointTrajectoryPlan | None = None
        self._plan_start_s = 0.0
        self._is_new = True

    def on_joint_target(self, q: np.ndarray, dq: np.ndarray) -> None:
        """
        Accept joint positions (7,) in rad and velocities (7,) in rad/s.

        :raises InputError: not seven finite numbers each, or out of any range.
        """
        for values, what in ((q, 'positions'), (dq, 'velocities')):
            if np.shape(values) != (7,) or not (np.abs(values) <= _MOST_JOINT).all():
                raise InputError(
                    f'target_joint {what} are {np.asarray(values).tolist()}; '
                    f'allowed: 7 finite numbers up to {_MOST_JOINT:g}')
        self.mode, self.pose = ArmMode.JOINT, None
        self.q_desired, self.dq_desired = np.array(q, dtype=float), np.array(dq, dtype=float)
        self._is_new = True

    def on_pose_target(self, base_T_tcp: np.ndarray) -> None:
        """
        Accept a TCP pose (7,) in the base frame.

        :raises InputError: not finite, no unit quaternion or out of any reach.
        """
        self.pose = check_near(base_T_tcp, 'target_pose')
        self.mode = ArmMode.CARTESIAN

    def on_wrench(self, wrench: np.ndarray, base_T_tcp: np.ndarray) -> None:
        """
        Accept a feed-forward wrench (6,) at the TCP in the base frame.

        It acts through the Cartesian law: another mode goes over to holding ``base_T_tcp``.

        :raises InputError: not six finite numbers, or larger than any force of this arm.
        """
        if np.shape(wrench) != (6,) or not (np.abs(wrench) <= _MOST_WRENCH).all():
            raise InputError(
                f'target_wrench is {wrench}; allowed: 6 finite numbers up to {_MOST_WRENCH:g}')
        if self.mode is not ArmMode.CARTESIAN:
            self.on_pose_target(base_T_tcp)
        self.wrench = np.array(wrench, dtype=float)

    def on_stiffness(self, stiffness: np.ndarray) -> None:
        """
        Accept Cartesian stiffness (6,), N/m then Nm/rad, capped at 900 and 60 as in CRISP.

        :raises InputError: not six finite numbers >= 0.
        """
        values = np.asarray(stiffness, dtype=float)
        if values.shape != (6,) or not np.isfinite(values).all() or (values < 0.0).any():
            raise InputError(
                f'target_stiffness is {values.tolist()}; allowed: 6 finite numbers >= 0')
        self.stiffness = np.minimum(values, MAX_STIFFNESS)

    def on_trajectory(self, plan: JointTrajectoryPlan, now_s: float) -> None:
        """Follow a joint trajectory from now on, starting at the present desired position."""
        self._plan = plan.starting_from(self.q_desired, self.dq_desired)
        self._plan_start_s = now_s
        self.mode, self.pose = ArmMode.TRAJECTORY, None

    def on_cartesian_motion(self, q: np.ndarray) -> None:
        """
        Note where the Cartesian law has brought the arm: measured joint positions (7,).

        Whatever comes after a pose target starts from here, not from where the law took over.
        """
        self.q_desired, self.dq_desired = q, _AT_REST

    def joint_command(self, now_s: float) -> tuple[np.ndarray, np.ndarray] | None:
        """
        Return joint positions and velocities (7,) when they have changed, else None.

        Along a trajectory the velocities are zero, as in a PD law that damps towards rest;
        ``dq_desired`` says how fast the desired position moves.
        """
        if self.mode is ArmMode.CARTESIAN:
            return None
        self._is_new, is_new = False, self._is_new
        if self.mode is ArmMode.TRAJECTORY:
            elapsed_s = now_s - self._plan_start_s
            self.q_desired = self._plan.sample(elapsed_s)
            self.dq_desired = self._plan.velocity(elapsed_s)
            return self.q_desired, _AT_REST
        return (self.q_desired, self.dq_desired) if is_new else None
