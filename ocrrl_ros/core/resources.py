# SPDX-License-Identifier: Apache-2.0
"""Find the files that ship with the package, in a source tree or an installed one."""

from __future__ import annotations

import os
from pathlib import Path
import sys

from ocrrl_ros.core.errors import ConfigError

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
