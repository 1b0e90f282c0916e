# SPDX-License-Identifier: Apache-2.0
"""`ocrrl bench tracker`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ocrrl_ros.cli.tracker_backend import TrackerBackend
from ocrrl_ros.core.errors import ConfigError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class BenchTracker(TrackerBackend):
    """Measure accuracy, losses and speed of the object pose tracker on rendered sequences."""

    task: str = field(
        default='cube_lift', metadata={
            'description': 'task whose objects are tracked, or peg_in_hole_scene (no row grasp)'})
    domains: tuple[str, ...] = field(
        default=('sim', 'proxy'), metadata={'description': 'domains to render'})
    rows: tuple[str, ...] = field(
        default=('rest', 'free', 'face_on', 'stress', 'grasp'),
        metadata={'description': 'sequence kinds'})
    depth_biases: tuple[float, ...] = field(
        default=(0.0, 0.01), metadata={'description': 'depth biases, share of range'})
    sequences: int = field(default=10, metadata={'description': 'sequences per kind'})
    grasps: int = field(default=4, metadata={'description': 'grasp episodes'})
    seed: int = field(default=10_000, metadata={'description': 'seed of all sequences'})
    models: tuple[str, ...] = field(
        default=(), metadata={'description': 'YAML files that describe objects of the task '
                              'otherwise than config/objects, say by a mesh'})
    colourless: tuple[str, ...] = field(
        default=(), metadata={'description': 'objects whose colour the tracker is not told'})
    pictures: Path | None = field(
        default=None, metadata={'description': 'write the worst frames to this PNG'})
    pose_log: Path | None = field(
        default=None,
        metadata={'description': 'write errors and losses by phase to this JSON (sim only)'})

    def __post_init__(self) -> None:
        """Refuse to fit anything to a world that training must not know."""
        super().__post_init__()
        if self.pose_log is not None and self.domains != ('sim',):
            raise ConfigError(
                f'pose_log needs domains to be sim alone, not {self.domains}: what training knows '
                'of the tracker comes from sim')

    def run(self, console: Console) -> dict[str, Any]:
        """Measure and print a table."""
        from ocrrl_ros.cli.output import progress_bar
        from ocrrl_ros.core.json_files import write_json
        from ocrrl_ros.evaluation.pose_log import PoseLog
        from ocrrl_ros.evaluation.provenance import describe_machine, read_git_state
        from ocrrl_ros.evaluation.tracker_bench import run_bench, TrackerBenchConfig
        from ocrrl_ros.evaluation.tracker_figures import headline
        from ocrrl_ros.evaluation.tracker_pictures import WorstFrames
        from ocrrl_ros.evaluation.tracker_scenes import seen_task
        config = TrackerBenchConfig(
            task=self.task, domains=self.domains, rows=self.rows, sequences=self.sequences,
            depth_biases=self.depth_biases, grasps=self.grasps, seed=self.seed,
            models=self.models, colourless=self.colourless)
        pictures = WorstFrames() if self.pictures else None
        pose_log = PoseLog()
        with progress_bar(console) as bar:
            task = bar.add_task('tracker', total=None, note='')

            def progress(what: str, done: int, total: int) -> None:
                bar.update(task, description=what, completed=done, total=total)

            rows = run_bench(
                config, tracker=self.tracker(), pictures=pictures, progress=progress,
                log=pose_log.add)
        git = read_git_state()
        result = {
            'task': self.task, 'objects': len(seen_task(self.task).object_ids),
            'seed': self.seed, 'rows': rows, 'summary': headline(rows),
            'machine': describe_machine(), 'git': git.commit, 'git_dirty': git.dirty}
        if pictures is not None:
            pictures.save(self.pictures)
        if self.pose_log is not None:
            write_json(self.pose_log, pose_log.summary() | {'git': git.commit, 'seed': self.seed})
        console.print(_table(rows))
        return result


def _table(rows: list[dict[str, Any]]) -> Table:
    """Lay out one line per domain, bias and kind."""
    table = Table(
        'row', 'frames', 'valid', 'lost', 'mm', 'deg', 'tilt', 'late mm', 'moved on', 'bad passed',
        'cpu ms', 'at once', 'first ms', box=SIMPLE_HEAD, padding=(0, 1, 0, 0),
        title='errors: p50/p95 of valid frames, as they are and two frames late; time: p50/p99, '
              'of first frames p50/p95')
    for row in rows:
        table.add_row(
            f'{row["domain"]} {100 * row["depth_bias"]:+g} % {row["row"]} {row["object"]}',
            str(row['frames']),
            _percent(row['valid_share']), str(row['losses']), _pair(row['position_mm'], 'p95'),
            _pair(row['rotation_deg'], 'p95'), _pair(row['tilt_deg'], 'p95'),
            _pair(row['late_mm'], 'p95'), _pair(row['moved_mm'], 'p95'),
            f'{_percent(row["bad_passed"])} of {row["bad_frames"]}', _pair(row['cpu_ms'], 'p99'),
            _percent(row['found_at_once']), _pair(row['first_frame_ms'], 'p95'))
    return table


def _percent(share: float | None) -> str:
    """Write a share."""
    return '-' if share is None else f'{100 * share:.0f} %'


def _pair(quantiles: dict[str, float] | None, high: str) -> str:
    """Write the median and one more quantile."""
    return '-' if quantiles is None else f'{quantiles["p50"]:.1f}/{quantiles[high]:.1f}'
