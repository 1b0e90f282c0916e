# SPDX-License-Identifier: Apache-2.0
"""The arm's end of the deployment logic: what was measured, and the command that goes on."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.policy.plausible import check_joint_state
from ocrrl_ros.policy.target_follower import TargetFollower
from ocrrl_ros.robot.kinematics import FrankaKinematics

_AT_REST_RAD_S = 1e-9
#: Silence of the arm after which a hold is not sent on: it may be anywhere when it is back, s.
_AWAY_S = 1.0
#: Oldest state by which the arm is said not to follow, s.
_TRACKED_S = 0.04
#: A state that is older by less was overtaken; by more, it is of another clock, s.
_OVERTAKEN_S = 0.5


class ArmCommander:
    """
    Streams one arm's command from its seed to its rest.

    :param follower: shapes targets into commands.
    :param max_state_age_s: oldest joint state that the arm moves on.
    """

    def __init__(self, follower: TargetFollower, max_state_age_s: float):
        """Start without a command."""
        self.follower = follower
        self.q = np.zeros(7)
        """Measured joint positions, rad."""
        self.dq = np.zeros(7)
        """Measured joint velocities, rad/s."""
        self.robot_problem = ''
        """Why the robot cannot be commanded; empty where it can."""
        self.reseeds = 0
        """How often the command started anew within an episode."""
        self._max_state_age_s = max_state_age_s
        self._state_stamp_s = -np.inf
        self._missing = 'no joint state has arrived yet'
        self._away_since_s: float | None = None
        self._is_streaming = False
        self._is_moving = False
        self._is_restart = False

    def on_joint_state(self, q: np.ndarray, dq: np.ndarray, stamp_s: float) -> None:
        """
        Take measured joint positions (7,) in rad and velocities (7,) in rad/s.

        A state that a newer one has overtaken is ignored.

        :raises InputError: the state cannot be true (``check_joint_state``); the last one stays.
        """
        q, dq = check_joint_state(q, dq, self.follower.shaper.limits)
        if not 0.0 < self._state_stamp_s - stamp_s <= _OVERTAKEN_S:
            self.q, self.dq, self._state_stamp_s = q, dq, stamp_s
            self._away_since_s = None

    def hand(self, kinematics: FrankaKinematics) -> tuple[np.ndarray, np.ndarray]:
        """Return the measured base_T_tcp (7,) and velocity of the TCP (3,), m/s, base frame."""
        return kinematics.forward(self.q), kinematics.jacobian(self.q)[:3] @ self.dq

    def forget_state(self, reason: str) -> None:
        """Wait for a new measured state before anything moves."""
        self._state_stamp_s, self._missing = -np.inf, reason

    def stale_reason(self, now_s: float) -> str:
        """Return why the measured state is not of now, or an empty string."""
        age = now_s - self._state_stamp_s
        if np.isinf(age):
            return self._missing
        if age > self._max_state_age_s:
            return f'joint state is {age:.3f} s old, allowed: {self._max_state_age_s} s'
        if age < -self._max_state_age_s:
            return (f'joint state is {-age:.3f} s ahead of the clock, allowed: '
                    f'{self._max_state_age_s} s')
        return ''

    def start(self, now_s: float) -> None:
        """
        Start the command from a fresh measured state.

        :raises InputError: the robot cannot be commanded, there is no fresh state, or it lies
            outside the invariant set of the command shaping; nothing has changed then.
        """
        problem = self.robot_problem or self.stale_reason(now_s)
        if problem:
            raise InputError(f'cannot start: {problem}')
        self.follower.seed(self.q, self.dq)
        self._is_streaming, self._is_moving, self._is_restart = True, False, True

    def lost(self, now_s: float) -> str:
        """
        Start anew where the arm does not follow its command.

        An old state says nothing: the arm has moved since, and is no longer where that says. Nor
        does an arm follow that was away for so long that the command has ended.

        :return: why that could not be done, or an empty string.
        """
        lost = '' if self._is_streaming else 'the arm was away'
        if not lost and now_s - self._state_stamp_s <= _TRACKED_S:
            lost = self.follower.lost(self.q)
        if not lost:
            return ''
        try:
            self.start(now_s)
        except InputError as error:
            return f'{lost}; {error}'
        self.reseeds += 1
        return ''

    def aim(self, base_T_tcp: np.ndarray, twist: np.ndarray, duration_s: float) -> bool:
        """Head for a target; see ``TargetFollower.aim``."""
        self._is_moving = True
        return self.follower.aim(base_T_tcp, twist, duration_s)

    def halt(self) -> None:
        """Decelerate once; a second call must not restart the deceleration."""
        if self._is_moving:
            self.follower.stop()
            self._is_moving = False

    def give_way(self, now_s: float) -> None:
        """
        Let the force of a hold fade, while it is known where the arm is.

        Where that has not been known for a second the hold is not sent on: an arm that comes back
        somewhere else would be pulled to it.
        """
        if not self.stale_reason(now_s):
            if self._is_streaming:
                self.follower.give_way(self.q, now_s)
        elif self._away_since_s is None or now_s < self._away_since_s:
            self._away_since_s = now_s
        elif now_s - self._away_since_s > _AWAY_S:
            self.silence()

    def silence(self) -> None:
        """Command nothing until the next start."""
        self._is_streaming = False

    def tick(
            self, dt_s: float, *, ends_at_rest: bool,
            ) -> tuple[np.ndarray, np.ndarray, bool] | None:
        """
        Advance by ``dt_s``; return positions (7,), velocities (7,), and whether this is a start.

        :param ends_at_rest: fall silent once the arm rests.
        :return: None while there is no command.
        """
        if not self._is_streaming:
            return None
        q, dq = self.follower.sample(dt_s)
        self.follower.note_state(q, self.q, self.dq, dt_s)
        if ends_at_rest and np.abs(dq).max() < _AT_REST_RAD_S:
            self._is_streaming = False
        is_restart, self._is_restart = self._is_restart, False
        return q, dq, is_restart
