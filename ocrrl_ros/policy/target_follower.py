# SPDX-License-Identifier: Apache-2.0
"""
From TCP targets to shaped joint commands for one robot: the only way to the arm.

Trainer, evaluation, demonstrations and node all move the arm through this class, because the
control interface is what matters most for transfer (facts/residual_rl.md section 6).
"""

from __future__ import annotations

import numpy as np
from ocrrl_ros.robot.command_shaping import CommandShaper
from ocrrl_ros.robot.hold_bleed import HoldBleed
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.torque_rate import TorqueRatePredictor
from ocrrl_ros.robot.tracking import TrackingMonitor


class TargetFollower:
    """
    Solves the inverse kinematics from the last command and shapes the way there.

    :param kinematics: shared; it keeps no state between calls.
    :param shaper: owned by this robot.
    :param tracking: compares the arm with its command; None: never lost.
    :param bleed: lets a hold give way; None: it does not.
    :param torque_rate: predicts the controller's torque rate; None: not predicted.
    """

    def __init__(
            self, kinematics: FrankaKinematics, shaper: CommandShaper,
            tracking: TrackingMonitor | None = None, bleed: HoldBleed | None = None,
            torque_rate: TorqueRatePredictor | None = None):
        """Start unseeded; call ``seed`` with measured joints before the first target."""
        self._kinematics = kinematics
        self.shaper = shaper
        self._tracking = tracking
        self._bleed = bleed
        self.torque_rate = torque_rate
        self.clipped_targets = 0

    def seed(self, q: np.ndarray, dq: np.ndarray | None = None) -> None:
        """
        Start from measured joint positions (7,) in rad and velocities (7,), at rest if None.

        The command then is where the arm is, whatever it was before.

        :raises InputError: the state lies outside the shaper's invariant set.
        """
        self.shaper.seed(q, dq)
        if self._tracking is not None:
            self._tracking.reset(q)
        if self.torque_rate is not None:
            self.torque_rate.reset()

    def lost(self, q: np.ndarray) -> str:
        """Return why the arm at measured q (7,) no longer follows, or an empty string."""
        return '' if self._tracking is None else self._tracking.lost(q)

    @property
    def refusal(self) -> str:
        """Return which limit or guard the last target was refused for, or an empty string."""
        return self.shaper.refusal

    def aim(self, base_T_tcp: np.ndarray, twist: np.ndarray, duration_s: float) -> bool:
        """
        Head for a TCP target that is to be reached in ``duration_s``.

        A target outside the workspace is moved to its border, without feed-forward.

        :param base_T_tcp: (7,) target pose, robot base frame.
        :param twist: (6,) velocity of the target there, base frame, as feed-forward.
        :return: whether the inverse kinematics converged; the nearest solution is taken if not.
        """
        guard = self.shaper.guard
        if guard is not None:
            target = guard.clipped(base_T_tcp)
            if target is not base_T_tcp:
                self.clipped_targets += 1
                base_T_tcp, twist = target, np.zeros(6)
        q, converged = self._kinematics.solve(base_T_tcp, self.shaper.q)
        self.shaper.set_goal(q, self._kinematics.joint_velocity(q, twist), duration_s)
        return converged

    def stop(self) -> None:
        """Decelerate to rest within the limits; a hold begins."""
        self.shaper.stop()
        if self._bleed is not None:
            self._bleed.begin()

    def give_way(self, q: np.ndarray, now_s: float) -> bool:
        """Let the force of a hold fade at measured q (7,); return whether the target moves."""
        return self._bleed is not None and self._bleed.update(self.shaper, q, now_s)

    def sample(self, dt_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Advance by ``dt_s`` and return commanded positions and velocities (7,), (7,)."""
        q, dq, _ = self.shaper.sample(dt_s)
        if self._tracking is not None:
            self._tracking.update(q, dt_s)
        return q, dq

    def note_state(self, q_target: np.ndarray, q: np.ndarray, dq: np.ndarray, dt_s: float) -> None:
        """Compare a command (7,) with the measured state (7,), (7,) for the diagnostics."""
        if self.torque_rate is not None:
            self.torque_rate.update(q_target, q, dq, dt_s)

    def preview(self, dt_s: float, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and velocities (count, 7) ahead, every ``dt_s``, without advancing."""
        return self.shaper.preview(dt_s, count)
