# SPDX-License-Identifier: Apache-2.0
"""A frame together with where its camera stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.perception.frame import RgbdFrame


@dataclass(frozen=True, kw_only=True)
class View:
    """
    A frame as the trackers need it: image, camera pose and plane, scale of the depth.

    ``detected`` poses (7,) of objects in the optical frame, by id, where another program found
    them.
    """

    frame: RgbdFrame
    base_R_camera: np.ndarray
    base_t_camera: np.ndarray
    plane: np.ndarray
    depth_scale: float
    detected: Mapping[str, np.ndarray] = field(default_factory=dict)

    def to_camera(
            self, rotation: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Express a pose given in the base frame in the optical frame."""
        back = self.base_R_camera.T
        return back @ rotation, back @ (translation - self.base_t_camera)

    def to_base(
            self, rotation: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Express a pose given in the optical frame in the base frame."""
        turned = self.base_R_camera @ rotation
        return turned, self.base_R_camera @ translation + self.base_t_camera

    def spread(self) -> np.ndarray:
        """Return the (6, 6) matrix that turns optical-frame errors into base-frame ones."""
        turn = np.zeros((6, 6))
        turn[:3, :3] = turn[3:, 3:] = self.base_R_camera
        return turn
