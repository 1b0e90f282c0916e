# SPDX-License-Identifier: Apache-2.0
"""Where a figure comes from: commit, machine, package versions."""
from dataclasses import dataclass
from importlib import metadata
import os
from pathlib import Path
import platform
import subprocess

RESULTS = ('docs/results', 'docs/results.md')
"""Written by the protocol's own commands; no figure depends on them."""
PACKAGES = ('mujoco', 'numpy', 'onnxruntime', 'pin', 'ruckig', 'rclpy')


@dataclass(frozen=True)
class GitState:
    """Commit of the source tree; ``unknown`` and dirty when there is none."""

    commit: str
    dirty: bool


def read_git_state(folder: Path | None = None) -> GitState:
    """
    Read commit and dirtiness of the tree that holds ``folder`` (default: this package).

    New results do not make a tree dirty: otherwise the second cell of an unattended run would be
    refused because of the first one's figure.
    """
    folder = folder or Path(__file__).resolve().parent
    try:
        commit = _git(folder, 'rev-parse', 'HEAD')
        dirty = bool(_git(folder, 'status', '--porcelain', '--', ':/',
                          *(f':(exclude,top){path}' for path in RESULTS)))
    except (OSError, subprocess.SubprocessError):
        return GitState('unknown', True)
    return GitState(commit, dirty)


def _git(folder: Path, *arguments: str) -> str:
    """Run git in the folder and return what it prints."""
    return subprocess.run(['git', '-C', str(folder), *arguments], check=True, timeout=20,
                          capture_output=True, text=True).stdout.strip()


def _cpu_name() -> str:
    """Read the processor's name."""
    try:
        text = Path('/proc/cpuinfo').read_text(encoding='utf-8')
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(':', 1)[1].strip() for line in text.splitlines()
             if line.startswith('model name')]
    return names[0] if names else platform.machine()


def available_cores() -> int:
    """Count the processor cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float:
    """Read the machine's memory in GiB."""
    return round(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30, 1)


def _system_name() -> str:
    """Read the distribution's name."""
    try:
        return platform.freedesktop_os_release().get('PRETTY_NAME', platform.system())
    except OSError:
        return platform.system()


def describe_machine() -> dict[str, str | int | float | dict[str, str]]:
    """Describe the machine a figure was measured on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {'cpu': _cpu_name(), 'cores': available_cores(), 'memory_gib': _memory_gib(),
            'system': _system_name(), 'kernel': platform.release(),
            'python': platform.python_version(), 'packages': versions}
