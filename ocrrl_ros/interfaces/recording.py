# SPDX-License-Identifier: Apache-2.0
"""Taps that hand messages to a recorder as serialised bytes, thinned to a rate."""

from __future__ import annotations

from collections.abc import Callable
import importlib
import re

from ocrrl_ros.core.errors import ConfigError, MissingDependencyError
from ocrrl_ros.interfaces.image_conversions import image_to_rgb
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATCHED, LATEST_BEST_EFFORT, RECORDED
from rclpy.node import Node
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image

#: What ROS allows in the names of packages and messages; the package is imported.
_TYPE = re.compile(r'([a-z][a-z0-9_]*)/msg/([A-Za-z][A-Za-z0-9]*)')

Write = Callable[[str, str, bytes], None]
_LATCHED_TOPICS = ('base_policy/instruction', 'residual_policy/state', 'episode/state')


def message_class(type_name: str) -> type:
    """
    Return the class of ``package/msg/Type``.

    :raises ConfigError: the name is of another form, or no such message is installed.
    """
    match = _TYPE.fullmatch(type_name)
    if match is None:
        raise ConfigError(f'message type is {type_name!r}; allowed: package/msg/Type')
    package, name = match.groups()
    try:
        return getattr(importlib.import_module(f'{package}.msg'), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f'no message type {type_name!r} is installed: {error}') from error


class _Thinned:
    """Lets at most ``rate_hz`` calls per second through."""

    def __init__(self, rate_hz: float):
        """Let the first call through."""
        self._period_s = 1.0 / rate_hz
        self._due_s = float('-inf')

    def is_due(self, now_s: float) -> bool:
        """Return whether a call may pass now, and count it."""
        if self._due_s - self._period_s <= now_s < self._due_s:
            return False
        is_back = now_s < self._due_s  # The clock was set back: nothing may be lost by that.
        self._due_s = now_s + self._period_s if is_back else max(
            self._due_s + self._period_s, now_s)
        return True


class RawTap:
    """
    Hands over a topic's messages without deserialising them.

    :param fast: the topic is faster than what is recorded, so only the newest message of each
        look is taken, at most ``rate_hz`` times a second; else every message is.
    """

    def __init__(
            self, node: Node, topic: str, type_name: str, write: Write, rate_hz: float, *,
            fast: bool):
        """Subscribe with raw messages."""
        self._topic = node.resolve_topic_name(topic)
        self._type_name = type_name
        self._write = write
        self._thinned = _Thinned(rate_hz) if fast else None
        profile = LATEST_BEST_EFFORT if fast else RECORDED
        self._messages = PolledSubscription(
            node, message_class(type_name), topic,
            LATCHED if topic in _LATCHED_TOPICS else profile, raw=True)

    def poll(self, now_s: float) -> None:
        """Pass on what has arrived."""
        if self._thinned is not None and not self._thinned.is_due(now_s):
            return
        for data in self._messages.take_all():
            self._write(self._topic, self._type_name, data)


class CompressedTap:
    """Hands over a colour topic as JPEG on ``<topic>/compressed``."""

    def __init__(self, node: Node, topic: str, write: Write, rate_hz: float, quality: int):
        """Subscribe to the newest image only."""
        try:
            import cv2
        except ImportError as error:
            raise MissingDependencyError(
                'OpenCV (compresses images)', 'pip install opencv-python-headless') from error
        self._cv2 = cv2
        self._topic = node.resolve_topic_name(topic) + '/compressed'
        self._write = write
        self._quality = [cv2.IMWRITE_JPEG_QUALITY, quality]
        self._thinned = _Thinned(rate_hz)
        self._images = PolledSubscription(node, Image, topic, LATEST_BEST_EFFORT)

    def poll(self, now_s: float) -> None:
        """Compress and pass on the newest image when one is due."""
        if not self._thinned.is_due(now_s):
            return
        message = self._images.take()
        if message is None:
            return
        rgb = image_to_rgb(message, self._images.name)
        done, jpeg = self._cv2.imencode(
            '.jpg', self._cv2.cvtColor(rgb, self._cv2.COLOR_RGB2BGR), self._quality)
        if done:
            out = CompressedImage(header=message.header, format='rgb8; jpeg compressed bgr8')
            out.data.frombytes(jpeg.tobytes())
            self._write(self._topic, 'sensor_msgs/msg/CompressedImage', serialize_message(out))
