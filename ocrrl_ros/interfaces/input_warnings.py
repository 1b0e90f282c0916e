# SPDX-License-Identifier: Apache-2.0
"""Warn about inputs that cannot be used, each cause at most every two seconds."""

from __future__ import annotations

from collections.abc import Callable
import functools
import re
import time

from ocrrl_ros.core.errors import BundleError, ConfigError, InputError
from rclpy.node import Node

_PERIOD_S = 2.0
#: Words of a sender's own choice could make any number of causes.
_MOST_CAUSES = 10
_NUMBER = re.compile(r'[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\b(?:nan|inf)\b)')


# Asked for in every command tick, mostly with the same text.
@functools.lru_cache(maxsize=64)
def cause_of(text: str) -> str:
    """Return the text without its numbers: equal for two messages of one cause."""
    return _NUMBER.sub('#', text)


class InputWarnings:
    """
    Logs warnings of a node, throttled by cause, so that one input cannot hide another.

    :param clock: monotonic seconds.
    """

    def __init__(self, node: Node, clock: Callable[[], float] = time.monotonic):
        """Start without warnings."""
        self._logger = node.get_logger()
        self._clock = clock
        self._logged_s: dict[str, float] = {}

    def warn(self, text: str) -> None:
        """Log the text unless one of its cause was logged in the last two seconds."""
        now_s = self._clock()
        self._logged_s = {
            cause: logged_s for cause, logged_s in self._logged_s.items()
            if now_s - logged_s < _PERIOD_S}
        cause = cause_of(text)
        if cause not in self._logged_s and len(self._logged_s) < _MOST_CAUSES:
            self._logged_s[cause] = now_s
            self._logger.warning(text)

    def attempt(
            self, take: Callable[..., None], *arguments: object, source: str = '') -> None:
        """
        Call ``take`` and turn the refusal of an input, or a failed network, into a warning.

        :param source: topic that is taken from, for refusals that do not name it.
        """
        try:
            take(*arguments)
        except (InputError, ConfigError, BundleError) as error:
            text = str(error)
            self.warn(text if source in text else f'{source}: {text}')
