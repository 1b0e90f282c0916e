# SPDX-License-Identifier: Apache-2.0
"""Cells of the protocol as `ocrrl` commands: whether they exist, and running one of them."""
from collections.abc import Mapping
import importlib
from pathlib import Path
import shutil
import subprocess
import sys
import time
from typing import Any

from ocrrl_ros.cli.registry import COMMANDS
from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.json_files import write_json
from ocrrl_ros.evaluation.provenance import describe_machine, read_git_state
from ocrrl_ros.evaluation.results.cells import Cell
from ocrrl_ros.evaluation.results.inputs import CellInputs
from ocrrl_ros.evaluation.results.status import read_result

EXIT_INTERRUPTED = 130
STOP_S = 120.0
"""How long a command gets to save its work after it was asked to stop."""


def unbuilt(cell: Cell) -> str:
    """Say what of a cell's command does not exist; nothing when it could be typed."""
    words = tuple(cell.command.split())
    entry = next((entry for entry in COMMANDS if entry.words == words), None)
    if entry is None:
        return f'there is no command `ocrrl {cell.command}`'
    command = getattr(importlib.import_module(entry.module), entry.attribute)
    try:
        from_mapping(command, cell.options, cell.name)
    except ConfigError as error:
        return str(error)
    return ''


class CellRunner:
    """Runs cells one after another as processes of their own, until a deadline."""

    def __init__(self, folder: Path, journal: Path):
        """
        Keep where things are.

        :param folder: results folder.
        :param journal: folder of notes on cells that were begun; not part of the results.
        """
        self._folder = folder
        self._journal = journal

    def run(self, cell: Cell, seconds: float | None) -> int:
        """
        Run a cell, or go on with it, and note where its result came from.

        :param seconds: time until it is asked to stop and to keep what it has; None for any.
        :return: exit code of the command; 130 when it was stopped.
        """
        path = cell.result_path(self._folder)
        inputs, git = CellInputs().expected(cell), read_git_state()
        started = time.monotonic()
        code = run_for([sys.executable, '-m', 'ocrrl_ros.cli.main', *cell.arguments(),
                        '--json', str(path)], seconds)
        minutes = self._minutes(cell) + (time.monotonic() - started) / 60.0
        result = read_result(path) if code == 0 else None
        if result is None:
            self._note(cell, minutes)
            return code or 1
        result['cell'] = {
            'name': cell.name, 'command': cell.command_text(), 'inputs': inputs,
            'minutes': round(minutes, 2), 'git': git.commit, 'git_dirty': git.dirty,
            'machine': describe_machine()}
        write_json(path, result)
        self._note_path(cell).unlink(missing_ok=True)
        self._keep_curve(cell)
        return 0

    def _minutes(self, cell: Cell) -> float:
        """Return what earlier, interrupted runs of the cell took."""
        noted: Mapping[str, Any] = read_result(self._note_path(cell)) or {}
        return float(noted.get('minutes', 0.0))

    def _note(self, cell: Cell, minutes: float) -> None:
        """Remember what an interrupted run took."""
        write_json(self._note_path(cell), {'minutes': minutes})

    def _note_path(self, cell: Cell) -> Path:
        """Return the note on a cell."""
        return self._journal / f'{cell.name}.json'

    def _keep_curve(self, cell: Cell) -> None:
        """Copy the learning curve of a training beside the results."""
        curve = Path(f'{cell.makes}.run', 'curve.csv')
        if cell.makes is not None and curve.exists():
            kept = cell.curve_path(self._folder)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(curve, kept)


def run_for(command: list[str], seconds: float | None) -> int:
    """
    Run a command, asking it to stop (SIGTERM) when its time is over or on Ctrl-C.

    :return: its exit code; 130 when it was stopped.
    """
    process = subprocess.Popen(command)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return _stop(process)
    except BaseException:
        _stop(process)
        raise


def _stop(process: subprocess.Popen) -> int:
    """Ask a process to save and leave, by force if it does not."""
    process.terminate()
    try:
        code = process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return EXIT_INTERRUPTED
    return code if code >= 0 else EXIT_INTERRUPTED
