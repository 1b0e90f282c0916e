# SPDX-License-Identifier: Apache-2.0
"""Publish colour, depth and camera information of one instant, as realsense2_camera does."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.interfaces.image_conversions import (
    camera_info, COLOUR_TOPIC, compressed_message, image_message, OPTICAL_FRAME)
from ocrrl_ros.interfaces.qos import IMAGE, topic
from ocrrl_ros.perception.frame import CameraModel
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

_CAMERA = 'camera/camera'
_FRAME_START = 'camera_'


class RgbdOutbox:
    """
    Publishers of one camera; images that nobody listens to are not converted.

    :param aligned: whether depth is on the colour image's pixels; if not it has its own topic
        and frame.
    :param camera_name: first part of the frames' names.
    """

    def __init__(self, node: Node, *, aligned: bool = True, camera_name: str = 'camera'):
        """Create the publishers."""
        self._color_frame = f'{camera_name}_{OPTICAL_FRAME.removeprefix(_FRAME_START)}'
        self._color = node.create_publisher(Image, COLOUR_TOPIC, topic(COLOUR_TOPIC).qos)
        compressed = f'{COLOUR_TOPIC}/compressed'
        self._compressed = node.create_publisher(
            CompressedImage, compressed, topic(compressed).qos)
        info = f'{_CAMERA}/color/camera_info'
        self._color_info = node.create_publisher(CameraInfo, info, topic(info).qos)
        if aligned:
            depth, self._depth_frame = f'{_CAMERA}/aligned_depth_to_color', self._color_frame
            image = f'{depth}/image_raw'
        else:
            depth, self._depth_frame = f'{_CAMERA}/depth', f'{camera_name}_depth_optical_frame'
            image = f'{depth}/image_rect_raw'
        self._depth = node.create_publisher(Image, image, IMAGE)
        self._depth_info = node.create_publisher(CameraInfo, f'{depth}/camera_info', IMAGE)

    @property
    def color_is_heard(self) -> bool:
        """Return whether anyone listens to the colour image, compressed or not."""
        return any(
            publisher.get_subscription_count() for publisher in (self._color, self._compressed))

    @property
    def depth_is_heard(self) -> bool:
        """Return whether anyone listens to the depth image."""
        return self._depth.get_subscription_count() > 0

    def publish(
            self, stamp_s: float, rgb: np.ndarray | None, depth_mm: np.ndarray | None,
            color_model: CameraModel, depth_model: CameraModel) -> None:
        """
        Send the images that exist and are heard, and both descriptions.

        :param stamp_s: time of the exposure, s.
        :param rgb: (H, W, 3) uint8.
        :param depth_mm: (h, w) uint16, millimetres, 0 where invalid.
        """
        if rgb is not None:
            if self._color.get_subscription_count():
                self._color.publish(image_message(rgb, 'rgb8', self._color_frame, stamp_s))
            if self._compressed.get_subscription_count():
                self._compressed.publish(compressed_message(rgb, self._color_frame, stamp_s))
        if depth_mm is not None and self.depth_is_heard:
            self._depth.publish(image_message(depth_mm, '16UC1', self._depth_frame, stamp_s))
        self._color_info.publish(camera_info(color_model, self._color_frame, stamp_s))
        self._depth_info.publish(camera_info(depth_model, self._depth_frame, stamp_s))
