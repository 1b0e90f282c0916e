# SPDX-License-Identifier: Apache-2.0
"""Tests of what `ocrrl doctor` and `make` find missing."""
import hashlib
import os
from pathlib import Path
import subprocess
import sys

from ocrrl_ros.core import system_check, system_packages
from ocrrl_ros.core.bundle import hash_layout, Manifest, save_bundle
import pytest

LAYOUT = {'version': 1}


def save_example(folder: Path) -> None:
    """Write a small valid base bundle."""
    save_bundle(folder, {'policy.onnx': b'network'}, Manifest(
        kind='base', tasks=('cube_lift',), layout=LAYOUT, layout_hash=hash_layout(LAYOUT),
        action_scale={}, rate_hz=20.0, seed=1, training={}, metrics={}))


def test_missing_libraries_name_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without OpenGL and EGL both packages are named, and nothing that is there."""
    monkeypatch.setattr(system_packages, 'has_library', lambda name: False)
    monkeypatch.setattr(system_packages, '_has_venv', lambda: True)
    monkeypatch.setattr(system_packages, '_exists', lambda *patterns: True)
    assert sorted(system_packages.missing_packages()) == ['libegl1', 'libgl1']
    result = system_check.check_system_packages()
    assert result.state == system_packages.FAILED
    assert result.remedy.endswith('apt-get install -y libegl1 libgl1')


def test_a_missing_venv_module_names_the_package_of_this_python(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian splits venv off the interpreter."""
    monkeypatch.setattr(system_packages, '_has_venv', lambda: False)
    assert f'python3.{sys.version_info[1]}-venv' in system_packages.missing_packages()


@pytest.mark.parametrize(('user_id', 'expected'), [
    (0, 'apt-get update && apt-get install -y a b'),
    (1000, 'sudo apt-get update && sudo apt-get install -y a b'),
])
def test_the_install_line_fits_the_user(
        user_id: int, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A normal user gets sudo, root does not."""
    monkeypatch.setattr(os, 'geteuid', lambda: user_id)
    assert system_packages.install_command(['a', 'b']) == expected


@pytest.mark.parametrize(('version', 'state'), [
    ((3, 9, 18), 'failed'), ((3, 10, 0), 'ok'), ((3, 13, 1), 'ok'), ((3, 14, 0), 'failed'),
])
def test_python_outside_the_supported_range_is_refused(
        version: tuple[int, int, int], state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The finding names the version and the range."""
    monkeypatch.setattr(sys, 'version_info', version)
    result = system_packages.check_python()
    monkeypatch.undo()
    assert result.state == state
    assert state == 'ok' or '3.10 to 3.13' in result.detail


def test_the_limits_lines_permit_what_the_checks_ask_for() -> None:
    """pam_limits reads: domain, type, item, value."""
    assert system_check.limits_lines('ada') == (
        f'ada - rtprio {system_check.RTPRIO_NEEDED}', 'ada - memlock unlimited')


@pytest.mark.parametrize('error', [KeyError, OSError])
def test_a_user_without_a_name_gets_lines_with_the_number(
        error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """`docker run --user 1234`; limits.conf(5) writes one uid as `:uid`."""
    def fail() -> str:
        raise error('getpwuid(): uid not found: 1234')

    monkeypatch.setattr('getpass.getuser', fail)
    monkeypatch.setattr(os, 'getuid', lambda: 1234)
    assert [line.split()[0] for line in system_check.limits_lines()] == [':1234', ':1234']


@pytest.mark.parametrize('name', ['check_realtime', 'check_locked_memory'])
def test_refused_limits_have_one_remedy_that_writes_both_lines(
        name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is a command: a shell runs it, and the file has one limit a line."""
    file = tmp_path / 'ocrrl.conf'
    monkeypatch.setattr(system_check, 'LIMITS_FILE', str(file))
    monkeypatch.setattr(system_check, 'lock_problem', lambda: 'memlock limit 8 MB')
    monkeypatch.setattr(system_check, '_run_python', lambda program: (False, ''))
    monkeypatch.setattr(os, 'geteuid', lambda: 0)
    monkeypatch.setattr('getpass.getuser', lambda: 'ada')
    result = getattr(system_check, name)()
    assert result.state == system_packages.WARNING
    subprocess.run(['sh', '-c', result.remedy], check=True, capture_output=True)
    assert file.read_text() == 'ada - rtprio 50\nada - memlock unlimited\n'


def test_permitted_locked_memory_needs_no_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the limit may be lifted."""
    monkeypatch.setattr(system_check, 'lock_problem', lambda: '')
    result = system_check.check_locked_memory()
    assert (result.state, result.remedy) == (system_packages.OK, '')


def test_small_shared_memory_is_a_warning_with_a_remedy(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers often have 64 MB."""
    monkeypatch.setattr(system_check, 'SHARED_MEMORY_NEEDED', 2 ** 60)
    result = system_check.check_shared_memory(str(tmp_path))
    assert result.state == system_packages.WARNING
    assert str(tmp_path) in result.remedy


def test_absent_shared_memory_fails(tmp_path: Path) -> None:
    """The folder is named."""
    result = system_check.check_shared_memory(str(tmp_path / 'none'))
    assert result.state == system_packages.FAILED
    assert 'none' in result.detail


def test_a_whole_bundle_is_found_and_an_altered_one_is_named(tmp_path: Path) -> None:
    """A changed byte turns the finding red, by the name of the bundle."""
    save_example(tmp_path / 'base_one')
    save_example(tmp_path / 'base_two')
    (tmp_path / 'base_two' / 'policy.onnx').write_bytes(b'altered')
    states = {result.name: result for result in system_check.check_bundles(tmp_path)}
    assert states['bundle base_one'].state == 'ok'
    assert states['bundle base_two'].state == 'failed'
    assert 'policy.onnx' in states['bundle base_two'].detail


def test_a_folder_without_bundles_fails(tmp_path: Path) -> None:
    """The folder is named."""
    result, = system_check.check_bundles(tmp_path)
    assert result.state == 'failed'
    assert str(tmp_path) in result.detail


def test_a_missing_python_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name that pip knows."""
    monkeypatch.setitem(system_check.REQUIRED_MODULES, 'no_such_module', 'no-such-package')
    result = system_check.check_packages()
    assert result.state == 'failed'
    assert 'no-such-package' in result.detail


def test_a_program_that_does_not_answer_is_reported() -> None:
    """A hung driver does not hang the doctor."""
    ran, text = system_check._run_python('import time; time.sleep(60)', timeout_s=0.5)
    assert not ran
    assert 'no answer' in text


def test_rendering_reports_the_renderer_or_names_the_packages(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that fails becomes a finding with an install line."""
    monkeypatch.setattr(system_check, 'RENDER_PROGRAM', 'raise RuntimeError("no EGL")')
    result = system_check.check_rendering()
    assert result.state == 'failed'
    assert 'no EGL' in result.detail
    assert 'libegl1' in result.remedy


def test_the_hash_in_a_finding_is_that_of_the_manifest(tmp_path: Path) -> None:
    """So that two machines can be compared by eye."""
    save_example(tmp_path / 'base_one')
    expected = hashlib.sha256((tmp_path / 'base_one' / 'manifest.json').read_bytes()).hexdigest()
    result, = system_check.check_bundles(tmp_path)
    assert expected[:12] in result.detail
