# SPDX-License-Identifier: Apache-2.0
"""Take the lens's distortion out of pictures, so that all else may go by a pinhole camera."""

from __future__ import annotations

import cv2
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.perception.frame import CameraModel, Intrinsics

#: Coefficients below this move no pixel that anyone could see.
_NONE = 1e-6
#: Distortion models of sensor_msgs/CameraInfo and the numbers of their coefficients.
_SIZES = {'plumb_bob': (4, 5), 'rational_polynomial': (8,), 'equidistant': (4,)}
_FARTHEST = 0.25
"""No lens this is meant for moves a pixel by more, as a share of the picture's diagonal."""


class Rectifier:
    """
    Pictures of a camera as a pinhole camera with the same focal lengths and centre sees them.

    Colour is interpolated; depth is the nearest pixel's, since a mean across an edge is no
    surface. What no pixel shows is black and without depth. OpenCV's models are those of
    sensor_msgs/CameraInfo; the maps are computed once.

    :raises InputError: an unknown model, a wrong number of coefficients, one that is not finite,
        or a distortion that no lens has.
    """

    def __init__(self, model: CameraModel, source: str = 'camera_info') -> None:
        """Compute where every pixel comes from, where the lens distorts at all."""
        self.model = model
        self._maps: tuple[np.ndarray, np.ndarray] | None = None
        coefficients = np.asarray(model.distortion, dtype=float)
        if not np.isfinite(coefficients).all():
            raise InputError(
                f'{source} has distortion {list(model.distortion)}; allowed: finite numbers')
        if (np.abs(coefficients) > _NONE).any():
            self._maps = _maps(model, coefficients, source)
            # Steps of 1/32 px; a third of the time.
            self._fast_maps = cv2.convertMaps(*self._maps, cv2.CV_16SC2)

    @property
    def intrinsics(self) -> Intrinsics:
        """Return the pinhole camera of the rectified pictures."""
        return self.model.intrinsics

    def colour(self, rgb: np.ndarray) -> np.ndarray:
        """Return a rectified picture (H, W, 3) uint8; the same one without distortion."""
        if self._maps is None:
            return rgb
        return cv2.remap(rgb, *self._fast_maps, cv2.INTER_LINEAR)

    def depth(self, depth_m: np.ndarray) -> np.ndarray:
        """Return depth aligned to colour, (H, W) float32, rectified; 0 where there is none."""
        return depth_m if self._maps is None else cv2.remap(
            depth_m, *self._maps, cv2.INTER_NEAREST)


def _maps(
        model: CameraModel, coefficients: np.ndarray,
        source: str) -> tuple[np.ndarray, np.ndarray]:
    """Return where each pixel (H, W) comes from, in columns and rows, float32."""
    sizes, name = _SIZES.get(model.distortion_model), model.distortion_model
    if sizes is None or len(coefficients) not in sizes:
        raise InputError(
            f'{source} has distortion model {name!r} with {len(coefficients)} coefficients; '
            'allowed: ' + ', '.join(
                f'{known} ({" or ".join(map(str, counts))})' for known, counts in _SIZES.items()))
    camera = model.intrinsics
    matrix = np.array([[camera.fx, 0.0, camera.cx], [0.0, camera.fy, camera.cy], [0.0, 0.0, 1.0]])
    size = camera.width, camera.height
    prepare = (cv2.fisheye.initUndistortRectifyMap if name == 'equidistant'
               else cv2.initUndistortRectifyMap)
    columns, rows = prepare(matrix, coefficients, np.eye(3), matrix, size, cv2.CV_32FC1)
    moved = np.hypot(columns - np.arange(size[0]), rows - np.arange(size[1])[:, None])
    farthest_px, most_px = float(moved.max()), _FARTHEST * float(np.hypot(*size))
    if not farthest_px <= most_px:
        raise InputError(
            f'{source} has distortion {list(model.distortion)}, which moves pixels by '
            f'{farthest_px:.3g} px; allowed: up to {most_px:.0f} px')
    return columns, rows
