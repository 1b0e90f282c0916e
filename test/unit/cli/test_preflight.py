# SPDX-License-Identifier: Apache-2.0
"""Tests of what `make` says before it installs anything, and of the doctor's verdict."""
from pathlib import Path
import subprocess
import sys

from ocrrl_ros.cli import doctor, preflight
from ocrrl_ros.core.system_packages import ABSENT, CheckResult, FAILED, OK, WARNING
import pytest
from rich.console import Console

ROOT = Path(__file__).resolve().parents[3]


def test_preflight_runs_on_a_python_without_any_package() -> None:
    """-S and -I hide site-packages, as on a fresh machine."""
    program = (f'import sys; sys.path.insert(0, {str(ROOT)!r}); '
               "from ocrrl_ros.cli.preflight import main; sys.exit(main(['--packages']))")
    done = subprocess.run([sys.executable, '-S', '-I', '-c', program], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_missing_packages_stop_with_the_install_line(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The line is complete, so that it can be pasted."""
    monkeypatch.setattr(preflight, 'missing_packages', lambda: {'libegl1': 'rendering'})
    assert preflight.main([]) == 1
    assert 'apt-get install -y libegl1' in capsys.readouterr().err


def test_an_unsupported_python_stops_with_the_supported_ones(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Interpreters that are there are offered."""
    monkeypatch.setattr(preflight, 'check_python', lambda: CheckResult('Python', FAILED, '3.9'))
    monkeypatch.setattr(preflight, 'installed_pythons', lambda: ['python3.12'])
    assert preflight.main([]) == 1
    assert 'make PYTHON=python3.12' in capsys.readouterr().err


@pytest.mark.parametrize(('states', 'passed'), [
    ([OK, WARNING, ABSENT], True), ([OK, FAILED], False)])
def test_the_doctor_passes_unless_a_check_failed(
        states: list[str], passed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings and absent options do not stop the simulated stack."""
    results = [CheckResult(f'check {index}', state, 'text', 'remedy [x]')
               for index, state in enumerate(states)]
    monkeypatch.setattr(doctor, 'check_everything', lambda: results)
    console = Console(record=True, width=100)
    report = doctor.Doctor().run(console)
    assert report['passed'] is passed
    assert len(report['checks']) == len(states)
    assert 'remedy [x]' in console.export_text()
