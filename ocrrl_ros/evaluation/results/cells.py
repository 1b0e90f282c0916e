# SPDX-License-Identifier: Apache-2.0
"""The cells of the protocol, as config/results.yaml declares them: a command and a figure each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
import fnmatch
import itertools
from pathlib import Path
import shlex
from typing import Any

from ocrrl_ros.core.configuration import load_yaml
from ocrrl_ros.core.errors import ConfigError, InputError, UnknownNameError
from ocrrl_ros.core.resources import config_path


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One command of the protocol whose result is one JSON file."""

    name: str = field(metadata={'description': 'name of the JSON file, without .json'})
    group: str = field(metadata={'description': 'name of the group that it was made from'})
    section: str = field(metadata={'description': 'section of the report'})
    row: str = field(metadata={'description': 'what is measured, for people'})
    command: str = field(metadata={'description': 'words of the `ocrrl` command'})
    options: dict[str, Any] = field(metadata={'description': 'options of the command'})
    values: dict[str, Any] = field(metadata={'description': 'what the group was expanded over'})
    n: int = field(metadata={'description': 'episodes, steps or states'})
    minutes: float = field(metadata={'description': 'expected minutes on two cores'})
    goal: float | None = field(default=None, metadata={'description': 'goal as a rate'})
    minus: str = field(default='', metadata={'description': 'cell that it is compared with'})
    least: float | None = field(
        default=None, metadata={'description': 'least lower bound of the difference, as a rate'})
    control: bool = field(default=False, metadata={
        'description': 'positive control, which is to lose where the world discriminates'})

    def arguments(self) -> list[str]:
        """Return the command line behind `ocrrl`, without `--json`."""
        return [*self.command.split(), *_flags(self.options)]

    def command_text(self) -> str:
        """Return the command as a person types it."""
        return shlex.join(['ocrrl', *self.arguments()])

    @property
    def makes(self) -> str | None:
        """Return the bundle, dataset or world file that the command writes, None if none."""
        out = self.options.get('out')
        return None if out is None else str(out)

    @property
    def products(self) -> list[str]:
        """Return all bundles, datasets or world files that the command writes."""
        return [str(self.options[name]) for name in ('out', 'best') if name in self.options]

    def result_path(self, folder: Path) -> Path:
        """Return the JSON file of the result."""
        return folder / f'{self.name}.json'

    def curve_path(self, folder: Path) -> Path:
        """Return the learning curve (CSV) of a training."""
        return folder / 'curves' / f'{self.name}.csv'


@dataclass(frozen=True, kw_only=True)
class CellGroup:
    """
    Cells that differ in task, seed or another value; ``{task}`` stands for the value.

    A text that is one placeholder alone becomes the value itself, so that numbers stay numbers.
    """

    name: str = field(metadata={'description': 'name of each cell, with placeholders'})
    section: str = field(metadata={'description': 'key of the section'})
    row: str = field(metadata={'description': 'what is measured, with placeholders'})
    command: str = field(metadata={'description': 'words of the `ocrrl` command'})
    options: dict[str, Any] = field(metadata={'description': 'options, with placeholders'})
    over: dict[str, Any] = field(
        default_factory=dict, metadata={'description': 'values by placeholder; all combinations'})
    n: int | None = field(
        default=None, metadata={'description': 'default: options.steps, else episodes or states'})
    minutes: float = field(metadata={'description': 'expected minutes of a cell on two cores'})
    goal: float | None = field(default=None, metadata={'description': 'goal as a rate, 0 .. 1'})
    minus: str = field(
        default='', metadata={'description': 'name of the cell that each is compared with'})
    least: float | None = field(
        default=None, metadata={'description': 'least lower bound of the difference, as a rate'})
    control: bool = field(default=False, metadata={
        'description': 'positive control, which is to lose where the world discriminates'})

    def __post_init__(self) -> None:
        """Refuse counts and goals without meaning."""
        if not self.minutes > 0:
            raise ConfigError(f'{self.name}: minutes is {self.minutes}; allowed: > 0')
        if self.goal is not None and not 0.0 < self.goal <= 1.0:
            raise ConfigError(f'{self.name}: goal is {self.goal}; allowed: a rate in (0, 1]')
        if self.control and not self.minus:
            raise ConfigError(f'{self.name}: minus is missing; a control is compared with it')
        if self._count(self.options) is None:
            raise ConfigError(f'{self.name}: n is missing; the options name no episodes or steps')

    def _count(self, options: dict[str, Any]) -> int | None:
        """Return n, or None when nothing says it."""
        # A training that is measured on some episodes is counted in steps.
        return next((found for found in (self.n, *map(
            options.get, ('steps', 'episodes', 'states'))) if found), None)

    def expand(self) -> Iterator[Cell]:
        """Yield a cell per combination of values."""
        for chosen in itertools.product(*self.over.values()):
            values = dict(zip(self.over, chosen))
            options = {key: _filled(item, values) for key, item in self.options.items()}
            yield Cell(
                name=str(_filled(self.name, values)), group=self.name, section=self.section,
                row=str(_filled(self.row, values)), command=self.command, options=options,
                values=values, n=int(self._count(options)), minutes=self.minutes, goal=self.goal,
                minus=str(_filled(self.minus, values)), least=self.least,
                control=self.control)


