# SPDX-License-Identifier: Apache-2.0
"""Tests of finding printed boards in pictures whose truth is known."""
from board_pictures import CAMERA, picture
import cv2
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError, InputError, MissingDependencyError, UnknownNameError
from ocrrl_ros.perception.calibration import board as board_module
from ocrrl_ros.perception.calibration.board import BoardConfig, CalibrationBoard
import pytest

CHARUCO = BoardConfig()
TAGS = BoardConfig(kind='apriltag', columns=3, rows=2, square_m=0.08, marker_m=0.055)
ONE_TAG = BoardConfig(kind='apriltag', columns=1, rows=1, square_m=0.13, marker_m=0.12)
TILTED = se3.pose(
    np.array([-0.08, -0.05, 0.55]), se3.quat_from_rotvec(np.array([0.35, -0.3, 0.2])))


def seen_minus_true(board, camera_T_board, view):
    """Return the error of each point found, px."""
    return view.pixels - CAMERA.project(se3.pose_transform(camera_T_board, view.points))


@pytest.mark.parametrize(('config', 'count', 'largest_px'), [
    (CHARUCO, 24, 0.2), (TAGS, 24, 0.6), (ONE_TAG, 4, 0.6)])
def test_points_are_found_where_they_are(config, count, largest_px):
    board = CalibrationBoard(config)
    view = board.detect(picture(board, TILTED, rng=np.random.default_rng(0)))
    assert len(view.points) == len(board.points) == count
    errors = seen_minus_true(board, TILTED, view)
    assert np.linalg.norm(errors, axis=1).max() < largest_px
    assert np.abs(errors.mean(axis=0)).max() < 0.1


def test_a_board_that_is_partly_out_of_the_picture_is_told_by_what_is_seen():
    board = CalibrationBoard(CHARUCO)
    aside = TILTED + np.array([0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    view = board.detect(picture(board, aside))
    assert 4 <= len(view.points) < 24
    assert np.linalg.norm(seen_minus_true(board, aside, view), axis=1).max() < 0.2


def test_a_picture_without_the_board_shows_none():
    grey = np.full((480, 640, 3), 120, np.uint8)
    assert all(CalibrationBoard(config).detect(grey) is None for config in (CHARUCO, TAGS))
    other = CalibrationBoard(BoardConfig(dictionary='DICT_6X6_250'))
    assert CalibrationBoard(CHARUCO).detect(picture(other, TILTED)) is None


def test_tags_that_are_not_on_the_board_are_passed_over():
    larger = CalibrationBoard(BoardConfig(
        kind='apriltag', columns=3, rows=3, square_m=0.08, marker_m=0.055))
    view = CalibrationBoard(TAGS).detect(picture(larger, TILTED))
    assert len(view.points) == 24


@pytest.mark.parametrize('config', [CHARUCO, TAGS])
def test_the_drawing_has_the_size_of_the_board(config):
    drawn = CalibrationBoard(config).draw(px_per_m=2000.0)
    width, height = config.size_m
    assert drawn.shape == (round(height * 2000), round(width * 2000))
    assert set(np.unique(drawn)) == {0, 255}


def test_old_boards_with_even_rows_differ():
    old, new = (CalibrationBoard(BoardConfig(rows=6, legacy_pattern=legacy)).draw(1000.0)
                for legacy in (True, False))
    assert not np.array_equal(old, new)


@pytest.mark.parametrize(('settings', 'message'), [
    ({'columns': 2}, 'columns is 2; allowed for charuco: 3'),
    ({'kind': 'apriltag', 'rows': 0}, 'rows is 0; allowed for apriltag: 1'),
    ({'marker_m': 0.035}, 'marker_m is 0.035 m and square_m 0.035 m'),
    ({'square_m': 2.0}, 'square_m 2.0 m'),
    ({'columns': 30, 'rows': 30}, 'has 100 markers; a board of 30 x 30 needs 450')])
def test_boards_that_cannot_exist_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        BoardConfig(**settings)


def test_an_unknown_dictionary_is_refused_with_those_that_exist():
    with pytest.raises(UnknownNameError, match='DICT_9X9.*DICT_APRILTAG_36h11'):
        BoardConfig(dictionary='DICT_9X9')


@pytest.mark.parametrize('rgb', [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_what_is_no_picture_is_refused(rgb):
    with pytest.raises(InputError, match=r'allowed: \(H, W, 3\) uint8'):
        CalibrationBoard(CHARUCO).detect(rgb)


def test_an_opencv_without_boards_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(board_module, 'cv2', type('Old', (), {'__version__': '4.6.0'}))
    with pytest.raises(MissingDependencyError, match='OpenCV 4.8 .*4.6.0.*pip install'):
        BoardConfig()
    assert hasattr(cv2.aruco, 'CharucoDetector')
