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
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATCHED
from ocrrl_ros.policy.episode_clock import EpisodeState
from rclpy.node import Node
from std_msgs.msg import String

TOPIC = 'episode/state'
#: The node says it again this often: the end of an episode must not hang on one message. Fast DDS
#: was seen to hold a reliable one back for minutes after a reader of it had been killed.
REPEAT_S = 0.2


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


class EpisodeInbox:
    """Hears the episode's state, and passes on what has changed."""

    def __init__(self, node: Node):
        """Subscribe; the state of now comes first, as the topic is latched."""
        self._subscription = PolledSubscription(node, String, TOPIC, LATCHED)
        self._last = ''
        self.is_heard = False
        """Whether anything, a repetition too, had arrived when it was last looked."""

    def take_changes(self) -> list[String]:
        """Return the messages that have arrived, oldest first, less repetitions."""
        changes, messages = [], self._subscription.take_all()
        self.is_heard = bool(messages)
        for message in messages:
            if message.data != self._last:
                self._last = message.data
                changes.append(message)
        return changes
