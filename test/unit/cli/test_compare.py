# SPDX-License-Identifier: Apache-2.0
"""`ocrrl compare` and `ocrrl domains`."""
import json
from pathlib import Path

from ocrrl_ros.cli.main import run
import pytest


def write(path: Path, outcomes: list[bool], **changed: object) -> str:
    """Write a result and return its path."""
    result = {
        'task': 'cube_lift', 'domain': 'proxy', 'policy': 'residual', 'poses': 'perceived',
        'episodes': len(outcomes), 'successes': sum(outcomes), 'seed': 10_000,
        'rate': sum(outcomes) / len(outcomes), 'wilson95': [0.0, 1.0], 'outcomes': outcomes,
        'init_sha256': [f'{index}' for index in range(len(outcomes))], 'domain_sha256': 'd' * 64}
    path.write_text(json.dumps(result | changed), encoding='utf-8')
    return str(path)


def test_two_residuals_on_the_same_episodes_give_a_paired_difference(tmp_path):
    first = write(tmp_path / 'a.json', [True] * 6 + [False] * 14)
    second = write(tmp_path / 'b.json', [True] * 16 + [False] * 4)
    out = tmp_path / 'c.json'
    assert run(['compare', first, second, '--json', str(out)]) == 0
    found = json.loads(out.read_text())
    assert found['difference'] == pytest.approx(-0.5)
    assert found['interval95'][0] < -0.5 < found['interval95'][1] < 0.0
    assert found['counts'] == {'both': 6, 'only_first': 0, 'only_second': 10, 'neither': 4}
    assert found['p_value'] == pytest.approx(2 * 0.5 ** 10)
    assert found['first']['file'] == first


@pytest.mark.parametrize(('changed', 'message'), [
    ({'domain': 'sim'}, "domain is 'proxy' in the first and 'sim' in the second"),
    ({'task': 'stand_cup'}, 'task is'), ({'domain_sha256': 'e' * 64}, 'domain_sha256'),
    ({'init_sha256': ['x', 'y']}, 'initial states differ')])
def test_results_of_other_episodes_are_not_paired(tmp_path, capsys, changed, message):
    first = write(tmp_path / 'a.json', [True, False])
    second = write(tmp_path / 'b.json', [True, True], **changed)
    assert run(['compare', first, second]) == 1
    assert message in capsys.readouterr().err


def test_file_with_several_results_is_refused(tmp_path, capsys):
    first = write(tmp_path / 'a.json', [True])
    (tmp_path / 'b.json').write_text(json.dumps({'results': [{}, {}]}))
    assert run(['compare', first, str(tmp_path / 'b.json')]) == 1
    assert '2 results' in capsys.readouterr().err


def test_domains_sample_writes_worlds_and_lists_what_is_outside(tmp_path, capsys):
    out, log = tmp_path / 'worlds', tmp_path / 'log.json'
    command = ['domains', 'sample', '--seed', '1', '--out', str(out), '--worlds', '1',
               '--new-looks', '1', '--json', str(log)]
    assert run(command) == 0
    assert len(list(out.glob('world_*.yaml'))) == 2
    assert json.loads(log.read_text()) == json.loads((out / 'draws.json').read_text())
    assert capsys.readouterr().out.count('outside training:') == 2


def test_domains_sample_needs_a_world_and_a_seed_from_zero_on(tmp_path, capsys):
    for words in (['--seed', '-1'], ['--seed', '1', '--worlds', '0', '--new-looks', '0']):
        assert run(['domains', 'sample', '--out', str(tmp_path), *words]) == 2
        assert 'allowed' in capsys.readouterr().err


def test_domains_seed_of_nothing_is_wrong_usage(capsys):
    assert run(['domains', 'seed']) == 2
    assert 'no bundles' in capsys.readouterr().err
