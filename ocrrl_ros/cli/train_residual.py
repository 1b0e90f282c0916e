# SPDX-License-Identifier: Apache-2.0
"""`ocrrl train residual`."""
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
import signal
from typing import Any, Literal, TYPE_CHECKING

from ocrrl_ros.cli.output import progress_bar, rate_text
from ocrrl_ros.core.configuration import load_yaml
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.resources import config_path
from rich.console import Console
from rich.progress import Progress

if TYPE_CHECKING:
    from ocrrl_ros.learning.residual_trainer import TrainerConfig
    from ocrrl_ros.learning.variants import Variant
    from ocrrl_ros.sim.vec_config import VecEnvConfig

EXIT_DONE, EXIT_INTERRUPTED = 0, 130


@dataclass(frozen=True, kw_only=True)
class TrainResidual:
    """
    Train a residual on a base policy in simulation and write it as a bundle.

    Curve and checkpoints go to OUT.run; the same command continues an interrupted run.
    """

    task: str = field(default='cube_lift', metadata={'description': 'task name'})
    base: str = field(
        default='', metadata={'description': 'base bundle; default: models/base_sim. stand_in '
                              'and expert are scripted, for trials alone'})
    other_bases: tuple[str, ...] | None = field(default=None, metadata={
        'description': 'further base bundles, which act in some of the environments, so that the '
        "residual does not count on one base's faults (config/train/environment.yaml); default: "
        'models/base_sim_s1 and base_sim_s2 beside a bundle, where they know the task; none: '
        'no others'})
    algorithm: Literal['td3', 'ppo'] = field(
        default='td3', metadata={'description': 'learner'})
    observation: Literal['poses', 'image'] = field(
        default='poses', metadata={'description': (
            "what the residual sees: object poses, or the camera's picture instead (td3 alone, "
            'no gate)')})
    images: Path | None = field(default=None, metadata={
        'description': 'YAML of the pictures; default: config/train/images.yaml'})
    seed: int = field(default=0, metadata={'description': 'training seed, 0 .. 9999'})
    steps: int | None = field(
        default=None, metadata={'description': 'environment steps; default: the settings file'})
    out: Path = field(metadata={'description': 'folder of the new bundle'})
    best: Path | None = field(default=None, metadata={
        'description': 'also write the kept policy that does best on development seeds, without '
        'a gate, to this folder; what ships is the last'})
    settings: Path | None = field(
        default=None, metadata={
            'description': 'YAML; default: config/train/residual_ALGORITHM.yaml, with '
                           '--observation image residual_td3_image.yaml'})
    pose_model: Path | None = field(default=None, metadata={
        'description': "YAML of the pose sensor; default: the variant's, else "
        'config/pose_model.yaml, with --observation image pose_model_exact.yaml, which has '
        'neither noise nor losses'})
    variant: str = field(default='', metadata={
        'description': 'named changes to compare with, a file of config/train/variants (paper: '
        'the published recipe), or a YAML file of such changes'})
    steps_factor: int = field(default=1, metadata={
        'description': 'how many times the steps of the settings file; not with --steps'})
    bound_mm: float | None = field(default=None, metadata={
        'description': 'bound of the offset along each axis, mm; default: 20'})
    envs: int = field(default=64, metadata={'description': 'environments'})
    workers: int | None = field(
        default=None, metadata={'description': 'environment processes; default: one per core'})
    learner_threads: int = field(default=1, metadata={'description': 'threads of the learner'})
    gate: bool = field(default=True, metadata={
        'description': 'learn a gate that leaves a good base alone, into the same bundle'})
    episodes: int = field(
        default=128, metadata={'description': 'episodes that the result is measured on'})

    def run(self, console: Console) -> int | dict[str, Any]:
        """Train with a progress bar; Ctrl-C and SIGTERM save first."""
        from ocrrl_ros.learning.image_run import ImageResidualRun
        from ocrrl_ros.learning.residual_run import ResidualRun
        config = self._config()
        kind = ResidualRun if self.observation == 'poses' else ImageResidualRun
        return run_training(
            console, self.out, lambda progress: kind(config, self.out, progress))

    def _config(self) -> Any:
        """Return the settings of the whole run."""
        from ocrrl_ros.core.resources import model_path
        from ocrrl_ros.evaluation.provenance import available_cores
        from ocrrl_ros.learning.residual_run_config import ResidualRunConfig
        from ocrrl_ros.learning.variants import load_variant
        from ocrrl_ros.sim.vec_recipe import EnvRecipe, load_pose_model
        from ocrrl_ros.sim.visual_randomization import load_visual_randomization
        if self.envs < 1:
            raise ConfigError(f'envs is {self.envs}; allowed: >= 1')
        variant = load_variant(self.variant)
        trainer = self._trainer(variant)
        sees = self.observation == 'image'
        recipe = EnvRecipe(
            task=self.task, base=self.base or str(model_path('base_sim')),
            other_bases=self._others(), seed=self.seed,
            env=self._environment(variant, guided=trainer.guided),
            observation=variant.observation,
            pose_model=variant.apply('pose_model', self.task, load_pose_model(
                self.pose_model or config_path(variant.pose_model_file or (
                    'pose_model_exact.yaml' if sees else 'pose_model.yaml')))),
            images=load_visual_randomization(self.images) if sees else None)
        workers = available_cores() if self.workers is None else self.workers
        return ResidualRunConfig(
            recipe=recipe, trainer=trainer, workers=min(workers, self.envs),
            torch_threads=self.learner_threads, final_episodes=self.episodes,
            acts_per=variant.acts_per, variant=self.variant, best=self.best)

    def _others(self) -> tuple[str, ...]:
        """Return the further bases: those asked for, or those that ship for the task."""
        from ocrrl_ros.core.bundle import load_bundle
        from ocrrl_ros.core.resources import model_path
        from ocrrl_ros.sim.vec_recipe import SCRIPTED_BASES
        if self.other_bases is None:
            shipped = [str(model_path(name)) for name in ('base_sim_s1', 'base_sim_s2')]
            return () if self.base in SCRIPTED_BASES else tuple(
                name for name in shipped
                if self.task in load_bundle(name, 'base').manifest.tasks)
        return () if self.other_bases == ('none',) else self.other_bases

    def _trainer(self, variant: 'Variant') -> 'TrainerConfig':
        """Return the settings of the learner: those of the file, the variant, the options."""
        from ocrrl_ros.learning.algorithms import find_algorithm
        if self.steps_factor < 1 or (self.steps_factor > 1 and self.steps is not None):
            raise ConfigError(f'steps_factor is {self.steps_factor}; allowed: >= 1, and 1 with '
                              '--steps')
        algorithm = find_algorithm(
            self.algorithm, sees_images=self.observation == 'image')
        trainer = load_yaml(
            algorithm.config, self.settings or config_path('train', algorithm.settings_file))
        trainer = variant.apply('trainer', self.task, trainer)
        if not self.gate:
            trainer = replace(trainer, gate=replace(trainer.gate, enabled=False))
        steps = trainer.steps if self.steps is None else self.steps
        return replace(trainer, steps=self.steps_factor * steps)

    def _environment(self, variant: 'Variant', *, guided: bool) -> 'VecEnvConfig':
        """Return the settings of the environments: the variant's, then the options."""
        from ocrrl_ros.sim.vec_recipe import load_environment
        env = variant.apply('environment', self.task, load_environment(self.envs))
        if self.bound_mm is not None:
            env = replace(env, bounds=replace(env.bounds, translation_m=self.bound_mm / 1000.0))
        return replace(env, guided=guided)


