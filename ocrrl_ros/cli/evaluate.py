# SPDX-License-Identifier: Apache-2.0
"""`ocrrl evaluate`."""
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TYPE_CHECKING

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
    interrupted run with --json FILE continues from FILE.episodes when started again.
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
        return result


def episode_line(record: 'EpisodeRecord') -> str:
    """Write one episode in a line."""
    return (f'episode {record.episode + 1:4d}  {record.failure_mode:<10s} '
            f'{record.duration_s:5.2f} s')


def summary_line(result: Mapping[str, Any]) -> str:
    """Write a result in a line."""
    return (f'{result["policy"]} in {result["domain"]}, {result["poses"]} poses: '
            f'{result["successes"]} of {result["episodes"]}, '
            f'{rate_text(result["rate"], result["wilson95"])}; {result["wall_s"]:.1f} s')
