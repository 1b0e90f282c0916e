# SPDX-License-Identifier: Apache-2.0
"""One colour and depth image with the camera that took it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ocrrl_ros.core.errors import ConfigError, InputError

MILLIMETRE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Intrinsics:
    """Pinhole camera without distortion; pixel centres lie at integer coordinates."""

    fx: float = field(metadata={'description': 'focal length along x, px'})
    fy: float = field(metadata={'description': 'focal length along y, px'})
    cx: float = field(metadata={'description': 'principal point x, px'})
    cy: float = field(metadata={'description': 'principal point y, px'})
    width: int = field(metadata={'description': 'image width, px'})
    height: int = field(metadata={'description': 'image height, px'})

    def __post_init__(self) -> None:
        """Refuse focal lengths and sizes that are not positive."""
        for name in ('fx', 'fy', 'width', 'height'):
            value = getattr(self, name)
            if not value > 0:
                raise ConfigError(f'{name} is {value} px; allowed: > 0')

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return pixel coordinates (..., 2) of points (..., 3) in the optical frame, metres."""
        points = np.asarray(points, dtype=float)
        depth = np.maximum(points[..., 2:3], 1e-6)
        focal = np.array([self.fx, self.fy])
        return points[..., :2] / depth * focal + np.array([self.cx, self.cy])

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Return unit viewing directions (..., 3), optical frame, of pixels (..., 2)."""
        pixels = np.asarray(pixels, dtype=float)
        directions = np.ones((*pixels.shape[:-1], 3))
        directions[..., 0] = (pixels[..., 0] - self.cx) / self.fx
        directions[..., 1] = (pixels[..., 1] - self.cy) / self.fy
        return directions / np.linalg.norm(directions, axis=-1, keepdims=True)


@dataclass(frozen=True, kw_only=True)
class CameraModel:
    """A pinhole camera and its distortion, by the names of sensor_msgs/CameraInfo."""

    intrinsics: Intrinsics
    distortion_model: str = 'plumb_bob'
    distortion: tuple[float, ...] = (0.0,) * 5


@dataclass(frozen=True, kw_only=True)
class RgbdFrame:
    """
    Colour and depth on one pixel grid (depth aligned to colour).

    ``rgb`` (H, W, 3) uint8; ``depth_m`` (H, W) float32 metres along the optical axis, 0 where
    invalid; ``stamp_s`` the time of exposure in seconds.
    """

    stamp_s: float
    rgb: np.ndarray
    depth_m: np.ndarray
    intrinsics: Intrinsics

    def __post_init__(self) -> None:
        """Refuse images whose shape or type does not fit the intrinsics."""
        size = (self.intrinsics.height, self.intrinsics.width)
        if self.rgb.shape != (*size, 3) or self.rgb.dtype != np.uint8:
            raise InputError(
                f'rgb is {self.rgb.shape} {self.rgb.dtype}; allowed: {(*size, 3)} uint8')
        if self.depth_m.shape != size or self.depth_m.dtype != np.float32:
            raise InputError(
                f'depth_m is {self.depth_m.shape} {self.depth_m.dtype}; allowed: {size} float32')
        if not np.isfinite(self.stamp_s):
            raise InputError(f'stamp_s is {self.stamp_s} s; allowed: finite')


def check_picture(rgb: np.ndarray) -> None:
    """
    Refuse what is no colour picture.

    :raises InputError: it is not (H, W, 3) uint8.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise InputError(f'picture is {rgb.shape} {rgb.dtype}; allowed: (H, W, 3) uint8')


def depth_to_metres(depth: np.ndarray, unit_m: float = MILLIMETRE) -> np.ndarray:
    """
    Return float32 metres with 0 for invalid pixels.

    :param depth: (H, W) uint16 in ``unit_m`` (0 invalid), or float32 metres where NaN and
        infinities are invalid (REP-118).
    :raises InputError: another element type.
    """
    if depth.dtype == np.uint16:
        return depth.astype(np.float32) * np.float32(unit_m)
    if depth.dtype == np.float32:
        return np.where(np.isfinite(depth) & (depth > 0.0), depth, np.float32(0.0))
    raise InputError(f'depth images are uint16 or float32, not {depth.dtype}')
