# SPDX-License-Identifier: Apache-2.0
"""The camera's pictures for a residual that sees them, at its rate and after its delay."""

from __future__ import annotations

from collections import deque

import numpy as np
from ocrrl_ros.evaluation.pose_sources import World
from ocrrl_ros.sim.camera_config import CameraConfig
from ocrrl_ros.sim.renderer import SceneRenderer


class ImageFeed:
    """Takes pictures of a world and delivers each one camera delay later."""

    def __init__(self, renderer: SceneRenderer, camera: CameraConfig):
        """
        Look through the camera of a world.

        :param renderer: of the world's own resolution, shared with the base policy.
        """
        self._renderer = renderer
        self._period_s = 1.0 / camera.rate_hz
        self._delay_s = camera.delay_s
        self._next_frame_s = 0.0
        self._waiting: deque[tuple[np.ndarray, float]] = deque()

    def reset(self, world: World, rng: np.random.Generator) -> None:
        """Start an episode at a drawn phase; the camera ran before: a picture is under way."""
        self._next_frame_s = float(rng.uniform(0.0, self._period_s))
        self._waiting.clear()
        self._take(world, self._next_frame_s - self._period_s)

    def poll(self, world: World) -> list[tuple[np.ndarray, float]]:
        """Return the pictures (H, W, 3) uint8 that arrived since the last call, with stamps."""
        if world.time_s >= self._next_frame_s - 1e-9:
            self._next_frame_s += self._period_s
            self._take(world, world.time_s)
        arrived = []
        while self._waiting and self._waiting[0][1] + self._delay_s <= world.time_s + 1e-9:
            arrived.append(self._waiting.popleft())
        return arrived

    def _take(self, world: World, stamp_s: float) -> None:
        """Take a picture of now."""
        self._renderer.set_state(world.render_state())
        self._waiting.append((self._renderer.rgb(), stamp_s))
