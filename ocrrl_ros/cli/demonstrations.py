# SPDX-License-Identifier: Apache-2.0
"""`ocrrl demonstrations record` and `ocrrl demonstrations replay`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TYPE_CHECKING

from ocrrl_ros.cli.output import progress_bar
from ocrrl_ros.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class RecordDemonstrations:
    """
    Record demonstrations of the scripted operator as a LeRobot v2.1 dataset.

    Failed attempts are dropped and counted. Calling it again continues an interrupted recording.
    """

    out: Path = field(metadata={'description': 'dataset folder to write or to continue'})
    task: str = field(default='cube_lift', metadata={'description': 'task to demonstrate'})
    domain: str = field(
        default='proxy', metadata={'description': 'world: sim, proxy or a YAML file'})
    episodes: int = field(default=30, metadata={'description': 'successful demonstrations'})
    seed: int = field(default=0, metadata={'description': 'dataset seed, 0 .. 9999'})

    def __post_init__(self) -> None:
        """Refuse counts and seeds outside their ranges."""
        if self.episodes < 1:
            raise ConfigError(f'--episodes is {self.episodes}; allowed: >= 1')
        if not 0 <= self.seed < 10_000:
            raise ConfigError(f'--seed is {self.seed}; allowed: 0 .. 9999 (training seeds)')

    def run(self, console: Console) -> dict[str, Any]:
        """Record and return the counts."""
        from ocrrl_ros.data.demonstrations import record_demonstrations
        from ocrrl_ros.sim.domain import load_domain
        from ocrrl_ros.sim.physics import load_physics
        from ocrrl_ros.sim.tasks import get_task
        with _reported(console, 'recording') as report:
            recording = record_demonstrations(
                get_task(self.task), load_domain(self.domain), episodes=self.episodes,
                seed=self.seed, out=self.out, physics=load_physics(), progress=report)
        console.print(
            f'{recording.episodes} demonstrations from {recording.attempts} attempts, '
            f'{recording.frames} frames: {self.out}')
        return {
            'task': self.task, 'domain': self.domain, 'seed': self.seed,
            'episodes': recording.episodes, 'attempts': recording.attempts,
            'frames': recording.frames, 'dataset': str(self.out)}


@dataclass(frozen=True, kw_only=True)
class ReplayDemonstrations:
    """
    Replay the actions of a dataset in another world and record what is seen there.

    Objects start where the tracker saw them; failed replays are kept and counted.
    """

    dataset: Path = field(metadata={'description': 'recorded dataset'})
    out: Path = field(metadata={'description': 'dataset folder to write or to continue'})
    task: str | None = field(
        default=None, metadata={'description': 'refuse a dataset of another task'})
    domain: str = field(
        default='sim', metadata={'description': 'world: sim, proxy or a YAML file'})

    def run(self, console: Console) -> dict[str, Any]:
        """Replay and return the success rate."""
        from ocrrl_ros.data.lerobot_dataset import LeRobotDataset
        from ocrrl_ros.data.replay import replay_demonstrations
        from ocrrl_ros.sim.domain import load_domain
        from ocrrl_ros.sim.physics import load_physics
        from ocrrl_ros.sim.tasks import get_task
        recorded = LeRobotDataset(self.dataset, task=self.task)
        task = get_task(recorded.description['task'])
        with _reported(console, 'replaying') as report:
            replay = replay_demonstrations(
                task, load_domain(self.domain), dataset_path=self.dataset,
                out=self.out, physics=load_physics(), progress=report)
        console.print(
            f'{replay.successes} of {replay.episodes} replays end with the task done: {self.out}')
        return {
            'task': task.name, 'domain': self.domain, 'source': str(self.dataset),
            'episodes': replay.episodes, 'successes': replay.successes, 'dataset': str(self.out)}


@contextmanager
def _reported(console: Console, what: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a progress bar that is fed with done, total and a note."""
    with progress_bar(console) as bar:
        line = bar.add_task(what, total=None, note='')
        yield lambda done, total, note: bar.update(
            line, completed=done, total=total, note=note)
