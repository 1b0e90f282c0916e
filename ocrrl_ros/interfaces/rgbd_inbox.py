# SPDX-License-Identifier: Apache-2.0
"""Join colour, aligned depth and camera information of one instant, polled."""

from __future__ import annotations

from ocrrl_ros.core.errors import InputError
from ocrrl_ros.interfaces.conversions import from_stamp
from ocrrl_ros.interfaces.image_conversions import (
    camera_info_to_model, image_to_depth, image_to_rgb)
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATEST_BEST_EFFORT
from ocrrl_ros.perception.frame import RgbdFrame
from ocrrl_ros.perception.frame_order import FrameOrder, Order
from ocrrl_ros.perception.rectification import Rectifier
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

#: RealSense colour and depth of one frameset differ by less than half a period.
_SLOP_S = 0.016


class RgbdInbox:
    """
    Polls the camera; frames that a slow consumer missed are skipped, never queued.

    ``frame_id`` is that of the last frame, '' before. ``missing`` says what a frame waits for,
    '' where one came.

    :param camera: namespace and name of the camera.
    """

    def __init__(self, node: Node, camera: str = 'camera/camera'):
        """Subscribe to the newest of everything."""
        self._colour_in = PolledSubscription(
            node, Image, f'{camera}/color/image_raw', LATEST_BEST_EFFORT)
        self._depth_in = PolledSubscription(
            node, Image, f'{camera}/aligned_depth_to_color/image_raw', LATEST_BEST_EFFORT)
        self._info_in = PolledSubscription(
            node, CameraInfo, f'{camera}/color/camera_info', LATEST_BEST_EFFORT)
        self._rectifier: Rectifier | None = None
        self._colour: Image | None = None
        self._depth: Image | None = None
        self._order = FrameOrder()
        self.frame_id = self.missing = ''

    @property
    def depth_topic(self) -> str:
        """Return the name of the depth images' topic."""
        return self._depth_in.name

    def take(self) -> RgbdFrame | None:
        """
        Return the newest frame whose colour and depth belong together, once.

        The distortion that the camera information tells of is taken out of both. A frame from
        before the last one, or with its stamp, is left out. Where a clock was set back the first
        frame is refused, to say so, and the next ones are used.

        :raises InputError: an image has another encoding, is truncated or has another size than
            the camera information, or stamps went back; it is dropped. Or that information cannot
            be used: then no image can, until better has come.
        """
        info = self._info_in.take_newest()
        if info is not None:
            self._see_camera(info)
        self._colour = self._colour_in.take_newest() or self._colour
        self._depth = self._depth_in.take_newest() or self._depth
        self.missing = self._what_is_missing()
        if self.missing:
            return None
        colour, depth = self._colour, self._depth
        self._colour = self._depth = None
        stamp_s = from_stamp(colour.header.stamp)
        newest_s = self._order.newest_s
        order = self._order.take(stamp_s)
        if order is Order.LATE:
            return None
        if order is Order.CLOCK_SET_BACK:
            raise InputError(
                f'stamps on {self._colour_in.name} have gone back by {newest_s - stamp_s:.1f} s: '
                'a clock was set, every object is searched for anew')
        self.frame_id = colour.header.frame_id
        self._check_size(self._colour_in.name, colour)
        self._check_size(self._depth_in.name, depth)
        return RgbdFrame(
            stamp_s=stamp_s, intrinsics=self._rectifier.intrinsics,
            rgb=self._rectifier.colour(image_to_rgb(colour, self._colour_in.name)),
            depth_m=self._rectifier.depth(image_to_depth(depth, self._depth_in.name)))

    def _see_camera(self, info: CameraInfo) -> None:
        """Prepare for the pictures of a camera; the same one is sent with each of them."""
        before, self._rectifier = self._rectifier, None
        model = camera_info_to_model(info, self._info_in.name)
        is_known = before is not None and before.model == model
        self._rectifier = before if is_known else Rectifier(model, self._info_in.name)

    def _what_is_missing(self) -> str:
        """Return what keeps the newest images from being a frame, or an empty string."""
        lacking = [name for name, found in (
            (self._colour_in.name, self._colour), (self._depth_in.name, self._depth),
            (self._info_in.name, self._rectifier)) if found is None]
        if lacking:
            return f'waiting for {", ".join(lacking)}'
        apart_s = from_stamp(self._depth.header.stamp) - from_stamp(self._colour.header.stamp)
        if abs(apart_s) <= _SLOP_S:
            return ''
        return (f'{self._depth_in.name} and {self._colour_in.name} are {1e3 * apart_s:.0f} ms '
                f'apart; allowed: {1e3 * _SLOP_S:.0f} ms. Does the driver synchronise them '
                '(enable_sync of realsense2_camera)?')

    def _check_size(self, topic: str, image: Image) -> None:
        """Refuse an image of another size than the camera information tells of."""
        camera = self._rectifier.intrinsics
        if (image.width, image.height) != (camera.width, camera.height):
            raise InputError(
                f'{self._info_in.name} is of {camera.width}x{camera.height} px, {topic} has '
                f'{image.width}x{image.height}; allowed: the same')
