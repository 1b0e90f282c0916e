# SPDX-License-Identifier: Apache-2.0
"""
An object of the same colour and form but another size, painted into rendered images.

What is s times as large and s times as far away along the same ray looks the same: the object's
own picture with its depths multiplied by s is the picture of the look-alike.
"""
from typing import Literal

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.evaluation.carried_motion import direction, Motion, OUT_OF_VIEW_M

SMALLER, LARGER = (0.65, 0.82), (1.22, 1.5)
"""Sizes against the object's, far from what objects of one kind differ by."""
_NEAREST_M = 1e-3
"""Depths that differ by less are the same surface."""


class LookAlike:
    """
    Passes by the object, or takes its place at some moment.

    :param motion: how the object itself moves.
    :param radius_m: of the object's bounding sphere.
    :param length_s: of the sequence.
    """

    def __init__(
            self, mode: Literal['passes', 'replaces'], motion: Motion, radius_m: float,
            length_s: float, rng: np.random.Generator) -> None:
        """Draw size and way."""
        self._scale = float(rng.uniform(*(SMALLER if rng.random() < 0.5 else LARGER)))
        self._mode = mode
        self._object = motion
        self._meeting_s = float(rng.uniform(0.3, 0.8)) * length_s
        meeting = motion.at(self._meeting_s)
        if mode == 'replaces':
            self._own = motion
            leaves = rng.random() < 0.5
            aside = meeting[:3] + direction(rng) * rng.uniform(0.10, 0.25)
            aside[2] = max(aside[2], 0.05)
            place = np.array(OUT_OF_VIEW_M) if leaves else aside
            self._elsewhere = motion.moved(se3.pose(place, meeting[3:]), self._meeting_s)
            return
        apart_m = rng.uniform(1.0, 2.2) * radius_m
        near = se3.pose(
            meeting[:3] + direction(rng) * apart_m, se3.quat_normalize(rng.normal(size=4)))
        self._own = Motion(
            pose=near, velocity=direction(rng) * rng.uniform(0.0, 0.2),
            spin=direction(rng) * rng.uniform(0.0, 1.0)).moved(near, self._meeting_s)

    def object_pose(self, time_s: float) -> np.ndarray:
        """Return where the object itself is (7,)."""
        if self._mode == 'replaces' and time_s >= self._meeting_s:
            return self._elsewhere.at(time_s)
        return self._object.at(time_s)

    def stand_in_pose(self, time_s: float, base_T_camera: np.ndarray) -> np.ndarray | None:
        """
        Return where to render the object so that it gives the picture; None while it is away.

        :param base_T_camera: (7,) true pose of the optical frame.
        """
        if self._mode == 'replaces' and time_s < self._meeting_s:
            return None
        pose = self._own.at(time_s)
        eye = base_T_camera[:3]
        return se3.pose(eye + (pose[:3] - eye) / self._scale, pose[3:])

    def paint(
            self, images: tuple[np.ndarray, np.ndarray],
            stand_in: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """
        Return colour (H, W, 3) and depth (H, W) with the look-alike among the rest.

        :param images: colour and perfect depth of the scene.
        :param stand_in: the same with the object at `stand_in_pose` instead.
        """
        rgb, depth = images[0].copy(), images[1].copy()
        scaled = stand_in[1] * np.float32(self._scale)
        seen = (stand_in[1] < depth - _NEAREST_M) & (scaled < depth)
        rgb[seen], depth[seen] = stand_in[0][seen], scaled[seen]
        return rgb, depth
