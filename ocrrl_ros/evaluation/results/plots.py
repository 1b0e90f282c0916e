# SPDX-License-Identifier: Apache-2.0
"""Pictures of the report: rates, noise curves, learning curves and corrections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import csv
from pathlib import Path
from typing import Any, TYPE_CHECKING

import numpy as np
from ocrrl_ros.core.errors import InputError, OcrrlError
from ocrrl_ros.evaluation.results.status import CellStatus
from ocrrl_ros.evaluation.results.tables import is_rate
from ocrrl_ros.evaluation.statistics import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BASE_COLOUR, CORRECTED_COLOUR, ARROW_COLOUR = '#3478f6', '#ff9500', '#ff3b30'
ARROWS = 60
"""Arrows drawn over an episode, about."""
ARROW_SCALE = 2.0


def new_figure(width: float, height: float) -> Figure:
    """Return a figure that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a PNG without anything that changes from run to run."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=90, metadata={'Software': None})
    except OSError as error:
        raise OcrrlError(f'cannot write {path}: {error}') from error


def rate_plot(bars: Mapping[str, Sequence[CellStatus]], path: Path) -> bool:
    """
    Draw success rates with their Wilson intervals, tasks beside each other.

    :param bars: cells by legend entry, one per task and training seed.
    :return: whether there was anything to draw.
    """
    tasks = list(dict.fromkeys(
        status.cell.values['task'] for statuses in bars.values() for status in statuses))
    drawn = False
    figure = new_figure(9, 3.2)
    axis = figure.subplots()
    for index, (label, statuses) in enumerate(bars.items()):
        known = [status for status in statuses if is_rate(status.current)]
        drawn |= bool(known)
        for count, status in enumerate(known):
            result = status.current
            low, high = wilson_interval(result['successes'], result['episodes'])
            shift = 0.8 * (index + 0.5) / len(bars) - 0.4
            x = tasks.index(status.cell.values['task']) + shift + 0.06 * int(
                status.cell.values.get('seed', 0))
            axis.errorbar(
                x, 100 * result['rate'], fmt='o', color=f'C{index}', capsize=3,
                yerr=[[100 * max(0.0, result['rate'] - low)],
                      [100 * max(0.0, high - result['rate'])]],
                label=label if count == 0 else None)
    shown = {status.cell.values['task'] for statuses in bars.values() for status in statuses
             if is_rate(status.current)}
    for x, task in enumerate(tasks):
        if task not in shown:
            axis.text(x, 50, 'not run yet', ha='center', color='grey')
    axis.set_xticks(range(len(tasks)), tasks)
    axis.set_xlim(-0.6, len(tasks) - 0.4)
    axis.set_ylim(0, 102)
    axis.set_ylabel('success, %')
    axis.grid(axis='y', alpha=0.3)
    if drawn:
        axis.legend(loc='lower right')
        save(figure, path)
    return drawn


def noise_plot(statuses: Sequence[CellStatus], path: Path) -> bool:
    """Draw success over the size of a constant bias, and the two noise tests beside it."""
    by_task: dict[str, list[tuple[float, CellStatus]]] = {}
    marks = {'test': 12.0, 'paper': 13.5}
    for status in statuses:
        noise = str(status.cell.values.get('noise', ''))
        place = float(noise[5:]) if noise.startswith('bias_') else marks.get(noise)
        if place is not None and is_rate(status.current):
            by_task.setdefault(status.cell.values['task'], []).append((place, status))
    if not by_task:
        return False
    figure = new_figure(8, 3.6)
    axis = figure.subplots()
    for index, (task, found) in enumerate(by_task.items()):
        curve = sorted((place, 100 * status.current['rate'])
                       for place, status in found if place < min(marks.values()))
        if curve:
            axis.plot(*zip(*curve), marker='o', color=f'C{index}', label=task)
        for place, status in found:
            if place >= min(marks.values()):
                axis.plot(place, 100 * status.current['rate'], 's', color=f'C{index}',
                          label=None if curve else task)
    axis.set_xticks([0, 3, 5, 10, *marks.values()], ['0', '3', '5', '10', *marks])
    axis.set_xlabel('bias of an episode, mm (1 sigma); noise tests at the right')
    axis.set_ylabel('success, %')
    axis.set_ylim(0, 102)
    axis.grid(alpha=0.3)
    axis.legend(loc='lower left')
    save(figure, path)
    return True


