# SPDX-License-Identifier: Apache-2.0
"""
Whether the arm is where its impedance controller should have brought it.

A soft controller lags behind a moving target by design: under ``tau = K (q_d - q) - D dq`` the arm
follows about as a first-order lag of D / K does, 0.07 s in joint 1 and 0.28 s in joint 7 with
CRISP's gains, so at 1.5 rad/s joint 7 is 0.4 rad behind and all is well. The tracking error is
therefore taken to what lies between the lagging target and the target itself (a controller that is
fed the velocity as well lags less); what is left is blocked, pushed or broken.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.robot.clearance import TCP_REACH_M
from ocrrl_ros.robot.kinematics import FrankaKinematics


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """How far the arm may be from its command before the command starts anew from the arm."""

    max_tcp_error_m: float = field(
        default=0.05, metadata={'description': (
            'TCP error beyond the lag of the impedance law that re-seeds the command, m')})
    max_joint_error_rad: float = field(
        default=0.2, metadata={'description': (
            'joint error beyond the lag of the impedance law that re-seeds the command, rad')})

    def __post_init__(self) -> None:
        """Refuse values that noise would pass or that never act."""
        if not 0.005 <= self.max_tcp_error_m <= 0.2:
            raise ConfigError(
                f'max_tcp_error_m is {self.max_tcp_error_m} m; allowed: 0.005 .. 0.2')
        if not 0.02 <= self.max_joint_error_rad <= 0.5:
            raise ConfigError(
                f'max_joint_error_rad is {self.max_joint_error_rad} rad; allowed: 0.02 .. 0.5')


class TrackingMonitor:
    """Follows the command as the arm should, and compares."""

    def __init__(self, config: TrackingConfig, kinematics: FrankaKinematics, lag_s: np.ndarray):
        """
        Start without a command.

        :param lag_s: (7,) lag of the controller's joints, damping over stiffness.
        """
        self.config = config
        self._kinematics = kinematics
        self._lag_s = np.array(lag_s, dtype=float)
        self._q = self._lagging = np.zeros(7)

    def reset(self, q: np.ndarray) -> None:
        """Start from a command (7,) in rad that the arm is at."""
        self._q = self._lagging = np.array(q, dtype=float)

    def update(self, q: np.ndarray, dt_s: float) -> None:
        """Take the command (7,) of dt_s after the last one."""
        self._lagging = self._lagging + (q - self._lagging) * -np.expm1(-dt_s / self._lag_s)
        self._q = q

    def errors(self, q: np.ndarray) -> tuple[float, float]:
        """Return the errors in m at the TCP and in rad of the worst joint at measured q (7,)."""
        expected = np.clip(
            q, np.minimum(self._q, self._lagging), np.maximum(self._q, self._lagging))
        gap = self._kinematics.forward(expected)[:3] - self._kinematics.forward(q)[:3]
        return float(np.linalg.norm(gap)), float(np.abs(expected - q).max())

    def _is_near(self, q: np.ndarray) -> bool:
        """Return whether the joints alone show that an arm at q (7,) follows; nearly all do."""
        tcp_m = joint_rad = 0.0
        for measured, one, other, reach_m in zip(
                q.tolist(), self._q.tolist(), self._lagging.tolist(), TCP_REACH_M):
            low, high = (one, other) if one < other else (other, one)
            apart_rad = max(low - measured, measured - high, 0.0)
            joint_rad = max(joint_rad, apart_rad)
            # A joint moves the TCP by no more than its angle times the reach.
            tcp_m += reach_m * apart_rad
        return tcp_m <= self.config.max_tcp_error_m and (
            joint_rad <= self.config.max_joint_error_rad)

    def lost(self, q: np.ndarray) -> str:
        """Return why the arm at measured q (7,) does not follow, or an empty string."""
        if self._is_near(q):
            return ''
        tcp_m, joint_rad = self.errors(q)
        config = self.config
        if tcp_m > config.max_tcp_error_m:
            return (f'TCP {1e3 * tcp_m:.0f} mm off its command, allowed: '
                    f'{1e3 * config.max_tcp_error_m:.0f} mm')
        if joint_rad > config.max_joint_error_rad:
            return (f'a joint {joint_rad:.2f} rad off its command, allowed: '
                    f'{config.max_joint_error_rad:.2f} rad')
        return ''
