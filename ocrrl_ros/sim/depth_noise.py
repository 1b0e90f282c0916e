# SPDX-License-Identifier: Apache-2.0
"""Depth camera noise: range-dependent, correlated, biased, with holes at edges, quantised."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.perception.frame import Intrinsics
from ocrrl_ros.sim.held_out import held_out_setting
from ocrrl_ros.sim.image_kernels import depth_reading, grazing_factor

_AROUND = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, kw_only=True)
class DepthNoiseConfig:
    """Parameters of the depth error model (protocol, section 8)."""

    sigma_m_at_1m: float = field(
        default=0.0025, metadata={'description': 'standard deviation at 1 m in m; grows with z²'})
    correlation_px: float = field(
        default=3.0, metadata={'description': 'correlation length of the noise in px'})
    bias_fraction: float = field(
        default=0.0, metadata={'description': 'depth bias as a fraction of z, constant'})
    edge_jump_m: float = field(
        default=0.02, metadata={'description': 'depth step in m that counts as an edge'})
    edge_hole_probability: float = field(
        default=0.6, metadata={'description': 'share of edge pixels without a reading'})
    range_m: tuple[float, float] = field(
        default=(0.2, 3.0), metadata={'description': 'readings outside this range in m are holes'})
    grazing_sigma_m: float = held_out_setting(
        0.0, 'additional deviation of a surface seen at 45 deg in m; '
        'grows with a²/(90 deg - a)² of its angle of incidence a')
    grazing_bias_m: float = held_out_setting(
        0.0, 'additional bias of a surface seen at 45 deg in m; grows likewise')

    def __post_init__(self) -> None:
        """Refuse negative sizes and shares outside 0..1."""
        if self.sigma_m_at_1m < 0.0:
            raise ConfigError(f'sigma_m_at_1m is {self.sigma_m_at_1m} m; allowed: >= 0 m')
        if not 0.0 <= self.grazing_sigma_m <= 0.002:
            raise ConfigError(
                f'grazing_sigma_m is {self.grazing_sigma_m} m; allowed: 0 .. 0.002 m')
        if abs(self.grazing_bias_m) > 0.002:
            raise ConfigError(
                f'grazing_bias_m is {self.grazing_bias_m} m; allowed: -0.002 .. 0.002 m')
        if self.correlation_px < 0.0:
            raise ConfigError(f'correlation_px is {self.correlation_px} px; allowed: >= 0 px')
        if abs(self.bias_fraction) > 0.05:
            raise ConfigError(f'bias_fraction is {self.bias_fraction}; allowed: -0.05 .. 0.05')
        if not 0.0 <= self.edge_hole_probability <= 1.0:
            raise ConfigError(
                f'edge_hole_probability is {self.edge_hole_probability}; allowed: 0 .. 1')
        if not 0.0 <= self.range_m[0] < self.range_m[1]:
            raise ConfigError(f'range_m is {self.range_m} m; allowed: 0 <= near < far')


class DepthNoise:
    """Turn perfect depth images into what a depth camera would report."""

    def __init__(
            self, config: DepthNoiseConfig, rng: np.random.Generator,
            intrinsics: Intrinsics | None = None):
        """
        Keep the settings.

        :param rng: the episode's ``sensor`` stream.
        :param intrinsics: the camera's true ones; only errors by angle of incidence need them.
        :raises ConfigError: they are needed and not given.
        """
        self._config = config
        self._rng = rng
        self._intrinsics = intrinsics
        self._seen = self._factor = np.empty((0, 0), dtype=np.float32)
        self._grazes = config.grazing_sigma_m != 0.0 or config.grazing_bias_m != 0.0
        if self._grazes and intrinsics is None:
            raise ConfigError(
                f'grazing_sigma_m is {config.grazing_sigma_m} m and grazing_bias_m '
                f'{config.grazing_bias_m} m; without camera intrinsics only 0 is allowed')

    def apply(self, depth_m: np.ndarray) -> np.ndarray:
        """
        Return (H, W) uint16 readings in mm, 0 where there is none.

        :param depth_m: (H, W) perfect depth along the optical axis in m.
        :raises InputError: the image is not two-dimensional.
        """
        if depth_m.ndim != 2:
            raise InputError(f'depth image has shape {depth_m.shape}; allowed: (H, W)')
        config = self._config
        depth = np.ascontiguousarray(depth_m, dtype=np.float32)
        noise = self._correlated_noise(depth.shape)
        reading = np.empty(depth.shape, dtype=np.uint16)
        depth_reading(
            self._seen_at_an_angle(depth, noise), noise, 1.0 + config.bias_fraction,
            config.sigma_m_at_1m, *config.range_m, reading)
        reading.ravel()[self._holes(depth)] = 0
        return reading

    def _seen_at_an_angle(self, depth: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """
        Return (H, W) depth with the error of surfaces that the camera grazes.

        :param noise: the picture's unit-variance noise, so that no more is drawn than without.
        """
        if not self._grazes:
            return depth
        camera, config = self._intrinsics, self._config
        if self._seen.shape != depth.shape:
            self._seen = np.full_like(depth, np.nan)
            self._factor = np.empty_like(depth)
        grazing_factor(
            depth, self._seen, camera.fx, camera.fy, camera.cx, camera.cy, self._factor)
        np.copyto(self._seen, depth)
        return depth + self._factor * (config.grazing_bias_m + config.grazing_sigma_m * noise)

    def _correlated_noise(self, shape: tuple[int, int]) -> np.ndarray:
        """
        Return (H, W) unit-variance noise that is smooth over ``correlation_px``.

        White noise on a grid of that pitch, enlarged bilinearly from a random phase, is
        several times cheaper than a blur; the gain restores unit variance.
        """
        pitch = self._config.correlation_px
        if pitch <= 1.0:
            return self._rng.standard_normal(shape, dtype=np.float32)
        height, width = shape
        coarse = (int(height / pitch) + 3, int(width / pitch) + 3)
        white = self._rng.standard_normal(coarse, dtype=np.float32)
        shift = self._rng.random(2)
        matrix = np.array(
            [[1.0 / pitch, 0.0, shift[0]], [0.0, 1.0 / pitch, shift[1]]], dtype=np.float32)
        smooth = cv2.warpAffine(
            white, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT)
        # Mean over the phase of the variance of a bilinear mix is (2/3)² of the white one's.
        smooth *= np.float32(1.5)
        return smooth

    def _holes(self, depth: np.ndarray) -> np.ndarray:
        """Return flat indices of pixels beside a depth step that gave no reading."""
        if self._config.edge_hole_probability == 0.0:
            return np.empty(0, dtype=np.intp)
        step = cv2.dilate(depth, _AROUND) - cv2.erode(depth, _AROUND)
        beside = np.flatnonzero(step > np.float32(self._config.edge_jump_m))
        return beside[self._rng.random(beside.size) < self._config.edge_hole_probability]
