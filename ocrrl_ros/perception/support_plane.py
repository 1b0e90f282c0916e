# SPDX-License-Identifier: Apache-2.0
"""
The table that objects start on: what it says about the camera.

Its height and its level are known in the base frame. The normal of the plane fitted to the depth
image shows by how much the calibrated camera pose is tilted; the distance shows the scale error of
the depth camera (about 1 % of range), which otherwise moves objects along the viewing ray by more
than all other errors together. Turning about the vertical and horizontal shifts stay unseen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.se3 import (
    quat_conjugate, quat_from_rotvec, quat_multiply, quat_rotate, quat_to_matrix)
from ocrrl_ros.perception.frame import Intrinsics
from ocrrl_ros.perception.frame_order import CLOCK_SET_S

FIT_ROUNDS = 4


@dataclass(frozen=True, kw_only=True)
class SupportPlaneConfig:
    """Supporting plane and how far its image is trusted against the calibration."""

    correct: bool = field(
        default=True, metadata={'description': 'correct tilt and depth scale by the table'})
    height_m: float = field(
        default=0.0, metadata={'description': 'table height in the base frame, m'})
    scale_sigma: float = field(
        default=0.006, metadata={'description': 'scale error of the depth camera, share'})
    height_sigma_m: float = field(
        default=0.002, metadata={'description': 'error of the calibrated camera height, m'})
    tilt_sigma_deg: float = field(
        default=0.4, metadata={'description': 'error of the calibrated camera tilt, deg'})
    level_sigma_deg: float = field(
        default=0.1, metadata={'description': 'error of the fitted normal, depth warp, deg'})
    band_m: float = field(
        default=0.03, metadata={'description': 'height within which pixels may be table, m'})
    max_range_m: float = field(
        default=1.5, metadata={'description': 'farthest table pixel used, m'})
    max_tilt_deg: float = field(
        default=2.0, metadata={'description': 'a plane tilted more is not the table, deg'})
    grid_px: int = field(default=12, metadata={'description': 'grid of the pixels used, px'})
    min_pixels: int = field(default=150, metadata={'description': 'fewest table pixels to use'})
    period_s: float = field(default=0.1, metadata={'description': 'time between two fits, s'})
    smoothing_s: float = field(
        default=1.0, metadata={'description': 'time constant of the estimate, s'})

    def __post_init__(self) -> None:
        """Refuse sizes that are not positive."""
        for name in ('scale_sigma', 'height_sigma_m', 'tilt_sigma_deg', 'level_sigma_deg',
                     'band_m', 'max_range_m', 'max_tilt_deg', 'smoothing_s'):
            value = getattr(self, name)
            if not value > 0.0:
                raise ConfigError(f'{name} is {value}; allowed: > 0')
        if self.grid_px < 2 or self.min_pixels < 10 or self.period_s < 0.0:
            raise ConfigError(
                f'grid_px is {self.grid_px} px, min_pixels {self.min_pixels}, period_s '
                f'{self.period_s} s; allowed: >= 2 px, >= 10, >= 0 s')


class SupportPlane:
    """Running estimate of camera tilt and depth scale from the supporting plane."""

    def __init__(self, config: SupportPlaneConfig) -> None:
        """Start with the calibration as it is."""
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self._stamp_s: float | None = None
        self._tilt = np.zeros(3)
        self._orientation: np.ndarray | None = None
        self.depth_scale = 1.0

    @property
    def tilt(self) -> np.ndarray:
        """Rotation vector (3,) in rad, base frame, from the calibrated to the true camera."""
        return self._tilt

    def update(
            self, depth_m: np.ndarray, camera: Intrinsics, base_T_camera: np.ndarray,
            stamp_s: float) -> None:
        """
        Take one depth image (H, W) of a camera calibrated at a pose (7,).

        What is seen is shrunk towards the calibration by their standard deviations.
        """
        self._turn_along(base_T_camera[3:])
        config = self._config
        last_s = self._stamp_s
        if last_s is not None and stamp_s < last_s - CLOCK_SET_S:
            # A clock was set back; what the table said is as true as before.
            last_s = self._stamp_s = stamp_s
        if not config.correct or (last_s is not None and stamp_s < last_s + config.period_s):
            return
        height = base_T_camera[2] - config.height_m
        plane = self._fit(depth_m, camera, self.in_camera(base_T_camera))
        if plane is None or height <= 0.0:
            return
        length = float(np.sqrt(plane @ plane))
        up = quat_to_matrix(base_T_camera[3:]) @ (-plane / length)
        tilt = np.array([up[1], -up[0], 0.0])
        scale = 1.0 / (length * height)
        if not (np.sqrt(tilt @ tilt) < np.radians(config.max_tilt_deg)
                and abs(scale - 1.0) < 5.0 * config.scale_sigma):
            return
        tilt = tilt * _trust(config.tilt_sigma_deg, config.level_sigma_deg)
        scale = 1.0 + (scale - 1.0) * _trust(config.scale_sigma, config.height_sigma_m / height)
        blend = 1.0
        if last_s is not None:
            blend = 1.0 - float(np.exp(-(stamp_s - last_s) / config.smoothing_s))
        self._tilt = self._tilt + blend * (tilt - self._tilt)
        self.depth_scale += blend * (scale - self.depth_scale)
        self._stamp_s = stamp_s

    def levelled(self, base_T_camera: np.ndarray) -> np.ndarray:
        """Return the camera pose (7,) turned about its centre so that the table is level."""
        self._turn_along(base_T_camera[3:])
        if not self._tilt.any():
            return base_T_camera
        turned = quat_multiply(quat_from_rotvec(self._tilt), base_T_camera[3:])
        return np.concatenate([base_T_camera[:3], turned])

    def _turn_along(self, orientation: np.ndarray) -> None:
        """Keep the tilt with the camera: on the wrist its calibration turns with the hand."""
        before, self._orientation = self._orientation, np.array(orientation)
        if before is not None and self._tilt.any() and not np.array_equal(before, orientation):
            turn = quat_multiply(orientation, quat_conjugate(before))
            self._tilt = quat_rotate(turn, self._tilt)

    def in_camera(self, base_T_camera: np.ndarray) -> np.ndarray:
        """Return (4,) normal and offset: ``normal . p + offset`` is a point's height, m."""
        rotation = quat_to_matrix(base_T_camera[3:])
        return np.append(rotation[2], base_T_camera[2] - self._config.height_m)

    def _fit(
            self, depth_m: np.ndarray, camera: Intrinsics, expected: np.ndarray,
            ) -> np.ndarray | None:
        """
        Return (a, b, c) of ``1 / z = a x + b y + c`` over the table's pixels.

        A plane is linear in inverse depth, whose noise is the same at every range.
        """
        config, grid = self._config, self._config.grid_px
        z = depth_m[grid // 2::grid, grid // 2::grid].astype(float)
        rows, columns = np.nonzero((z > 0.1) & (z < config.max_range_m))
        z = z[rows, columns]
        x = (columns * grid + grid // 2 - camera.cx) / camera.fx
        y = (rows * grid + grid // 2 - camera.cy) / camera.fy
        inputs = np.stack([x, y, np.ones_like(x)], axis=-1)
        inverse = 1.0 / np.maximum(z, 1e-3)
        plane = -expected[:3] / max(expected[3], 1e-6)
        for band in np.geomspace(config.band_m, 0.2 * config.band_m, FIT_ROUNDS):
            # A height h above the plane shifts inverse depth by h |plane| / z.
            table = np.abs(inverse - inputs @ plane) * z < band * np.sqrt(plane @ plane)
            if table.sum() < config.min_pixels:
                return None
            chosen = inputs[table]
            plane = np.linalg.solve(chosen.T @ chosen, chosen.T @ inverse[table])
        return plane


def _trust(prior: float, error: float) -> float:
    """Return the weight of an observation with this error against a prior of this spread."""
    return prior * prior / (prior * prior + error * error)
