# SPDX-License-Identifier: Apache-2.0
"""Convert images and camera information between messages and arrays."""

from __future__ import annotations

import cv2
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.interfaces.conversions import to_stamp
from ocrrl_ros.perception.frame import CameraModel, depth_to_metres, Intrinsics
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

COLOUR_TOPIC = 'camera/camera/color/image_raw'
"""The colour images that policies see."""
OPTICAL_FRAME = 'camera_color_optical_frame'
"""Their frame, and that of depth aligned to them."""
# The default of image_transport.
#: Ten times what telescopic lenses have, px.
_LONGEST_PX = 1e5
_JPEG_QUALITY = 95
#: encoding -> (numpy type, channels)
_ENCODINGS = {
    'rgb8': (np.uint8, 3), 'bgr8': (np.uint8, 3), '16UC1': (np.uint16, 1),
    'mono16': (np.uint16, 1), '32FC1': (np.float32, 1),
}


def image_message(pixels: np.ndarray, encoding: str, frame_id: str, stamp_s: float) -> Image:
    """
    Return an image message.

    :param pixels: (H, W, 3) or (H, W) of the type that the encoding asks for.
    :raises InputError: the array does not fit the encoding.
    """
    kind, channels = _ENCODINGS[encoding]
    if pixels.dtype != kind or pixels.ndim != (3 if channels > 1 else 2):
        raise InputError(
            f'pixels are {pixels.shape} {pixels.dtype}; {encoding} needs {np.dtype(kind)} '
            f'with {channels} channels')
    message = Image()
    message.header.frame_id = frame_id
    message.header.stamp = to_stamp(stamp_s)
    message.height, message.width = pixels.shape[:2]
    message.encoding = encoding
    message.is_bigendian = 0
    message.step = int(pixels.shape[1] * channels * pixels.dtype.itemsize)
    # An array.array is taken over as it is; bytes or lists are checked item by item.
    message.data.frombytes(memoryview(np.ascontiguousarray(pixels)).cast('B'))
    return message


def compressed_message(rgb: np.ndarray, frame_id: str, stamp_s: float) -> CompressedImage:
    """Return (H, W, 3) uint8 RGB as the JPEG that image_transport makes of it."""
    message = CompressedImage(format='rgb8; jpeg compressed bgr8')
    message.header.frame_id = frame_id
    message.header.stamp = to_stamp(stamp_s)
    _, encoded = cv2.imencode(
        '.jpg', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    message.data.frombytes(encoded.tobytes())
    return message


def image_to_array(message: Image, source: str) -> np.ndarray:
    """
    Return (H, W, 3) or (H, W); a view of the message where it has no padding and native order.

    :raises InputError: unknown encoding, or the data is shorter than its description.
    """
    if message.encoding not in _ENCODINGS:
        raise InputError(
            f'image from {source} has encoding {message.encoding!r}; '
            f'allowed: {", ".join(_ENCODINGS)}')
    kind, channels = _ENCODINGS[message.encoding]
    row = message.width * channels * np.dtype(kind).itemsize
    if message.step < row or len(message.data) < message.step * message.height:
        raise InputError(
            f'image from {source} is truncated: {len(message.data)} bytes and rows of '
            f'{message.step} for {message.width}x{message.height} {message.encoding}')
    rows = np.frombuffer(message.data, np.uint8, message.step * message.height)
    packed = np.ascontiguousarray(rows.reshape(message.height, message.step)[:, :row])
    order = '>' if message.is_bigendian else '<'
    pixels = packed.view(np.dtype(kind).newbyteorder(order)).astype(kind, copy=False)
    shape = (message.height, message.width, channels)
    return pixels.reshape(shape if channels > 1 else shape[:2])


def image_to_rgb(message: Image, source: str = 'colour image') -> np.ndarray:
    """
    Return (H, W, 3) uint8 in RGB order.

    :raises InputError: the encoding is neither rgb8 nor bgr8, or data is missing.
    """
    if message.encoding not in ('rgb8', 'bgr8'):
        raise InputError(
            f'image from {source} has encoding {message.encoding!r}; allowed: rgb8, bgr8')
    pixels = image_to_array(message, source)
    return pixels if message.encoding == 'rgb8' else np.ascontiguousarray(pixels[..., ::-1])


def image_to_depth(message: Image, source: str = 'depth image') -> np.ndarray:
    """
    Return (H, W) float32 metres, 0 where invalid; 16UC1 is millimetres, 32FC1 metres (REP-118).

    :raises InputError: another encoding, or data is missing.
    """
    if message.encoding not in ('16UC1', 'mono16', '32FC1'):
        raise InputError(
            f'image from {source} has encoding {message.encoding!r}; allowed: 16UC1, 32FC1')
    return depth_to_metres(image_to_array(message, source))


def camera_info(
        camera: Intrinsics | CameraModel, frame_id: str, stamp_s: float) -> CameraInfo:
    """Return camera information; of bare intrinsics, that of a camera without distortion."""
    model = CameraModel(intrinsics=camera) if isinstance(camera, Intrinsics) else camera
    intrinsics = model.intrinsics
    fx, fy, cx, cy = intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy
    message = CameraInfo()
    message.header.frame_id = frame_id
    message.header.stamp = to_stamp(stamp_s)
    message.height, message.width = intrinsics.height, intrinsics.width
    message.distortion_model = model.distortion_model
    message.d = list(model.distortion)
    message.k = np.array([fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0])
    message.r = np.eye(3).ravel()
    message.p = np.array([fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0])
    return message


def camera_info_to_intrinsics(message: CameraInfo, source: str = 'camera_info') -> Intrinsics:
    """
    Return the pinhole camera of the message, whatever its lens does to pictures.

    :raises InputError: an uncalibrated camera (zero focal length), a principal point that no
        camera has, or a number that is not finite.
    """
    if not all(0.0 < message.k[index] <= _LONGEST_PX for index in (0, 4)):
        raise InputError(
            f'{source} has focal lengths {message.k[0]}, {message.k[4]} px; allowed: > 0, up to '
            f'{_LONGEST_PX:g}')
    for value, size in ((message.k[2], message.width), (message.k[5], message.height)):
        if not -size <= value <= 2 * size:
            raise InputError(
                f'{source} has principal point {message.k[2]}, {message.k[5]} px for an image of '
                f'{message.width}x{message.height}; allowed: near the image')
    return Intrinsics(
        fx=float(message.k[0]), fy=float(message.k[4]), cx=float(message.k[2]),
        cy=float(message.k[5]), width=int(message.width), height=int(message.height))


def camera_info_to_model(message: CameraInfo, source: str = 'camera_info') -> CameraModel:
    """
    Return the camera of the message with its distortion; `Rectifier` refuses odd ones.

    :raises InputError: as of `camera_info_to_intrinsics`.
    """
    return CameraModel(
        intrinsics=camera_info_to_intrinsics(message, source),
        distortion_model=message.distortion_model,
        distortion=tuple(float(value) for value in message.d))