def _flags(options: dict[str, Any]) -> list[str]:
    """Return options as they are typed; settings inside settings have flags like all others."""
    found: list[str] = []
    for name, value in options.items():
        flag = '--' + name.replace('_', '-')
        if isinstance(value, dict):
            found += _flags(value)
        elif isinstance(value, bool):
            found += [flag if value else f'--no-{flag[2:]}']
        elif isinstance(value, (list, tuple)):
            found += [flag, *map(str, value)]
        else:
            found += [flag, str(value)]
    return found


def _filled(item: Any, values: dict[str, Any]) -> Any:
    """Return an option with its placeholders replaced."""
    if isinstance(item, (list, tuple)):
        return [_filled(part, values) for part in item]
    if not isinstance(item, str):
        return item
    for key, value in values.items():
        if item == '{' + key + '}':
            return value
    try:
        return item.format(**values)
    except (KeyError, IndexError) as error:
        known = ', '.join(values) or '(none)'
        raise ConfigError(f'{item!r} has an unknown placeholder; known: {known}') from error


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the report."""

    key: str
    title: str
    text: str = ''
    mean_goal: float | None = field(
        default=None, metadata={'description': 'goal of the mean of the tasks, as a rate'})
    task_goals: dict[str, float] = field(
        default_factory=dict, metadata={'description': 'goal by task, as a rate'})
    by_seed: bool = field(
        default=False, metadata={'description': 'rates by training seed, with a bootstrap'})


@dataclass(frozen=True, kw_only=True)
class ResultPlan:
    """Everything that the protocol wants measured, in the order in which it is run."""

    sections: tuple[Section, ...] = ()
    groups: tuple[CellGroup, ...] = ()

    def __post_init__(self) -> None:
        """Refuse sections that do not exist and names that are taken twice."""
        keys = [section.key for section in self.sections]
        for group in self.groups:
            if group.section not in keys:
                raise UnknownNameError('section', group.section, keys, group.name)
        counts = Counter(cell.name for cell in self.cells())
        twice = [name for name, count in counts.items() if count > 1]
        if twice:
            raise ConfigError(f'cell names are taken twice: {", ".join(twice)}')
        unknown = sorted({cell.minus for cell in self.cells()} - set(counts) - {''})
        if unknown:
            raise ConfigError(f'`minus` names no cell: {", ".join(unknown)}')

    def cells(self) -> list[Cell]:
        """Return all cells in order."""
        return [cell for group in self.groups for cell in group.expand()]

    def chosen(self, pattern: str) -> list[Cell]:
        """
        Return the cells whose name, group or section fits a shell pattern.

        :raises InputError: no cell fits.
        """
        found = [cell for cell in self.cells() if any(
            fnmatch.fnmatchcase(text, pattern) for text in (cell.name, cell.group, cell.section))]
        if not found:
            sections = ', '.join(section.key for section in self.sections)
            raise InputError(f'no cell fits --only {pattern!r}; sections: {sections}')
        return found


def load_plan(path: Path | None = None) -> ResultPlan:
    """
    Return the declared cells.

    :param path: YAML; config/results.yaml when None.
    :raises ConfigError: the file does not fit.
    """
    return load_yaml(ResultPlan, path or config_path('results.yaml'))
