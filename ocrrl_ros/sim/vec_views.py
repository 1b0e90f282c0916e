# SPDX-License-Identifier: Apache-2.0
"""Small pictures of environments through drawn looks and cameras."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.policy.adapters.onnx_policy import resize_images
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.physics import PhysicsConfig
from ocrrl_ros.sim.renderer import SceneRenderer
from ocrrl_ros.sim.scene import build_model
from ocrrl_ros.sim.tasks import Task
from ocrrl_ros.sim.visual_randomization import VisualRandomization


class VecViews:
    """
    One renderer per drawn look; each keeps its background, so a picture costs what moves.

    Lives in the thread that made it.
    """

    def __init__(
        self, task: Task, domain: Domain, physics: PhysicsConfig, config: VisualRandomization,
        rng: np.random.Generator,
    ):
        """Draw the looks; each gets its context with its first picture."""
        self._task, self._physics, self._config = task, physics, config
        self._domains = [config.draw(domain, rng) for _ in range(config.looks_per_process)]
        self._renderers: dict[int, SceneRenderer] = {}

    def __len__(self) -> int:
        """Return the number of looks."""
        return len(self._domains)

    def _renderer(self, look: int) -> SceneRenderer:
        """Return the renderer of a look."""
        if look not in self._renderers:
            config = self._config
            size = (config.rendered * config.width, config.rendered * config.height)
            model = build_model(self._task, self._domains[look], self._physics)
            # Buffers of the camera's full resolution would take 20 times the memory.
            model.vis.global_.offwidth, model.vis.global_.offheight = size
            self._renderers[look] = SceneRenderer(model, *size)
        return self._renderers[look]

    def __call__(self, looks: np.ndarray, qpos: list[np.ndarray]) -> np.ndarray:
        """
        Return pictures (M, H, W, 3) uint8.

        :param looks: (M,) which look each is seen in.
        :param qpos: M generalised positions (nq,).
        """
        config = self._config
        pictures = np.empty((len(looks), *config.layout().image_shape), np.uint8)
        # Sorted, because each change of context costs.
        for row in np.argsort(looks, kind='stable'):
            renderer = self._renderer(int(looks[row]))
            renderer.set_state(np.concatenate([[0.0], qpos[row]]))
            pictures[row] = resize_images(renderer.rgb()[None], config.width, config.height)[0]
        return pictures

    def close(self) -> None:
        """Free the contexts."""
        for renderer in self._renderers.values():
            renderer.close()
