# SPDX-License-Identifier: Apache-2.0
"""`ocrrl bench language`."""
from collections.abc import Mapping
from dataclasses import dataclass, fields
import time
from typing import Any

from ocrrl_ros.cli.output import progress_bar, rate_text
from ocrrl_ros.evaluation.language import LanguageConfig, measure_language
from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class BenchLanguage(LanguageConfig):
    """Tell a base to lift the one or the other of two cubes and count which one it lifts."""

    def run(self, console: Console) -> dict[str, Any]:
        """Run all attempts and print what was picked."""
        from ocrrl_ros.evaluation.provenance import describe_machine, read_git_state
        started, git = time.monotonic(), read_git_state()
        settings = {item.name: getattr(self, item.name) for item in fields(LanguageConfig)}
        with progress_bar(console) as bar:
            work = bar.add_task('attempts', total=None, note='')
            result = measure_language(
                LanguageConfig(**settings),
                lambda done, total: bar.update(work, completed=done, total=total))
        for row in result['wordings']:
            console.print(f'{row["instruction"]:<42s} {_picks(row)}', highlight=False)
        result['summary'] = summary_of(result)
        console.print(result['summary'], highlight=False)
        return result | {
            'wall_s': round(time.monotonic() - started, 3), 'git': git.commit,
            'git_dirty': git.dirty, 'machine': describe_machine()}


def _picks(counts: Mapping[str, Any]) -> str:
    """Write how many picks were of the named cube."""
    text = f'{counts["named"]} of {counts["picks"]} picks'
    if not counts['picks']:
        return text
    return f'{text}, {rate_text(counts["share"], counts["wilson95"])}'


def summary_of(result: Mapping[str, Any]) -> str:
    """Write the check in a line."""
    swapped = result['swapped']
    holds = {True: 'goal of 90 % holds', False: 'goal of 90 % does not hold'}
    verdict = holds.get(result['all'].get('goal_holds'), 'no picks')
    return (f'named cube in {_picks(result["all"])} ({verdict}); unseen words: '
            f'{_picks(result["unseen"])}; swapped name picked the other in '
            f'{swapped["picked_the_other"]} of {swapped["pairs_with_two_picks"]} pairs')
