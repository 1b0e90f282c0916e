# SPDX-License-Identifier: Apache-2.0
"""`ocrrl evaluate`."""
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TYPE_CHECKING

from ocrrl_ros.cli.fault_output import (
    fault_line, fault_table, fault_text, state_lines)
from ocrrl_ros.cli.output import progress_bar, rate_text
from ocrrl_ros.core.json_files import write_json
from ocrrl_ros.evaluation.evaluate import evaluate, EvaluateConfig
from rich.console import Console

if TYPE_CHECKING:
    from ocrrl_ros.evaluation.episode_record import EpisodeRecord


@dataclass(frozen=True, kw_only=True)
class Evaluate(EvaluateConfig):
    """
    Measure a policy's success rate in simulated episodes without ROS.

    The same seed gives the same initial states for every policy, so that results pair. An
    interrupted run with --json FILE continues from FILE.episodes when started again. With
    --perturb or --stall-s each episode is run twice, disturbed and undisturbed; the success that
    is reported is that of the disturbed ones. With --faults something fails in every episode and
    every published command is judged; exit code 1 says that one broke a limit.
    """

    json: Path | None = field(
        default=None, metadata={'description': 'write the result to this file'})

    def run(self, console: Console) -> dict[str, Any]:
        """Evaluate with a live line per episode."""
        parts = self.json.with_name(self.json.name + '.episodes') if self.json else None
        outcomes: dict[int, bool] = {}
        with progress_bar(console) as bar:
            work = bar.add_task(f'{self.policy}, {self.poses} poses', total=self.episodes, note='')

            def show(done: int, total: int, record: 'EpisodeRecord') -> None:
                outcomes[record.episode] = record.outcome
                note = f'{100 * sum(outcomes.values()) / len(outcomes):.1f} % of {len(outcomes)}'
                bar.update(work, completed=done, note=note)
                bar.console.print(episode_line(record), highlight=False)

            settings = {name: value for name, value in vars(self).items() if name != 'json'}
            result = evaluate(EvaluateConfig(**settings), show, parts)
        if self.json is not None:
            write_json(self.json, result)
        console.print(summary_line(result), highlight=False)
        for line in disturbance_lines(result.get('disturbance')):
            console.print(line, highlight=False, soft_wrap=True)
        if 'faults' in result:
            console.print(fault_table(result['faults']))
            for line in state_lines(result['faults']):
                console.print(line, highlight=False, soft_wrap=True)
            console.print(fault_line(result['faults']), highlight=False)
        return result


def episode_line(record: 'EpisodeRecord') -> str:
    """Write one episode in a line."""
    line = (f'episode {record.episode + 1:4d}  {record.failure_mode:<10s} '
            f'{record.duration_s:5.2f} s')
    found = record.disturbance
    if record.fault is not None:
        return f'{line}  {fault_text(record.fault)}'
    if found is None:
        return line
    if found.time_s is None:
        return f'{line}  {found.kind} {found.phase}: its moment never came'
    answer = seconds_text(found.reaction_s) if found.reaction else 'nothing to answer'
    return (f'{line}  {found.kind} {found.phase} at {found.time_s:.2f} s, answer {answer}, '
            f'recovery {seconds_text(found.recovery_s) if found.left_course else "not needed"}')


def summary_line(result: Mapping[str, Any]) -> str:
    """Write a result in a line."""
    return (f'{result["policy"]} in {result["domain"]}, {result["poses"]} poses: '
            f'{result["successes"]} of {result["episodes"]}, '
            f'{rate_text(result["rate"], result["wilson95"])}; {result["wall_s"]:.1f} s')


def seconds_text(time_s: float | None) -> str:
    """Write a time that may be unknown because nothing came."""
    return 'none' if time_s is None else f'{time_s:.2f} s'


def disturbance_lines(block: Mapping[str, Any] | None) -> list[str]:
    """Write what the disturbances did, a line each; nothing without any."""
    if block is None:
        return []
    lines = [f'{block["disturbed"]} disturbed, the moment of {block["moment_never_came"]} never '
             f'came, {block["twin_differed"]} could not be repeated']
    success = block['success']
    if success is not None:
        low, high = success['interval95']
        lines.append(
            f'success of those: {success["disturbed_rate"]:.1%} disturbed, '
            f'{success["undisturbed_rate"]:.1%} undisturbed, '
            f'{100 * success["difference"]:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]')
    for kind, figures in block.get('reaction', {}).items():
        back = block['recovery'][kind]
        lines.append(
            f'{kind}: first answer median {seconds_text(figures["median_s"])}, p95 '
            f'{seconds_text(figures["p95_s"])} (n {figures["n"]}, no answer within 1 s '
            f'{figures["none"]}); back within 1 s {back["within_1s"]} of {back["n"]}')
    return lines
