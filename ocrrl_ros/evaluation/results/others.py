# SPDX-License-Identifier: Apache-2.0
"""Results in the folder that no cell declares: whole graphs, development seeds, trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ocrrl_ros.evaluation.result_pairs import pair_results, policy_name
from ocrrl_ros.evaluation.results.status import read_result
from ocrrl_ros.evaluation.results.tables import (
    commit_text, interval_text, is_rate, percent, seeds_text, table)


def other_results(folder: Path, known: Iterable[str]) -> list[str]:
    """
    Return the paragraphs about result files that belong to no cell; none when there are none.

    :param known: names of the cells.
    """
    names = set(known)
    found: list[tuple[str, Mapping[str, Any]]] = []
    for path in sorted(folder.glob('*.json')):
        if path.stem in names:
            continue
        content = read_result(path)
        found += [(path.name, item) for item in content.get('results', [content])
                  if is_rate(item)]
    if not found:
        return []
    rows = [[f'`{name}`', _what(result),
             f'{result["successes"]} of {result["episodes"]}, {percent(result["rate"])}',
             interval_text(*result['wilson95']), str(result['episodes']), seeds_text(result),
             commit_text(result)] for name, result in found]
    header = ('file', 'what', 'figure', '95 %', 'n', 'seed: training, evaluation', 'commit')
    pairs = [f'- {task}: {name}: {100 * pair.difference:+.1f} points (95 % '
             f'{100 * pair.interval95[0]:+.1f} to {100 * pair.interval95[1]:+.1f}, exact McNemar '
             f'p = {pair.p_value:.3g}, {pair.counts.n} pairs)'
             for task, name, pair in _pairs([result for _, result in found])]
    return ['## Other results in the folder', table(header, rows), '\n'.join(pairs)]


def _what(result: Mapping[str, Any]) -> str:
    """Say what a result measured."""
    through = ''
    if result.get('through') == 'ros':
        through = ', over ROS in lockstep' if result.get('lockstep') else ', over ROS in real time'
    return (f'{result["task"]}, {policy_name(result)} in {result["domain"]}, '
            f'{result["poses"]} poses{through}')


def _pairs(results: list[Mapping[str, Any]]) -> list[tuple[str, str, Any]]:
    """Return the paired differences among the results, task by task."""
    tasks = dict.fromkeys(str(result['task']) for result in results)
    return [(task, name, pair) for task in tasks for name, pair in pair_results(
        [result for result in results if result['task'] == task])]
