# SPDX-License-Identifier: Apache-2.0
"""`ocrrl bench loop`."""
from dataclasses import dataclass, field
from pathlib import Path
import subprocess
import sys
import tempfile
import time
from typing import Any

from ocrrl_ros.cli.demo import START_TIMEOUT_S
from ocrrl_ros.core.errors import ConfigError, OcrrlError
from rich.console import Console
from rich.table import Table

SINKS = {'crisp_joint': ('joint', 'target_joint'), 'crisp_pose': ('pose', 'target_pose')}


@dataclass(frozen=True, kw_only=True)
class BenchLoop:
    """
    Measure the command stream of the running stack from a second process.

    Episodes run one after another meanwhile: camera, tracker, base policy, residual and recorder
    all work.
    """

    seconds: float = field(default=60.0, metadata={'description': 'time measured per rate, s'})
    rates_hz: tuple[float, ...] = field(
        default=(200.0,), metadata={'description': 'command rates'})
    sink: str = field(default='crisp_joint', metadata={'description': 'crisp_joint or crisp_pose'})
    priority: int = field(
        default=20, metadata={'description': 'SCHED_FIFO priority, 0: normal scheduler'})
    task: str = field(default='cube_lift', metadata={'description': 'task name'})
    domain: str = field(default='proxy', metadata={'description': 'simulated world'})
    base: str = field(default='', metadata={'description': "base bundle; empty: the domain's own"})
    residual: str = field(
        default='', metadata={'description': "residual bundle; empty: the task's own"})
    record: bool = field(default=True, metadata={'description': 'let the recorder run as well'})
    compose: str = field(
        default='', metadata={'description': 'nodes that share a process, as a,b'})

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if self.sink not in SINKS:
            raise ConfigError(f'sink is {self.sink!r}; allowed: {", ".join(SINKS)}')
        if not 1.0 <= self.seconds <= 3600.0:
            raise ConfigError(f'seconds is {self.seconds} s; allowed: 1 .. 3600')
        if not self.rates_hz or not all(20.0 <= rate <= 1000.0 for rate in self.rates_hz):
            raise ConfigError(f'rates_hz is {self.rates_hz} Hz; allowed: 20 .. 1000')

    def run(self, console: Console) -> dict[str, Any]:
        """Measure every rate and print a table."""
        from ocrrl_ros.evaluation.provenance import describe_machine, read_git_state
        rows = []
        for rate in self.rates_hz:
            with tempfile.TemporaryDirectory(prefix='ocrrl_loop_') as folder:
                rows.append(self._measure(console, rate, Path(folder)))
            console.print(self._line(rows[-1]), highlight=False)
        console.print(self._table(rows))
        git = read_git_state()
        return {'seconds': self.seconds, 'sink': self.sink,
                'compose': self.compose, 'rates': rows,
                'machine': describe_machine(), 'git': git.commit, 'git_dirty': git.dirty,
                'passed': all(row['passed'] for row in rows)}

    def _measure(self, console: Console, rate_hz: float, folder: Path) -> dict[str, Any]:
        """Run the graph at one rate with a receiver beside it."""
        import numpy as np
        from ocrrl_ros.evaluation.loop_periods import judge_stream
        from ocrrl_ros.interfaces.graph_process import driven_graph
        arguments = {
            'robot': 'sim', 'task': self.task, 'domain': self.domain, 'sink': self.sink,
            'command_rate_hz': rate_hz, 'realtime_priority': self.priority, 'record': self.record,
            'record_dir': str(folder / 'episodes'), 'vla': self.base, 'residual': self.residual,
            'compose': self.compose}
        arguments = {name: value for name, value in arguments.items() if value != ''}
        with driven_graph(arguments, folder / 'graph.log', 'ocrrl_bench_loop') as client:
            client.wait_ready(START_TIMEOUT_S, console.print)
            begin = _start_next(client, 0)
            notes = folder / 'commands.npz'
            receiver = subprocess.Popen([
                sys.executable, '-m', 'ocrrl_ros.interfaces.command_receiver', *SINKS[self.sink],
                str(self.seconds), str(notes), str(self.priority)])
            try:
                factors, windows = _keep_busy(client, receiver, self.seconds + 60.0, begin)
            finally:
                if receiver.poll() is None:
                    receiver.terminate()
                receiver.wait()
            scheduler = client.diagnostics.get('residual_policy', {}).get('scheduler', 'unknown')
        with np.load(notes) as data:
            row = judge_stream(data['sequence'], data['sent_ns'], data['received_ns'],
                               rate_hz=rate_hz, is_fifo=scheduler.startswith('SCHED_FIFO'),
                               windows_ns=windows)
        return row | {'scheduler': scheduler, 'real_time_factor_min': min(factors, default=None)}

    @staticmethod
    def _line(row: dict[str, Any]) -> str:
        """Write one rate in a line."""
        periods = row['sent_periods']
        return (f'{row["rate_hz"]:.0f} Hz: {100 * periods["share_within_0.5ms"]:.2f} % of sent '
                f'periods within 0.5 ms, longest {periods["max_ms"]:.1f} ms, '
                f'{periods["skipped"]} skipped; '
                f'{row["scheduler"]}')

    @staticmethod
    def _table(rows: list[dict[str, Any]]) -> Table:
        """Lay out all rates, as sent and as received."""
        table = Table('Hz', 'side', 'messages', 'lost', 'skipped', 'p50 ms', 'p99 ms', 'p99.9 ms',
                      'max ms', 'within 0.5 ms')
        for row in rows:
            for side in ('sent', 'received'):
                periods = row[f'{side}_periods']
                table.add_row(
                    f'{row["rate_hz"]:.0f}', side, str(row[side]),
                    str(row['overwritten']) if side == 'received' else '',
                    str(periods['skipped']) if side == 'sent' else '',
                    *(f'{periods[q]:.3f}' for q in ('p50_ms', 'p99_ms', 'p99.9_ms', 'max_ms')),
                    f'{100 * periods["share_within_0.5ms"]:.2f} %')
        return table


def _start_next(client: Any, episode: int) -> tuple[float, int]:
    """Reset, start an episode with the residual on; return its time and the system's in ns."""
    client.reset(10_000, episode)
    client.set_residual(True)
    status = client.wait_status(after_s=0.5)
    client.start_episode()
    return status.time_s, time.time_ns()


def _keep_busy(
        client: Any, receiver: subprocess.Popen, timeout_s: float, begin: tuple[float, int],
) -> tuple[list[float], list[tuple[int, int]]]:
    """
    Run episodes until the receiver has finished.

    :param begin: what `_start_next` returned for the episode that runs already.
    :return: real-time factors, and begin and end of every episode in ns of the system's clock.
    """
    from ocrrl_ros.evaluation.graph_session import judge
    factors: list[float] = []
    windows: list[tuple[int, int]] = []
    (started_s, began_ns), episode = begin, 0
    deadline_s = time.monotonic() + timeout_s
    while receiver.poll() is None:
        if time.monotonic() > deadline_s:
            raise OcrrlError(f'the receiver did not finish within {timeout_s:.0f} s')
        outcome = judge(client.wait_status(), started_s)
        factors += client.take_real_time_factors()
        if outcome is not None:
            windows.append((began_ns, time.time_ns()))
            client.end_episode(outcome)
            episode += 1
            started_s, began_ns = _start_next(client, episode)
    if receiver.returncode != 0:
        raise OcrrlError(f'the receiver ended with code {receiver.returncode}')
    return factors, [*windows, (began_ns, time.time_ns())]
