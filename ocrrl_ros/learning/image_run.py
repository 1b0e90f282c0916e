# SPDX-License-Identifier: Apache-2.0
"""Whole trainings of residuals that see pictures, by reward or from a teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.residual_run import Progress, ResidualRun
from ocrrl_ros.learning.residual_run_config import ResidualRunConfig
from ocrrl_ros.learning.residual_trainer import ResidualTrainer
from ocrrl_ros.learning.teacher import Teacher
from ocrrl_ros.policy.image_observation import ImageLayout, OBSERVATION
from ocrrl_ros.sim.pose_model_config import PoseModelConfig
from ocrrl_ros.sim.vec_contract import VecEnv
import torch


class ImageResidualRun(ResidualRun):
    """
    Trains, measures and exports one residual that sees pictures.

    Its recipe must say which pictures. Object poses are there for critics and teachers alone, so
    the pose sensor should have no errors: poses that are lost for long would stop the residual.
    """

    def __init__(
        self, config: ResidualRunConfig, folder: Path,
        on_progress: Progress = lambda *_: None,
    ):
        """
        Keep the settings; `run` does the work.

        :raises ConfigError: the recipe names no pictures, or asks for what none of these has.
        """
        recipe = config.recipe
        if recipe.images is None:
            raise ConfigError('images is none; a residual that sees images is trained on some')
        for name, given, allowed in (
                ('observation', recipe.observation, 'relative'),
                ('critic_truth', recipe.env.critic_truth, True),
                ('acts_per', config.acts_per, 'tick')):
            if given != allowed:
                raise ConfigError(f'{name} is {given!r}; allowed with images: {allowed!r}')
        super().__init__(config, folder, on_progress)

    def run(self) -> dict[str, Any] | None:
        """
        Return the manifest's metrics, or None where `request_stop` came first.

        :raises ConfigError: the run folder was begun with other pictures or another pose sensor.
        """
        self._check_unchanged('images', self.config.recipe.images, '--images')
        return super().run()

    def _sensors(self) -> Iterator[tuple[str, PoseModelConfig]]:
        """Yield one sensor: the residual sees no poses."""
        yield 'modelled', self.config.recipe.pose_model

    def _act(
        self, trainer: ResidualTrainer, env: VecEnv,
    ) -> Callable[[np.ndarray], np.ndarray]:
        """Return the finished residual, which looks at an environment's pictures."""
        return lambda observations: trainer.learner.act(
            observations, env.images(), averaged=True)

    def _inputs(self, trainer: ResidualTrainer) -> dict[str, torch.Tensor]:
        """Return inputs of the exported graph, by name, that it is checked on."""
        count, columns = 64, trainer.env.image_columns
        return {
            'observation': torch.from_numpy(trainer.examples(count)[:, columns].copy()),
            'image': torch.from_numpy(trainer.example_images(count))}

    def _layout(self) -> ImageLayout:
        """Return what the residual sees."""
        return self.config.recipe.images.layout()

    def _training(self) -> dict[str, Any]:
        """Return what the manifest says of the run."""
        return super()._training() | {
            'observation': OBSERVATION, 'images': to_mapping(self.config.recipe.images)}


@dataclass(frozen=True, kw_only=True)
class TeacherRecord:
    """Which teacher a run was begun with."""

    sha256: str


class DistillationRun(ImageResidualRun):
    """Trains a residual that sees pictures to do what one that sees object poses does."""

    environment_options = '--teacher and --envs'

    def __init__(
        self, config: ResidualRunConfig, teacher: Path | str, folder: Path,
        on_progress: Progress = lambda *_: None,
    ):
        """
        Open the teacher; the student gets its bounds.

        :param teacher: bundle folder.
        :raises BundleError: it cannot teach this task.
        """
        recipe = config.recipe
        self._teacher, self._teacher_bundle = Teacher.from_bundle(
            teacher, recipe.task, recipe.env.num_envs)
        recipe = replace(recipe, env=replace(recipe.env, bounds=self._teacher.bounds))
        super().__init__(replace(config, recipe=recipe), folder, on_progress)

    def run(self) -> dict[str, Any] | None:
        """
        Return the manifest's metrics, or None where `request_stop` came first.

        :raises ConfigError: the run folder was begun with another teacher, pictures or sensor.
        """
        self._check_unchanged(
            'teacher', TeacherRecord(sha256=self._teacher_bundle.sha256), '--teacher')
        return super().run()

    def _make_trainer(self, env: VecEnv, **further: Any) -> ResidualTrainer:
        """Return the trainer, with its teacher."""
        return super()._make_trainer(env, teacher=self._teacher, **further)

    def _training(self) -> dict[str, Any]:
        """Return what the manifest says of the run."""
        return super()._training() | {'teacher_sha256': self._teacher_bundle.sha256}
