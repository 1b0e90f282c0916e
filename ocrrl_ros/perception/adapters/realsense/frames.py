# SPDX-License-Identifier: Apache-2.0
"""Turn a set of RealSense frames into arrays that outlive it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.perception.frame import CameraModel, Intrinsics, MILLIMETRE

ClockDomain = Literal['host', 'camera', 'recording']
_FARTHEST_MM = 65535
_JITTER_S = 2e-3


@dataclass(frozen=True, kw_only=True)
class CameraFrame:
    """
    Colour and depth of one exposure.

    ``rgb`` (H, W, 3) uint8; ``depth_mm`` (h, w) uint16 millimetres, 0 where invalid, on the
    colour image's pixels where it was aligned; ``timestamp_s`` of the colour image on the clock
    of ``domain``; ``depth_lag_s`` what depth was exposed later, on the same clock; ``period_s``
    of the slower stream.
    """

    number: int
    timestamp_s: float
    domain: ClockDomain
    depth_lag_s: float
    period_s: float
    rgb: np.ndarray
    depth_mm: np.ndarray
    color_model: CameraModel
    depth_model: CameraModel

    @property
    def belongs_together(self) -> bool:
        """
        Return whether no other depth image is nearer to the colour image.

        Where one of its streams is late the library sends a set with the image before, and the
        right set after it.
        """
        return abs(self.depth_lag_s) <= 0.5 * self.period_s + _JITTER_S


def depth_to_millimetres(depth: np.ndarray, unit_m: float) -> np.ndarray:
    """
    Return (H, W) uint16 millimetres, rounded; 0 stays invalid, and so is what lies too far.

    :param depth: (H, W) uint16 counts of ``unit_m``.
    :raises InputError: the unit is not positive.
    """
    if not unit_m > 0.0:
        raise InputError(f'the camera reports depth units of {unit_m} m; allowed: > 0')
    scale = np.float32(unit_m / MILLIMETRE)
    if abs(scale - 1.0) < 1e-6:
        return depth.copy()
    scaled = np.rint(depth.astype(np.float32) * scale)
    return np.where(scaled > _FARTHEST_MM, np.float32(0.0), scaled).astype(np.uint16)


class FrameReader:
    """
    Reads the sets of frames of one pipeline.

    :param rs: the RealSense library.
    :param align: put depth on the pixels of the colour image.
    :param is_recording: the frames are played.
    """

    def __init__(self, rs: Any, align: bool, is_recording: bool = False):
        """Make the library's align block."""
        self._rs = rs
        self._align = rs.align(rs.stream.color) if align else None
        host: ClockDomain = 'recording' if is_recording else 'host'
        self._other: ClockDomain = 'recording' if is_recording else 'camera'
        self._domains = {
            rs.timestamp_domain.global_time: host, rs.timestamp_domain.system_time: host}

    def read(self, frames: Any) -> CameraFrame | None:
        """
        Return copies of colour and depth; None where the set lacks one, as the first may.

        :param frames: composite frame of the library.
        :raises InputError: intrinsics or depth units cannot be used, or the colour format is
            neither rgb8 nor bgr8.
        """
        color, depth = frames.get_color_frame(), frames.get_depth_frame()
        if not color or not depth:
            return None
        # Alignment makes a new frame: what is asked about the exposure is asked before.
        lag_s = (depth.get_timestamp() - color.get_timestamp()) * 1e-3
        fps = min(color.get_profile().fps(), depth.get_profile().fps())
        # Refused before they are used: the library divides by them.
        model, own_model = self._model(color, 'colour'), self._model(depth, 'depth')
        if self._align is not None:
            depth = self._align.process(frames).get_depth_frame()
        return CameraFrame(
            number=color.get_frame_number(), timestamp_s=color.get_timestamp() * 1e-3,
            domain=self._domains.get(color.get_frame_timestamp_domain(), self._other),
            depth_lag_s=lag_s, period_s=1.0 / max(fps, 1), rgb=self._rgb(color),
            depth_mm=depth_to_millimetres(np.asarray(depth.get_data()), depth.get_units()),
            color_model=model, depth_model=own_model if self._align is None else model)

    def _rgb(self, frame: Any) -> np.ndarray:
        """Return a copy (H, W, 3) in RGB order."""
        kind = frame.get_profile().format()
        if kind == self._rs.format.rgb8:
            return np.array(frame.get_data())
        if kind == self._rs.format.bgr8:
            return np.asarray(frame.get_data())[..., ::-1].copy()
        raise InputError(f'the colour stream is {kind}; allowed: rgb8, bgr8')

    def _model(self, frame: Any, name: str) -> CameraModel:
        """Return the camera that a frame was taken with."""
        told = frame.get_profile().as_video_stream_profile().get_intrinsics()
        try:
            intrinsics = Intrinsics(
                fx=told.fx, fy=told.fy, cx=told.ppx, cy=told.ppy, width=told.width,
                height=told.height)
        except ConfigError as error:
            raise InputError(
                f'the {name} stream has unusable intrinsics: {error}; is the camera '
                'calibrated?') from error
        coefficients = tuple(float(value) for value in told.coeffs)
        if told.model == self._rs.distortion.kannala_brandt4:
            return CameraModel(intrinsics=intrinsics, distortion_model='equidistant',
                               distortion=coefficients[:4])
        return CameraModel(intrinsics=intrinsics, distortion=coefficients)
