# SPDX-License-Identifier: Apache-2.0
"""One whole residual training: environment, trainer, measurement, bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
import hashlib
from pathlib import Path
import time
from typing import Any

import numpy as np
from ocrrl_ros.core.bundle import load_bundle
from ocrrl_ros.core.configuration import load_yaml, to_mapping
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.evaluation.provenance import describe_machine, read_git_state
from ocrrl_ros.evaluation.statistics import wilson_interval
from ocrrl_ros.learning.algorithms import algorithm_of
from ocrrl_ros.learning.checkpoint import kept_policies, read_checkpoint
from ocrrl_ros.learning.episode_statistics import measure_success
from ocrrl_ros.learning.gate_training import train_gate
from ocrrl_ros.learning.gated_policy import GatedPolicy
from ocrrl_ros.learning.residual_export import export_gate, export_residual, GateModel
from ocrrl_ros.learning.residual_run_config import DEVELOPMENT_SEED, ResidualRunConfig
from ocrrl_ros.learning.residual_trainer import prepare_torch, ResidualTrainer
from ocrrl_ros.policy.observation import ObservationLayout
from ocrrl_ros.sim.pose_model_config import PoseModelConfig
from ocrrl_ros.sim.vec_config import TICK_S
from ocrrl_ros.sim.vec_contract import VecEnv
from ocrrl_ros.sim.vec_recipe import SCRIPTED_BASES
from ocrrl_ros.sim.vec_workers import make_env
import torch
import yaml

Progress = Callable[[str, int, int, dict[str, float]], None]


class ResidualRun:
    """
    Trains, gates, measures and exports one residual.

    :param folder: bundle folder; the run keeps curve and checkpoints in `<folder>.run` beside it.
    :param on_progress: called with phase, done, total and the newest numbers.
    """

    environment_options = '--variant and --bound-mm'
    """Which options of the command make its environment, for people."""

    def __init__(
        self, config: ResidualRunConfig, folder: Path,
        on_progress: Progress = lambda *_: None,
    ):
        """
        Keep the settings; `run` does the work.

        :raises ConfigError: the best policy is to overwrite the last one.
        """
        self.config = config
        self.folder = Path(folder)
        if config.best is not None and config.best.resolve() == self.folder.resolve():
            raise ConfigError(
                f'best is {config.best}, where the last policy goes; allowed: another folder')
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

        :raises ConfigError: the run folder was begun with another pose sensor or environment.
        """
        recipe = self.config.recipe
        self._check_unchanged('origin', recipe.origin, '--task, --base and --other-bases')
        self._check_unchanged('pose_model', recipe.pose_model, '--pose-model')
        self._check_unchanged('environment', recipe.env, self.environment_options)
        prepare_torch(self.config.torch_threads)
        env = make_env(self.config.recipe, self.config.workers)
        try:
            trainer = self._trainer = self._make_trainer(env)
            if self._stop_requested or not trainer.run():
                return None
            metrics: dict[str, Any] = {
                'training': {'n': trainer.steps, 'unit': 'environment steps',
                             'wall_s': trainer.wall_s, **_known(trainer.statistics.rates())}}
            gate = self._train_gate(trainer, metrics)
            if trainer.stop_requested:
                return None
        finally:
            env.close()
        self._measure(trainer, gate, metrics)
        self._export(self.folder, trainer, gate, metrics, 'last, averaged')
        if self.config.best is not None and not self._export_best(trainer, metrics):
            return None
        return metrics

    def _make_trainer(self, env: VecEnv, **further: Any) -> ResidualTrainer:
        """
        Return the trainer that the settings ask for.

        :param further: arguments that this kind of trainer has beside those of all.
        """
        return algorithm_of(self.config.trainer).trainer(
            env, self.config.trainer, self.config.recipe.seed, self.run_folder,
            on_progress=lambda *a: self._on_progress('training', *a), **further)

    def _check_unchanged(self, name: str, settings: Any, options: str) -> None:
        """
        Refuse to continue a run with other settings that its checkpoint does not tell.

        A file from before a setting existed means its default.
        """
        path = self.run_folder / f'{name}.yaml'
        if path.exists() and load_yaml(type(settings), path) != settings:
            raise ConfigError(
                f'{path} differs from the {name} that is asked for; take another --out folder or '
                f'give the same {options}')
        self.run_folder.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(to_mapping(settings), sort_keys=False)
        path.write_text(text, encoding='utf-8')

    def _train_gate(
        self, trainer: ResidualTrainer, metrics: dict[str, Any],
    ) -> GateModel | None:
        """
        Return the gate of the finished residual and note how it was learned.

        It is learned in the environment that the training ended with. An interrupted one is
        learned anew from the last checkpoint, which gives the same gate.
        """
        config = self.config.trainer.gate
        if not config.enabled:
            return None

        def progress(done: int, total: int) -> bool:
            self._on_progress('gate', done, total, {})
            return not trainer.stop_requested

        started = time.perf_counter()
        found = train_gate(
            trainer.env, lambda obs: trainer.learner.act(obs, averaged=True),
            trainer.learner.normalizer, config, self.config.recipe.seed, on_progress=progress)
        if found is None:
            return None
        gate, metrics['gate'] = found
        metrics['gate']['wall_s'] = time.perf_counter() - started
        return export_gate(gate, self._examples(trainer), config.smoothing_s)

    def _examples(self, trainer: ResidualTrainer) -> torch.Tensor:
        """Return observations (M, D) of the actor that exported graphs are checked on."""
        return torch.from_numpy(trainer.examples(512)[:, :trainer.env.obs_dim].copy())

    def _measure(
        self, trainer: ResidualTrainer, gate: GateModel | None, metrics: dict[str, Any],
    ) -> None:
        """Add success of base and residual with ordinary poses and without any."""
        if self.config.final_episodes == 0:
            return
        base: dict[str, Any] | None = None
        for name, sensor in self._sensors():
            # The base sees no poses: from the same starts it does the same, whatever the sensor.
            if base is None:
                base = self._measured(
                    sensor, 'base', lambda env: self._policy('base', trainer, gate, env))
            metrics[f'base_{name}'] = base
            for policy in ('residual',) if gate is None else ('residual', 'gated'):
                metrics[f'{policy}_{name}'] = self._measured(
                    sensor, f'{policy}, {name}',
                    lambda env, policy=policy: self._policy(policy, trainer, gate, env))

    def _measured(
        self, sensor: PoseModelConfig, label: str,
        policy_in: Callable[[VecEnv], Callable[[np.ndarray], np.ndarray]],
    ) -> dict[str, Any]:
        """
        Return the success of a policy from the same starts as that of all others.

        :param policy_in: gives the policy for an environment.
        """
        recipe = replace(
            self.config.recipe, pose_model=sensor,
            env=replace(self.config.recipe.env.plain(), acts_per=self.config.acts_per),
            seed=DEVELOPMENT_SEED + self.config.recipe.seed)
        env = make_env(recipe, self.config.workers)
        try:
            return self._success(env, policy_in(env), label)
        finally:
            env.close()

    def _sensors(self) -> Iterator[tuple[str, PoseModelConfig]]:
        """Yield the pose sensors that are measured with, by name."""
        pose_model = self.config.recipe.pose_model
        yield 'modelled', pose_model.without_permanent_loss()
        yield 'lost', pose_model.always_lost()

    def _policy(
        self, name: str, trainer: ResidualTrainer, gate: GateModel | None, env: VecEnv,
    ) -> Callable[[np.ndarray], np.ndarray]:
        """Return what is measured: the base, all of the residual, or the gated residual."""
        if name == 'base':
            return lambda o: np.zeros((len(o), env.action_dim), np.float32)
        if name == 'residual':
            return self._act(trainer, env)
        return GatedPolicy(
            self._act(trainer, env), gate.build(env.obs_dim, env.num_envs), env.obs_dim)

    def _act(
        self, trainer: ResidualTrainer, env: VecEnv,
    ) -> Callable[[np.ndarray], np.ndarray]:
        """Return the finished residual for an environment."""
        return lambda observations: trainer.learner.act(observations, averaged=True)

    def _success(self, env: Any, act: Callable, label: str) -> dict[str, Any]:
        """Return the success of one policy with its interval."""
        found = measure_success(
            env, act, self.config.final_episodes,
            lambda done, total: self._on_progress(label, done, total, {}),
            on_end=getattr(act, 'reset', lambda rows: None))
        found['wilson95'] = list(wilson_interval(found['successes'], found['n']))
        return found

    def _export(
        self, folder: Path, trainer: ResidualTrainer, gate: GateModel | None,
        metrics: dict[str, Any], weights: str,
    ) -> None:
        """
        Write the bundle of the averaged actor that the learner has now.

        :param weights: which one it is, for the manifest.
        """
        recipe = self.config.recipe
        training = self._training() | {'weights': weights}
        training['settings_sha256'] = hashlib.sha256(
            repr(sorted(training['trainer'].items())).encode()).hexdigest()
        export_residual(
            folder, trainer.learner.policy(), self._inputs(trainer), task=recipe.task,
            layout=self._layout(), bounds=recipe.env.bounds,
            rate_hz=1.0 / TICK_S, seed=recipe.seed, training=training, metrics=metrics,
            gate=gate, acts_per=self.config.acts_per)

    def _export_best(self, trainer: ResidualTrainer, metrics: dict[str, Any]) -> bool:
        """
        Write the policy that does best, of the kept ones and the last; False if stopped before.

        It has no gate: one is learned for the last alone, so `--gate off` compares the two.
        """
        (name, sensor), *_ = self._sensors()
        found = {trainer.steps: metrics[f'residual_{name}']}
        states = {trainer.steps: trainer.learner.policy_state()}
        for steps, path in kept_policies(self.run_folder):
            states[steps] = read_checkpoint(path)
            trainer.learner.load_policy(states[steps])
            found[steps] = self._measured(
                sensor, f'after {steps} steps', lambda env: self._act(trainer, env))
            if trainer.stop_requested:
                return False
        # Of equally good ones the latest.
        best = max(found, key=lambda steps: (found[steps]['success_rate'], steps))
        trainer.learner.load_policy(states[best])
        metrics['best'] = {
            'steps': best, 'n': found[best]['n'], 'success_rates': {
                str(steps): found[steps]['success_rate'] for steps in sorted(found)}}
        self._export(
            self.config.best, trainer, None, {
                'training': metrics['training'], 'best': metrics['best'],
                f'residual_{name}': found[best]}, 'best on development seeds, averaged')
        return True

    def _inputs(self, trainer: ResidualTrainer) -> dict[str, torch.Tensor]:
        """Return inputs of the exported graph, by name, that it is checked on."""
        return {'observation': self._examples(trainer)}

    def _layout(self) -> ObservationLayout:
        """Return what the residual sees."""
        return self.config.recipe.layout

    def _training(self) -> dict[str, Any]:
        """Return what the manifest says of the run."""
        recipe = self.config.recipe
        scripted = recipe.base in SCRIPTED_BASES
        git = read_git_state()
        return {
            'algorithm': algorithm_of(self.config.trainer).name,
            'variant': self.config.variant,
            'trainer': to_mapping(self.config.trainer),
            'environment': to_mapping(recipe.env), 'pose_model': to_mapping(recipe.pose_model),
            'workers': self.config.workers, 'base': recipe.base if scripted else 'bundle',
            'base_sha256': '' if scripted else load_bundle(recipe.base, 'base').sha256,
            'other_bases_sha256': [
                load_bundle(folder, 'base').sha256 for folder in recipe.other_bases],
            'git': git.commit, 'git_dirty': git.dirty, 'machine': describe_machine()}


def _known(rates: dict[str, float]) -> dict[str, float]:
    """Return the rates that are known: without a quiet environment there is none of it."""
    return {name: rate for name, rate in rates.items() if np.isfinite(rate)}
