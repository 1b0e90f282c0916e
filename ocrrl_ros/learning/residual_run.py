# SPDX-License-Identifier: Apache-2.0
"""One whole residual training: environment, trainer, measurement, bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
from ocrrl_ros.core.bundle import load_bundle
from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.evaluation.provenance import describe_machine, read_git_state
from ocrrl_ros.evaluation.statistics import wilson_interval
from ocrrl_ros.learning.episode_statistics import measure_success
from ocrrl_ros.learning.residual_export import export_residual
from ocrrl_ros.learning.residual_trainer import prepare_torch, ResidualTrainer, TrainerConfig
from ocrrl_ros.policy.task_spec import load_task_spec
from ocrrl_ros.sim.vec_config import TICK_S
from ocrrl_ros.sim.vec_recipe import EnvRecipe, SCRIPTED_BASES
from ocrrl_ros.sim.vec_workers import make_env
import torch
import yaml

DEVELOPMENT_SEED = 10_000
"""Seeds from here on measure; training seeds lie below (protocol, section 6)."""
Progress = Callable[[str, int, int, dict[str, float]], None]


@dataclass(frozen=True, kw_only=True)
class ResidualRunConfig:
    """What a run is made of."""

    recipe: EnvRecipe = field(default_factory=EnvRecipe)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    workers: int = field(default=1, metadata={'description': 'environment processes'})
    torch_threads: int = field(default=1, metadata={'description': 'threads of the learner'})
    final_episodes: int = field(default=128, metadata={
        'description': 'episodes that the finished residual and its base are measured on'})

    def __post_init__(self) -> None:
        """Keep training seeds apart from those that measure."""
        if not 0 <= self.recipe.seed < DEVELOPMENT_SEED:
            raise ConfigError(
                f'seed is {self.recipe.seed}; allowed for training: 0 .. {DEVELOPMENT_SEED - 1}')
        if self.workers < 0 or self.torch_threads < 1 or self.final_episodes < 0:
            raise ConfigError(
                f'workers {self.workers}, torch_threads {self.torch_threads}, final_episodes '
                f'{self.final_episodes}; allowed: >= 0, >= 1, >= 0')


class ResidualRun:
    """
    Trains, measures and exports one residual.

    :param folder: bundle folder; the run keeps curve and checkpoints in `<folder>.run` beside it.
    :param on_progress: called with phase, done, total and the newest numbers.
    """

    def __init__(
        self, config: ResidualRunConfig, folder: Path,
        on_progress: Progress = lambda *_: None,
    ):
        """Keep the settings; `run` does the work."""
        self.config = config
        self.folder = Path(folder)
        self.run_folder = self.folder.with_name(self.folder.name + '.run')
        self._on_progress = on_progress
        self._trainer: ResidualTrainer | None = None
        self._stop_requested = False

    def request_stop(self) -> None:
        """Make `run` save and return soon; safe in a signal handler."""
        self._stop_requested = True
        if self._trainer is not None:
            self._trainer.request_stop()

    def run(self) -> dict[str, Any] | None:
        """
        Return the manifest's metrics, or None where `request_stop` came first.

        :raises ConfigError: the run folder was begun with another pose sensor.
        """
        self._check_pose_model()
        prepare_torch(self.config.torch_threads)
        env = make_env(self.config.recipe, self.config.workers)
        try:
            trainer = self._trainer = ResidualTrainer(
                env, self.config.trainer, self.config.recipe.seed, self.run_folder,
                on_progress=lambda *a: self._on_progress('training', *a))
            if self._stop_requested or not trainer.run():
                return None
        finally:
            env.close()
        metrics = self._measure(trainer)
        self._export(trainer, metrics)
        return metrics

    def _check_pose_model(self) -> None:
        """Refuse to continue with another pose sensor; the checkpoint does not tell it."""
        path = self.run_folder / 'pose_model.yaml'
        text = yaml.safe_dump(to_mapping(self.config.recipe.pose_model), sort_keys=False)
        if path.exists() and path.read_text(encoding='utf-8') != text:
            raise ConfigError(
                f'{path} differs from the pose sensor that is asked for; take another --out '
                'folder or give the same --pose-model')
        self.run_folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')

    def _measure(self, trainer: ResidualTrainer) -> dict[str, Any]:
        """Return success of base and residual with ordinary poses and without any."""
        metrics: dict[str, Any] = {
            'training': {'n': trainer.steps, 'unit': 'environment steps',
                         'wall_s': trainer.wall_s, **trainer.statistics.rates()}}
        if self.config.final_episodes == 0:
            return metrics
        pose_model = self.config.recipe.pose_model
        for name, sensor in (('modelled', pose_model.without_permanent_loss()),
                             ('lost', pose_model.always_lost())):
            recipe = replace(
                self.config.recipe, pose_model=sensor,
                env=replace(
                    self.config.recipe.env, mid_start_share=0.0, stall_s=math.inf),
                seed=DEVELOPMENT_SEED + self.config.recipe.seed)
            for policy, act in (
                    ('base', lambda o: np.zeros((len(o), trainer.env.action_dim), np.float32)),
                    ('residual', lambda o: trainer.learner.act(o, averaged=True))):
                env = make_env(recipe, self.config.workers)
                try:
                    metrics[f'{policy}_{name}'] = self._success(env, act, f'{policy}, {name}')
                finally:
                    env.close()
        return metrics

    def _success(self, env: Any, act: Callable, label: str) -> dict[str, Any]:
        """Return the success of one policy with its interval."""
        found = measure_success(
            env, act, self.config.final_episodes,
            lambda done, total: self._on_progress(label, done, total, {}))
        found['wilson95'] = list(wilson_interval(found['successes'], found['n']))
        return found

    def _export(self, trainer: ResidualTrainer, metrics: dict[str, Any]) -> None:
        """Write the bundle of the last, weight-averaged actor."""
        recipe = self.config.recipe
        scripted = recipe.base in SCRIPTED_BASES
        git = read_git_state()
        training = {
            'algorithm': 'td3', 'trainer': to_mapping(self.config.trainer),
            'environment': to_mapping(recipe.env), 'pose_model': to_mapping(recipe.pose_model),
            'workers': self.config.workers, 'base': recipe.base if scripted else 'bundle',
            'base_sha256': '' if scripted else load_bundle(recipe.base, 'base').sha256,
            'weights': 'last, averaged', 'git': git.commit, 'git_dirty': git.dirty,
            'machine': describe_machine()}
        training['settings_sha256'] = hashlib.sha256(
            repr(sorted(training['trainer'].items())).encode()).hexdigest()
        examples = trainer.replay.sample(512, np.random.default_rng(0)).critic_obs
        export_residual(
            self.folder, trainer.learner.policy(),
            torch.from_numpy(examples[:, :trainer.env.obs_dim].copy()), task=recipe.task,
            layout=load_task_spec(recipe.task).layout(), bounds=recipe.env.bounds,
            rate_hz=1.0 / TICK_S, seed=recipe.seed, training=training, metrics=metrics)
