# SPDX-License-Identifier: Apache-2.0
"""Tests of `ocrrl report`."""
import json

from ocrrl_ros.cli.main import run
import pytest


def make_result():
    """Make the smallest result that a report accepts."""
    return {'task': 'cube_lift', 'domain': 'sim', 'policy': 'base', 'poses': 'truth',
            'episodes': 2, 'successes': 1, 'rate': 0.5, 'wilson95': [0.1, 0.9]}


def test_report_is_written_from_single_and_joined_results(tmp_path):
    (tmp_path / 'one.json').write_text(json.dumps(make_result()))
    (tmp_path / 'two.json').write_text(json.dumps({'results': [make_result(), make_result()]}))
    out = tmp_path / 'report.html'
    assert run(['report', '--results', str(tmp_path / 'one.json'), str(tmp_path / 'two.json'),
                '--out', str(out)]) == 0
    assert out.read_text().count('1 / 2') == 3


@pytest.mark.parametrize(('text', 'message'), [
    ('{', 'no JSON'), ('[1]', 'no results'), ('{"task": "x"}', 'it lacks domain')])
def test_files_without_results_are_refused_by_name(tmp_path, capsys, text, message):
    path = tmp_path / 'bad.json'
    path.write_text(text)
    assert run(['report', '--results', str(path), '--out', str(tmp_path / 'r.html')]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'r.html').exists()


def test_a_report_of_nothing_is_wrong_usage(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(['report']) == 2
    assert 'docs/results' in capsys.readouterr().err
