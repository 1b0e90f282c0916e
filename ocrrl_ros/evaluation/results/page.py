# SPDX-License-Identifier: Apache-2.0
"""docs/results.md: the whole protocol, what is done of it and what is not run yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ocrrl_ros.core.errors import InputError, OcrrlError
from ocrrl_ros.evaluation.failure_modes import total_variation
from ocrrl_ros.evaluation.results import plots
from ocrrl_ros.evaluation.results.cells import ResultPlan, Section
from ocrrl_ros.evaluation.results.discrimination import discrimination_table
from ocrrl_ros.evaluation.results.others import other_results
from ocrrl_ros.evaluation.results.pairs import pair_table
from ocrrl_ros.evaluation.results.seeds import seed_table, variant_of
from ocrrl_ros.evaluation.results.status import CellStatus, State
from ocrrl_ros.evaluation.results.tables import (
    is_rate, residual_table, section_table, status_table, table)
from ocrrl_ros.evaluation.results.tracker_tables import SECTION as TRACKER, tracker_tables

PICTURES = 'pictures'
FOLDED_FROM = 12
"""Tables with more rows than this are folded away."""
HEAD = """# Results

Written by `ocrrl report` from the files in `{folder}/`; do not edit. `make results` runs what is
missing, in parts of an hour; `ocrrl results --list` says what is left. Cells are declared in
`config/results.yaml`. A goal g holds when the one-sided 95 % lower bound is at least g - 2
points. *older inputs*: the figure was made with another world, bundle or setting than the cell
would be run with now; it joins no mean, difference or picture. All figures are from simulation;
`proxy` is a development world.
"""


class ResultPage:
    """
    Builds the page and its pictures.

    :param statuses: every cell of the plan, in its order.
    :param folder: where the results are; pictures go below it.
    :param out: the Markdown file; links are relative to it.
    """

    def __init__(
            self, plan: ResultPlan, statuses: Sequence[CellStatus], folder: Path, out: Path):
        """Keep what is shown; `write` does the work."""
        self._plan = plan
        self._statuses = statuses
        self._folder = folder
        self._out = out
        self._by_name = {status.cell.name: status for status in statuses}

    def write(self) -> None:
        """Write the Markdown file and its pictures."""
        text = self.text()
        try:
            self._out.parent.mkdir(parents=True, exist_ok=True)
            self._out.write_text(text, encoding='utf-8')
        except OSError as error:
            raise OcrrlError(f'cannot write {self._out}: {error}') from error

    def text(self) -> str:
        """Return the Markdown text; draws the pictures that it shows."""
        done = [status for status in self._statuses if status.state is State.DONE]
        left = [status for status in self._statuses if status.state is not State.DONE]
        hours = sum(status.cell.minutes for status in left) / 60.0
        parts = [HEAD.format(folder=self._folder.as_posix()),
                 f'{len(done)} of {len(self._statuses)} cells are done; the others take about '
                 f'{hours:.0f} h on two cores.']
        for section in self._plan.sections:
            members = [s for s in self._statuses if s.cell.section == section.key]
            if members:
                parts += self._section(section, members)
        parts += other_results(self._folder, {status.cell.name for status in self._statuses})
        parts += ['## Which cells are done', status_table(self._statuses)]
        return '\n\n'.join(part.rstrip('\n') for part in parts if part) + '\n'

    def _section(self, section: Section, members: Sequence[CellStatus]) -> list[str]:
        """Return the paragraphs of one section."""
        details = section_table(section, members)
        if len(members) > FOLDED_FROM:
            details = (f'<details><summary>{len(members)} cells</summary>\n\n{details}\n\n'
                       '</details>')
        return [f'## {section.title}', section.text,
                seed_table(section, members) if section.by_seed else '',
                discrimination_table(self._statuses, self._by_name)
                if section.key == 'controls' else '',
                *(tracker_tables(members) if section.key == TRACKER else ()),
                *self._pictures(section, members), details,
                pair_table(members, self._by_name), residual_table(members),
                self._variation_table() if section.key == 'alignment' else '']

    def _pictures(self, section: Section, members: Sequence[CellStatus]) -> list[str]:
        """Draw the pictures of a section and return their links."""
        if section.key in ('sim', 'proxy'):
            bases = [s for s in self._statuses if s.cell.group == '{task}_{domain}_base'
                     and s.cell.values['domain'] == section.key]
            path = self._picture(f'{section.key}_rates')
            drawn = plots.rate_plot({'base alone': bases, 'base + residual': members}, path)
            return [self._link('success rates with 95 % intervals', path)] if drawn else []
        if section.key == 'noise':
            path = self._picture('noise')
            drawn = plots.noise_plot(members, path)
            return [self._link('success under pose noise', path)] if drawn else []
        if section.key == 'training':
            return self._curves(members)
        if section.key == 'corrections':
            return self._corrections(members)
        return []

    def _curves(self, members: Sequence[CellStatus]) -> list[str]:
        """
        Draw the learning curves that are kept, a picture per task and comparison.

        The main learner has a curve per seed, what it is compared with the mean of its seeds.
        """
        pictures: dict[tuple[str, ...], dict[str, list[Path]]] = {}
        for status in members:
            source = status.cell.curve_path(self._folder)
            if status.cell.command == 'train residual' and source.exists():
                varied = [key for key in status.cell.values if key not in ('task', 'seed')]
                key = str(status.cell.options['task']), *varied
                label = variant_of(status) or status.cell.row
                pictures.setdefault(key, {}).setdefault(label, []).append(source)
        links = []
        for key, curves in pictures.items():
            path = self._picture('_'.join(('curves', *key)))
            if plots.curve_plot(curves, path):
                links.append(self._link(f'learning curves of {", ".join(key)}', path))
        return links or ['Learning curves: *not run yet*']

    def _corrections(self, members: Sequence[CellStatus]) -> list[str]:
        """Draw the logged episodes."""
        links = []
        for status in members:
            if status.current is None:
                continue
            path = self._picture(status.cell.name)
            plots.correction_plot(status.current, path)
            links.append(self._link(
                f'targets of the base and after the residual, {status.cell.row}', path))
        return links

    def _variation_table(self) -> str:
        """Return how far the failures of the two bases differ, task by task."""
        rows = []
        for status in self._statuses:
            cell = status.cell
            if cell.group != '{task}_{domain}_base' or cell.values['domain'] != 'sim':
                continue
            other = self._by_name[f'{cell.values["task"]}_proxy_base']
            rows.append([str(cell.values['task']), *_variation(status.current, other.current)])
        header = ('task', 'total variation of the failure modes', 'failures in sim', 'in proxy')
        return table(header, rows) if rows else ''

    def _picture(self, name: str) -> Path:
        """Return the file of a picture."""
        return self._folder / PICTURES / f'{name}.png'

    def _link(self, caption: str, path: Path) -> str:
        """Return the Markdown that shows a picture."""
        try:
            shown = path.resolve().relative_to(self._out.resolve().parent)
        except ValueError:
            shown = path.resolve()
        return f'![{caption}]({shown.as_posix()})'


def _variation(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> list[str]:
    """Return the total variation of two results' failure modes and how each failed."""
    if not (is_rate(first) and is_rate(second)):
        return ['*not run yet*', '', '']
    counts = [', '.join(f'{count} {mode}' for mode, count in result['failure_counts'].items())
              for result in (first, second)]
    try:
        distance = total_variation(first['failure_modes'], second['failure_modes'])
    except InputError:
        return ['no failures on one side', *counts]
    return [f'{distance:.2f}', *counts]
