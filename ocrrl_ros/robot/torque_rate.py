# SPDX-License-Identifier: Apache-2.0
"""
How fast the impedance controller has to change its torques to follow the command.

A diagnostic, no limit: what the controller asks of the robot beyond 1 Nm/ms it cuts off itself.
"""

from __future__ import annotations

import numpy as np
from ocrrl_ros.robot.impedance import JointImpedanceConfig


class TorqueRatePredictor:
    """Differences ``K (q_d - q) - D dq`` from command to command."""

    def __init__(self, config: JointImpedanceConfig):
        """Start without a command."""
        self._stiffness = config.stiffness_gains()
        self._damping = config.damping_gains()
        self._tau: np.ndarray | None = None
        self._rate = np.zeros(7)
        self._peak = np.zeros(7)

    def reset(self) -> None:
        """Forget the last torque: the next command starts anew from the arm."""
        self._tau = None
        self._rate = np.zeros(7)

    def update(self, q_target: np.ndarray, q: np.ndarray, dq: np.ndarray, dt_s: float) -> None:
        """Take a command (7,) and the measured state (7,), (7,), dt_s after the last ones."""
        tau = self._stiffness * (q_target - q) - self._damping * dq
        if self._tau is not None and dt_s > 0.0:
            self._rate = (tau - self._tau) / dt_s
            np.maximum(self._peak, np.abs(self._rate), out=self._peak)
        self._tau = tau

    @property
    def rate(self) -> np.ndarray:
        """Rate of the newest command, (7,) in Nm/s."""
        return self._rate.copy()

    def take_peak(self) -> np.ndarray:
        """Return the largest rate (7,) in Nm/s since the last call."""
        peak, self._peak = self._peak, np.zeros(7)
        return peak
