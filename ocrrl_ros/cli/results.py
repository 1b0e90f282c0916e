# SPDX-License-Identifier: Apache-2.0
"""`ocrrl results`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
import time
from typing import Any

from ocrrl_ros.cli.cell_commands import CellRunner, EXIT_INTERRUPTED, unbuilt
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.evaluation.evaluate import check_seed
from ocrrl_ros.evaluation.provenance import read_git_state
from ocrrl_ros.evaluation.results.cells import Cell, load_plan
from ocrrl_ros.evaluation.results.status import CellStatus, makers_needed, State, StatusReader
from ocrrl_ros.evaluation.results.tables import states_text
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

SHORTEST_MINUTES = 1.0
"""With less time than this left, nothing more is started."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """
    Run the protocol: every cell whose result is missing or was made with other inputs.

    Cells that were interrupted go on where they stopped, so that parts of an hour add up. Cells
    and their expected minutes are declared in config/results.yaml.
    """

    folder: Path = field(
        default=Path('docs/results'), metadata={'description': 'where the results are kept'})
    cells: Path | None = field(default=None, metadata={
        'description': 'declared cells; default: config/results.yaml'})
    list: bool = field(  # noqa: A003 (the option is called --list)
        default=False, metadata={'description': 'say what is done and what is left, run nothing'})
    only: str = field(default='*', metadata={
        'description': 'shell pattern of the names, groups or sections to run'})
    max_minutes: float | None = field(default=None, metadata={
        'description': 'stop after this time and keep what is begun; default: no limit'})
    journal: Path = field(default=Path('out/results/journal'), metadata={
        'description': 'where the time of interrupted cells is noted'})

    def __post_init__(self) -> None:
        """Refuse a time that nothing could be done in."""
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise ConfigError(f'max_minutes is {self.max_minutes}; allowed: > 0')

    def run(self, console: Console) -> dict[str, Any]:
        """List or run the cells."""
        chosen = load_plan(self.cells).chosen(self.only)
        failed: dict[str, int] = {}
        if not self.list:
            failed = self._run_all(chosen, console)
        statuses = self._read(chosen)
        for status in statuses if self.list else ():
            console.print(line_of(status), highlight=False, soft_wrap=True)
        console.print(overview(statuses), highlight=False)
        left = [status for status in statuses if status.state is not State.DONE]
        console.print(f'{len(statuses) - len(left)} of {len(statuses)} cells are done; the others '
                      f'take about {sum(s.cell.minutes for s in left) / 60:.1f} h on two cores',
                      highlight=False)
        return {'cells': {status.cell.name: status.state.value for status in statuses},
                'failed': failed, 'passed': not failed}

    def _read(self, chosen: list[Cell]) -> list[CellStatus]:
        """Return the present state of the cells."""
        return StatusReader(self.folder, unbuilt).read(chosen)

    def _run_all(self, chosen: list[Cell], console: Console) -> dict[str, int]:
        """
        Run what can be run until nothing is left or the time is over; return what failed.

        :raises ConfigError: there are report seeds among the cells and the tree is dirty.
        """
        check_seed(max((cell.options.get('seed', 0) for cell in chosen), default=0),
                   read_git_state())
        end = None if self.max_minutes is None else time.monotonic() + 60.0 * self.max_minutes
        runner, failed, ran = CellRunner(self.folder, self.journal), {}, set()
        while end is None or end - time.monotonic() > 60.0 * SHORTEST_MINUTES:
            status = next_cell(self._read(chosen), lambda cell: cell.name not in ran)
            if status is None:
                break
            cell = status.cell
            ran.add(cell.name)
            console.print(f'{cell.name}: about {cell.minutes:g} min ({status.state.value}'
                          f'{", " + status.note if status.note else ""})\n'
                          f'  {cell.command_text()}', highlight=False)
            code = runner.run(cell, None if end is None else end - time.monotonic())
            if code == EXIT_INTERRUPTED:
                console.print('  time is over; the next call goes on with it')
                break
            if code != 0:
                failed[cell.name] = code
                console.print(f'  failed with exit code {code}; going on with the next')
        return failed


def next_cell(
        statuses: list[CellStatus], wanted: Callable[[Cell], bool]) -> CellStatus | None:
    """Return the first cell that can be run, a product that others miss before them."""
    candidates = [*makers_needed(statuses), *(s for s in statuses if s.is_runnable)]
    return next((status for status in candidates if wanted(status.cell)), None)


def line_of(status: CellStatus) -> str:
    """Return a cell's state in a line."""
    measured = '' if status.minutes is None else f', took {status.minutes:.1f}'
    note = f': {status.note}' if status.note else ''
    return f'{status.cell.name}  {status.cell.minutes:g} min{measured}  {status.state.value}{note}'


def overview(statuses: list[CellStatus]) -> Table:
    """Return what is done and what it costs, a row per section."""
    table = Table(box=SIMPLE_HEAD)
    for name in ('section', 'done', 'minutes expected', 'measured', 'the others'):
        table.add_column(name, overflow='fold')
    sections: dict[str, list[CellStatus]] = {}
    for status in statuses:
        sections.setdefault(status.cell.section, []).append(status)
    for name, members in sections.items():
        left = [member for member in members if member.state is not State.DONE]
        measured = sum(member.minutes or 0.0 for member in members)
        table.add_row(name, f'{len(members) - len(left)} of {len(members)}',
                      f'{sum(member.cell.minutes for member in members):g}',
                      f'{measured:.1f}' if measured else '', states_text(left))
    return table
