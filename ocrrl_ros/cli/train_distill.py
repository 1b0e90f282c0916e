# SPDX-License-Identifier: Apache-2.0
"""`ocrrl train distill`."""
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ocrrl_ros.cli.train_residual import run_training
from ocrrl_ros.core.configuration import load_yaml
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.resources import config_path
from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class TrainDistill:
    """
    Distil a residual that sees object poses into one that sees the camera's picture.

    Curve and checkpoints go to OUT.run; the same command continues an interrupted run.
    """

    task: str = field(default='cube_lift', metadata={'description': 'task name'})
    teacher: Path = field(metadata={
        'description': 'bundle of the residual that sees object poses'})
    base: str = field(
        default='', metadata={'description': 'base bundle; default: models/base_sim. stand_in '
                              'and expert are scripted, for trials alone'})
    seed: int = field(default=0, metadata={'description': 'training seed, 0 .. 9999'})
    steps: int | None = field(
        default=None, metadata={'description': 'environment steps; default: the settings file'})
    out: Path = field(metadata={'description': 'folder of the new bundle'})
    settings: Path | None = field(default=None, metadata={
        'description': 'YAML; default: config/train/distillation.yaml'})
    images: Path | None = field(default=None, metadata={
        'description': 'YAML of the pictures; default: config/train/images.yaml'})
    envs: int = field(default=32, metadata={'description': 'environments'})
    workers: int | None = field(
        default=None, metadata={'description': 'environment processes; default: one per core'})
    learner_threads: int = field(default=1, metadata={'description': 'threads of the learner'})
    episodes: int = field(
        default=128, metadata={'description': 'episodes that the result is measured on'})

    def run(self, console: Console) -> int | dict[str, Any]:
        """Train with a progress bar; Ctrl-C and SIGTERM save first."""
        from ocrrl_ros.learning.image_run import DistillationRun
        config = self._config()
        return run_training(console, self.out, lambda progress: DistillationRun(
            config, self.teacher, self.out, progress))

    def _config(self) -> Any:
        """Return the settings of the whole run."""
        from ocrrl_ros.core.resources import model_path
        from ocrrl_ros.evaluation.provenance import available_cores
        from ocrrl_ros.learning.algorithms import find_algorithm
        from ocrrl_ros.learning.residual_run_config import ResidualRunConfig
        from ocrrl_ros.sim.vec_recipe import EnvRecipe, load_environment, load_pose_model
        from ocrrl_ros.sim.visual_randomization import load_visual_randomization
        if self.envs < 1:
            raise ConfigError(f'envs is {self.envs}; allowed: >= 1')
        algorithm = find_algorithm('distillation', sees_images=True)
        trainer = load_yaml(
            algorithm.config, self.settings or config_path('train', algorithm.settings_file))
        if self.steps is not None:
            trainer = replace(trainer, steps=self.steps)
        recipe = EnvRecipe(
            task=self.task, base=self.base or str(model_path('base_sim')), seed=self.seed,
            env=replace(load_environment(self.envs), guided=False),
            pose_model=load_pose_model(config_path('pose_model_exact.yaml')),
            images=load_visual_randomization(self.images))
        workers = available_cores() if self.workers is None else self.workers
        return ResidualRunConfig(
            recipe=recipe, trainer=trainer, workers=min(workers, self.envs),
            torch_threads=self.learner_threads, final_episodes=self.episodes)
