# SPDX-License-Identifier: Apache-2.0
"""What the documents say about the code is what the code says."""
import os
from pathlib import Path
import re
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').glob('*.md')])


def test_the_parameter_tables_are_up_to_date() -> None:
    """`python tools/parameters.py` would change nothing."""
    pytest.importorskip('rclpy', reason='the nodes import rclpy, which is missing')
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    done = subprocess.run(
        [sys.executable, 'tools/parameters.py', '--check'], cwd=ROOT, capture_output=True,
        text=True, env={**os.environ, 'PYTHONPATH': path}, check=False)
    assert done.returncode == 0, done.stderr or 'run: python tools/parameters.py'


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    """Every relative link and picture names a file of the repository."""
    text = document.read_text(encoding='utf-8')
    targets = re.findall(r'\]\(([^)#\s]+)', text) + re.findall(r'src="([^"]+)"', text)
    local = [target for target in targets if '://' not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


def test_files_that_the_readme_names_exist() -> None:
    """Paths of code, configuration and models in back quotes are there."""
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    named = re.findall(r'`((?:ocrrl_ros|config|launch|docs|test|requirements|tools)/[\w./-]*)`',
                       text)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
