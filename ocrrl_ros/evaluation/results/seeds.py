# SPDX-License-Identifier: Apache-2.0
"""Rates across tasks and training seeds: each seed's, then a bootstrap over seed and episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ocrrl_ros.evaluation.results.cells import Section
from ocrrl_ros.evaluation.results.status import CellStatus
from ocrrl_ros.evaluation.results.tables import (
    GOAL_MARGIN, goal_text, interval_text, is_rate, percent, table)
from ocrrl_ros.evaluation.statistics import bootstrap_seed_episode, wilson_interval

RESAMPLES = 4_000
JOINED = ('seed', 'world', 'tag')
"""Values over which cells of one row are put together; a tag names a draw of worlds."""
Outcomes = dict[tuple[str, str], dict[int, np.ndarray | None]]
"""Outcomes (E,) by variant and task, then training seed; None where a cell was not run."""
Parts = dict[tuple[str, str, int], list[np.ndarray | None]]
"""Outcomes (E,) of the cells of each variant, task and training seed; None where not run."""


def seed_of(status: CellStatus) -> int:
    """Return the training seed that a cell stands for: 0 unless its group says another."""
    return int(status.cell.values.get('seed', 0))


def task_of(status: CellStatus) -> str:
    """Return the task of a cell."""
    return str(status.cell.options.get('task', ''))


def variant_of(status: CellStatus) -> str:
    """Return what distinguishes a cell beside task, seed and world, in words."""
    return ', '.join(f'{key} {value}' for key, value in status.cell.values.items()
                     if key not in ('task', *JOINED))


def _parts(statuses: Sequence[CellStatus]) -> Parts:
    """Return by variant, task and seed the outcomes (E,) of each cell that runs a residual."""
    parts: Parts = {}
    for status in statuses:
        if status.cell.options.get('policy') != 'residual':
            continue
        key = variant_of(status), task_of(status), seed_of(status)
        # Older figures are of another bundle or world: they join no others.
        parts.setdefault(key, []).append(np.asarray(
            status.current['outcomes'], dtype=float) if is_rate(status.current) else None)
    return parts


def outcomes_by_seed(statuses: Sequence[CellStatus]) -> Outcomes:
    """
    Return the outcomes by variant, task and seed, of the cells that run a residual.

    Cells of one task and seed (the worlds of the held-out section) are joined in order; one of
    them missing makes the whole None.
    """
    found: Outcomes = {}
    for (variant, task, seed), members in _parts(statuses).items():
        joined = None if any(part is None for part in members) else np.concatenate(members)
        found.setdefault((variant, task), {})[seed] = joined
    return found


def begun_rates(statuses: Sequence[CellStatus]) -> dict[tuple[str, str, int], str]:
    """Return by variant, task and seed what is known where some cells are missing, not all."""
    found = {}
    for key, members in _parts(statuses).items():
        known = [part for part in members if part is not None]
        if 0 < len(known) < len(members):
            outcomes = np.concatenate(known)
            found[key] = (f'*so far {percent(outcomes.mean())} of {len(outcomes)}, '
                          f'{len(known)} of {len(members)} cells*')
    return found


def bootstrap(rows: Sequence[np.ndarray], confidence: float = 0.95) -> tuple[float, float, float]:
    """Return mean and interval over seeds and episodes, the same in every run of the report."""
    return bootstrap_seed_episode(
        np.stack(rows), np.random.default_rng(0), confidence=confidence, resamples=RESAMPLES)


def _complete(by_seed: Mapping[int, np.ndarray | None]) -> list[np.ndarray] | None:
    """Return every seed's outcomes, None where one is missing or of another length."""
    rows = list(by_seed.values())
    if any(row is None for row in rows) or len({len(row) for row in rows}) != 1:
        return None
    return rows


def _summary(rows: Sequence[np.ndarray] | None, goal: float | None) -> list[str]:
    """Return mean, interval and verdict of complete rows: exact for one seed of outcomes."""
    if rows is None:
        return ['*not run yet*', '', '' if goal is None else f'{percent(goal, 0)}: not run yet']
    if len(rows) == 1 and np.isin(rows[0], (0.0, 1.0)).all():
        successes, n = int(rows[0].sum()), len(rows[0])
        return [percent(successes / n), interval_text(*wilson_interval(successes, n)),
                goal_text(successes, n, goal)]
    mean, low, high = bootstrap(rows)
    verdict = ''
    if goal is not None:
        bound = bootstrap(rows, 0.90)[1]
        holds = 'holds' if bound >= goal - GOAL_MARGIN else 'does not hold'
        verdict = f'{percent(goal, 0)}: {holds} (bound {percent(bound)})'
    return [percent(mean), interval_text(low, high), verdict]


def _rate_cell(row: np.ndarray | None) -> str:
    """Write one seed's rate."""
    return '*not run yet*' if row is None else f'{percent(row.mean())} of {len(row)}'


def mean_of_tasks(tasks: Sequence[Mapping[int, np.ndarray | None]]) -> list[np.ndarray] | None:
    """
    Return by seed the mean over the tasks at each episode (E,), None where anything is missing.

    The episodes of all tasks are drawn together, so that each task keeps its weight.
    """
    complete = [_complete(by_seed) for by_seed in tasks]
    if any(rows is None for rows in complete):
        return None
    if len({(len(rows), len(rows[0])) for rows in complete}) != 1:
        return None
    return list(np.mean([np.stack(rows) for rows in complete], axis=0))


def seed_table(section: Section, statuses: Sequence[CellStatus]) -> str:
    """Return rates by task and training seed with the bootstrap, and the mean of the tasks."""
    outcomes, begun = outcomes_by_seed(statuses), begun_rates(statuses)
    seeds = sorted({seed for by_seed in outcomes.values() for seed in by_seed})
    rows = []
    for variant in dict.fromkeys(variant for variant, _ in outcomes):
        tasks = {task: by_seed for (other, task), by_seed in outcomes.items() if other == variant}
        for task, by_seed in tasks.items():
            rates = ['' if seed not in by_seed else begun.get(
                (variant, task, seed), _rate_cell(by_seed[seed])) for seed in seeds]
            rows.append([_label(task, variant), *rates,
                         *_summary(_complete(by_seed), section.task_goals.get(task))])
        if len(tasks) > 1:
            mean = mean_of_tasks(list(tasks.values()))
            rates = [percent(row.mean()) for row in mean or ()]
            rates += [''] * (len(seeds) - len(rates))
            rows.append([_label('mean of the tasks', variant), *rates,
                         *_summary(mean, section.mean_goal)])
    header = ['task', *(f'training seed {seed}' for seed in seeds), 'mean',
              '95 %, over seed and episode', 'goal']
    return table(header, rows)


def _label(what: str, variant: str) -> str:
    """Name a row."""
    return f'{what}, {variant}' if variant else what