_CURVE = {'steps': 'steps', 'wall_s': 'wall_s', 'success': 'success_greedy'}


def read_curve(path: Path) -> dict[str, np.ndarray]:
    """
    Return steps, wall time and success of a learning curve, that without exploration if known.

    :raises InputError: it cannot be read or lacks a column that is drawn.
    """
    try:
        with path.open(newline='', encoding='utf-8') as file:
            rows = list(csv.DictReader(file))
        curve = {name: np.array([float(row[column] or 'nan') for row in rows])
                 for name, column in _CURVE.items()}
        if np.isnan(curve['success']).all():
            # Where every environment explores there is no other success.
            curve['success'] = np.array([float(row.get('success_all') or 'nan') for row in rows])
        return curve
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f'{path} is no learning curve: {error!r}') from error


def mean_curve(sources: Sequence[Path]) -> dict[str, np.ndarray]:
    """Return the mean of learning curves of several seeds, as far as the shortest goes."""
    curves = [read_curve(source) for source in sources]
    length = min(len(curve['steps']) for curve in curves)
    return {name: np.mean([curve[name][:length] for curve in curves], axis=0)
            for name in curves[0]}


def curve_plot(curves: Mapping[str, Sequence[Path]], path: Path) -> bool:
    """
    Draw success without exploration over environment steps and over wall time.

    :param curves: CSV files by legend entry, those of several seeds as their mean.
    :return: whether there was anything to draw.
    """
    if not curves:
        return False
    figure = new_figure(10, 3.4)
    left, right = figure.subplots(1, 2, sharey=True)
    for label, sources in curves.items():
        curve = mean_curve(sources)
        left.plot(curve['steps'] / 1e3, 100 * curve['success'], label=label)
        right.plot(curve['wall_s'] / 60, 100 * curve['success'], label=label)
    left.set_xlabel('environment steps, thousands')
    right.set_xlabel('wall time, min')
    left.set_ylabel('success while training, %')
    left.set_ylim(0, 102)
    for axis in (left, right):
        axis.grid(alpha=0.3)
    left.legend(loc='lower right', fontsize='small')
    save(figure, path)
    return True


def correction_plot(log: Mapping[str, Any], path: Path) -> None:
    """
    Draw where the residual moved the base's targets over one episode, from above and from a side.

    :param log: result of `ocrrl bench corrections`: `time_s` (T,), `base_targets` and
        `corrected_targets` (T, 3) in m, base frame.
    :raises InputError: the log holds something else.
    """
    try:
        base = np.asarray(log['base_targets'], dtype=float).reshape(-1, 3)
        moved = np.asarray(log['corrected_targets'], dtype=float).reshape(-1, 3)
    except (KeyError, ValueError) as error:
        raise InputError(f'no log of corrections: {error!r}') from error
    if base.shape != moved.shape or not len(base):
        raise InputError(f'a log of corrections has {len(base)} base and {len(moved)} corrected '
                         'targets; equal numbers >= 1 are needed')
    figure = new_figure(10, 4.6)
    above, side = figure.subplots(1, 2)
    _draw_corrections(above, base, moved, 0, 1)
    _draw_corrections(side, base, moved, 0, 2)
    above.set_title('from above')
    side.set_title('from the side')
    above.legend(loc='best', fontsize='small')
    save(figure, path)


def _draw_corrections(
        axis: Axes, base: np.ndarray, moved: np.ndarray, across: int, up: int) -> None:
    """Draw both paths and the arrows between them in one plane."""
    axis.plot(1e3 * base[:, across], 1e3 * base[:, up], color=BASE_COLOUR, label='base')
    axis.plot(1e3 * moved[:, across], 1e3 * moved[:, up], color=CORRECTED_COLOUR,
              label='base + residual')
    chosen = slice(None, None, max(1, len(base) // ARROWS))
    offset = ARROW_SCALE * (moved - base)
    axis.quiver(
        1e3 * base[chosen, across], 1e3 * base[chosen, up], 1e3 * offset[chosen, across],
        1e3 * offset[chosen, up], angles='xy', scale_units='xy', scale=1.0, width=0.004,
        color=ARROW_COLOUR, label=f'correction, {ARROW_SCALE:g} times as long')
    names = ('x', 'y', 'z')
    axis.set_xlabel(f'{names[across]}, mm')
    axis.set_ylabel(f'{names[up]}, mm')
    axis.set_aspect('equal', adjustable='datalim')
    axis.grid(alpha=0.3)
