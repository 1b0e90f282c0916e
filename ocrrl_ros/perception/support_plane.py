# SPDX-License-Identifier: Apache-2.0
"""
The table that objects start on: where it is, and what it says about the depth camera.

A depth camera's scale error (about 1 % of range) moves an object along the viewing ray by more
than all other errors together. The table's height in the base frame is known, so the ratio of
measured to expected depth over its pixels measures that error.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.se3 import quat_to_matrix
from ocrrl_ros.perception.frame import Intrinsics


@dataclass(frozen=True, kw_only=True)
class SupportPlaneConfig:
    """Supporting plane and how far its depth is trusted."""

    height_m: float = field(
        default=0.0, metadata={'description': 'table height in the base frame, m'})
    correct_scale: bool = field(
        default=True, metadata={'description': 'correct the depth scale by the table'})
    prior_sigma: float = field(
        default=0.006, metadata={'description': 'standard deviation of the scale error, share'})
    plane_sigma: float = field(
        default=0.003,
        metadata={'description': 'scale error that the calibration of the camera feigns, share'})
    max_error: float = field(
        default=0.035, metadata={'description': 'largest depth deviation seen as table, share'})
    grid_px: int = field(default=12, metadata={'description': 'grid of the pixels looked at, px'})
    min_pixels: int = field(default=80, metadata={'description': 'fewest table pixels to use'})
    smoothing_s: float = field(
        default=1.0, metadata={'description': 'time constant of the scale estimate, s'})

    def __post_init__(self) -> None:
        """Refuse shares and sizes outside their range."""
        for name in ('prior_sigma', 'plane_sigma', 'max_error'):
            value = getattr(self, name)
            if not 0.0 < value <= 0.1:
                raise ConfigError(f'{name} is {value}; allowed: 0 .. 0.1')
        if self.grid_px < 2 or self.min_pixels < 10:
            raise ConfigError(
                f'grid_px is {self.grid_px} px and min_pixels {self.min_pixels}; '
                'allowed: >= 2 px and >= 10')
        if not self.smoothing_s > 0.0:
            raise ConfigError(f'smoothing_s is {self.smoothing_s} s; allowed: > 0 s')


class SupportPlane:
    """Supporting plane in the optical frame and the running estimate of the depth scale."""

    def __init__(self, config: SupportPlaneConfig) -> None:
        """Start with a scale of one."""
        self._config = config
        self._stamp_s: float | None = None
        self.depth_scale = 1.0

    def in_camera(self, base_T_camera: np.ndarray) -> np.ndarray:
        """Return (4,) normal and offset: ``normal . p + offset`` is a point's height, m."""
        rotation = quat_to_matrix(base_T_camera[3:])
        return np.append(rotation[2], base_T_camera[2] - self._config.height_m)

    def update(
            self, depth_m: np.ndarray, camera: Intrinsics, base_T_camera: np.ndarray,
            stamp_s: float) -> float:
        """
        Take one depth image (H, W); return the scale (measured over true depth).

        The observed ratio is shrunk towards one by the two standard deviations of the
        configuration: a camera pose that is a little wrong shifts the expected depth as well.
        """
        config = self._config
        if not config.correct_scale:
            return 1.0
        ratio = self._ratio(depth_m, camera, self.in_camera(base_T_camera))
        if ratio is None:
            return self.depth_scale
        trust = config.prior_sigma ** 2 / (config.prior_sigma ** 2 + config.plane_sigma ** 2)
        observed = 1.0 + trust * (ratio - 1.0)
        if self._stamp_s is None:
            self.depth_scale = observed
        else:
            step = max(stamp_s - self._stamp_s, 0.0)
            blend = 1.0 - np.exp(-step / config.smoothing_s)
            self.depth_scale += float(blend) * (observed - self.depth_scale)
        self._stamp_s = stamp_s
        return self.depth_scale

    def reset(self) -> None:
        """Forget the scale."""
        self._stamp_s = None
        self.depth_scale = 1.0

    def _ratio(
            self, depth_m: np.ndarray, camera: Intrinsics, plane: np.ndarray) -> float | None:
        """Return the median of measured over expected depth, None with too little table."""
        grid = self._config.grid_px
        measured = depth_m[grid // 2::grid, grid // 2::grid].astype(float)
        rows = np.arange(measured.shape[0])[:, None] * grid + grid // 2
        columns = np.arange(measured.shape[1])[None] * grid + grid // 2
        slope = (
            plane[0] * (columns - camera.cx) / camera.fx
            + plane[1] * (rows - camera.cy) / camera.fy + plane[2])
        expected = np.where(slope < -0.05, -plane[3] / np.minimum(slope, -0.05), np.inf)
        ratio = measured / expected
        table = np.abs(ratio - 1.0) < self._config.max_error
        table &= expected < 1.5
        return float(np.median(ratio[table])) if table.sum() >= self._config.min_pixels else None
