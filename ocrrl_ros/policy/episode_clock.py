# SPDX-License-Identifier: Apache-2.0
"""The life of an episode: started, marked or timed out, ended; pure logic of the episode node."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Literal

from ocrrl_ros.core.errors import ConfigError

#: Names of tasks become names of folders.
_PLAIN = re.compile(r'[A-Za-z0-9_]{0,64}')
_LONGEST_TEXT = 1000

Outcome = Literal['', 'success', 'failure', 'timeout', 'stopped', 'invalid']


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpisodeState:
    """
    What the graph is doing; it comes from the network, so that all of it is checked.

    :param number: counts episodes since the node started; 0 before the first.
    :param running: whether the robot may move.
    :param started_s: ROS time of the start.
    :param ended_s: ROS time of the end, 0 while running.
    """

    number: int = 0
    running: bool = False
    task: str = ''
    instruction: str = ''
    started_s: float = 0.0
    ended_s: float = 0.0
    outcome: Outcome = ''

    def __post_init__(self) -> None:
        """Refuse what no episode node says."""
        if not _PLAIN.fullmatch(self.task):
            raise ConfigError(
                f'task is {self.task[:80]!r}; allowed: at most 64 letters, digits and _')
        if not 0 <= self.number < 10 ** 9:
            raise ConfigError(f'number is {self.number}; allowed: 0 <= x < 10^9')
        if len(self.instruction) > _LONGEST_TEXT:
            raise ConfigError(
                f'instruction has {len(self.instruction)} characters; allowed: at most '
                f'{_LONGEST_TEXT}')
        for name in ('started_s', 'ended_s'):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0.0):
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: >= 0')


class EpisodeClock:
    """
    Starts, ends and times out episodes.

    :param timeout_s: an episode that nobody ended is ended as ``timeout`` after this time.
    """

    def __init__(self, task: str, instruction: str, timeout_s: float):
        """Start idle."""
        if not timeout_s > 0:
            raise ConfigError(f'timeout_s is {timeout_s} s; allowed: > 0')
        self.state = EpisodeState(task=task, instruction=instruction)
        self.timeout_s = timeout_s

    def start(self, now_s: float) -> str | None:
        """Start an episode, or return why not."""
        if self.state.running:
            return f'episode {self.state.number} is still running; stop it first'
        self.state = EpisodeState(
            number=self.state.number + 1, running=True, task=self.state.task,
            instruction=self.state.instruction, started_s=now_s)
        return None

    def end(self, outcome: Outcome, now_s: float) -> str | None:
        """End the running episode with an outcome, or return why not."""
        if not self.state.running:
            return 'no episode is running'
        self.state = dataclasses.replace(
            self.state, running=False, ended_s=now_s, outcome=outcome)
        return None

    def is_overdue(self, now_s: float) -> bool:
        """
        Return whether the running episode has used up its time.

        Before its start it cannot be: a clock that was set back further than an episode lasts
        ends it, too, since nobody could say when else it would end.
        """
        return self.state.running and abs(now_s - self.state.started_s) >= self.timeout_s
