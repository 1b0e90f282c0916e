# SPDX-License-Identifier: Apache-2.0
"""Tests of the `ocrrl` command line: exit codes, messages, JSON."""
from dataclasses import dataclass, field
import json
import sys
import types

from ocrrl_ros.cli import main as main_module
from ocrrl_ros.cli.registry import CommandEntry, COMMANDS
from ocrrl_ros.core.errors import ConfigError, OcrrlError
import pytest


@dataclass(frozen=True, kw_only=True)
class Work:
    """Do some work."""

    task: str = field(default='cube_lift', metadata={'description': 'the task'})
    fail: bool = False
    stop: bool = False
    wrong: bool = False

    def run(self, console):
        """Work, fail or be interrupted."""
        if self.fail:
            raise OcrrlError(f'unknown task {self.task!r}; known:\ncube_lift')
        if self.wrong:
            raise ConfigError('workers is -1; allowed: >= 0')
        if self.stop:
            raise KeyboardInterrupt
        return {'task': self.task, 'passed': self.task != 'bad'}


@pytest.fixture
def work(monkeypatch):
    """Register one command, `ocrrl bench work`, beside an importable module."""
    module = types.ModuleType('ocrrl_ros.cli.work_for_test')
    module.Work = Work
    monkeypatch.setitem(sys.modules, module.__name__, module)
    entry = CommandEntry(words=('bench', 'work'), module=module.__name__, attribute='Work',
                         help_line='work')
    lost = CommandEntry(words=('lost',), module='ocrrl_ros.cli.not_there', attribute='Lost',
                        help_line='lost')
    monkeypatch.setattr(main_module, 'COMMANDS', (entry, lost))


def test_a_command_writes_its_result_as_json(work, tmp_path):
    path = tmp_path / 'new' / 'result.json'
    assert main_module.run(['bench', 'work', '--task', 'x', '--json', str(path)]) == 0
    assert json.loads(path.read_text()) == {'task': 'x', 'passed': True}
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_check_exits_with_one(work):
    assert main_module.run(['bench', 'work', '--task', 'bad']) == 1


def test_an_error_is_one_line_on_stderr_and_exits_with_one(work, capsys):
    assert main_module.run(['bench', 'work', '--fail']) == 1
    captured = capsys.readouterr()
    assert captured.out == ''
    assert captured.err == "ocrrl bench work: unknown task 'cube_lift'; known: cube_lift\n"


def test_a_setting_that_is_refused_is_wrong_usage(work, capsys):
    assert main_module.run(['bench', 'work', '--wrong']) == 2
    assert capsys.readouterr().err == 'ocrrl bench work: workers is -1; allowed: >= 0\n'


def test_help_shows_what_the_fields_metadata_says(work, capsys):
    with pytest.raises(SystemExit) as stop:
        main_module.run(['bench', 'work', '--help'])
    assert stop.value.code == 0
    assert 'the task' in capsys.readouterr().out


def test_an_interrupt_exits_with_130(work, capsys):
    assert main_module.run(['bench', 'work', '--stop']) == 130
    assert 'interrupted' in capsys.readouterr().err


def test_an_unknown_option_exits_with_two(work, capsys):
    with pytest.raises(SystemExit) as stop:
        main_module.run(['bench', 'work', '--colour', 'red'])
    assert stop.value.code == 2
    assert '--colour' in capsys.readouterr().err


def test_an_unknown_command_names_the_known_ones_and_exits_with_two(work, capsys):
    assert main_module.run(['bench', 'play']) == 2
    message = capsys.readouterr().err
    assert "unknown command 'bench play'" in message
    assert 'bench work' in message


def test_a_missing_module_of_one_command_names_it(work, capsys):
    assert main_module.run(['lost']) == 1
    assert 'ocrrl_ros.cli.not_there' in capsys.readouterr().err


def test_no_command_shows_the_overview_and_exits_with_two(capsys):
    assert main_module.run([]) == 2
    shown = capsys.readouterr().out
    assert all(' '.join(entry.words) in shown for entry in COMMANDS)


def test_help_of_a_group_lists_only_its_commands(capsys):
    assert main_module.run(['bench', '--help']) == 0
    shown = capsys.readouterr().out
    assert 'bench parity' in shown
    assert 'doctor' not in shown


def test_the_design_commands_are_all_known():
    words = {' '.join(entry.words) for entry in COMMANDS}
    assert words >= {'demo', 'demonstrations record', 'demonstrations replay', 'train base',
                     'train residual', 'evaluate', 'bench loop', 'bench residual', 'bench env',
                     'bench tracker', 'bench parity', 'doctor', 'report'}


def test_option_that_is_given_twice_is_refused_instead_of_dropped(work, capsys):
    assert main_module.run(['bench', 'work', '--task', 'x', '--task=y']) == 2
    assert '--task is given 2 times; allowed: once' in capsys.readouterr().err
