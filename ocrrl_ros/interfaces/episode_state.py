# SPDX-License-Identifier: Apache-2.0
"""
The episode's state as it travels on ``episode/state`` (String, JSON, transient local).

One small document instead of a message package: own message types cannot be built against the
PyPI wheels (facts/platform.md).
"""

from __future__ import annotations

import json

from ocrrl_ros.core.configuration import from_mapping, to_mapping
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.policy.episode_clock import EpisodeState
from std_msgs.msg import String

TOPIC = 'episode/state'


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
