# SPDX-License-Identifier: Apache-2.0
"""
Check the interpreter and the distribution's packages, before anything is installed.

`make` runs this with a bare Python: importing it needs the standard library alone.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
import glob
import importlib.util
import os
import sys

OK, WARNING, ABSENT, FAILED = 'ok', 'warning', 'absent', 'failed'
SUPPORTED_PYTHONS = ((3, 10), (3, 13))
VENDOR_PATTERNS = ('/usr/share/glvnd/egl_vendor.d/*.json', '/etc/glvnd/egl_vendor.d/*.json')
DRIVER_PATTERNS = ('/usr/lib/*/dri/*swrast*.so', '/usr/lib*/dri/*swrast*.so',
                   '/usr/lib/*/libgallium*.so', '/usr/lib*/libgallium*.so')


@dataclass(frozen=True)
class CheckResult:
    """One finding: `state` is ok, warning, absent or failed; `remedy` a command or empty."""

    name: str
    state: str
    detail: str
    remedy: str = ''


def has_library(name: str) -> bool:
    """Return whether the dynamic loader finds a library."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _exists(*patterns: str) -> bool:
    """Return whether a file matches one of the patterns."""
    return any(glob.glob(pattern) for pattern in patterns)


def _has_venv() -> bool:
    """Return whether this Python can make virtual environments that have pip."""
    return all(importlib.util.find_spec(name) for name in ('venv', 'ensurepip'))


def missing_packages() -> dict[str, str]:
    """Map each Debian or Ubuntu package that is missing to what needs it."""
    wanted = (
        (f'python3.{sys.version_info[1]}-venv', 'the virtual environment', _has_venv()),
        ('libegl1', 'rendering without a display', has_library('libEGL.so.1')),
        ('libgl1', 'rendering', has_library('libGL.so.1')),
        ('libegl-mesa0', 'rendering without a GPU', _exists(*VENDOR_PATTERNS)),
        ('libgl1-mesa-dri', 'rendering without a GPU',
         _exists(*DRIVER_PATTERNS) or _exists('/proc/driver/nvidia/version')),
    )
    return {package: purpose for package, purpose, present in wanted if not present}


def install_command(packages: list[str]) -> str:
    """Write the command that installs system packages, as the user who reads it can run it."""
    prefix = '' if os.geteuid() == 0 else 'sudo '
    names = ' '.join(packages)
    return f'{prefix}apt-get update && {prefix}apt-get install -y {names}'


def check_python() -> CheckResult:
    """Check the version of the running interpreter."""
    version = sys.version_info[:2]
    text = '.'.join(str(part) for part in sys.version_info[:3]) + f' ({sys.executable})'
    low, high = SUPPORTED_PYTHONS
    if low <= version <= high:
        return CheckResult('Python', OK, text)
    return CheckResult('Python', FAILED, f'{text}; supported: 3.{low[1]} to 3.{high[1]}',
                       'make setup PYTHON=python3.11')
