# SPDX-License-Identifier: Apache-2.0
"""Goals and figures of the embedded tracker, from the cells that measure it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ocrrl_ros.evaluation.results.status import CellStatus
from ocrrl_ros.evaluation.results.tables import percent, table
from ocrrl_ros.evaluation.tracker_figures import passed_count

SECTION = 'tracker'
_BORNE = ('rest', 'free', 'grasp')
"""Rows that the tracker must bear and that leave no direction unobservable."""
_WORST_HEADER = ('what', 'goal', 'in', 'worst', 'where', 'verdict')
_ROW_HEADER = (
    'domain, bias, row, object', 'frames', 'valid', 'losses', 'bad that pass', 'position mm',
    'rotation deg', 'tilt deg', 'tilt in its 95 % region', 'ms of CPU a frame')
_CONFIDENCE_HEADER = ('', 'left out of the fit, sim', 'all objects, other world', 'goal')


@dataclass(frozen=True, kw_only=True)
class TrackerGoal:
    """
    One goal: a figure of some rows of the bench and its limit (protocol section 8).

    :param path: keys of the figure in a row of `ocrrl bench tracker`.
    :param objects: tracked at once; None for any number.
    :param is_least: the limit is a lower one.
    :param most: an upper limit beside a lower one.
    """

    what: str
    path: tuple[str, ...]
    limit: float
    unit: str
    rows: tuple[str, ...]
    objects: int | None = None
    is_least: bool = False
    most: float | None = None
    unbiased: bool = True

    @property
    def text(self) -> str:
        """Return the goal in words."""
        if self.most is not None:
            return f'{self._written(self.limit)} to {self._written(self.most)}'
        return f'{">=" if self.is_least else "<="} {self._written(self.limit)}'

    def worst(self, rows: Sequence[Mapping[str, Any]]) -> tuple[float, Mapping[str, Any]] | None:
        """Return the worst figure and its row, None where nothing was measured."""
        found = [(value, row) for row in rows if self._concerns(row)
                 and (value := _at(row, self.path)) is not None]
        return max(found, key=lambda item: self._over(item[0])) if found else None

    def _over(self, value: float) -> float:
        """Return by how much a figure is beyond its limit; below 0 where it holds."""
        over = self.limit - value if self.is_least else value - self.limit
        return over if self.most is None else max(over, value - self.most)

    def line(self, domain: str, rows: Sequence[Mapping[str, Any]]) -> list[str] | None:
        """Return the line of a domain's rows, None where nothing was measured."""
        found = self.worst(rows)
        if found is None:
            return None
        value, row = found
        return [self.what, self.text, domain, self._written(value), _place(row),
                'holds' if self._over(value) <= 0.0 else '**missed**']

    def _concerns(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row counts."""
        return (row['row'] in self.rows and self.objects in (None, row['objects'])
                and not (self.unbiased and row['depth_bias']))

    def _written(self, value: float) -> str:
        """Write a figure."""
        return percent(value) if self.unit == '%' else f'{value:.2f} {self.unit}'.rstrip()


_EVERY = (*_BORNE, 'face_on')
_SEEN = (*_EVERY, 'occlusion')
"""With plates that sweep across, as far as half of the object is in sight."""
GOALS = (
    TrackerGoal(what='position, median', path=('half_visible_mm', 'p50'), limit=2.0, unit='mm',
                rows=_SEEN),
    TrackerGoal(what='position, p95', path=('half_visible_mm', 'p95'), limit=5.0, unit='mm',
                rows=_SEEN),
    TrackerGoal(what='rotation, median', path=('half_visible_deg', 'p50'), limit=1.5, unit='deg',
                rows=(*_BORNE, 'occlusion')),
    TrackerGoal(what='rotation, p95', path=('half_visible_deg', 'p95'), limit=5.0, unit='deg',
                rows=(*_BORNE, 'occlusion')),
    TrackerGoal(what='tilt face-on, median', path=('tilt_deg', 'p50'), limit=3.0, unit='deg',
                rows=('face_on',)),
    TrackerGoal(what='tilt face-on, p95', path=('tilt_deg', 'p95'), limit=8.0, unit='deg',
                rows=('face_on',)),
    TrackerGoal(what='tilt face-on in its 95 % region', path=('nees_tilt_95',), limit=0.90,
                most=0.98, unit='%', rows=('face_on',), is_least=True),
    TrackerGoal(what='CPU time of a frame, one object, p95', path=('cpu_ms', 'p95'), limit=12.0,
                unit='ms', rows=_EVERY, objects=1, unbiased=False),
    TrackerGoal(what='CPU time of a frame, three objects, p95', path=('cpu_ms', 'p95'),
                limit=25.0, unit='ms', rows=_EVERY, objects=3, unbiased=False),
    TrackerGoal(what='found at once', path=('found_at_once',), limit=0.99, unit='%',
                rows=('view',), is_least=True),
    TrackerGoal(what='CPU time of the first frame, one object, p95',
                path=('first_frame_ms', 'p95'), limit=60.0, unit='ms', rows=('view',), objects=1),
    TrackerGoal(what='frames until a loss is told', path=('stale_frames', 'max'), limit=3.0,
                unit='', rows=('vanish',)),
    TrackerGoal(what='back after', path=('return_s', 'max'), limit=0.5, unit='s',
                rows=('vanish',)),
    TrackerGoal(what='not back after half a second', path=('not_returned',), limit=0.0, unit='',
                rows=('vanish',)),
    TrackerGoal(what='growth of memory in ten minutes', path=('memory_growth_mb',), limit=1.0,
                unit='MB', rows=('long',)),
    TrackerGoal(what='drift of the error in ten minutes', path=('drift_mm',), limit=0.1,
                unit='mm', rows=('long',)))


def tracker_tables(statuses: Sequence[CellStatus]) -> list[str]:
    """
    Return the goals with their worst figures, the confidence, and every row folded away.

    :param statuses: cells of the section; those that are not done are left out.
    """
    rows = list(_rows(statuses))
    parts = [_goal_table(rows)] if rows else []
    parts += [_confidence_table(status.current['tests']) for status in statuses
              if status.current is not None and 'tests' in status.current]
    if rows:
        parts.append(f'<details><summary>{len(rows)} rows; errors: median / p95 of valid '
                     f'frames</summary>\n\n{_row_table(rows)}\n\n</details>')
    return parts


def _rows(statuses: Sequence[CellStatus]) -> Iterator[dict[str, Any]]:
    """Yield the rows of all cells that are done, each with how many objects were tracked."""
    for status in statuses:
        for row in (status.current or {}).get('rows', ()):
            yield row | {'task': status.current['task'], 'objects': status.current['objects']}


def _at(row: Mapping[str, Any], path: Sequence[str]) -> float | None:
    """Return a figure inside nested mappings, None where it is not there."""
    value: Any = row
    for key in path:
        value = None if value is None else value.get(key)
    return value


def _place(row: Mapping[str, Any]) -> str:
    """Say which row this is."""
    return f'{row["task"]}, {row["object"]}, row {row["row"]}'


def _goal_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the goals, a line for each domain in which they were measured."""
    domains = dict.fromkeys(row['domain'] for row in rows)
    lines = [goal.line(domain, [row for row in rows if row['domain'] == domain])
             for goal in GOALS for domain in domains]
    return table(_WORST_HEADER, [line for line in lines if line is not None])


def _row_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return every row."""
    return table(_ROW_HEADER, [[
        f'{row["domain"]}, {100 * row["depth_bias"]:g} %, {row["row"]}, {row["object"]}',
        str(row['frames']), _share(row['valid_share']), str(row['losses']),
        f'{passed_count(row)} of {row["bad_frames"]}',
        _pair(row['position_mm']), _pair(row['rotation_deg']), _pair(row['tilt_deg']),
        _share(row['nees_tilt_95']), _pair(row['cpu_ms'], 1)] for row in rows])


def _pair(found: Mapping[str, float] | None, digits: int = 2) -> str:
    """Write median and p95."""
    return '' if found is None else f'{found["p50"]:.{digits}f} / {found["p95"]:.{digits}f}'


def _share(value: float | None) -> str:
    """Write a share, or nothing."""
    return '' if value is None else percent(value)


def _confidence_table(tests: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures of the confidence beside their goals (protocol section 8)."""
    found = [tests[name]['all'] for name in ('left_out_sim', 'test_domain')]

    def share(item: Mapping[str, Any], key: str) -> str:
        low, high = item[key]['interval95']
        return f'{percent(item[key]["share"])} ({100 * low:.1f} to {100 * high:.1f})'

    lines = [('bad frames (in sequences)', '>= 1000 (100)', lambda item: (
        f'{item["bad"]} ({item["bad_sequences"]})')),
        ('of these pass', '<= 1 %', lambda item: share(item, 'bad_passed')),
        ('of the good ones refused', '<= 3 %', lambda item: share(item, 'good_rejected'))]
    lines += [(name, goal, lambda item, key=key: f'{item[key]:.3f}') for name, key, goal in (
        ('ECE as found', 'ece', '<= 0.05'), ('ECE half and half', 'ece_balanced', '<= 0.05'),
        ('AUROC', 'auroc', '>= 0.98'), ('Brier skill', 'brier_skill', '> 0.5'))]
    return table(_CONFIDENCE_HEADER, [
        [name, *(write(item) for item in found), goal] for name, goal, write in lines])