def run_training(
    console: Console, out: Path, make_run: Callable[[Any], Any],
) -> int | dict[str, Any]:
    """
    Run a training with a progress bar; Ctrl-C and SIGTERM save first.

    :param make_run: builds the run; called with what it is to tell its progress.
    """
    with progress_bar(console) as bar:
        run = make_run(_Show(bar))
        previous = {
            number: signal.signal(number, lambda *_: run.request_stop())
            for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            metrics = run.run()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
    if metrics is None:
        console.print(f'interrupted; the same command continues from {run.run_folder}')
        return EXIT_INTERRUPTED
    for name, found in metrics.items():
        if 'wilson95' in found:
            console.print(f'{name}: {rate_text(found["success_rate"], found["wilson95"])}, '
                          f'n = {found["n"]}, saturated {found["saturated_ticks"]:.1%}')
    console.print(f'wrote {out}')
    return {'out': str(out), 'metrics': metrics}


class _Show:
    """Turns progress into a bar per phase with the newest numbers behind it."""

    def __init__(self, bar: Progress):
        """Start without bars."""
        self._bar = bar
        self._works: dict[str, Any] = {}

    def __call__(self, phase: str, done: int, total: int, row: dict[str, float]) -> None:
        """Show the state of a phase."""
        if phase not in self._works:
            self._works[phase] = self._bar.add_task(phase, total=total, note='')
        note = ''
        if row:
            note = (f'success {row["success_greedy"]:.0%} (exploring {row["success_all"]:.0%}), '
                    f'{row["steps"] / max(row["wall_s"], 1e-9):.0f} steps/s')
        self._bar.update(self._works[phase], completed=min(done, total), note=note)
