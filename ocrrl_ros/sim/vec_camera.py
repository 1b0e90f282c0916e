# SPDX-License-Identifier: Apache-2.0
"""Pictures of chosen environments for an image base, from one renderer."""

from __future__ import annotations

import cv2
import numpy as np
from ocrrl_ros.sim.renderer import SceneRenderer
from ocrrl_ros.sim.vec_physics import VecPhysics


class VecCamera:
    """
    Renders environments one after another and shrinks the pictures by area mean.

    One renderer of the pool's first model serves all: drawn worlds differ in dynamics and, by
    less than a pixel, in the size of the objects. Lives in the thread that made it.
    """

    def __init__(self, physics: VecPhysics, width: int, height: int):
        """Open the context; pictures are rendered 640x480 and returned (M, height, width, 3)."""
        self._physics = physics
        self._renderer = SceneRenderer(physics.model)
        self._size = (width, height)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return pictures (M, H, W, 3) uint8 of environments (M,)."""
        pictures = []
        for row in rows:
            self._renderer.set_state(np.concatenate([[0.0], self._physics.qpos(row)]))
            pictures.append(cv2.resize(
                self._renderer.rgb(), self._size, interpolation=cv2.INTER_AREA))
        return np.stack(pictures)

    def close(self) -> None:
        """Free the context."""
        self._renderer.close()
