# SPDX-License-Identifier: Apache-2.0
"""`ocrrl bench tracker`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TYPE_CHECKING

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.onnx_session import Provider
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from ocrrl_ros.perception.pose_estimator import TrackerConfig


@dataclass(frozen=True, kw_only=True)
class BenchTracker:
    """Measure accuracy, losses and speed of the object pose tracker on rendered sequences."""

    task: str = field(
        default='cube_lift', metadata={'description': 'task whose objects are tracked'})
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
    refine_model: str = field(default='', metadata={
        'description': 'path of refine_model.onnx: FoundationPose fits poses, not our own solver'})
    score_model: str = field(default='', metadata={'description': 'path of score_model.onnx'})
    provider: Provider = field(
        default='cpu', metadata={'description': 'runs them: cpu, or cuda with onnxruntime-gpu'})
    pictures: Path | None = field(
        default=None, metadata={'description': 'write the worst frames to this PNG'})
    pose_log: Path | None = field(
        default=None,
        metadata={'description': 'write errors and losses by phase to this JSON (sim only)'})

    confidence_fit: Path | None = field(
        default=None,
        metadata={'description': 'write fitted weights of the confidence to this JSON (sim only)'})

    def __post_init__(self) -> None:
        """Refuse to fit anything to a world that training must not know."""
        for name in ('pose_log', 'confidence_fit'):
            if getattr(self, name) is not None and self.domains != ('sim',):
                raise ConfigError(
                    f'{name} needs domains to be sim alone, not {self.domains}: what training '
                    'and calibration know of the tracker comes from sim')
        if bool(self.refine_model) != bool(self.score_model):
            raise ConfigError(
                f'refine_model is {self.refine_model!r} and score_model {self.score_model!r}; '
                'allowed: both or none')

    def run(self, console: Console) -> dict[str, Any]:
        """Measure and print a table."""
        from ocrrl_ros.cli.output import progress_bar
        from ocrrl_ros.core.json_files import write_json
        from ocrrl_ros.evaluation.confidence_fit import ConfidenceFit
        from ocrrl_ros.evaluation.pose_log import PoseLog
        from ocrrl_ros.evaluation.provenance import describe_machine, read_git_state
        from ocrrl_ros.evaluation.tracker_bench import run_bench, TrackerBenchConfig
        from ocrrl_ros.evaluation.tracker_pictures import WorstFrames
        config = TrackerBenchConfig(
            task=self.task, domains=self.domains, rows=self.rows, sequences=self.sequences,
            depth_biases=self.depth_biases, grasps=self.grasps, seed=self.seed)
        pictures = WorstFrames() if self.pictures else None
        pose_log, fit = PoseLog(), ConfidenceFit()

        def log(domain: str, bias: float, row: str, samples: list[Any]) -> None:
            pose_log.add(domain, bias, row, samples)
            fit.add(domain, bias, row, samples)

        with progress_bar(console) as bar:
            task = bar.add_task('tracker', total=None, note='')

            def progress(what: str, done: int, total: int) -> None:
                bar.update(task, description=what, completed=done, total=total)

            rows = run_bench(
                config, tracker=self._tracker(), pictures=pictures, progress=progress, log=log)
        git = read_git_state()
        result = {
            'task': self.task, 'seed': self.seed, 'rows': rows, 'machine': describe_machine(),
            'git': git.commit, 'git_dirty': git.dirty}
        if pictures is not None:
            pictures.save(self.pictures)
        if self.pose_log is not None:
            write_json(self.pose_log, pose_log.summary() | {'git': git.commit, 'seed': self.seed})
        if self.confidence_fit is not None:
            write_json(self.confidence_fit, fit.summary() | {'git': git.commit, 'seed': self.seed})
        console.print(_table(rows))
        return result

    def _tracker(self) -> TrackerConfig:
        """Return the tracker's settings with the backend that was asked for."""
        from ocrrl_ros.perception.pose_estimator import load_tracker_config
        config = load_tracker_config()
        if not self.refine_model:
            return config
        return replace(config, pose_backend='foundation_pose', foundation_pose=replace(
            config.foundation_pose, refine_model=self.refine_model,
            score_model=self.score_model, provider=self.provider))


def _table(rows: list[dict[str, Any]]) -> Table:
    """Lay out one line per domain, bias and kind."""
    table = Table(
        'row', 'frames', 'valid', 'lost', 'mm', 'deg', 'tilt', 'bad passed', 'cpu ms',
        title='errors: p50/p95 of valid frames; time: p50/p99', box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0))
    for row in rows:
        table.add_row(
            f'{row["domain"]} {100 * row["depth_bias"]:+g} % {row["row"]} {row["object"]}',
            str(row['frames']),
            _percent(row['valid_share']), str(row['losses']), _pair(row['position_mm'], 'p95'),
            _pair(row['rotation_deg'], 'p95'), _pair(row['tilt_deg'], 'p95'),
            f'{_percent(row["bad_passed"])} of {row["bad_frames"]}', _pair(row['cpu_ms'], 'p99'))
    return table


def _percent(share: float | None) -> str:
    """Write a share."""
    return '-' if share is None else f'{100 * share:.0f} %'


def _pair(quantiles: dict[str, float] | None, high: str) -> str:
    """Write the median and one more quantile."""
    return '-' if quantiles is None else f'{quantiles["p50"]:.1f}/{quantiles[high]:.1f}'
