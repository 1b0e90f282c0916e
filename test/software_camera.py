# SPDX-License-Identifier: Apache-2.0
"""
A RealSense camera without hardware: the library's software device, fed with pictures of a card.

Its frames go through the library's own pipeline, syncer, align block, recorder and playback.
Run as a program it writes a recording: ``python test/software_camera.py FILE``. Version 2.59 of
the library writes .db3 and plays .bag, too; test/data/software_camera.bag was written by 2.56.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import sys
import time
from types import ModuleType

import numpy as np

WIDTH, HEIGHT, FPS = 64, 48, 30
FOCAL_PX = 60.0
SHIFT_M = 0.05
"""The colour camera sees a thing this much farther to the right than the depth camera does."""
NEAR_M, FAR_M = 0.5, 1.5
CARD_M = (-0.05, 0.05)
"""Left and right edge, and top and bottom, of the card at NEAR_M, in the depth camera's frame."""
CARD_RGB, WALL_RGB = (200, 30, 20), (40, 60, 80)
SERIAL = '012345678901'


def card_mask(shift_m: float) -> np.ndarray:
    """Return (H, W) bool: the pixels that see the card, which lies ``shift_m`` to the right."""
    rows, columns = np.indices((HEIGHT, WIDTH))
    x_m = (columns - WIDTH / 2) * NEAR_M / FOCAL_PX - shift_m
    y_m = (rows - HEIGHT / 2) * NEAR_M / FOCAL_PX
    return ((x_m >= CARD_M[0]) & (x_m <= CARD_M[1])
            & (y_m >= CARD_M[0]) & (y_m <= CARD_M[1]))


class SoftwareCamera:
    """
    One software device with a depth and a colour stream.

    :param rs: the RealSense library.
    :param unit_m: metres per count of depth.
    :param focal_px: focal length of the colour camera, 0 for one that was never calibrated.
    :param most_exposure: longest exposure that can be set; 0: none can.
    :param has_one_sensor: both streams are of one sensor, as on a D405.
    """

    def __init__(self, rs: ModuleType, *, unit_m: float = 0.001, serial: str = SERIAL,
                 focal_px: float = FOCAL_PX, coefficients: tuple[float, ...] = (0.0,) * 5,
                 domain: str = 'hardware_clock', most_exposure: int = 0,
                 has_one_sensor: bool = False):
        self._rs, self._unit_m = rs, unit_m
        self._domain = getattr(rs.timestamp_domain, domain)
        self.device = rs.software_device()
        self.device.register_info(rs.camera_info.name, 'Software Camera')
        self.device.register_info(rs.camera_info.serial_number, serial)
        self._depth_sensor = self.device.add_sensor('Stereo Module')
        self._color_sensor = (self._depth_sensor if has_one_sensor
                              else self.device.add_sensor('RGB Camera'))
        self._depth_sensor.add_read_only_option(rs.option.depth_units, unit_m)
        if most_exposure:
            for sensor in {self._depth_sensor, self._color_sensor}:
                self._add_option(sensor, rs.option.exposure, 1, most_exposure)
                self._add_option(sensor, rs.option.enable_auto_exposure, 0, 1)
        self._depth = self._depth_sensor.add_video_stream(
            self._stream(rs.stream.depth, rs.format.z16, 2, FOCAL_PX, (0.0,) * 5))
        self._color = self._color_sensor.add_video_stream(
            self._stream(rs.stream.color, rs.format.rgb8, 3, focal_px, coefficients))
        extrinsics = rs.extrinsics()
        extrinsics.rotation = [1, 0, 0, 0, 1, 0, 0, 0, 1]
        extrinsics.translation = [SHIFT_M, 0, 0]
        self._depth.register_extrinsics_to(self._color, extrinsics)
        self.device.create_matcher(rs.matchers.dlr_c)
        self.number = 0

    def _add_option(self, sensor, option, least, most):
        limits = self._rs.option_range()
        limits.min, limits.max, limits.default, limits.step = least, most, least, 1
        sensor.add_option(option, limits, True)

    def _stream(self, kind, form, size, focal_px, coefficients):
        rs, stream = self._rs, self._rs.video_stream()
        intrinsics = rs.intrinsics()
        intrinsics.width, intrinsics.height = WIDTH, HEIGHT
        intrinsics.fx = intrinsics.fy = focal_px
        intrinsics.ppx, intrinsics.ppy = WIDTH / 2, HEIGHT / 2
        intrinsics.model, intrinsics.coeffs = rs.distortion.brown_conrady, list(coefficients)
        stream.type, stream.uid, stream.index = kind, 1 + (size == 3), 0
        stream.width, stream.height, stream.fps = WIDTH, HEIGHT, FPS
        stream.bpp, stream.fmt, stream.intrinsics = size, form, intrinsics
        return stream

    def send(self, timestamp_s: float, *, skip: int = 0, is_blind: bool = False,
             streams: str = 'depth and colour', depth_lag_s: float = 0.0) -> None:
        """
        Expose both cameras.

        :param skip: count that many frames that are never sent.
        :param is_blind: no depth anywhere.
        """
        self.number += 1 + skip
        depth_m = np.where(card_mask(0.0), NEAR_M, FAR_M) * (not is_blind)
        rgb = np.where(card_mask(SHIFT_M)[..., None], CARD_RGB, WALL_RGB).astype(np.uint8)
        # The number of the frame, to be found again in what arrives.
        rgb[0, 0] = self.number % 256
        if 'depth' in streams:
            counts = np.rint(depth_m / self._unit_m).astype(np.uint16)
            self._depth_sensor.on_video_frame(
                self._frame(self._depth, counts, timestamp_s + depth_lag_s))
        if 'colour' in streams:
            self._color_sensor.on_video_frame(self._frame(self._color, rgb, timestamp_s))

    def _frame(self, profile, pixels, timestamp_s):
        frame = self._rs.software_video_frame()
        frame.bpp = pixels.dtype.itemsize * (pixels.shape[2] if pixels.ndim > 2 else 1)
        frame.stride = frame.bpp * WIDTH
        frame.timestamp, frame.domain = timestamp_s * 1e3, self._domain
        frame.frame_number = self.number
        frame.profile, frame.pixels = profile.as_video_stream_profile(), pixels
        if pixels.ndim == 2:
            frame.depth_units = self._unit_m
        return frame

    @contextmanager
    def recording(self, path: str) -> Iterator[None]:
        """Write what is sent in the block to a file."""
        recorder, queue = self._rs.recorder(path, self.device), self._rs.frame_queue(10)
        sensors = recorder.query_sensors()
        for sensor, profile in zip(sensors, (self._depth, self._color)):
            sensor.open(profile)
            sensor.start(queue)
        yield
        for sensor in sensors:
            sensor.stop()
            sensor.close()


def write_recording(rs: ModuleType, path: str, frames: int = 10, *, is_blind: bool = False,
                    **camera) -> None:
    """Record frames at 30 Hz, with stamps of the camera's own clock from 100 s on."""
    source = SoftwareCamera(rs, **camera)
    with source.recording(path):
        for index in range(frames):
            source.send(100.0 + index / FPS, is_blind=is_blind)
            # The recorder goes by the wall clock.
            time.sleep(1.0 / FPS)


if __name__ == '__main__':
    import pyrealsense2
    write_recording(pyrealsense2, sys.argv[1])
