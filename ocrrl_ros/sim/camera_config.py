# SPDX-License-Identifier: Apache-2.0
"""What a world's camera is, and what software is told about it."""

from __future__ import annotations

from dataclasses import dataclass, field
import math

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception.frame import Intrinsics
from ocrrl_ros.sim.depth_noise import DepthNoiseConfig

Triple = tuple[float, float, float]


def require_range(name: str, value: float, low: float, high: float, unit: str = '') -> None:
    """Raise a ConfigError when the value is not a number in [low, high]."""
    if not low <= value <= high:
        suffix = f' {unit}' if unit else ''
        raise ConfigError(f'{name} is {value}{suffix}; allowed: {low} .. {high}{suffix}')


@dataclass(frozen=True, kw_only=True)
class CameraConfig:
    """
    The fixed camera: true pose and intrinsics, and the error in what software is told.

    Frames: *optical* as OpenCV has it, z forward, x right, y down. Integer pixel (u, v) is
    a pixel's centre, so a centred principal point is ((W - 1) / 2, (H - 1) / 2).
    """

    eye_m: Triple = field(
        default=(1.02, 0.30, 0.45), metadata={'description': 'optical centre in base, m'})
    target_m: Triple = field(
        default=(0.48, 0.0, 0.06), metadata={'description': 'point on the optical axis, m'})
    roll_deg: float = field(
        default=0.0, metadata={'description': 'turn about the optical axis in deg'})
    width: int = 640
    height: int = 480
    fx_px: float = 615.0
    fy_px: float = 615.0
    cx_px: float = 319.5
    cy_px: float = 239.5
    told_translation_error_m: Triple = field(
        default=(0.0, 0.0, 0.0),
        metadata={'description': 'told minus true position, in the optical frame, m'})
    told_rotation_error_deg: Triple = field(
        default=(0.0, 0.0, 0.0),
        metadata={'description': 'rotation vector true to told, in the optical frame, deg'})
    told_focal_error: float = field(
        default=0.0, metadata={'description': 'told focal length / true - 1'})
    told_centre_error_px: tuple[float, float] = field(
        default=(0.0, 0.0), metadata={'description': 'told minus true principal point, px'})
    delay_s: float = field(
        default=0.03, metadata={'description': 'exposure to image in software, s'})
    rate_hz: float = field(default=30.0, metadata={'description': 'frames per second'})
    depth_noise: DepthNoiseConfig = field(default_factory=DepthNoiseConfig)

    def __post_init__(self) -> None:
        """Refuse what no camera has."""
        require_range('camera.fx_px', self.fx_px, 50.0, 5000.0, 'px')
        require_range('camera.fy_px', self.fy_px, 50.0, 5000.0, 'px')
        require_range('camera.width', self.width, 16, 4096, 'px')
        require_range('camera.height', self.height, 16, 4096, 'px')
        require_range('camera.delay_s', self.delay_s, 0.0, 0.5, 's')
        require_range('camera.rate_hz', self.rate_hz, 1.0, 200.0, 'Hz')
        if math.dist(self.eye_m, self.target_m) < 1e-3:
            raise ConfigError(f'camera.eye_m and camera.target_m are both {self.eye_m}')

    def true_pose(self) -> np.ndarray:
        """Return base_T_optical (7,) as the world has it."""
        forward = np.subtract(self.target_m, self.eye_m)
        forward = forward / np.linalg.norm(forward)
        up = np.array([0.0, 0.0, 1.0])
        if abs(forward[2]) > 0.999:
            up = np.array([1.0, 0.0, 0.0])
        right = np.cross(forward, up)
        right /= np.linalg.norm(right)
        matrix = np.stack([right, np.cross(forward, right), forward], axis=1)
        roll = se3.quat_from_rotvec(np.array([0.0, 0.0, math.radians(self.roll_deg)]))
        return se3.pose(
            np.asarray(self.eye_m), se3.quat_multiply(se3.matrix_to_quat(matrix), roll))

    def told_pose(self) -> np.ndarray:
        """Return base_T_optical (7,) as the calibration file would say."""
        error = se3.pose(
            np.asarray(self.told_translation_error_m),
            se3.quat_from_rotvec(np.radians(self.told_rotation_error_deg)))
        return se3.pose_multiply(self.true_pose(), error)

    def true_intrinsics(self) -> Intrinsics:
        """Return the intrinsics that the world has."""
        return Intrinsics(
            fx=self.fx_px, fy=self.fy_px, cx=self.cx_px, cy=self.cy_px,
            width=self.width, height=self.height)

    def told_intrinsics(self) -> Intrinsics:
        """Return the intrinsics that CameraInfo says."""
        scale = 1.0 + self.told_focal_error
        return Intrinsics(
            fx=self.fx_px * scale, fy=self.fy_px * scale,
            cx=self.cx_px + self.told_centre_error_px[0],
            cy=self.cy_px + self.told_centre_error_px[1],
            width=self.width, height=self.height)
