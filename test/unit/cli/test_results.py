# SPDX-License-Identifier: Apache-2.0
"""Tests of `ocrrl results` with a made-up protocol; nothing is simulated."""
import json
from pathlib import Path
import sys

from ocrrl_ros.cli import cell_commands, results
from ocrrl_ros.cli.cell_commands import run_for, unbuilt
from ocrrl_ros.cli.main import run
from ocrrl_ros.evaluation.provenance import GitState
from ocrrl_ros.evaluation.results.cells import load_plan
import pytest

PLAN = """
sections: [{key: sim, title: Sim}]
groups:
  - {name: 'one_{seed}', section: sim, row: one, command: evaluate, minutes: 2,
     options: {policy: base, base: expert, poses: truth, episodes: 3, seed: '{seed}'},
     over: {seed: [1, 2]}}
  - {name: train, section: sim, row: t, command: train residual, minutes: 9, n: 5,
     options: {task: cube_lift, out: made/bundle}}
  - {name: later, section: sim, row: l, command: evaluate, minutes: 1,
     options: {hammer: 1, episodes: 3}}
  - {name: waiting, section: sim, row: w, command: evaluate, minutes: 1,
     options: {episodes: 3, residual: nowhere/bundle}}
"""


@pytest.fixture
def protocol(tmp_path, monkeypatch):
    """Return a call of `ocrrl results` in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    Path('cells.yaml').write_text(PLAN)

    def call(*options):
        code = run(['results', '--cells', 'cells.yaml', '--json', 'out.json', *options])
        return code, json.loads(Path('out.json').read_text())
    return call


@pytest.fixture
def commands(monkeypatch):
    """Answer in place of the commands and note them."""
    ran = []

    def answer(command, seconds):
        ran.append((command, seconds))
        path = Path(command[command.index('--json') + 1])
        path.parent.mkdir(parents=True, exist_ok=True)
        cell = next(cell for cell in load_plan(Path('cells.yaml')).cells()
                    if cell.name == path.stem)
        if cell.makes:
            Path(cell.makes + '.run').mkdir(parents=True, exist_ok=True)
            Path(cell.makes + '.run', 'curve.csv').write_text('steps\n1\n')
        path.write_text(json.dumps({'passed': True}))
        return 0

    monkeypatch.setattr(cell_commands, 'run_for', answer)
    return ran


def test_listing_runs_nothing(protocol, commands, capsys):
    code, result = protocol('--list')
    assert (code, commands) == (0, [])
    assert result['cells']['later'] == 'not built yet'
    shown = capsys.readouterr().out
    assert 'later  1 min  not built yet: ' in shown
    assert 'nowhere/bundle is missing' in shown
    assert '0 of 5 cells are done' in shown


def test_cells_run_once_each_and_their_origin_is_noted(protocol, commands):
    code, result = protocol('--only', 'train')
    assert (code, len(commands)) == (0, 1)
    noted = json.loads(Path('docs/results/train.json').read_text())['cell']
    assert noted['command'] == 'ocrrl train residual --task cube_lift --out made/bundle'
    assert noted['inputs'] == {'task': 'cube_lift'}
    assert Path('docs/results/curves/train.csv').read_text() == 'steps\n1\n'
    assert result['cells'] == {'train': 'done'}
    protocol('--only', 'train')
    assert len(commands) == 1


def test_cells_that_cannot_be_run_are_left_alone(protocol, commands):
    protocol()
    names = [Path(command[-1]).stem for command, _ in commands]
    assert names == ['one_1', 'one_2', 'train']


def test_a_cell_that_fails_does_not_stop_the_others(protocol, monkeypatch):
    monkeypatch.setattr(cell_commands, 'run_for', lambda command, seconds: 1)
    code, result = protocol()
    assert code == 1
    assert result['failed'] == {'one_1': 1, 'one_2': 1, 'train': 1}


def test_the_deadline_ends_the_run_and_what_was_used_is_remembered(protocol, monkeypatch):
    monkeypatch.setattr(cell_commands, 'run_for', lambda command, seconds: 130)
    code, result = protocol('--max-minutes', '5')
    assert (code, result['failed']) == (0, {})
    assert [path.stem for path in Path('out/results/journal').glob('*.json')] == ['one_1']


def test_a_command_gets_what_is_left_of_the_time(protocol, commands):
    protocol('--max-minutes', '5', '--only', 'train')
    assert 0 < commands[0][1] <= 300
    assert protocol('--max-minutes', '0.5', '--only', 'one_1')[1]['cells'] == {
        'one_1': 'not run yet'}


@pytest.mark.parametrize(('options', 'code'), [(['--max-minutes', '0'], 2), (['--only', 'x'], 1)])
def test_wrong_options_are_refused(protocol, options, code):
    assert run(['results', '--cells', 'cells.yaml', *options]) == code


def test_report_seeds_on_a_dirty_tree_are_refused_once_and_before_any_cell(
        protocol, commands, monkeypatch, capsys):
    monkeypatch.setattr(results, 'read_git_state', lambda: GitState('abc', True))
    Path('cells.yaml').write_text(PLAN.replace('seed: [1, 2]', 'seed: [1, 1000000]'))
    assert run(['results', '--cells', 'cells.yaml']) == 2
    assert commands == []
    assert 'commit first' in capsys.readouterr().err


def test_a_command_without_an_option_is_not_built(protocol):
    reasons = {cell.name: unbuilt(cell) for cell in load_plan(Path('cells.yaml')).cells()}
    assert "unknown key 'hammer'" in reasons['later']
    assert reasons['one_1'] == reasons['waiting'] == ''


def test_a_process_is_asked_to_stop_when_its_time_is_over(tmp_path):
    code = ('import pathlib, signal, sys, time\n'
            'def leave(*_):\n    pathlib.Path(sys.argv[1]).write_text("kept")\n    sys.exit(130)\n'
            'signal.signal(signal.SIGTERM, leave)\n'
            'pathlib.Path(sys.argv[1]).write_text("begun")\ntime.sleep(600)\n')
    kept = tmp_path / 'kept'
    assert run_for([sys.executable, '-c', code, str(kept)], 8.0) == 130
    assert kept.read_text() == 'kept'


def test_exit_codes_pass_through():
    assert run_for([sys.executable, '-c', 'raise SystemExit(3)'], None) == 3
