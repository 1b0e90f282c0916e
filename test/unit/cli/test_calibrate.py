# SPDX-License-Identifier: Apache-2.0
"""Tests of `ocrrl calibrate` on drawn pictures, without ROS."""
import json
import re

from board_pictures import CAMERA, Rig
import numpy as np
from ocrrl_ros.cli.main import run
from ocrrl_ros.perception.calibration.board import BoardConfig, CalibrationBoard
from ocrrl_ros.perception.calibration.samples import SampleFolder, SessionHead
import pytest
import yaml

TAGS = BoardConfig(kind='apriltag', columns=4, rows=3, square_m=0.06, marker_m=0.045)


def record(path, mount, board=BoardConfig(), count=12, **arm):
    """Write a session of drawn pictures and return the camera's true pose."""
    rig = Rig(CalibrationBoard(board), mount, seed=6, **arm)
    folder = SampleFolder(path)
    folder.begin(SessionHead(mount=mount, board=board, camera=CAMERA))
    for pose in rig.poses(count):
        folder.add(rig.sample(pose))
    return rig.parent_T_camera


def solve(path, *options):
    """Return exit code and JSON of solving with the pictures of a folder."""
    result = path.parent / 'result.json'
    code = run(['calibrate', 'camera', '--solve-only', '--out', str(path), '--json', str(result),
                *options])
    return code, json.loads(result.read_text()) if result.exists() else None


@pytest.mark.parametrize(('mount', 'board'), [('fixed', BoardConfig()), ('wrist', TAGS)])
def test_a_good_session_gives_the_cameras_pose(tmp_path, mount, board, capsys):
    true = record(tmp_path / 'out', mount, board, arm_error_m=2e-4, arm_error_rad=2e-4)
    code, result = solve(tmp_path / 'out')
    assert (code, result['passed'], result['problems']) == (0, True, [])
    camera = yaml.safe_load((tmp_path / 'out' / 'camera.yaml').read_text())
    assert np.allclose(camera['parent_T_camera'][:3], true[:3], atol=4e-3)
    assert abs(np.dot(camera['parent_T_camera'][3:], true[3:])) > 1.0 - 1e-5
    assert (tmp_path / 'out' / 'corners.png').exists()
    assert 'camera.yaml' in capsys.readouterr().out.replace('\n', '')


def test_a_poor_session_fails_and_leaves_no_file_for_the_graph(tmp_path, capsys):
    record(tmp_path / 'out', 'fixed', count=6)
    code, result = solve(tmp_path / 'out')
    assert (code, result['passed']) == (1, False)
    said = capsys.readouterr().out.replace('\n', '')
    assert 'refused: 6 pictures agree; needed: 10' in said and 'out/corners.png' in said
    assert not list((tmp_path / 'out').glob('*.yaml'))


def test_a_picture_without_the_board_is_named(tmp_path):
    record(tmp_path / 'out', 'fixed')
    folder = SampleFolder(tmp_path / 'out')
    first = folder.read()[0]
    folder.add(type(first)(
        stamp_s=1.0, rgb=np.zeros_like(first.rgb), base_T_tcp=first.base_T_tcp))
    assert solve(tmp_path / 'out')[1]['unseen'] == ['sample_012']


@pytest.mark.parametrize(('options', 'message'), [
    (['--mount', 'wrist'], 'mount is wrist; the pictures of .*session.json are fixed'),
    (['--square-m', '0.034'], 'measured anew, correct it there')])
def test_options_that_contradict_the_pictures_are_refused(tmp_path, options, message, capsys):
    record(tmp_path / 'out', 'fixed', count=3)
    assert solve(tmp_path / 'out', *options)[0] == 1
    assert re.search(message, capsys.readouterr().err)


def test_a_folder_without_pictures_is_refused(tmp_path, capsys):
    assert solve(tmp_path / 'none')[0] == 1
    assert 'holds no pictures of a calibration' in capsys.readouterr().err
    SampleFolder(tmp_path / 'begun').begin(
        SessionHead(mount='fixed', board=BoardConfig(), camera=CAMERA))
    assert solve(tmp_path / 'begun')[0] == 1
    assert 'there are 0 samples; allowed: >= 3' in capsys.readouterr().err


def test_fewer_pictures_than_must_agree_are_refused(capsys):
    assert run(['calibrate', 'camera', '--samples', '6']) == 2
    assert 'samples is 6; allowed: >= min_samples, 10' in capsys.readouterr().err


def test_a_board_is_written_to_print(tmp_path):
    path = tmp_path / 'board.pdf'
    assert run(['calibrate', 'board', '--out', str(path), '--rows', '4']) == 0
    assert path.read_bytes().startswith(b'%PDF')
    assert run(['calibrate', 'board', '--square-m', '0.05', '--marker-m', '0.04',
                '--out', str(path)]) == 2
