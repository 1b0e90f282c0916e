# SPDX-License-Identifier: Apache-2.0
"""
Check the interpreter and the distribution's packages, before anything is installed.

`make` runs this with a bare Python: importing it needs the standard library alone.
"""

from __future__ import annotations

from collections.abc import Sequence
import ctypes
from dataclasses import dataclass
import glob
import importlib
import importlib.util
import os
import sys

OK, WARNING, ABSENT, FAILED = 'ok', 'warning', 'absent', 'failed'
SUPPORTED_PYTHONS = ((3, 10), (3, 13))
VENDOR_PATTERNS = ('/usr/share/glvnd/egl_vendor.d/*.json', '/etc/glvnd/egl_vendor.d/*.json')
DRIVER_PATTERNS = ('/usr/lib/*/dri/*swrast*.so', '/usr/lib*/dri/*swrast*.so',
                   '/usr/lib/*/libgallium*.so', '/usr/lib*/libgallium*.so')
_LIBUSB, _LIBUSB_PACKAGE = 'libusb-1.0.so.0', 'libusb-1.0-0'


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


def load_libusb() -> bool:
    """
    Load libusb 1.0 for every module of this process, and return whether that worked.

    The distribution's, or else the one in the Python package libusb-package: the loader takes it
    for the former, as it has the same name inside.
    """
    if has_library(_LIBUSB):
        return True
    try:
        path = importlib.import_module('libusb_package').get_library_path()
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    except (ImportError, OSError):
        return False
    return True


def missing_camera_packages() -> list[str]:
    """List what a RealSense camera needs and is not there: pyrealsense2, libusb-1.0-0."""
    absent = [] if importlib.util.find_spec('pyrealsense2') else ['pyrealsense2']
    return absent if load_libusb() else [*absent, _LIBUSB_PACKAGE]


def camera_install_command(
        missing: Sequence[str] = (_LIBUSB_PACKAGE, 'pyrealsense2')) -> str:
    """Write the command that installs what a RealSense camera needs."""
    commands = [install_command([_LIBUSB_PACKAGE])] if _LIBUSB_PACKAGE in missing else []
    if 'pyrealsense2' in missing:
        commands.append('pip install pyrealsense2')
    return ' && '.join(commands)


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
