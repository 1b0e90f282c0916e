# SPDX-License-Identifier: Apache-2.0
"""`ocrrl demo`: the main job, over the whole ROS graph in simulation."""
from dataclasses import dataclass, field
import os
from pathlib import Path
import sys
import time
from typing import Any, TYPE_CHECKING

from ocrrl_ros.cli.output import progress_bar, rate_text
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.core.json_files import write_json
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from ocrrl_ros.evaluation.graph_session import GraphEpisode
    from ocrrl_ros.evaluation.policies import PolicyBundles

POLICIES = ('base', 'residual')
#: A fresh checkout compiles the tracker beside loops under SCHED_FIFO.
START_TIMEOUT_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Demo:
    """
    Run the whole ROS 2 graph in simulation: base policy alone, then base + residual.

    Both meet the same initial states. Writes result.json, report.html and one MCAP per episode.
    Ctrl-C ends every process of the graph, writes no result and exits with 130.
    """

    task: str = field(default='cube_lift', metadata={'description': 'task name'})
    domain: str = field(
        default='proxy', metadata={'description': 'simulated world: sim, proxy or a YAML file'})
    episodes: int = field(default=10, metadata={'description': 'episodes per policy'})
    seed: int = field(default=10_000, metadata={'description': 'evaluation seed'})
    out: Path = field(default=Path('out/demo'), metadata={'description': 'folder of the results'})
    base: str = field(
        default='', metadata={'description': "base bundle; empty: the domain's own"})
    residual: str = field(
        default='', metadata={'description': "residual bundle; empty: the task's own"})
    policies: tuple[str, ...] = field(
        default=POLICIES, metadata={'description': 'base, residual or both, in order'})
    time_limit_s: float = field(
        default=0.0, metadata={'description': "end episodes after this time, s; 0: the task's"})
    lockstep: bool = field(
        default=False, metadata={'description': 'simulated time, one tick at a time'})
    record: bool = field(default=True, metadata={'description': 'write one MCAP per episode'})
    view: bool = field(
        default_factory=lambda: os.environ.get('VIEW', '') not in ('', '0'),
        metadata={'description': "open the simulator's viewer; VIEW=1 does the same"})

    def __post_init__(self) -> None:
        """Refuse what cannot be shown."""
        if self.episodes < 1:
            raise ConfigError(f'episodes is {self.episodes}; allowed: >= 1')
        for policy in self.policies:
            if policy not in POLICIES:
                raise UnknownNameError('policy', policy, POLICIES, 'option --policies')
        if not self.policies or len(set(self.policies)) < len(self.policies):
            raise ConfigError(f'policies is {self.policies}; allowed: each of {POLICIES} once')
        if self.view and not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
            raise ConfigError('the viewer needs a display: neither DISPLAY nor WAYLAND_DISPLAY is '
                              'set; run without --view (VIEW=0)')

    def run(self, console: Console) -> dict[str, Any]:
        """Check everything, run the graph, write the results."""
        from ocrrl_ros.interfaces.graph_process import driven_graph
        bundles = self._load_bundles()
        started_s = time.monotonic()
        console.print(f'starting the graph; its log is {self.out / "graph.log"}')
        with driven_graph(self._graph_arguments(bundles), self.out / 'graph.log',
                          'ocrrl_demo') as client:
            client.wait_ready(START_TIMEOUT_S, console.print)
            return self._run_episodes(console, client, bundles, started_s)

    def _load_bundles(self) -> 'PolicyBundles':
        """Refuse bad bundles, and what is no bundle, before anything starts."""
        from ocrrl_ros.core.resources import default_base, default_residual
        from ocrrl_ros.evaluation.policies import load_policies, SCRIPTED
        from ocrrl_ros.sim.domain import load_domain
        from ocrrl_ros.sim.tasks import get_task
        load_domain(self.domain)
        if self.base in SCRIPTED:
            raise ConfigError(f'base is {self.base!r}; the graph runs bundles alone: give the '
                              'folder of one')
        return load_policies(
            get_task(self.task), self.base or default_base(self.domain),
            self.residual or default_residual(self.task))

    def _graph_arguments(self, bundles: 'PolicyBundles') -> dict[str, Any]:
        """Return the arguments of `stack`, with the very folders that were checked."""
        return {
            'robot': 'sim', 'task': self.task, 'domain': self.domain, 'record': self.record,
            'record_dir': str(self.out / 'episodes'), 'lockstep': self.lockstep,
            'view': self.view, 'vla': str(bundles.base.path),
            'residual': str(bundles.residual.path)}

    def _run_episodes(self, console: Console, client: Any, bundles: 'PolicyBundles',
                      started_s: float) -> dict[str, Any]:
        """Run all episodes with a live line each, then write result and report."""
        from ocrrl_ros.cli.demo_observer import DemoObserver
        from ocrrl_ros.evaluation.graph_session import run_session, SessionConfig
        observer = DemoObserver(client)
        config = SessionConfig(
            episodes=self.episodes, seed=self.seed, time_limit_s=self.time_limit_s,
            real_time=not self.lockstep)
        with progress_bar(console) as bar:
            work = bar.add_task('episodes', total=len(self.policies) * self.episodes, note='')

            def show(record: 'GraphEpisode') -> None:
                bar.advance(work)
                bar.console.print(episode_line(record), highlight=False)

            records = run_session(client, config, self.policies, show, observer)
        result = self._summarise(records, bundles, observer)
        result['wall_s'] = round(time.monotonic() - started_s, 1)
        self.out.mkdir(parents=True, exist_ok=True)
        write_json(self.out / 'result.json', result)
        self._write_report(result, observer, records)
        self._print_table(console, result)
        return result

    def _summarise(self, records: list['GraphEpisode'], bundles: 'PolicyBundles',
                   observer: Any) -> dict[str, Any]:
        """Build the content of result.json."""
        from ocrrl_ros.evaluation.graph_session import summarise_session
        from ocrrl_ros.evaluation.provenance import describe_machine, read_git_state
        from ocrrl_ros.evaluation.result import PROTOCOL_VERSION
        from ocrrl_ros.sim.domain import load_domain
        from ocrrl_ros.sim.tasks import SUCCESS_VERSION
        git, domain = read_git_state(), load_domain(self.domain)
        common = {
            'task': self.task, 'domain': domain.name, 'poses': 'perceived', 'through': 'ros',
            'lockstep': self.lockstep, 'seed': self.seed, 'eval_seed': self.seed,
            'base_sha256': bundles.base_sha256, 'domain_sha256': domain.sha256(),
            'success_version': SUCCESS_VERSION, 'protocol_version': PROTOCOL_VERSION,
            'git': git.commit, 'git_dirty': git.dirty}
        results = []
        for policy in self.policies:
            bundle = bundles.residual if policy == 'residual' else bundles.base
            results.append(common | {
                'bundle_sha256': bundle.sha256, 'train_seed': bundle.manifest.seed,
            } | summarise_session([r for r in records if r.policy == policy]))
        return {'results': results, 'machine': describe_machine(),
                'timing': [vars(row) for row in observer.timing_rows(records)],
                'passed': all(result['episodes'] > 0 for result in results)}

    def _write_report(self, result: dict[str, Any], observer: Any,
                      records: list['GraphEpisode']) -> None:
        """Write report.html."""
        from ocrrl_ros.evaluation.report import ReportContent, write_report
        notes = ['Measured through the ROS 2 graph: camera, tracker, base policy, residual and '
                 'command shaping in their own processes. "proxy" is a development world.']
        write_report(self.out / 'report.html', ReportContent(
            title=f'{self.task.replace("_", " ").title()} over ROS 2',
            results=result['results'], stills=observer.stills(), clips=observer.clips(),
            timing=observer.timing_rows(records), machine=result['machine'],
            commands=[' '.join(['ocrrl', *sys.argv[1:]])], notes=notes))

    def _print_table(self, console: Console, result: dict[str, Any]) -> None:
        """Print rates with their intervals and where the files are."""
        table = Table('policy', 'successes', 'rate [Wilson 95 %]', 'not counted')
        for row in result['results']:
            rate = '-' if row['rate'] is None else rate_text(row['rate'], row['wilson95'])
            table.add_row(row['policy'], f'{row["successes"]} of {row["episodes"]}', rate,
                          str(row['invalid_episodes']))
        console.print(table)
        console.print(f'{self.out / "result.json"}   {self.out / "report.html"}', highlight=False)


def episode_line(record: 'GraphEpisode') -> str:
    """Write one episode in a line."""
    factor = record.real_time_factor
    pace = '' if factor is None else f'  real time {factor:.2f}'
    invalid = '' if record.valid else '  not counted'
    return (f'{record.policy:<9s} episode {record.episode + 1:3d}  {record.outcome:<9s} '
            f'{record.duration_s:5.1f} s{pace}{invalid}')
