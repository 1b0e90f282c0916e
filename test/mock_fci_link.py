# SPDX-License-Identifier: Apache-2.0
"""Steps a link to a mock robot as a node would, until something is so."""

from __future__ import annotations

from collections.abc import Callable
import time

import numpy as np
from ocrrl_ros.robot.adapters.franka_fci.config import FciConfig
from ocrrl_ros.robot.adapters.franka_fci.link import FciAnswer, FciLink
from ocrrl_ros.robot.adapters.franka_fci.state import FciState
from ocrrl_ros.robot.adapters.franka_fci.worker import FciPhase

LIMIT_S = 60.0  # far above what a loaded machine needs; nothing waits that long
_PERIOD_S = 0.005
_TARGET_S = 0.02


class LinkDriver:
    """
    A link, what it has returned, and a stream of targets while ``target`` is set.

    :param address: of the mock robot.
    :param settings: fields of ``FciConfig``.
    """

    def __init__(self, address: str, **settings: object):
        """Make the link; it starts at the first step."""
        settings = {'reconnect_s': 0.1, 'reconnect_max_s': 1.0} | settings
        self.link = FciLink(FciConfig(robot_ip=address, **settings))
        self.state: FciState | None = None
        self.answers: list[FciAnswer] = []
        self.target: np.ndarray | None = None
        self.states = 0
        self.steps = 0
        self._next_target_s = 0.0

    def step(self) -> None:
        """Step once, and send the target when it is time."""
        now_s = time.monotonic()
        state = self.link.step(now_s)
        self.steps += 1
        if state is not None:
            self.state, self.states = state, self.states + 1
        if self.target is not None and now_s >= self._next_target_s:
            self._next_target_s = now_s + _TARGET_S
            self.link.send_target(self.target, now_s)
        self.answers += self.link.take_answers()

    def until(self, predicate: Callable[[], object], limit_s: float = LIMIT_S) -> None:
        """Step until the predicate holds."""
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s:
            self.step()
            if predicate():
                return
            time.sleep(_PERIOD_S)
        raise AssertionError(
            f'it did not come true within {limit_s} s; {self.link.report}, {self.state}')

    def run(self, seconds: float) -> None:
        """Step for a while."""
        end_s = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end_s)

    def until_phase(self, phase: FciPhase) -> None:
        """Step until the phase is the one given."""
        self.until(lambda: self.link.report.phase is phase)

    def ask(self, what: str) -> FciAnswer:
        """Send a request and return the answer."""
        number = self.link.request(what)
        self.until(lambda: any(answer.number == number for answer in self.answers))
        return next(answer for answer in self.answers if answer.number == number)
