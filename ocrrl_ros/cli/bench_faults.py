# SPDX-License-Identifier: Apache-2.0
"""`ocrrl bench faults`."""
from collections import Counter
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
import subprocess
import sys
import tempfile
from typing import Any

from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from rich.console import Console
from rich.table import Table

NODES = ('recorder', 'pose_estimator', 'base_policy', 'residual_policy', 'episode',
         'mujoco_bridge')
MOVING_GOAL_S = 3.0


@dataclass(frozen=True, kw_only=True)
class BenchFaults:
    """
    Kill every node of the running stack and measure when the policy moves the arm again.

    Where the killed node's part in the episode is lost (residual_policy, episode) another episode
    is started at once, as an operator would. Then other processes hog the processors for a
    while. All targets that another process receives are judged.
    """

    nodes: tuple[str, ...] = field(
        default=NODES, metadata={'description': 'nodes to kill, one after another'})
    repeats: int = field(default=5, metadata={'description': 'kills of each node'})
    rest_s: float = field(default=12.0, metadata={
        'description': 'time before each kill, in which the stack gets a spare process ready, s'})
    hog_s: float = field(
        default=20.0, metadata={'description': 'how long the processors are hogged, s; 0: not'})
    hogs: int = field(default=2, metadata={'description': 'processes that hog them'})
    task: str = field(default='cube_lift', metadata={'description': 'task name'})
    domain: str = field(default='sim', metadata={'description': 'simulated world'})
    priority: int = field(default=20, metadata={
        'description': 'SCHED_FIFO priority, 0: normal scheduler'})

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        for name in self.nodes:
            if name not in NODES:
                raise UnknownNameError('node', name, NODES, '--nodes')
        if not 1 <= self.repeats <= 100:
            raise ConfigError(f'repeats is {self.repeats}; allowed: 1 .. 100')
        if not 0.0 <= self.rest_s <= 600.0:
            raise ConfigError(f'rest_s is {self.rest_s} s; allowed: 0 .. 600')
        if not 0.0 <= self.hog_s <= 600.0:
            raise ConfigError(f'hog_s is {self.hog_s} s; allowed: 0 .. 600')
        if not 1 <= self.hogs <= 64:
            raise ConfigError(f'hogs is {self.hogs}; allowed: 1 .. 64')

    def run(self, console: Console) -> dict[str, Any]:
        """Kill, hog, and print what came of it."""
        from ocrrl_ros.interfaces.locality import run_apart
        run_apart()
        from ocrrl_ros.evaluation.provenance import describe_machine, read_git_state
        with tempfile.TemporaryDirectory(prefix='ocrrl_faults_') as folder:
            result = self._measure(Path(folder), console)
        console.print(_table(result['nodes']))
        for row in result['nodes']:
            console.print(f'{row["node"]}: {"; ".join(row["states"])}', highlight=False,
                          soft_wrap=True)
        console.print(f'targets: {result["targets"]}', highlight=False, soft_wrap=True)
        if result['hog'] is not None:
            console.print(f'periods between targets by their stamps: {result["hog"]}',
                          highlight=False, soft_wrap=True)
        git = read_git_state()
        return result | {'machine': describe_machine(), 'git': git.commit,
                         'git_dirty': git.dirty}

    def _measure(self, folder: Path, console: Console) -> dict[str, Any]:
        """Run the graph and everything that is done to it."""
        from ocrrl_ros.interfaces.child_processes import StopSignals
        from ocrrl_ros.interfaces.graph_plan import GraphConfig, group_processes, plan_graph
        from ocrrl_ros.interfaces.graph_process import own_node
        from ocrrl_ros.interfaces.killable_graph import KillableGraph
        from ocrrl_ros.interfaces.spin import use_fastdds_profile
        from ocrrl_ros.interfaces.supervisor import Supervisor
        use_fastdds_profile()
        groups = group_processes(plan_graph(GraphConfig(
            task=self.task, domain=self.domain, realtime_priority=self.priority, record=True,
            record_dir=str(folder / 'episodes'))), '')
        supervisor = Supervisor(
            groups, lambda line: console.print(line, highlight=False),
            max_restarts=len(self.nodes) * self.repeats)

        def check() -> None:
            if signals.received is not None:
                raise KeyboardInterrupt

        with StopSignals() as signals, own_node('ocrrl_bench_faults') as node:
            graph = KillableGraph(node, supervisor, check=check)
            try:
                graph.start()
                return self._break(graph)
            finally:
                graph.stop()

    def _break(self, graph: Any) -> dict[str, Any]:
        """Do everything to a running graph and judge what was received."""
        rows, broken = [], []
        for name in self.nodes:
            first, restarts = len(graph.targets), []
            for _ in range(self.repeats):
                graph.watch(self.rest_s)
                restarts.append(graph.kill(name))
            rows.append(_row(name, restarts))
            if name != 'mujoco_bridge':
                # A new simulator begins at its start, where the target then begins anew.
                broken.append(_judged(graph.targets[first:]))
        hog = None
        if self.hog_s > 0.0:
            first = len(graph.targets)
            graph.watch(5.0)
            hog = {'undisturbed': _periods([stamp_s for stamp_s, _ in graph.targets[first:]])}
            first = len(graph.targets)
            with hogging(self.hogs):
                graph.watch(self.hog_s)
            hog['hogged'] = _periods([stamp_s for stamp_s, _ in graph.targets[first:]])
            hog['scheduler'] = graph.diagnostics.get('residual_policy', {}).get('scheduler', '')
            broken.append(_judged(graph.targets[first:]))
        targets = Counter()
        for found in broken:
            targets.update(found)
        total = sum(count for name, count in targets.items() if name != 'targets')
        return {'nodes': rows, 'repeats': self.repeats, 'hog': hog, 'targets': dict(targets),
                'violations_total': total, 'moving_goal_s': MOVING_GOAL_S,
                'passed': total == 0 and all(row['passed'] for row in rows)}


