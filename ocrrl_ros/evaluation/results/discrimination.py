# SPDX-License-Identifier: Apache-2.0
"""Whether a stand-in for reality tells good from bad transfer at all (protocol, section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ocrrl_ros.evaluation.results.pairs import find_pair, points
from ocrrl_ros.evaluation.results.seeds import task_of
from ocrrl_ros.evaluation.results.status import CellStatus
from ocrrl_ros.evaluation.results.tables import table
from ocrrl_ros.evaluation.statistics import compare_paired

LEAST_LOSS = 0.10
"""What at least one positive control must lose for a transfer claim to mean anything."""
HEADER = ('task', 'positive controls, less what they are compared with', 'verdict')


def discrimination_table(
        statuses: Sequence[CellStatus], by_name: Mapping[str, CellStatus]) -> str:
    """
    Return for each task what its positive controls lose, and what follows.

    :param statuses: cells, of which the positive controls are taken.
    :param by_name: every cell of the plan.
    :return: Markdown, empty when there are no positive controls.
    """
    controls = [status for status in statuses if status.cell.control]
    rows = []
    for task in dict.fromkeys(task_of(status) for status in controls):
        found = {status.cell.name: _gap(status, by_name) for status in controls
                 if task_of(status) == task}
        texts = [f'`{name}` ' + ('*not run yet*' if gap is None else (
            f'{points(gap[0])} ({points(gap[1])} to {points(gap[2])})'))
            for name, gap in found.items()]
        gaps = [None if gap is None else gap[0] for gap in found.values()]
        rows.append([task, '; '.join(texts), _verdict(gaps)])
    return table(HEADER, rows) if rows else ''


def _gap(
        status: CellStatus,
        by_name: Mapping[str, CellStatus]) -> tuple[float, float, float] | None:
    """Return a control's paired difference and its interval, None where it is not known."""
    _, _, outcomes = find_pair(status, by_name)
    if outcomes is None:
        return None
    found = compare_paired(*outcomes)
    return found.difference, *found.interval95


def _verdict(gaps: Sequence[float | None]) -> str:
    """Say what the differences mean for claims of transfer."""
    known = [gap for gap in gaps if gap is not None]
    if known and min(known) <= -LEAST_LOSS:
        return 'the proxy discriminates'
    if len(known) < len(gaps):
        return f'not known yet: {len(known)} of {len(gaps)} controls run'
    return 'the proxy does not discriminate here: no transfer claim'
