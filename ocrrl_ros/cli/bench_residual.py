# SPDX-License-Identifier: Apache-2.0
"""`ocrrl bench residual`."""
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ocrrl_ros.core.errors import ConfigError
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class BenchResidual:
    """Measure the residual network and the whole policy tick on this machine."""

    task: str = field(default='cube_lift', metadata={'description': 'task name'})
    residual: Path | None = field(
        default=None, metadata={'description': "residual bundle; default: the task's own"})
    runs: int = field(default=5, metadata={'description': 'repetitions'})
    ticks: int = field(default=5000, metadata={'description': 'calls per run'})

    def __post_init__(self) -> None:
        """Refuse counts without quantiles."""
        if self.runs < 1 or self.ticks < 100:
            raise ConfigError(f'runs is {self.runs} and ticks {self.ticks}; allowed: runs >= 1, '
                              'ticks >= 100')

    def run(self, console: Console) -> dict[str, Any]:
        """Measure and print a table."""
        from ocrrl_ros.core.resources import default_residual
        from ocrrl_ros.evaluation.provenance import describe_machine, read_git_state
        from ocrrl_ros.evaluation.residual_bench import bench_residual
        from ocrrl_ros.policy.assembly import load_residual
        from ocrrl_ros.policy.gate import ResidualGate
        from ocrrl_ros.policy.image_residual import ImageResidualNetwork
        network, bundle = load_residual(self.residual or default_residual(self.task), self.task)
        if isinstance(network, ImageResidualNetwork):
            raise ConfigError(
                f'{bundle.path} sees images; `ocrrl bench residual` measures residuals that see '
                'object poses')
        gate = ResidualGate.from_bundle(bundle, network.layout.size)
        result = bench_residual(self.task, network, gate, runs=self.runs, ticks=self.ticks)
        git = read_git_state()
        result |= {'bundle_sha256': bundle.sha256, 'machine': describe_machine(),
                   'git': git.commit, 'git_dirty': git.dirty}
        console.print(self._table(result))
        machine = result['machine']
        console.print(f'{machine["cpu"]}, {machine["cores"]} cores, Python {machine["python"]}')
        return result

    @staticmethod
    def _table(result: dict[str, Any]) -> Table:
        """Lay out the quantiles of every run."""
        table = Table('what', 'run', 'p50 us', 'p99 us', 'p99.9 us', 'max us')
        for name, key in (
                ('network', 'network'), ('gate', 'gate'), ('policy tick', 'policy_tick')):
            for index, row in enumerate(result[key]):
                table.add_row(name, str(index + 1), *(
                    f'{row[column]:.1f}' for column in ('p50_us', 'p99_us', 'p99.9_us', 'max_us')))
        goals = result['goals']
        gate = f'gate p50 {result["gate_p50_us"]:.1f} us, ' if result['gate'] else ''
        table.caption = (
            f'network p50 {result["network_p50_us"]:.1f} us (goal <= {goals["network_p50_us"]:.0f}'
            f'), {gate}policy tick p99 {result["policy_tick_p99_us"]:.0f} us (goal <= '
            f'{goals["policy_tick_p99_us"]:.0f}); medians over the runs')
        return table
