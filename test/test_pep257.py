# SPDX-License-Identifier: Apache-2.0
"""The docstring rules of ament_pep257 (setup.cfg holds its selection)."""
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize('target', ['ocrrl_ros', 'test', 'launch', 'setup.py'])
def test_docstrings_follow_the_rules(target: str) -> None:
    """No finding in any file, tests included."""
    done = subprocess.run(
        [sys.executable, '-m', 'pydocstyle', '--config', 'setup.cfg', '--match', r'.*\.py',
         target], cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
