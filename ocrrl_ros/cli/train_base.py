# SPDX-License-Identifier: Apache-2.0
"""`ocrrl train base`: demonstrations to base bundle."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TYPE_CHECKING

from ocrrl_ros.cli.output import progress_bar
from ocrrl_ros.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class TrainBase:
    """
    Train a base policy by behaviour cloning and write its bundle.

    Settings come from config/train/base.yaml, chosen by validation action error alone;
    config/train/base_flow.yaml has the architecture that samples chunks. Calling it again
    continues an interrupted training from the work folder.
    """

    dataset: tuple[Path, ...] = field(metadata={
        'description': 'LeRobot datasets of demonstrations, one or more, all of one domain'})
    out: Path = field(metadata={'description': 'bundle folder to write'})
    task: tuple[str, ...] = field(
        default=(), metadata={'description': 'refuse datasets of other tasks than these'})
    seed: int = field(default=0, metadata={'description': 'training seed, 0 .. 9999'})
    config: Path | None = field(
        default=None, metadata={'description': 'settings; config/train/base.yaml when not given'})
    work: Path | None = field(default=None, metadata={
        'description': 'folder of checkpoints and curves; out/train/<bundle name> when not given'})

    def __post_init__(self) -> None:
        """Refuse seeds outside the training range."""
        if not 0 <= self.seed < 10_000:
            raise ConfigError(f'--seed is {self.seed}; allowed: 0 .. 9999 (training seeds)')
        if not self.dataset:
            raise ConfigError('--dataset is empty; allowed: one dataset folder or more')

    def run(self, console: Console) -> dict[str, Any]:
        """Train, export and return the validation errors."""
        from ocrrl_ros.core.resources import config_path
        from ocrrl_ros.learning.base_architectures import load_cloning_config
        from ocrrl_ros.learning.base_trainer import train_base
        settings = load_cloning_config(self.config or config_path('train', 'base.yaml'))
        with progress_bar(console) as bar:
            lines: dict[str, Any] = {}

            def report(stage: str, done: int, total: int, note: str) -> None:
                if stage not in lines:
                    lines[stage] = bar.add_task(stage, total=total, note='')
                bar.update(lines[stage], completed=done, note=note)

            training = train_base(
                self.dataset, settings, seed=self.seed, tasks=self.task, out=self.out,
                work=self.work or Path('out', 'train', self.out.name), progress=report)
        errors = training.validation
        for task, error in errors['by_task'].items():
            console.print(f'{task}: {error["position_mm_mean"]:.1f} mm, '
                          f'{error["rotation_deg_mean"]:.1f} deg')
        console.print(
            f'held-out action error (n = {errors["n_frames"]} frames of '
            f'{errors["n_episodes"]} episodes): {errors["position_mm_mean"]:.1f} mm, '
            f'{errors["rotation_deg_mean"]:.1f} deg, grip time {errors["grip_time_s_median"]} s; '
            f'bundle: {self.out}')
        return {'bundle': str(self.out), 'bundle_sha256': training.bundle.sha256,
                'seed': self.seed, 'validation': errors}
