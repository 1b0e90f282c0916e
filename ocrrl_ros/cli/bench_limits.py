# SPDX-License-Identifier: Apache-2.0
"""`ocrrl bench limits`."""
from dataclasses import dataclass
from typing import Any

from ocrrl_ros.cli.output import progress_bar
from ocrrl_ros.evaluation.limit_bench import bench_limits, LimitBenchConfig
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class BenchLimits(LimitBenchConfig):
    """Count limit violations in random command ticks, and time the command shaping."""

    def run(self, console: Console) -> dict[str, Any]:
        """Try, and print what was broken and how long it took."""
        from ocrrl_ros.evaluation.provenance import describe_machine, read_git_state
        with progress_bar(console) as bar:
            work = bar.add_task('random command ticks', total=self.ticks, note='')
            result = bench_limits(self, lambda done: bar.update(work, completed=done))
        console.print(self._violations(result))
        console.print(self._times(result))
        console.print(
            f'{result["violations_total"]} violations in {result["ticks"]} ticks (goal 0); a '
            f'target of a calm policy: p99 {result["target_p99_us"]:.0f} us (goal <= '
            f'{result["goals"]["target_p99_us"]:.0f})', highlight=False)
        git = read_git_state()
        return result | {'machine': describe_machine(), 'git': git.commit, 'git_dirty': git.dirty}

    @staticmethod
    def _violations(result: dict[str, Any]) -> Table:
        """Lay out what was counted."""
        table = Table('limit or guard', 'violations', 'event', 'count')
        left = list(result['violations'].items())
        right = sorted(result['events'].items())
        for row in range(max(len(left), len(right))):
            cells = [str(cell) for part in (left, right)
                     for cell in (part[row] if row < len(part) else ('', ''))]
            table.add_row(*cells)
        return table

    @staticmethod
    def _times(result: dict[str, Any]) -> Table:
        """Lay out the quantiles."""
        table = Table('what', 'n', 'p50 us', 'p99 us', 'max us')
        for name, row in result['times'].items():
            table.add_row(name, str(row['n']), *(
                f'{row[column]:.1f}' for column in ('p50_us', 'p99_us', 'max_us')))
        return table
