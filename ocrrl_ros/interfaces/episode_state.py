# SPDX-License-Identifier: Apache-2.0
"""
The episode's state as it travels on ``episode/state`` (String, JSON, transient local).

One small document instead of a message package: own message types cannot be built against the
PyPI wheels (facts/platform.md).
"""

from __future__ import annotations

import dataclasses
import json
from typing import Literal

from ocrrl_ros.core.configuration import from_mapping, to_mapping
from ocrrl_ros.core.errors import InputError
from std_msgs.msg import String

TOPIC = 'episode/state'
Outcome = Literal['', 'success', 'failure', 'timeout', 'stopped', 'invalid']


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpisodeState:
    """
    What the graph is doing.

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


def to_message(state: EpisodeState) -> String:
    """Return the message."""
    return String(data=json.dumps(to_mapping(state)))


def from_message(message: String) -> EpisodeState:
    """
    Return the state.

    :raises InputError: the text is no JSON.
    :raises ConfigError: keys or values do not fit.
    """
    try:
        content = json.loads(message.data)
    except ValueError as error:
        raise InputError(f'{TOPIC} holds no JSON: {message.data[:80]!r}') from error
    return from_mapping(EpisodeState, content, TOPIC)
