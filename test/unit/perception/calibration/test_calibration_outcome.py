# SPDX-License-Identifier: Apache-2.0
"""Tests of what a calibration leaves behind: files for nodes, a picture, a page to print."""
import re

from board_pictures import CAMERA, Rig
import cv2
from matplotlib.backends.backend_agg import FigureCanvasAgg
import numpy as np
from ocrrl_ros.core.errors import ConfigError, OcrrlError
from ocrrl_ros.perception.calibration.board import BoardConfig, CalibrationBoard
from ocrrl_ros.perception.calibration.outcome import describe, write_files, write_picture
from ocrrl_ros.perception.calibration.print_page import (
    draw_page, page_size, write_page)
from ocrrl_ros.perception.calibration.quality import calibrate
from ocrrl_ros.perception.calibration.samples import sight
import pytest
import yaml

BOARD = CalibrationBoard(BoardConfig())


@pytest.fixture(scope='module', params=['fixed', 'wrist'])
def session(request):
    """Return mount, true camera pose, calibration, sightings and samples of drawn pictures."""
    rig = Rig(BOARD, request.param, seed=4)
    samples = [rig.sample(pose) for pose in rig.poses(11)]
    sightings = [sight(sample, BOARD) for sample in samples]
    return (request.param, rig.parent_T_camera, calibrate(sightings, CAMERA, request.param),
            sightings, samples)


def test_the_parameter_file_is_what_the_pose_estimator_takes(session, tmp_path):
    mount, true, found, _, _ = session
    written = write_files(tmp_path, found, mount)
    camera = yaml.safe_load((tmp_path / 'camera.yaml').read_text())
    assert camera['mount'] == mount
    assert camera['parent_frame'] == {'fixed': 'base', 'wrist': 'fr3_hand_tcp'}[mount]
    assert np.allclose(camera['parent_T_camera'][:3], true[:3], atol=2e-3)
    assert [path.name for path in written] == ['camera.yaml', 'pose_estimator.yaml']
    parameters = yaml.safe_load((tmp_path / 'pose_estimator.yaml').read_text())
    assert parameters == {'/**/pose_estimator': {'ros__parameters': {
        {'fixed': 'base_T_camera', 'wrist': 'tcp_T_camera'}[mount]: camera['parent_T_camera']}}}


def test_a_refused_calibration_is_never_written(session, tmp_path):
    mount, _, found, sightings, _ = session
    poor = calibrate(sightings[:6], CAMERA, mount)
    with pytest.raises(OcrrlError, match='not written: 6 pictures agree'):
        write_files(tmp_path, poor, mount)
    assert list(tmp_path.iterdir()) == []


def test_the_result_names_every_picture(session):
    mount, _, found, _, _ = session
    names = [f'sample_{number:03d}' for number in range(11)]
    result = describe(found, mount, names, ['sample_011'])
    assert [row['name'] for row in result['samples']] + result['dropped'] == names
    assert result['unseen'] == ['sample_011']
    assert result['passed'] == found.accepted
    assert result['rms_px'] < 0.3


def test_the_sheet_shows_every_picture(session, tmp_path):
    mount, _, found, sightings, samples = session
    path = tmp_path / 'corners.png'
    write_picture(path, found, sightings, samples, [str(number) for number in range(11)])
    sheet = cv2.imread(str(path))
    assert sheet.shape == (3 * 240, 4 * 320, 3)
    with pytest.raises(OcrrlError, match='cannot write'):
        write_picture(tmp_path / 'none' / 'x.png', found, sightings, samples, ['0'] * 11)


@pytest.mark.parametrize(('board', 'paper'), [
    (BOARD, 'a4'), (BOARD, 'letter'),
    (CalibrationBoard(BoardConfig(
        kind='apriltag', columns=2, rows=2, square_m=0.08, marker_m=0.06)), 'a4')])
def test_a_board_is_printed_in_its_size(board, paper):
    figure, dpi = draw_page(board, paper), 254
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    view = board.detect(np.array(canvas.buffer_rgba())[..., :3])
    assert len(view.points) == len(board.points)
    # Ten pixels a millimetre.
    apart_px = np.linalg.norm(view.pixels - view.pixels[0], axis=1)
    apart_m = np.linalg.norm(view.points - view.points[0], axis=1)
    assert np.allclose(apart_px, apart_m * 1e4, atol=2.0)


def test_the_page_is_a_pdf_of_the_papers_size(tmp_path):
    path = tmp_path / 'out' / 'board.pdf'
    write_page(path, BOARD, 'a4')
    box = re.search(rb'/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]', path.read_bytes())
    # In points of 1/72 inch.
    assert [float(side) / 72 * 0.0254 for side in box.groups()] == pytest.approx(
        [0.297, 0.210], abs=1e-5)


def test_a_board_that_does_not_fit_is_refused(tmp_path):
    large = CalibrationBoard(BoardConfig(square_m=0.05, marker_m=0.04))
    with pytest.raises(ConfigError, match='350 x 250 mm does not fit on a4 .* papers: a4, a3'):
        write_page(tmp_path / 'board.pdf', large, 'a4')
    assert page_size(large, 'a3') == (0.420, 0.297)
