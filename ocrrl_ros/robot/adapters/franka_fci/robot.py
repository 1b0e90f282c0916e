# SPDX-License-Identifier: Apache-2.0
"""The calls into pylibfranka, each with a time within which it must come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
from ocrrl_ros.robot.adapters.franka_fci.config import FciConfig
from ocrrl_ros.robot.adapters.franka_fci.errors import FciLostError, FciRefusedError
from ocrrl_ros.robot.adapters.franka_fci.state import FciState, state_of_library

_PREFIX = 'libfranka: '
_STATES_AFTER_RECOVERY = 1000


class FciRobot:
    """
    One connection, and at most one motion on it.

    pylibfranka may wait for ever inside a call: for a server that accepts and says nothing, for
    a motion that does not end. No call of it can be interrupted from Python, so the caller's
    ``allow`` must set up something that ends the process.

    :param library: pylibfranka.
    :param allow: told before each call how many seconds it may take, and what it is.
    """

    def __init__(
            self, library: ModuleType, config: FciConfig, allow: Callable[[float, str], None],
            now: Callable[[], float]):
        """
        Connect.

        :raises FciLostError: the host, its FCI or the version is not there.
        """
        self._library = library
        self._config = config
        self._allow = allow
        self._now = now
        self._handler: Any = None
        self._failures = (library.FrankaException, RuntimeError)
        with self._call(config.connect_timeout_s, f'connecting to {config.robot_ip}'):
            # Nothing here answers within a millisecond, so nothing is won by a real-time kernel.
            self._robot = library.Robot(config.robot_ip, library.RealtimeConfig.kIgnore)

    def read(self) -> FciState:
        """
        Wait for the next state and return it.

        :raises FciLostError: none came for a second.
        """
        with self._call(self._config.answer_timeout_s, 'waiting for a state'):
            raw = self._robot.read_once()
        return state_of_library(raw, self._now())

    def begin(self) -> None:
        """
        Set thresholds and load, which the robot takes at rest only, and start a motion.

        The arm holds its position until the first target.

        :raises FciRefusedError: the robot does not take a setting or the motion.
        """
        config, collision = self._config, self._config.collision
        with self._request(config.answer_timeout_s, 'setting collision thresholds'):
            self._robot.set_collision_behavior(
                collision.lower_torque_nm, collision.upper_torque_nm, collision.lower_force,
                collision.upper_force)
        if config.load.mass_kg > 0.0:
            with self._request(config.answer_timeout_s, 'setting the load'):
                self._robot.set_load(
                    config.load.mass_kg, config.load.flange_com_m, config.load.inertia_kg_m2)
        kind = self._library.AsyncPositionControlHandler
        with self._request(config.answer_timeout_s, 'starting a motion'):
            result = kind.configure(self._robot, kind.Configuration(
                config.max_joint_velocity_rad_s, config.goal_tolerance_rad))
        if result.handler is None or result.error_message:
            raise FciRefusedError(f'starting a motion: {_plain(result.error_message)}')
        self._handler = result.handler

    def send(self, target: np.ndarray) -> None:
        """
        Give the running motion a new target (7,) in rad.

        :raises FciRefusedError: the robot does not take it.
        """
        kind = self._library.AsyncPositionControlHandler
        with self._request(self._config.answer_timeout_s, 'sending a target'):
            result = self._handler.set_joint_position_target(
                kind.JointPositionTarget(target.tolist()))
        if not result.was_successful:
            raise FciRefusedError(f'sending a target: {_plain(result.error_message)}')

    def finish(self) -> None:
        """
        End the motion and wait until the robot says that it has.

        :raises FciRefusedError: the robot ended it otherwise.
        """
        handler, self._handler = self._handler, None
        with self._request(self._config.answer_timeout_s, 'ending a motion'):
            handler.stop_control()
            del handler

    def abandon(self) -> None:
        """Let go of a motion that the robot has ended; until then it takes no new one."""
        with self._request(self._config.answer_timeout_s, 'letting go of a motion'):
            self._handler = None

    def recover(self) -> None:
        """
        Clear the robot's errors and wait until its states say so.

        :raises FciRefusedError: the robot says that a person has to, or its states do not change.
        """
        reflex = self._library.RobotMode.Reflex
        with self._request(self._config.recovery_timeout_s, 'recovering from an error'):
            self._robot.automatic_error_recovery()
            for _ in range(_STATES_AFTER_RECOVERY):
                # States of before the answer may still be on their way.
                if self._robot.read_once().robot_mode != reflex:
                    return
        raise FciRefusedError('recovering from an error: the robot stays in mode reflex')

    @contextmanager
    def _call(self, limit_s: float, what: str) -> Iterator[None]:
        """Run one call that fails only where the connection has."""
        self._allow(limit_s, what)
        try:
            yield
        except self._failures as error:
            raise FciLostError(f'{what}: {_plain(str(error))}') from error

    @contextmanager
    def _request(self, limit_s: float, what: str) -> Iterator[None]:
        """Run one call that the robot may refuse."""
        self._allow(limit_s, what)
        try:
            yield
        except self._library.NetworkException as error:
            raise FciLostError(f'{what}: {_plain(str(error))}') from error
        except self._failures as error:
            raise FciRefusedError(f'{what}: {_plain(str(error))}') from error


def _plain(text: str | None) -> str:
    """Return a message of the library without its name and on one line."""
    return ' '.join((text or 'no reason given').removeprefix(_PREFIX).split())
