# SPDX-License-Identifier: Apache-2.0
"""Find the files that ship with the package, in a source tree or an installed one."""

from __future__ import annotations

import os
from pathlib import Path
import sys

from ocrrl_ros.core.errors import BundleError, ConfigError

PACKAGE_NAME = 'ocrrl'


def _candidates() -> list[Path]:
    """Return the folders that may hold config/ and models/, most specific first."""
    found = [Path(__file__).resolve().parents[2]]
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    prefixes.append(sys.prefix)
    # .../lib/pythonX.Y/site-packages/ocrrl_ros/core/resources.py -> install prefix
    parents = Path(__file__).resolve().parents
    if len(parents) > 5:
        prefixes.append(str(parents[5]))
    found += [Path(prefix) / 'share' / PACKAGE_NAME for prefix in prefixes if prefix]
    return found


def share_path(*parts: str) -> Path:
    """
    Return the path of a file or folder that ships with the package.

    :raises ConfigError: no such file ships; the message lists where it was looked for.
    """
    looked = [folder.joinpath(*parts) for folder in _candidates()]
    for path in looked:
        if path.exists():
            return path
    raise ConfigError(
        f'{os.path.join(*parts)!r} does not ship with {PACKAGE_NAME}; looked at: '
        + ', '.join(str(path) for path in looked))


def config_path(*parts: str) -> Path:
    """Return the path of a file below config/."""
    return share_path('config', *parts)


def model_path(*parts: str) -> Path:
    """Return the path of a file or bundle below models/."""
    return share_path('models', *parts)


def bundle_path(folder: Path | str) -> Path:
    """
    Return the absolute folder of a model bundle: the one rule of command line and nodes.

    A relative folder is looked for below the working directory first, then among what ships.

    :raises BundleError: there is no such folder; the message lists where it was looked for.
    """
    asked = Path(folder).expanduser()
    shipped = [] if asked.is_absolute() else [place / asked for place in _candidates()]
    return _first_bundle(str(folder), [asked.absolute(), *shipped])


def default_base(domain: str | None) -> str:
    """
    Return the folder of the base bundle that ships for a world.

    :param domain: name or YAML file as the user gave it; None for the real robot. The base that
        was trained in simulation serves the shipped domain ``sim`` alone, never a file.
    :raises BundleError: it does not ship.
    """
    return _shipped_bundle('base_sim' if domain == 'sim' else 'base_proxy')


def default_residual(task: str) -> str:
    """
    Return the folder of the residual bundle that ships for a task.

    :raises BundleError: none ships.
    """
    return _shipped_bundle(f'residual_{task}')


def _shipped_bundle(name: str) -> str:
    """Return the folder of a bundle that ships."""
    looked = [place / 'models' / name for place in _candidates()]
    return str(_first_bundle(name, looked))


def _first_bundle(asked: str, looked: list[Path]) -> Path:
    """Return the first folder that exists."""
    for path in looked:
        if path.is_dir():
            return path
    raise BundleError(
        f'no model bundle {asked!r}; looked at: ' + ', '.join(map(str, dict.fromkeys(looked))))
