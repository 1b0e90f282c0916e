# SPDX-License-Identifier: Apache-2.0
"""`ocrrl perception calibrate-confidence`."""
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ocrrl_ros.cli.output import progress_bar
from ocrrl_ros.cli.tracker_backend import TrackerBackend
from ocrrl_ros.evaluation.confidence.run import ConfidenceRunConfig, run_fit, run_tests
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class CalibrateConfidence(ConfidenceRunConfig, TrackerBackend):
    """
    Fit the tracker's confidence in sim, and measure how far it can be trusted.

    Collecting takes hours; what is collected stays in OUT, so that a run can be interrupted and
    goes on where it was. Fitted weights and thresholds of the gate are written to
    OUT/confidence.yaml, in the form of config/tracker.yaml.
    """

    out: Path = field(
        default=Path('out/confidence'), metadata={'description': 'folder of frames and results'})
    fit: bool = field(default=True, metadata={
        'description': 'fit weights; without, those of config/tracker.yaml are tested'})

    def __post_init__(self) -> None:
        """Check the run and the backend."""
        ConfidenceRunConfig.__post_init__(self)
        TrackerBackend.__post_init__(self)

    def run(self, console: Console) -> dict[str, Any]:
        """Fit, test and print a table."""
        from ocrrl_ros.core.json_files import write_json
        from ocrrl_ros.evaluation.provenance import describe_machine, read_git_state
        import yaml
        tracker, fitted = self.tracker(), None
        with progress_bar(console) as bar:
            progress = _shown(bar)
            if self.fit:
                tracker, fitted = run_fit(self, tracker, self.out, progress)
                text = yaml.safe_dump(
                    {'confidence': fitted['weights'], 'gate': fitted['gate']}, sort_keys=False)
                (self.out / 'confidence.yaml').write_text(text, encoding='utf-8')
            tests = run_tests(self, tracker, self.out, progress)
        git = read_git_state()
        result = {
            'fit': fitted, 'tests': tests, 'seed': self.seed, 'left_out': list(self.left_out),
            'test_domain': self.test_domain, 'machine': describe_machine(), 'git': git.commit,
            'git_dirty': git.dirty}
        write_json(self.out / 'figures.json', result)
        for name, groups in tests.items():
            console.print(_table(name, groups))
        return result


def _shown(bar: Any) -> Callable[[str, int, int], None]:
    """Return what shows the progress of the present stage."""
    work = bar.add_task('collecting', total=None, note='')

    def progress(what: str, done: int, total: int) -> None:
        bar.update(work, description=what, completed=done, total=total)

    return progress


def _table(name: str, groups: dict[str, Any]) -> Table:
    """Lay out one line per kind of sequence."""
    table = Table('', 'good', 'bad', 'in', 'bad passed %', 'good rejected %', 'ECE', 'even',
                  'AUROC', 'skill', title=name, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for row, found in groups.items():
        table.add_row(
            row, str(found['good']), str(found['bad']), str(found['bad_sequences']),
            _share(found['bad_passed']), _share(found['good_rejected']), *(
                '-' if found[key] is None else f'{found[key]:.3f}'
                for key in ('ece', 'ece_balanced', 'auroc', 'brier_skill')))
    return table


def _share(value: dict[str, Any] | None) -> str:
    """Write a share with its interval, in per cent."""
    if value is None:
        return '-'
    low, high = value['interval95']
    return f'{100 * value["share"]:.1f} ({100 * low:.1f}-{100 * high:.1f})'
