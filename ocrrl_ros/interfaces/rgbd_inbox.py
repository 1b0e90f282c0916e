# SPDX-License-Identifier: Apache-2.0
"""Join colour, aligned depth and camera information of one instant, polled."""

from __future__ import annotations

from ocrrl_ros.core.errors import InputError
from ocrrl_ros.interfaces.conversions import from_stamp
from ocrrl_ros.interfaces.image_conversions import (
    camera_info_to_intrinsics, image_to_depth, image_to_rgb)
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATEST_BEST_EFFORT
from ocrrl_ros.perception.frame import Intrinsics, RgbdFrame
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

#: RealSense colour and depth of one frameset differ by less than half a period.
_SLOP_S = 0.016


class RgbdInbox:
    """
    Polls the camera; frames that a slow consumer missed are skipped, never queued.

    ``frame_id`` is that of the last frame, '' before.

    :param camera: namespace and name of the camera.
    """

    def __init__(self, node: Node, camera: str = 'camera/camera'):
        """Subscribe to the newest of everything."""
        self._colour_in = PolledSubscription(
            node, Image, f'{camera}/color/image_raw', LATEST_BEST_EFFORT)
        self._depth_in = PolledSubscription(
            node, Image, f'{camera}/aligned_depth_to_color/image_raw', LATEST_BEST_EFFORT)
        self._info_topic = f'{camera}/color/camera_info'
        self._info_in = PolledSubscription(
            node, CameraInfo, self._info_topic, LATEST_BEST_EFFORT)
        self._intrinsics: Intrinsics | None = None
        self._colour: Image | None = None
        self._depth: Image | None = None
        self.frame_id = ''

    def take(self) -> RgbdFrame | None:
        """
        Return the newest frame whose colour and depth belong together, once.

        :raises InputError: an image has another encoding, is truncated or has another size than
            the camera information; it is dropped. Or that information cannot be used: then no
            image can, until better has come.
        """
        info = self._info_in.take_newest()
        if info is not None:
            self._intrinsics = None
            self._intrinsics = camera_info_to_intrinsics(info, self._info_topic)
        self._colour = self._colour_in.take_newest() or self._colour
        self._depth = self._depth_in.take_newest() or self._depth
        if self._colour is None or self._depth is None or self._intrinsics is None:
            return None
        stamp_s = from_stamp(self._colour.header.stamp)
        if abs(stamp_s - from_stamp(self._depth.header.stamp)) > _SLOP_S:
            return None
        colour, depth = self._colour, self._depth
        self._colour = self._depth = None
        self.frame_id = colour.header.frame_id
        camera = self._intrinsics
        if (colour.width, colour.height) != (camera.width, camera.height):
            raise InputError(
                f'{self._info_topic} is of {camera.width}x{camera.height} px, the colour image '
                f'has {colour.width}x{colour.height}; allowed: the same')
        return RgbdFrame(
            stamp_s=stamp_s, rgb=image_to_rgb(colour), depth_m=image_to_depth(depth),
            intrinsics=self._intrinsics)
