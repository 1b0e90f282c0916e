# SPDX-License-Identifier: Apache-2.0
"""Command path of N robots: inverse kinematics, shaping and gripper, as on the robot."""

from __future__ import annotations

from typing import Any

import numpy as np
from ocrrl_ros.policy.target_follower import TargetFollower
from ocrrl_ros.robot.command_shaping import CommandShaper
from ocrrl_ros.robot.gripper import GripperConfig, GripperModel
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.vec_config import COMMAND_S, COMMANDS_PER_TICK, TICK_S
from ocrrl_ros.sim.vec_state import array_state, restore_array_state


class VecArm:
    """Turns TCP targets and openings into the set-points of one tick."""

    def __init__(self, num_envs: int):
        """Build one follower per environment; kinematics keep no state and are shared."""
        self.kinematics = FrankaKinematics()
        self._followers = [
            TargetFollower(self.kinematics, CommandShaper()) for _ in range(num_envs)]
        self._gripper = GripperModel(num_envs, GripperConfig())
        self._openings = np.ones(num_envs)
        self._arm = np.zeros((num_envs, COMMANDS_PER_TICK, 7))
        self._fingers = np.zeros((num_envs, COMMANDS_PER_TICK))

    def start(
        self, rows: np.ndarray, q: np.ndarray, openings: np.ndarray, is_closed: np.ndarray,
        domains: list[Domain],
    ) -> None:
        """
        Start environments (M,) at rest.

        :param q: joint positions (M, 7), rad.
        :param is_closed: (M,) bool, whether the hand is holding or closing on something.
        :param domains: the world of each; the hand's delays come from it.
        """
        for row, start in zip(rows, q):
            self._followers[row].seed(start)
        self._openings[rows] = np.where(is_closed, 0.0, openings)
        self._gripper.reset(rows, openings)
        self._gripper.set_closed(rows[is_closed])
        # A gripper command waits for the action delay, then for the hand.
        latency = np.array([d.hand.latency_s + d.arm.action_delay_s for d in domains])
        self._gripper.set_dynamics(rows, latency, np.array([d.hand.speed_m_s for d in domains]))

    def aim(
        self, active: np.ndarray, poses: np.ndarray, twists: np.ndarray, openings: np.ndarray,
    ) -> None:
        """
        Head for targets one tick ahead.

        :param active: (N,) bool; the others have no plan yet and stay at rest.
        :param poses: base_T_target (N, 7).
        :param twists: (N, 6) feed-forward, base frame.
        :param openings: (N,) gripper command.
        """
        for row in np.nonzero(active)[0]:
            self._followers[row].aim(poses[row], twists[row], TICK_S)
        self._openings[active] = openings[active]

    def sample(self, finger_positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Return the tick's arm set-points (N, 10, 7) in rad and finger set-points (N, 10) in m.

        :param finger_positions: measured (N,), m.
        """
        for row, follower in enumerate(self._followers):
            self._arm[row] = follower.shaper.sample_positions(COMMAND_S, COMMANDS_PER_TICK)
        self._gripper.command(self._openings)
        for index in range(COMMANDS_PER_TICK):
            self._fingers[:, index] = self._gripper.step(COMMAND_S, finger_positions)
        return self._arm, self._fingers

    def is_closed(self, row: int) -> bool:
        """Return whether the hand of an environment is closing or holding."""
        return not self._gripper.is_open[row]

    @property
    def width_target_m(self) -> np.ndarray:
        """Return the finger gaps (N,) that the hands head for, m."""
        return 2.0 * self._gripper.finger_m

    def state_dict(self) -> dict[str, Any]:
        """Return what restores the command path at the end of a tick."""
        shapers = [follower.shaper for follower in self._followers]
        return {
            'q': np.array([shaper.q for shaper in shapers]),
            'dq': np.array([shaper.dq for shaper in shapers]),
            'ddq': np.array([shaper.ddq for shaper in shapers]),
            'gripper': array_state(self._gripper), 'openings': self._openings.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        for row, follower in enumerate(self._followers):
            follower.shaper.restore(state['q'][row], state['dq'][row], state['ddq'][row])
        restore_array_state(self._gripper, state['gripper'])
        self._openings[:] = state['openings']
