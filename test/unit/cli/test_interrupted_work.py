# SPDX-License-Identifier: Apache-2.0
"""Long work with worker processes ends as a whole, and says so, when it is told to."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest

EVALUATE = [
    sys.executable, '-m', 'ocrrl_ros.cli.main', 'evaluate', '--base', 'expert', '--policy', 'base',
    '--poses', 'truth', '--episodes', '500', '--seed', '10000', '--workers', '2']


def _processes_of(session):
    """Return the living processes of a session."""
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = stat.read_text(encoding='utf-8').rpartition(')')[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != 'Z':
            found.append(int(stat.parent.name))
    return found


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_interrupted_evaluation_leaves_no_process_and_keeps_its_episodes(tmp_path, number):
    episodes = tmp_path / 'result.json.episodes'
    process = subprocess.Popen(
        [*EVALUATE, '--json', str(tmp_path / 'result.json')], start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        # Background jobs of a script ignore SIGINT and would hand that on.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
        env={**os.environ, 'PYTHONUNBUFFERED': '1'})
    end_s = time.monotonic() + 120.0
    while not (episodes.exists() and episodes.stat().st_size > 0):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end_s
        time.sleep(0.1)
    os.kill(process.pid, number)
    assert process.wait(60) == 130
    assert 'interrupted' in process.stderr.read()
    # Python's own resource tracker ends when it notices that its parent has: a moment later.
    end_s = time.monotonic() + 10.0
    while _processes_of(process.pid) and time.monotonic() < end_s:
        time.sleep(0.05)
    assert not _processes_of(process.pid)
    assert episodes.read_text(encoding='utf-8').endswith('\n')
