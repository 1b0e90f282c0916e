# SPDX-License-Identifier: Apache-2.0
"""The training environment with a camera picture for every environment and tick."""

from __future__ import annotations

from typing import Any

import numpy as np
from ocrrl_ros.policy.base_policy import BasePolicy
from ocrrl_ros.policy.image_observation import image_columns
from ocrrl_ros.policy.observation import ObservationLayout
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.physics import PhysicsConfig
from ocrrl_ros.sim.pose_model_config import PoseModelConfig
from ocrrl_ros.sim.tasks import Task
from ocrrl_ros.sim.vec_config import VecEnvConfig
from ocrrl_ros.sim.vec_contract import StepResult
from ocrrl_ros.sim.vec_env import ResidualVecEnv
from ocrrl_ros.sim.vec_views import VecViews
from ocrrl_ros.sim.visual_randomization import VisualRandomization


class ImageVecEnv(ResidualVecEnv):
    """
    A `ResidualVecEnv` that also shows pictures, each episode in a look of its own.

    Observations stay those with object poses, for critics and teachers; `image_columns` are the
    entries of them that an actor sees beside its picture. Pictures are drawn from the first call
    of `images` on: what is run without looking at them costs nothing.
    """

    def __init__(
        self, task: Task, domain: Domain, physics: PhysicsConfig, base: BasePolicy,
        layout: ObservationLayout, pose_model: PoseModelConfig, config: VecEnvConfig,
        rng: np.random.Generator, guide: BasePolicy | None = None,
        expert: BasePolicy | None = None, *, visual: VisualRandomization,
    ):
        """Draw the looks; see `ResidualVecEnv` for the rest."""
        self._visual = visual
        # Streams of their own: the worlds are those of a training without pictures.
        looks_rng, self._image_rng = rng.spawn(2)
        self._views = VecViews(task, domain, physics, visual, looks_rng)
        self._look = np.zeros(config.num_envs, np.int64)
        self._pictures: np.ndarray | None = None
        super().__init__(
            task, domain, physics, base, layout, pose_model, config, rng, guide, expert)
        self.image_shape = visual.layout().image_shape
        self.image_columns = image_columns(layout)

    def images(self) -> np.ndarray:
        """Return the pictures (N, H, W, 3) uint8 that belong to the newest observation."""
        if self._pictures is None:
            self._draw()
        return self._pictures

    def step(self, action: np.ndarray) -> StepResult:
        """Advance one tick and draw the pictures that are acted on next."""
        result = super().step(action)
        if self._pictures is not None:
            self._draw()
        return result

    def reset(self) -> np.ndarray:
        """Start N new episodes and return the critic's observation (N, C) float32."""
        self._pictures = None
        return super().reset()

    def _draw(self) -> None:
        """Take pictures of a moment ago."""
        with self._timed('pictures'):
            age_s = self._image_rng.uniform(*self._visual.delay_s, self.num_envs)
            self._pictures = self._views(self._look, [
                self._physics.qpos(row, age_s[row]) for row in range(self.num_envs)])

    def _start(self, rows: np.ndarray) -> None:
        """Start new episodes (M,), each in a drawn look."""
        super()._start(rows)
        self._look[rows] = self._image_rng.integers(0, len(self._views), rows.size)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the future of all environments depends on."""
        return super().state_dict() | {
            'look': self._look.copy(), 'image_rng': self._image_rng.bit_generator.state,
            'pictures': self._pictures}

    def load_state_dict(self, state: dict[str, Any]) -> np.ndarray:
        """Continue from a saved state of an environment with the same settings and seed."""
        self._look[:] = state['look']
        self._image_rng.bit_generator.state = state['image_rng']
        self._pictures = None if state['pictures'] is None else np.array(state['pictures'])
        return super().load_state_dict(state)

    def close(self) -> None:
        """Stop the physics threads and free all renderers."""
        super().close()
        self._views.close()
