# SPDX-License-Identifier: Apache-2.0
"""`ocrrl bench camera`."""
from dataclasses import dataclass, field
from pathlib import Path
import subprocess
import sys
import tempfile
from typing import Any

from ocrrl_ros.cli.demo import START_TIMEOUT_S
from ocrrl_ros.core.errors import ConfigError, OcrrlError
from rich.console import Console
from rich.table import Table

SHARE_GOAL = 0.99


@dataclass(frozen=True, kw_only=True)
class BenchCamera:
    """
    Count the RGB-D frames that reach other processes while the whole stack runs.

    Lost is what was published and did not arrive; frames that a slow renderer never published
    show in the rate.
    """

    frames: int = field(default=300, metadata={'description': 'frames per stream'})
    receivers: int = field(default=2, metadata={'description': 'processes that listen'})
    task: str = field(default='cube_lift', metadata={'description': 'task name'})
    domain: str = field(default='proxy', metadata={'description': 'simulated world'})

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if not 10 <= self.frames <= 100_000:
            raise ConfigError(f'frames is {self.frames}; allowed: 10 .. 100000')
        if not 1 <= self.receivers <= 8:
            raise ConfigError(f'receivers is {self.receivers}; allowed: 1 .. 8')

    def run(self, console: Console) -> dict[str, Any]:
        """Receive in every process and print what arrived."""
        from ocrrl_ros.evaluation.provenance import describe_machine, read_git_state
        with tempfile.TemporaryDirectory(prefix='ocrrl_camera_') as folder:
            rows = self._measure(console, Path(folder))
        table = Table('receiver', 'stream', 'published', 'arrived')
        for row in rows:
            table.add_row(str(row['receiver'] + 1), row['stream'], str(row['published']),
                          f'{100 * row["share"]:.2f} %')
        console.print(table)
        git = read_git_state()
        return {'rows': rows, 'machine': describe_machine(), 'git': git.commit,
                'git_dirty': git.dirty, 'passed': all(row['passed'] for row in rows)}

    def _measure(self, console: Console, folder: Path) -> list[dict[str, Any]]:
        """Run the graph with receivers beside it."""
        import numpy as np
        from ocrrl_ros.evaluation.loop_periods import arrival_share
        from ocrrl_ros.interfaces.graph_process import driven_graph
        arguments = {'robot': 'sim', 'task': self.task, 'domain': self.domain}
        seconds = 20.0 + self.frames / 10.0
        notes = [folder / f'frames{index}.npz' for index in range(self.receivers)]
        with driven_graph(arguments, folder / 'graph.log', 'ocrrl_bench_camera') as client:
            client.wait_ready(START_TIMEOUT_S, console.print)
            processes = [subprocess.Popen([
                sys.executable, '-m', 'ocrrl_ros.interfaces.frame_receiver', str(self.frames),
                str(seconds), str(path)]) for path in notes]
            try:
                codes = [process.wait(seconds + 30.0) for process in processes]
            finally:
                for process in processes:
                    if process.poll() is None:
                        process.kill()
                        process.wait()
        if any(codes):
            raise OcrrlError(f'receivers ended with codes {codes}')
        rows = []
        for index, path in enumerate(notes):
            with np.load(path) as data:
                for stream in ('colour', 'depth'):
                    published, share = arrival_share(data[stream])
                    rows.append({
                        'receiver': index, 'stream': stream, 'published': published,
                        'share': share, 'goal': SHARE_GOAL,
                        'passed': share >= SHARE_GOAL and published >= self.frames})
        return rows
