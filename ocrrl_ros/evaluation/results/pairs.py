# SPDX-License-Identifier: Apache-2.0
"""Differences of cells that ran the same episodes: exact McNemar, interval, and over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ocrrl_ros.evaluation.results.seeds import bootstrap, seed_of
from ocrrl_ros.evaluation.results.status import CellStatus
from ocrrl_ros.evaluation.results.tables import is_rate, table
from ocrrl_ros.evaluation.statistics import compare_paired

HEADER = ('difference', 'points', '95 %', 'exact McNemar', 'pairs',
          'only the first, only the second', 'must be at least')


def common_episodes(first: Mapping[str, Any], second: Mapping[str, Any]) -> int:
    """Return how many episodes from the beginning both results started from the same state."""
    if not (is_rate(first) and is_rate(second)):
        return 0
    starts = zip(first.get('init_sha256', []), second.get('init_sha256', []))
    count = 0
    for one, other in starts:
        if one != other:
            return 0
        count += 1
    return count


def paired_outcomes(
        first: Mapping[str, Any],
        second: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return both outcomes (E,) over the common episodes, None where there are none."""
    count = common_episodes(first, second)
    if count == 0:
        return None
    return (np.asarray(first['outcomes'][:count], dtype=bool),
            np.asarray(second['outcomes'][:count], dtype=bool))


def points(value: float) -> str:
    """Write a difference of rates in points."""
    return f'{100 * value:+.1f}'


Pair = tuple[CellStatus, CellStatus, tuple[np.ndarray, np.ndarray] | None]


def find_pair(status: CellStatus, by_name: Mapping[str, CellStatus]) -> Pair:
    """Return a cell, the one that it is compared with, and their outcomes if there are any."""
    other = by_name[status.cell.minus]
    known = status.current is not None and other.current is not None
    return status, other, paired_outcomes(status.current, other.current) if known else None


def _row(status: CellStatus, other: CellStatus, outcomes: tuple[np.ndarray, ...]) -> list[str]:
    """Return the difference of two cells."""
    found = compare_paired(*outcomes)
    low, high = found.interval95
    verdict, least = '', status.cell.least
    if least is not None:
        holds = 'holds' if found.lower_bound95 > least else 'does not hold'
        verdict = f'{points(least)}: {holds} (bound {points(found.lower_bound95)})'
    return [f'{status.cell.name} minus {other.cell.name}', points(found.difference),
            f'{points(low)} to {points(high)}', f'p = {found.p_value:.3g}', str(found.counts.n),
            f'{found.counts.only_first}, {found.counts.only_second}', verdict]


def _across(pairs: Sequence[Pair]) -> list[list[str]]:
    """Return for each task with several training seeds the difference over seed and episode."""
    groups: dict[str, dict[int, np.ndarray | None]] = {}
    for status, _, outcomes in pairs:
        rest = [f'{key} {value}' for key, value in status.cell.values.items() if key != 'seed']
        groups.setdefault(', '.join(rest), {})[seed_of(status)] = (
            None if outcomes is None else outcomes[0].astype(float) - outcomes[1])
    rows = []
    for name, by_seed in groups.items():
        known = [row for row in by_seed.values() if row is not None]
        if len(by_seed) < 2 or len(known) < len(by_seed) or len({len(row) for row in known}) != 1:
            continue
        mean, low, high = bootstrap(known)
        rows.append([f'{name}, over {len(known)} training seeds', points(mean),
                     f'{points(low)} to {points(high)}', 'bootstrap over seed and episode',
                     str(len(known[0])), '', ''])
    return rows


def pair_table(statuses: Sequence[CellStatus], by_name: Mapping[str, CellStatus]) -> str:
    """
    Return the differences of a section's cells to those that they are compared with.

    :param by_name: every cell of the plan.
    :return: Markdown, empty when the section compares nothing.
    """
    pairs = [find_pair(status, by_name) for status in statuses if status.cell.minus]
    known = [pair for pair in pairs if pair[2] is not None]
    parts = []
    if known:
        rows = [_row(*pair) for pair in known] + _across(pairs)
        parts.append(table(HEADER, rows))
    if len(known) < len(pairs):
        names = ', '.join(f'{status.cell.name} minus {other.cell.name}'
                          for status, other, outcomes in pairs if outcomes is None)
        parts.append(f'<details><summary>{len(pairs) - len(known)} differences: not run yet'
                     f'</summary>\n\n{names}\n\n</details>')
    return '\n\n'.join(parts)
