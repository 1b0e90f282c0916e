# SPDX-License-Identifier: Apache-2.0
"""Compiled kernels: processes that start together must not mix up what they cache."""

import fcntl
import os
from pathlib import Path
import subprocess
import sys
import time

KERNELS = """
from ocrrl_ros.core.ufunc import compiled_ufunc


@compiled_ufunc('(a),(a)->(a)')
def add(left, right, out):
    for index in range(len(left)):
        out[index] = left[index] + right[index]
"""
CALL = 'import kernels, numpy as np; print(kernels.add(np.ones(3), np.arange(3.0)).tolist())'
PATIENCE_S = 120.0


def start(folder: Path) -> subprocess.Popen:
    """Start a process that compiles the kernel, or takes it from the cache, and calls it."""
    return subprocess.Popen(
        [sys.executable, '-c', CALL], text=True, stdout=subprocess.PIPE,
        env=os.environ | {'NUMBA_CACHE_DIR': str(folder / 'cache'), 'PYTHONPATH': os.pathsep.join(
            [str(folder), *filter(None, sys.path)])})


def waits_for_a_lock(process: subprocess.Popen) -> bool:
    """Return whether the kernel lists the process among those that wait."""
    return any('->' in line and f' {process.pid} ' in line
               for line in Path('/proc/locks').read_text().splitlines())


def test_a_process_waits_while_another_compiles(tmp_path: Path):
    source = tmp_path / 'kernels.py'
    source.write_text(KERNELS)
    with source.open('rb') as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = start(tmp_path)
        deadline = time.monotonic() + PATIENCE_S
        while not waits_for_a_lock(process):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        assert not list(tmp_path.glob('cache/**/*.nbi'))
    assert process.communicate(timeout=PATIENCE_S)[0] == '[1.0, 2.0, 3.0]\n'
    assert process.returncode == 0
    assert list(tmp_path.glob('cache/**/*.nbi'))


def test_processes_that_start_together_leave_a_cache_that_works(tmp_path: Path):
    (tmp_path / 'kernels.py').write_text(KERNELS)
    for processes in ([start(tmp_path) for _ in range(3)], [start(tmp_path)]):
        for process in processes:
            assert process.communicate(timeout=PATIENCE_S)[0] == '[1.0, 2.0, 3.0]\n'
            assert process.returncode == 0
