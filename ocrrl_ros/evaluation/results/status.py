# SPDX-License-Identifier: Apache-2.0
"""Which cells are done: the files in the results folder against what would be run now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from ocrrl_ros.core.json_files import read_json
from ocrrl_ros.evaluation.results.cells import Cell
from ocrrl_ros.evaluation.results.inputs import CellInputs, differences, recorded

PARTS_SUFFIX = '.episodes'
"""What `ocrrl evaluate` keeps finished episodes under until all are done."""


class State(Enum):
    """State of a cell, in the words of the report."""

    DONE = 'done'
    STALE = 'older inputs'
    PARTIAL = 'begun'
    WAITS = 'not run yet, waits'
    NOT_RUN = 'not run yet'
    NOT_BUILT = 'not built yet'


@dataclass(frozen=True, kw_only=True)
class CellStatus:
    """
    One cell and what is known of it.

    :param note: why it is not done, in words.
    :param result: the content of its file, also when that is older.
    :param missing: what it needs and what is not there.
    """

    cell: Cell
    state: State
    note: str = ''
    result: dict[str, Any] | None = None
    missing: tuple[str, ...] = ()

    @property
    def is_runnable(self) -> bool:
        """Return whether running the cell now would bring it on."""
        return (self.state in (State.STALE, State.PARTIAL, State.NOT_RUN)
                and not self.missing)

    @property
    def current(self) -> dict[str, Any] | None:
        """Return the result if it is of today's inputs, None when it is older or not there."""
        return self.result if self.state is State.DONE else None

    @property
    def minutes(self) -> float | None:
        """Return the measured minutes, None when it is not known."""
        if self.result is None:
            return None
        noted = self.result.get('cell', {}).get('minutes')
        wall_s = self.result.get('wall_s')
        return noted if noted is not None else None if wall_s is None else wall_s / 60.0


@dataclass
class StatusReader:
    """
    Reads the state of cells.

    :param folder: where the results are.
    :param unbuilt: says what of a cell's command does not exist; nothing when all does.
    """

    folder: Path
    unbuilt: Callable[[Cell], str]
    inputs: CellInputs = field(default_factory=CellInputs)

    def read(self, cells: Iterable[Cell]) -> list[CellStatus]:
        """Return the state of each cell."""
        return [self.status(cell) for cell in cells]

    def status(self, cell: Cell) -> CellStatus:
        """
        Return the state of one cell.

        :raises InputError: its file is no JSON object.
        """
        result = read_result(cell.result_path(self.folder))
        reason = self.unbuilt(cell)
        if reason:
            state = State.NOT_BUILT if result is None else State.STALE
            return CellStatus(
                cell=cell, state=state, note=reason, result=result, missing=(reason,))
        changed = [] if result is None else differences(
            self.inputs.expected(cell), recorded(result))
        if result is not None and not changed:
            return CellStatus(cell=cell, state=State.DONE, result=result)
        missing = tuple(self.inputs.missing(cell))
        state, note = self._unfinished(cell)
        if result is not None:
            state, note = State.STALE, 'other ' + ', '.join(changed)
        elif state is State.NOT_RUN and missing:
            state, note = State.WAITS, '; '.join(missing)
        return CellStatus(cell=cell, state=state, note=note, result=result, missing=missing)

    def _unfinished(self, cell: Cell) -> tuple[State, str]:
        """Return whether the cell was begun, and how far it is."""
        parts = cell.result_path(self.folder)
        parts = parts.with_name(parts.name + PARTS_SUFFIX)
        if parts.exists():
            done = max(0, len(parts.read_text(encoding='utf-8').splitlines()) - 1)
            return State.PARTIAL, f'{done} of {cell.n}'
        if cell.makes is not None and any(
                Path(cell.makes + suffix).exists() for suffix in ('', '.run')):
            return State.PARTIAL, ''
        return State.NOT_RUN, ''


def read_result(path: Path) -> dict[str, Any] | None:
    """
    Return the content of a result file, None where there is no file.

    :raises InputError: it cannot be read or is no JSON object.
    """
    if not path.exists():
        return None
    return read_json(path)


def makers_needed(statuses: list[CellStatus]) -> list[CellStatus]:
    """
    Return finished cells whose product is gone while a cell that is not done needs it.

    This is how a clone of the repository, which has the figures but not the bundles behind them,
    gets what its next cells need.
    """
    wanted = {problem.removesuffix(' is missing') for status in statuses
              if status.state is not State.DONE for problem in status.missing}
    return [status for status in statuses if status.state is State.DONE
            and not wanted.isdisjoint(status.cell.products)]