@contextlib.contextmanager
def hogging(count: int) -> Any:
    """Keep processors busy for the duration of a block."""
    processes = [subprocess.Popen([sys.executable, '-c', 'while True: pass'])
                 for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _row(name: str, restarts: list[Any]) -> dict[str, Any]:
    """Summarise the kills of one node."""
    import numpy as np
    from ocrrl_ros.evaluation.faults.faulty_episode import without_numbers
    row: dict[str, Any] = {'node': name, 'n': len(restarts)}
    for what in ('alive_s', 'moving_s', 'silence_s'):
        times = [getattr(restart, what) for restart in restarts]
        row[what] = {'median': float(np.median(times)), 'worst': max(times), 'all': times}
    states = dict.fromkeys(
        without_numbers(text) for restart in restarts for text in restart.states)
    return row | {'states': list(states), 'passed': row['moving_s']['worst'] <= MOVING_GOAL_S}


def _judged(targets: list[Any]) -> dict[str, int]:
    """Count received targets and what they break."""
    import numpy as np
    from ocrrl_ros.evaluation.faults.received_targets import broken_targets, shaper_of
    return {'targets': len(targets), **broken_targets(
        np.array([stamp for stamp, _ in targets]),
        np.reshape([q for _, q in targets], (-1, 7)), shaper_of())}


def _periods(stamps_s: list[float]) -> dict[str, float]:
    """Return quantiles of the sender's periods, ms; pauses between episodes are left out."""
    import numpy as np
    periods_ms = 1e3 * np.diff(stamps_s)
    periods_ms = periods_ms[periods_ms < 200.0]
    if not len(periods_ms):
        return {'n': 0}
    p50, p99 = np.quantile(periods_ms, [0.5, 0.99])
    return {'n': len(periods_ms), 'p50_ms': round(float(p50), 2), 'p99_ms': round(float(p99), 2),
            'max_ms': round(float(periods_ms.max()), 2)}


def _table(rows: list[dict[str, Any]]) -> Table:
    """Lay out the times."""
    table = Table('killed', 'n', 'alive s', 'worst', 'moving s', 'worst', 'silence s', 'worst')
    for row in rows:
        table.add_row(row['node'], str(row['n']), *(
            f'{row[what][which]:.2f}' for what in ('alive_s', 'moving_s', 'silence_s')
            for which in ('median', 'worst')))
    return table
