# SPDX-License-Identifier: Apache-2.0
"""Something that passes between camera and object."""
import numpy as np


class SweepingPlate:
    """A grey plate that moves to and fro between camera and object, painted into the images."""

    def __init__(self, rng: np.random.Generator):
        """Draw size, way and shade."""
        self._half = rng.uniform(8.0, 45.0, 2)
        self._reach = rng.uniform(10.0, 50.0, 2)
        self._rate = rng.uniform(0.5, 5.0, 2)
        self._phase = rng.uniform(0.0, 2.0 * np.pi, 2)
        self._gap_m = rng.uniform(0.03, 0.10)
        self._shade = int(rng.uniform(20, 220))

    def draw(
            self, rgb: np.ndarray, depth: np.ndarray, centre: np.ndarray, distance_m: float,
            time_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Return copies of the images with the plate in front of a pixel (2,)."""
        rgb, depth = rgb.copy(), depth.copy()
        middle = centre + self._reach * np.sin(self._rate * time_s + self._phase)
        low = np.maximum(middle - self._half, 0).astype(int)
        high = np.maximum(middle + self._half, 0).astype(int)
        window = (slice(low[1], high[1]), slice(low[0], high[0]))
        nearer = depth[window] > distance_m - self._gap_m
        rgb[window][nearer] = self._shade
        depth[window][nearer] = distance_m - self._gap_m
        return rgb, depth
