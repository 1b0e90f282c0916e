# SPDX-License-Identifier: Apache-2.0
"""Taps that hand messages to a recorder as serialised bytes, thinned to a rate."""

from __future__ import annotations

from collections.abc import Callable
import importlib
import time

from ocrrl_ros.core.errors import ConfigError, MissingDependencyError
from ocrrl_ros.interfaces.image_conversions import image_to_rgb
from ocrrl_ros.interfaces.qos import LATEST_BEST_EFFORT, SENSOR_DATA
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image

Write = Callable[[str, str, bytes], None]
_LATCHED_TOPICS = ('base_policy/instruction', 'residual_policy/state', 'episode/state')
_LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL)


def message_class(type_name: str) -> type:
    """
    Return the class of ``package/msg/Type``.

    :raises ConfigError: the package is not installed or has no such message.
    """
    package, _, name = type_name.split('/')
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

    def is_due(self) -> bool:
        """Return whether a call may pass now, and count it."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return False
        self._due_s = max(self._due_s + self._period_s, now_s)
        return True


class RawTap:
    """Hands over a topic's messages without deserialising them."""

    def __init__(self, node: Node, topic: str, type_name: str, write: Write, rate_hz: float):
        """Subscribe with raw messages."""
        self._topic = node.resolve_topic_name(topic)
        self._type_name = type_name
        self._write = write
        self._thinned = _Thinned(rate_hz)
        qos = _LATCHED if topic in _LATCHED_TOPICS else SENSOR_DATA
        self._subscription = node.create_subscription(
            message_class(type_name), topic, self._on_message, qos, raw=True)

    def _on_message(self, data: bytes) -> None:
        """Pass one message on."""
        if self._thinned.is_due():
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
        self._subscription = node.create_subscription(
            Image, topic, self._on_image, LATEST_BEST_EFFORT)

    def _on_image(self, message: Image) -> None:
        """Compress and pass one image on."""
        if not self._thinned.is_due():
            return
        rgb = image_to_rgb(message)
        done, jpeg = self._cv2.imencode(
            '.jpg', self._cv2.cvtColor(rgb, self._cv2.COLOR_RGB2BGR), self._quality)
        if done:
            out = CompressedImage(header=message.header, format='rgb8; jpeg compressed bgr8')
            out.data.frombytes(jpeg.tobytes())
            self._write(self._topic, 'sensor_msgs/msg/CompressedImage', serialize_message(out))
