# SPDX-License-Identifier: Apache-2.0
"""Tests of the check of a downloaded pair of FoundationPose networks."""
import json

from analytic_pose_networks import analytic_refiner, analytic_scorer
import cv2
from ocrrl_ros.cli.main import run
import pytest


@pytest.fixture
def pair(tmp_path):
    """Return options that name a pair which computes what the real one has learned."""
    (tmp_path / 'refine.onnx').write_bytes(analytic_refiner())
    (tmp_path / 'score.onnx').write_bytes(analytic_scorer())
    return ['--refine-model', str(tmp_path / 'refine.onnx'),
            '--score-model', str(tmp_path / 'score.onnx')]


def check(tmp_path, *options):
    """Return exit code and result of the command."""
    path = tmp_path / 'result.json'
    code = run(['bench', 'foundation-pose', '--sequences', '1', '--frames', '3',
                '--json', str(path), *options])
    return code, json.loads(path.read_text()) if path.exists() else None


def test_a_pair_that_works_passes(tmp_path, pair, capsys):
    code, result = check(tmp_path, *pair)
    assert (code, result['passed'], result['object']) == (0, True, 'block')
    assert (result['register']['n'], result['track']['n']) == (1, 3)
    assert result['register']['position_mm']['p50'] < 5.0
    assert result['track']['rotation_deg']['p95'] < 5.0
    assert 'register' in capsys.readouterr().out


def test_networks_that_change_nothing_fail(tmp_path, pair):
    """Without a refinement the object is where its mask is, turned as the grid has it."""
    idle = analytic_refiner(reach=0.0)
    (tmp_path / 'refine.onnx').write_bytes(idle)
    code, result = check(tmp_path, *pair)
    assert (code, result['passed']) == (1, False)
    assert result['register']['good_share'] == 0.0


def test_what_is_missing_is_named(tmp_path, pair, capsys):
    assert check(tmp_path)[0] == 2
    assert 'refine_model is not given' in capsys.readouterr().err
    assert check(tmp_path, *pair[:2], '--score-model', 'none.onnx')[0] == 1
    assert 'none.onnx' in capsys.readouterr().err
    assert check(tmp_path, *pair, '--mesh', 'none.ply')[0] == 2
    assert 'none.ply is no mesh that can be read' in capsys.readouterr().err


def test_the_tracker_bench_takes_both_models_or_none(tmp_path, pair, capsys):
    assert run(['bench', 'tracker', *pair[:2]]) == 2
    assert "score_model ''; allowed: both or none" in capsys.readouterr().err
    assert run(['bench', 'tracker', '--domains', 'sim', '--depth-biases', '0', '--rows', 'rest',
                '--sequences', '1', '--pictures', str(tmp_path / 'worst.png'), *pair]) == 0
    assert 'cube' in capsys.readouterr().out
    sheet = cv2.imread(str(tmp_path / 'worst.png'))
    assert sheet.shape[0] > 100 and sheet.std() > 10.0
