# SPDX-License-Identifier: Apache-2.0
"""Collect the published commands of an episode and count what they break."""
from collections import Counter

import numpy as np
from ocrrl_ros.evaluation.limit_watch import count_violations, Stream
from ocrrl_ros.policy.controller import Command
from ocrrl_ros.robot.command_shaping import CommandShaper


class CommandWatch:
    """
    The commands of one shaper as they are sent, every ``dt_s``.

    :param dt_s: time between two commands on the wire, whatever the sender believes.
    """

    def __init__(self, shaper: CommandShaper, dt_s: float):
        """Start without commands."""
        self._shaper = shaper
        self._dt_s = dt_s
        self._rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._counts: Counter[str] = Counter()
        self.commands = 0

    def add(self, command: Command | None) -> None:
        """Take the command of a tick, None where none was sent; a restart begins a new stream."""
        if command is None or command.is_restart:
            self._judge()
        if command is not None:
            self._rows.append((command.q.copy(), command.dq.copy(), self._shaper.ddq))
            self.commands += 1

    def violations(self) -> dict[str, int]:
        """Return how many commands so far broke what, less what none broke."""
        self._judge()
        return {name: int(count) for name, count in self._counts.items() if count}

    def _judge(self) -> None:
        """Count a stream that is over."""
        if len(self._rows) > 1:
            q, dq, ddq = (np.array(column) for column in zip(*self._rows))
            self._counts += count_violations(
                Stream(self._dt_s, q, dq, ddq), self._shaper, self._shaper.guard)
        self._rows = []
