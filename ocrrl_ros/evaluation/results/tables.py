# SPDX-License-Identifier: Apache-2.0
"""Tables of cells in Markdown: every row names its command, n, seeds and commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ocrrl_ros.evaluation.results.cells import Section
from ocrrl_ros.evaluation.results.status import CellStatus, State
from ocrrl_ros.evaluation.statistics import goal_holds, lower_bound, wilson_interval

COMMIT_DIGITS = 10
GOAL_MARGIN = 0.02
HEADER = ('what', 'figure', '95 %', 'goal', 'n', 'seed: training, evaluation', 'commit', 'command')


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; bars inside cells are escaped."""
    def line(cells: Sequence[str]) -> str:
        return '| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |'
    return '\n'.join([line(header), '|' + '---|' * len(header), *map(line, rows)])


def percent(rate: float, digits: int = 1) -> str:
    """Write a rate as percent."""
    return f'{100 * rate:.{digits}f} %'


def interval_text(low: float, high: float) -> str:
    """Write an interval of a rate."""
    return f'{100 * low:.1f} to {100 * high:.1f} %'


def is_rate(result: Mapping[str, Any] | None) -> bool:
    """Tell whether a result counts successes, as those of `ocrrl evaluate` do."""
    return result is not None and 'outcomes' in result and 'successes' in result


def goal_text(successes: int, n: int, goal: float | None) -> str:
    """Say whether a goal holds, by the rule of protocol section 6; nothing without a goal."""
    if goal is None:
        return ''
    verdict = 'holds' if goal_holds(successes, n, goal, GOAL_MARGIN) else 'does not hold'
    return f'{percent(goal, 0)}: {verdict} (bound {percent(lower_bound(successes, n))})'


def seeds_text(result: Mapping[str, Any]) -> str:
    """Write training and evaluation seed."""
    train, run = result.get('train_seed'), result.get('eval_seed', result.get('seed'))
    return f'{"-" if train is None else train}, {"-" if run is None else run}'


def commit_text(result: Mapping[str, Any]) -> str:
    """Write the commit, and whether the tree had other changes."""
    commit = str(result.get('git') or result.get('cell', {}).get('git') or 'unknown')
    dirty = result.get('git_dirty', result.get('cell', {}).get('git_dirty'))
    return f'`{commit[:COMMIT_DIGITS]}`' + (' + changes' if dirty else '')


def figures_text(result: Mapping[str, Any]) -> str:
    """Write what a command found; for results that count successes the count."""
    if is_rate(result):
        return f'{result["successes"]} of {result["episodes"]}, {percent(result["rate"])}'
    if 'summary' in result:
        return str(result['summary'])
    if 'attempts' in result:
        return f'{result["episodes"]} episodes from {result["attempts"]} attempts'
    if 'validation' in result:
        return f'held-out error {result["validation"]["position_mm_mean"]:.1f} mm'
    if 'successes' in result:
        return f'{result["successes"]} of {result["episodes"]}'
    return _training_text(result.get('metrics', {}))


def _training_text(metrics: Mapping[str, Any]) -> str:
    """Write what `ocrrl train residual` found and how long the training took."""
    parts = []
    residual, training = metrics.get('residual_modelled'), metrics.get('training')
    if residual:
        rate = percent(residual['success_rate'])
        parts.append(f'{rate} of {residual["n"]} on development seeds')
    if training:
        parts.append(f'{training["n"]} steps in {training["wall_s"] / 60:.1f} min')
    return ', '.join(parts) or 'done'


def cell_row(status: CellStatus, goal: float | None = None) -> list[str]:
    """Return the row of one cell; one that was not run says so in the place of its figure."""
    cell, result = status.cell, status.result
    command = f'`{cell.command_text()}`'
    if result is None:
        note = f'{status.state.value}: {status.note}' if status.note else status.state.value
        return [cell.row, f'*{note}*', '', _bare_goal(goal), str(cell.n), '', '', command]
    interval, verdict = '', ''
    if is_rate(result):
        interval = interval_text(*wilson_interval(result['successes'], result['episodes']))
        verdict = goal_text(result['successes'], result['episodes'], goal)
    figure = figures_text(result)
    if status.state is State.STALE:
        figure += f' *({status.note})*'
    n = result.get('episodes', cell.n)
    return [cell.row, figure, interval, verdict, str(n), seeds_text(result),
            commit_text(result), command]


def _bare_goal(goal: float | None) -> str:
    """Write a goal that nothing is known of."""
    return '' if goal is None else f'{percent(goal, 0)}: not run yet'


def goal_of(status: CellStatus, section: Section) -> float | None:
    """Return the goal of one cell: its own, else that of its task in the section."""
    if status.cell.goal is not None:
        return status.cell.goal
    return section.task_goals.get(str(status.cell.values.get('task')))


def section_table(section: Section, statuses: Sequence[CellStatus]) -> str:
    """Return the table of a section's cells."""
    return table(HEADER, [cell_row(status, goal_of(status, section)) for status in statuses])


def residual_table(statuses: Sequence[CellStatus]) -> str:
    """Return how hard the residuals worked, for the cells that say so; empty without any."""
    rows = []
    for status in statuses:
        if not is_rate(status.current) or not status.current.get('residual', {}).get('mean_gain'):
            continue
        worked = status.current['residual']
        rows.append([
            status.cell.row, f'{worked["mean_translation_mm"]:.1f} mm',
            f'{worked["mean_rotation_deg"]:.1f} deg',
            f'{percent(worked["saturated_share"])} (goal under 10 %)',
            f'{worked["sign_changes_per_s"]:.1f}',
            percent(status.current['pose_valid_share'])])
    header = ('what', 'mean residual', 'and', 'saturated ticks', 'sign changes per s',
              'ticks with valid poses')
    return table(header, rows) if rows else ''


def status_table(statuses: Sequence[CellStatus]) -> str:
    """Return which cells are done and what is left, a row per group."""
    groups: dict[str, list[CellStatus]] = {}
    for status in statuses:
        groups.setdefault(status.cell.group, []).append(status)
    rows = []
    for name, members in groups.items():
        left = [member for member in members if member.state is not State.DONE]
        measured = [member.minutes for member in members if member.minutes is not None]
        rows.append([
            f'`{name}`', f'{len(members) - len(left)} of {len(members)}', states_text(left),
            f'{members[0].cell.minutes:g}',
            f'{sum(measured) / len(measured):.1f}' if measured else '',
            f'{sum(member.cell.minutes for member in left):g}'])
    header = ('cells', 'done', 'the others', 'minutes a cell: expected', 'measured',
              'minutes left')
    return table(header, rows)


def states_text(left: Sequence[CellStatus]) -> str:
    """Count the states of cells that are not done, with the reason where all share one."""
    parts = []
    for state in State:
        members = [member for member in left if member.state is state]
        if members:
            notes = {member.note for member in members}
            why = f' ({notes.pop()})' if len(notes) == 1 and '' not in notes else ''
            parts.append(f'{len(members)} {state.value}{why}')
    return ', '.join(parts)
