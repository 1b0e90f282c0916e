# SPDX-License-Identifier: Apache-2.0
"""What a cell's figure depends on, and what a result file says that it was made from."""

from __future__ import annotations

from collections.abc import Mapping
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from ocrrl_ros.core.bundle import MANIFEST_NAME, sha256_file
from ocrrl_ros.core.configuration import from_mapping, to_mapping
from ocrrl_ros.core.errors import BundleError, ConfigError
from ocrrl_ros.core.resources import bundle_path, config_path
from ocrrl_ros.evaluation.confidence.collect import OBJECT_TASKS
from ocrrl_ros.evaluation.evaluate import EvaluateConfig
from ocrrl_ros.evaluation.policies import SCRIPTED
from ocrrl_ros.evaluation.result import PROTOCOL_VERSION
from ocrrl_ros.evaluation.results.cells import Cell
from ocrrl_ros.evaluation.tracker_scenes import seen_task
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.tasks import SUCCESS_VERSION

BUNDLE_OPTIONS = ('base', 'residual', 'teacher', 'base_sim', 'base_proxy')
FILE_OPTIONS = ('domain', 'dataset')
SCENES = {'bench language': 'lift_red_of_two'}
"""Task of commands that have one of their own."""
TRACKED = ('bench tracker', 'perception calibrate-confidence')
"""Commands whose figure is the tracker's: its settings and the files of its objects count."""
FREE_OPTIONS = ('workers', 'out', 'best')
"""Options that change nothing about the figure."""


class CellInputs:
    """Tells what cells depend on; hashes bundles and worlds once."""

    def __init__(self) -> None:
        """Start without hashes."""
        self._bundle = functools.lru_cache(maxsize=None)(_bundle_sha256)
        self._tasks = functools.lru_cache(maxsize=None)(_bundle_tasks)
        self._domain = functools.lru_cache(maxsize=None)(lambda name: load_domain(name).sha256())

    def expected(self, cell: Cell) -> dict[str, Any]:
        """
        Return the settings and hashes that the cell would be run with now.

        What is not on this machine is left out: nothing can be said against a result made of it.
        """
        if cell.command == 'evaluate':
            return self._expected_of_evaluation(cell)
        found: dict[str, Any] = {}
        if cell.command in TRACKED:
            found['tracker_sha256'] = _tracker_sha256(cell.options.get('task'))
        for name, value in cell.options.items():
            if name in BUNDLE_OPTIONS:
                found[f'{name}_sha256'] = self._hash(self._bundle, value)
            elif name == 'domain':
                found['domain_sha256'] = self._hash(self._domain, value)
            elif name == 'domains':
                found['domain_sha256'] = [self._hash(self._domain, item) for item in value]
            elif name not in FREE_OPTIONS:
                found[name] = value
        return {key: value for key, value in found.items() if value is not None}

    def _expected_of_evaluation(self, cell: Cell) -> dict[str, Any]:
        """Return what `evaluate` would write of its inputs."""
        config = from_mapping(EvaluateConfig, cell.options, cell.name)
        found = to_mapping(config)
        for name in ('workers', 'base', 'residual', 'domain'):
            found.pop(name)
        base = self._hash(self._bundle, config.base or default_base_name(config.domain))
        residual = self._hash(
            self._bundle, config.residual or f'models/residual_{config.task}')
        found |= {
            'domain_sha256': self._hash(self._domain, config.domain), 'base_sha256': base,
            'bundle_sha256': residual if config.policy == 'residual' else base,
            'success_version': SUCCESS_VERSION, 'protocol_version': PROTOCOL_VERSION}
        return {key: value for key, value in found.items() if value is not None}

    @staticmethod
    def _hash(hasher: Any, value: Any) -> str | None:
        """Return a hash, None where the thing is not there."""
        try:
            return hasher(value)
        except (BundleError, ConfigError):
            return None

    def missing(self, cell: Cell) -> list[str]:
        """Return what the cell needs and what is not there, or not for its task, in words."""
        asked = [(name, item) for name, value in cell.options.items()
                 if name in BUNDLE_OPTIONS + FILE_OPTIONS
                 for item in (value if isinstance(value, list) else [value])]
        if cell.command == 'evaluate':
            asked += _defaults(cell.options)
        task = SCENES.get(cell.command, cell.options.get('task'))
        problems = [self._problem(name, str(item), task)
                    for name, item in asked]
        return list(dict.fromkeys(problem for problem in problems if problem))

    def _problem(self, name: str, value: str, task: str | None) -> str:
        """Say what is wrong with a bundle, world or dataset; nothing when it can be used."""
        if name in BUNDLE_OPTIONS:
            tasks = () if value in SCRIPTED else self._tasks(value)
            if tasks is None:
                return f'{value} is missing'
            served = value in SCRIPTED or task is None or task in tasks
            return '' if served else f'{value} does not serve {task}'
        if name == 'domain' and not value.endswith(('.yaml', '.yml')):
            return ''
        return '' if Path(value).exists() else f'{value} is missing'


def _defaults(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the shipped bundles that `evaluate` takes where the cell names none."""
    found = []
    if options.get('base') is None:
        found.append(('base', default_base_name(options.get('domain', 'sim'))))
    if options.get('policy') == 'residual' and options.get('residual') is None:
        found.append(('residual', f'models/residual_{options["task"]}'))
    return found


def default_base_name(domain: str) -> str:
    """Return the name below the repository of the base that ships for a world."""
    return 'models/base_sim' if domain == 'sim' else 'models/base_proxy'


def _manifest(folder: str) -> Path:
    """Return the manifest of a bundle; BundleError when there is no bundle."""
    path = bundle_path(folder) / MANIFEST_NAME
    if not path.is_file():
        raise BundleError(f'no model bundle at {folder}')
    return path


def _bundle_sha256(folder: str) -> str:
    """Return a bundle's hash; a scripted base's own name."""
    return folder if folder in SCRIPTED else sha256_file(_manifest(folder))


def _tracker_sha256(task: str | None) -> str:
    """Return the hash of the tracker's settings and of the objects of a task, or of all tasks."""
    names = seen_task(task).object_ids if task else tuple(OBJECT_TASKS)
    files = [config_path('tracker.yaml'), *(
        config_path('objects') / f'{name}.yaml' for name in sorted(names))]
    return hashlib.sha256(''.join(map(sha256_file, files)).encode()).hexdigest()


def _bundle_tasks(folder: str) -> tuple[str, ...] | None:
    """Return the tasks that a bundle serves, None when there is no such bundle."""
    try:
        return tuple(json.loads(_manifest(folder).read_text(encoding='utf-8'))['tasks'])
    except BundleError:
        return None


def recorded(result: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what a result file says of its inputs.

    `evaluate` writes them itself; of other commands the runner notes them under `cell`.
    """
    config = result.get('config')
    if 'outcomes' in result and isinstance(config, Mapping):
        # What a file does not say is older than the option, and had what is now its default.
        defaults = to_mapping(EvaluateConfig())
        names = ('domain_sha256', 'base_sha256', 'bundle_sha256', 'success_version',
                 'protocol_version')
        return {**defaults, **config, **{name: result.get(name) for name in names}}
    return dict(result.get('cell', {}).get('inputs', {}))


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return the names of inputs in which a result differs from what would be run now."""
    return [name for name, value in expected.items() if found.get(name) != value]
