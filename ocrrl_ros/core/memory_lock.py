# SPDX-License-Identifier: Apache-2.0
"""
Keep the memory of this process in RAM, where the system permits it without a limit.

Under a limit nothing is locked: with ``MCL_FUTURE`` every later allocation beyond it would fail,
in the middle of an episode.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
import resource

_MCL_CURRENT, _MCL_FUTURE = 1, 2
#: Bits of linux/capability.h: lock without a limit, and raise limits.
_CAP_IPC_LOCK, _CAP_SYS_RESOURCE = 14, 24
_UNLIMITED = resource.RLIM_INFINITY


def lock_problem(status: Path = Path('/proc/self/status')) -> str:
    """
    Return why this process may not lock all its memory, or an empty string where it may.

    :param status: the kernel's file of what this process is allowed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if _UNLIMITED in (soft, hard) or _capabilities(status) & (
            1 << _CAP_IPC_LOCK | 1 << _CAP_SYS_RESOURCE):
        return ''
    return f'memlock limit {hard / 2 ** 20:g} MB, unlimited is needed'


def lock_memory(status: Path = Path('/proc/self/status')) -> str:
    """
    Lock what this process has mapped and what it will map; return why not, or ''.

    What is mapped later is in RAM from the beginning, so that no page is fetched or zeroed
    in the middle of a loop. Forked children and executed programs are not locked.

    :param status: as :func:`lock_problem`.
    """
    problem = lock_problem(status)
    if problem:
        return problem
    try:
        _lift_limit(status)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE) != 0:
            return os.strerror(ctypes.get_errno())
    except (OSError, ValueError, AttributeError) as error:
        return str(error)
    return ''


def _lift_limit(status: Path) -> None:
    """
    Make the limit in force unlimited; not needed where the process may lock without.

    :raises ValueError, OSError: the system does not permit it after all.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft != _UNLIMITED and not _capabilities(status) >> _CAP_IPC_LOCK & 1:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (_UNLIMITED, _UNLIMITED))


def _capabilities(status: Path) -> int:
    """Return the effective capabilities as bits; none where the kernel does not say."""
    try:
        lines = status.read_text(encoding='ascii', errors='replace').splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1], 16) for line in lines if line.startswith('CapEff:')), 0)
