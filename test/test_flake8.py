# SPDX-License-Identifier: Apache-2.0
"""The style rules of ament_flake8 (setup.cfg holds its configuration)."""
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = ('flake8-builtins', 'flake8-comprehensions', 'flake8-docstrings',
           'flake8_import_order', 'flake8-quotes')


def run_flake8(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run flake8 in the repository root."""
    return subprocess.run([sys.executable, '-m', 'flake8', *arguments], cwd=ROOT, text=True,
                          capture_output=True, check=False)


def test_every_plugin_of_ament_flake8_is_loaded() -> None:
    """A missing plug-in would let its findings pass in silence."""
    listed = run_flake8('--version').stdout.replace('\n', '')
    assert [name for name in PLUGINS if name not in listed] == []


@pytest.mark.parametrize('target', ['ocrrl_ros', 'test', 'launch', 'setup.py'])
def test_code_follows_the_style(target: str) -> None:
    """No finding in any file."""
    done = run_flake8(target)
    assert done.returncode == 0, done.stdout + done.stderr
