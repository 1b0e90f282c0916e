# SPDX-License-Identifier: Apache-2.0
"""From the wish for an episode to its start: the way home first, and nothing where that is bad."""

from __future__ import annotations

from collections.abc import Callable

from ocrrl_ros.core.errors import InputError
from ocrrl_ros.policy.command import Command
from ocrrl_ros.policy.controller import ControllerState, ResidualController
from ocrrl_ros.policy.episode_clock import EpisodeState
from ocrrl_ros.policy.episode_homing import EpisodeHoming


class EpisodeStart:
    """
    Follows the episode's state; the arm is on its way home in the state ``homing`` alone.

    :param homing: what brings the arm home before an episode, None for nothing.
    :param check: takes the time in s and raises InputError while no episode may begin.
    """

    def __init__(
            self, controller: ResidualController, homing: EpisodeHoming | None = None,
            check: Callable[[float], None] | None = None):
        """Wait for an episode."""
        self._controller, self._homing, self._check = controller, homing, check
        self._number = 0
        self._has_heard = self._is_due = False

    def follow(self, state: EpisodeState, since_s: float) -> None:
        """
        Note that an episode is to start, or stop; one under way already is not joined.

        :param since_s: time from which on somebody may have asked for an episode.
        :raises InputError: an episode runs that began before; the next one is followed.
        """
        is_first, self._has_heard = not self._has_heard, True
        if not state.running:
            self._number, self._is_due = 0, False
            self.stop_homing('episode ended')
            self._controller.stop_episode()
        elif state.number != self._number:
            self._number = state.number
            self.stop_homing('another episode has started')
            # A latched state of before this node: nobody has asked this node to move.
            self._is_due = not is_first or state.started_s >= since_s
            if not self._is_due:
                reason = f'started during episode {state.number}; start a new one'
                self._controller.refuse_start(reason)
                raise InputError(reason)

    def step(self, now_s: float, *, is_silent: bool) -> None:
        """
        Go on toward the start of an episode that is due, unless a person must resume first.

        :param is_silent: whether no command of the last episode is sent any more.
        :raises InputError: why the episode does not start; it is tried again until it has ended
            or its way home has failed.
        """
        if not self._is_due or self._must_resume:
            return
        try:
            self._start(now_s, is_silent)
        except InputError as error:
            self._controller.refuse_start(str(error))
            self._is_due = self._homing is None or not self._homing.has_failed
            raise

    def _start(self, now_s: float, is_silent: bool) -> None:
        """Bring the arm home, or start the episode, or raise why not."""
        if self._check is not None and self._controller.state is ControllerState.IDLE:
            self._check(now_s)
        if self._homing is not None and self._controller.arm.robot_problem:
            raise InputError(f'cannot start: {self._controller.arm.robot_problem}')
        # Homing waits until the arm has come to rest after the last episode.
        if self._homing is not None and not (is_silent and self._homing.is_home(now_s)):
            self._controller.machine.home('on the way home')
            return
        self._controller.start_episode(now_s)
        self._is_due = False

    @property
    def _must_resume(self) -> bool:
        """Return whether nothing may move before a person has called resume."""
        return self._controller.machine.is_latched or (
            self._controller.state is ControllerState.FAULT)

    def on_robot(self, problem: str) -> None:
        """Take why the robot cannot be commanded, or an empty string; a motion home ends."""
        self._controller.on_robot(problem)
        if problem and self._homing is not None:
            self._homing.cut(problem)

    def command(self, now_s: float, dt_s: float) -> Command | None:
        """
        Return what homing commands now, or None.

        :param dt_s: by how much the motion goes on, of ``CommandClock``.
        """
        if self._homing is None:
            return None
        self._watch_switch(now_s)
        # Whatever made the fault or the latch: nothing goes on by itself after it.
        if self._controller.state is ControllerState.FAULT:
            self._homing.cut(self._controller.reason)
        elif self._must_resume:
            self._homing.stop(self._controller.reason)
        found = self._homing.tick(now_s, dt_s)
        return None if found is None else Command(*found, 1.0)

    def _watch_switch(self, now_s: float) -> None:
        """Latch a hold on the way home where the dead-man switch falls silent."""
        controller = self._controller
        # As in the episode: where the state is not of now, the clock may have been set.
        if controller.state is ControllerState.HOMING and not controller.arm.stale_reason(now_s):
            problem = controller.deadman.problem(now_s)
            if problem:
                controller.hold(problem)

    def stop_homing(self, reason: str) -> None:
        """Brake a homing motion; the next start begins with another."""
        if self._homing is not None:
            self._homing.stop(reason)
