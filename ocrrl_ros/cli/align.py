# SPDX-License-Identifier: Apache-2.0
"""`ocrrl align`."""
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
import time
from typing import Any

from ocrrl_ros.cli.output import progress_bar
from ocrrl_ros.cli.report_command import read_results
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.evaluation.alignment import AlignConfig, failure_distance, measure_alignment
from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Align(AlignConfig):
    """
    Compare what the bases of two worlds plan in the same states, each from its own picture.

    With two result files of `ocrrl evaluate` also how differently the bases fail.
    """

    results: tuple[Path, ...] = field(default=(), metadata={
        'description': 'two results of the bases alone, for the failure modes'})

    def __post_init__(self) -> None:
        """Refuse another number of results than none or two."""
        super().__post_init__()
        if len(self.results) not in (0, 2):
            raise ConfigError(f'results names {len(self.results)} files; allowed: none or 2')

    def run(self, console: Console) -> dict[str, Any]:
        """Compare and print the differences."""
        from ocrrl_ros.evaluation.provenance import describe_machine, read_git_state
        started, git = time.monotonic(), read_git_state()
        failures = {}
        if self.results:
            failures['failure_modes'] = failure_distance(
                *(read_results(path)[0] for path in self.results))
        settings = {item.name: getattr(self, item.name) for item in fields(AlignConfig)}
        with progress_bar(console) as bar:
            works: dict[str, Any] = {}

            def show(phase: str, done: int, total: int) -> None:
                if phase not in works:
                    works[phase] = bar.add_task(phase, total=total, note='')
                bar.update(works[phase], completed=done)

            result = measure_alignment(AlignConfig(**settings), show) | failures
        result['summary'] = summary_of(result)
        console.print(result['summary'], highlight=False)
        return result | {
            'wall_s': round(time.monotonic() - started, 3), 'git': git.commit,
            'git_dirty': git.dirty, 'machine': describe_machine()}


def summary_of(result: Mapping[str, Any]) -> str:
    """Write a comparison in a line."""
    parts = []
    for name, unit, digits in (('position_mm', 'mm', 1), ('rotation_deg', 'deg', 1),
                               ('grip_time_s', 's', 2)):
        found = result[name]
        if found is not None:
            parts.append(f'{found["median"]:.{digits}f} (p95 {found["p95"]:.{digits}f}) {unit}')
    text = (f'median {", ".join(parts)} over {result["states"]} states; {result["grips"]} chunks '
            f'in which both change the grip, {result["grips_of_one_alone"]} in which one does')
    failures = result.get('failure_modes')
    return text + (f'; total variation of failures {failures["total_variation"]:.2f}'
                   if failures else '')
