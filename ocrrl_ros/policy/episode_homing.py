# SPDX-License-Identifier: Apache-2.0
"""Bring the arm home between the wish to start an episode and its start, and only then."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.policy.heartbeat import Heartbeat
from ocrrl_ros.robot.homing import HomingMotion, HomingState


class EpisodeHoming:
    """
    Guards a homing motion by fresh joint states and by what must be heard.

    The motion lives on the time of the commands, not on the clock: a late tick, or a clock that
    was set, makes it later and never lets it jump.

    :param motion: what moves the arm.
    :param heartbeats: the dead-man switch and the episode's state; silence ends the motion.
    """

    def __init__(
            self, motion: HomingMotion, *, max_state_age_s: float,
            heartbeats: Sequence[Heartbeat] = ()):
        """Do nothing before ``is_home`` is asked."""
        self.motion = motion
        self._max_state_age_s = max_state_age_s
        self._heartbeats = heartbeats
        self._q: np.ndarray | None = None
        self._state_stamp_s = -np.inf
        self._is_begun = False
        self._motion_s = 0.0

    @property
    def has_failed(self) -> bool:
        """Return whether this episode's motion has failed: a new episode is needed."""
        return self._is_begun and self.motion.state is HomingState.FAILED

    def on_joint_state(self, q: np.ndarray, stamp_s: float) -> None:
        """Take measured joint positions (7,) in rad."""
        self._q, self._state_stamp_s = q, stamp_s

    def is_home(self, now_s: float) -> bool:
        """
        Begin when asked for the first time in an episode; return whether the arm is home.

        :raises InputError: it cannot begin yet or, with ``has_failed``, it did not get there.
        """
        if not self._is_begun:
            problem = self._problem(now_s)
            if problem is not None:
                raise InputError(f'cannot start homing: {problem}')
            if self.motion.is_busy:
                return False
            self.motion.start(self._q, self._motion_s)
            self._is_begun = True
        if self.has_failed:
            raise InputError(self.motion.reason)
        return self._is_begun and self.motion.state is HomingState.DONE

    def stop(self, reason: str) -> None:
        """End the motion, if there is one; the next episode begins another."""
        self.motion.stop(reason)
        self._is_begun = False

    def cut(self, reason: str) -> None:
        """End the motion without braking, as the arm does not listen; see ``stop``."""
        self.motion.cut(reason)
        self._is_begun = False

    def tick(self, now_s: float, dt_s: float) -> tuple[np.ndarray, np.ndarray] | None:
        """
        Return positions and velocities (7,) to command now, or None.

        :param dt_s: by how much the motion goes on, of ``CommandClock``.
        """
        self._motion_s += dt_s
        problem = self._problem(now_s)
        if problem is not None:
            self.motion.stop(f'homing stopped: {problem}')
        return self.motion.tick(self._motion_s, self._q if problem is None else None)

    def _problem(self, now_s: float) -> str | None:
        """Return why the arm may not move now."""
        age_s = now_s - self._state_stamp_s
        if age_s > self._max_state_age_s:
            return f'joint state is {age_s:.3f} s old, allowed: {self._max_state_age_s} s'
        if age_s < -self._max_state_age_s:
            # The clock was set back: newer states may not come through for as long as that.
            return (f'joint state is {-age_s:.3f} s ahead of the clock, allowed: '
                    f'{self._max_state_age_s} s')
        problems = (heartbeat.problem(now_s) for heartbeat in self._heartbeats)
        return next((problem for problem in problems if problem), None)
