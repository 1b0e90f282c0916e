# SPDX-License-Identifier: Apache-2.0
"""Tests of hand-eye calibration on boards, cameras and arms whose truth is known."""
from board_pictures import CAMERA, Rig
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.perception.calibration.board import BoardConfig, CalibrationBoard
from ocrrl_ros.perception.calibration.hand_eye import (
    closed_form, ErrorModel, locate_board, parent_T_other, solve)
import pytest

BOARD = CalibrationBoard(BoardConfig())
MOUNTS = ('fixed', 'wrist')
# An arm that is off by this, 0.03 deg, is what `ErrorModel` expects or better.
ARM = {'arm_error_m': 0.0005, 'arm_error_rad': 0.0005}
ARM_MODEL = ErrorModel(pixel_std=0.1, arm_rotation_std_deg=np.degrees(0.0005))


def difference(found, true):
    """Return the distance in m and the angle in rad between poses (7,)."""
    moved = se3.pose_multiply(se3.pose_inverse(true), found)
    return np.linalg.norm(moved[:3]), np.linalg.norm(se3.quat_to_rotvec(moved[3:]))


def solved(rig, count=15, noise_px=0.1, errors=ARM_MODEL):
    """Return the solution from that many pictures."""
    return solve([rig.sighting(pose, noise_px) for pose in rig.poses(count)], CAMERA, rig.mount,
                 errors)


@pytest.mark.parametrize('mount', MOUNTS)
def test_without_errors_both_poses_are_exact(mount):
    rig = Rig(BOARD, mount, seed=3)
    found = solved(rig, 6, noise_px=0.0)
    for pose, true in ((found.parent_T_camera, rig.parent_T_camera),
                       (found.other_T_board, rig.other_T_board)):
        metres, radians = difference(pose, true)
        assert metres < 1e-8
        assert radians < 1e-8
    assert found.rms_px < 1e-6
    assert found.position_std_m.max() < 1e-7


@pytest.mark.parametrize('mount', MOUNTS)
def test_the_closed_form_alone_is_exact_without_errors(mount):
    rig = Rig(BOARD, mount, seed=5)
    poses = rig.poses(5)
    found = closed_form(
        np.array([parent_T_other(mount, pose) for pose in poses]),
        np.array([rig.camera_T_board(pose) for pose in poses]))
    assert max(difference(found, rig.parent_T_camera)) < 1e-9


def test_a_board_is_located_from_one_picture():
    rig = Rig(BOARD, 'fixed')
    pose = rig.poses(1)[0]
    found = locate_board(rig.sighting(pose, 0.0).view, CAMERA)
    assert max(difference(found, rig.camera_T_board(pose))) < 1e-5


@pytest.mark.parametrize('mount', MOUNTS)
def test_what_it_claims_to_know_is_what_it_knows(mount):
    """Over many calibrations the errors are as large as the standard deviations say."""
    claimed, actual = [], []
    for seed in range(30):
        rig = Rig(BOARD, mount, seed=seed, **ARM)
        found = solved(rig)
        metres, radians = difference(found.parent_T_camera, rig.parent_T_camera)
        actual.append((metres, radians))
        claimed.append((np.linalg.norm(found.position_std_m),
                        np.linalg.norm(found.rotation_std_rad)))
    ratio = np.sqrt((np.square(actual) / np.square(claimed)).mean(axis=0))
    assert np.all((0.6 < ratio) & (ratio < 1.6))


def test_telling_it_of_the_arms_errors_helps():
    """Pixels alone weigh range and tilt wrongly; most of what does not fit is the arm's."""
    told, untold = [], []
    pixels_alone = ErrorModel(arm_position_std_mm=0.0, arm_rotation_std_deg=0.0)
    for seed in range(20):
        for errors, kept in ((ARM_MODEL, told), (pixels_alone, untold)):
            rig = Rig(BOARD, 'fixed', seed=seed, **ARM)
            kept.append(difference(
                solved(rig, errors=errors).parent_T_camera, rig.parent_T_camera)[0])
    assert np.median(told) < 0.75 * np.median(untold)


def test_a_picture_that_contradicts_shows_when_it_is_left_out():
    rig = Rig(BOARD, 'wrist', seed=2, **ARM)
    sightings = [rig.sighting(pose) for pose in rig.poses(12)]
    shifted = sightings[7].base_T_tcp + np.array([0.02, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    sightings[7] = type(sightings[7])(view=sightings[7].view, base_T_tcp=shifted)
    found = solve(sightings, CAMERA, 'wrist', ARM_MODEL)
    assert np.argmax(found.left_out_px) == 7
    assert found.left_out_px[7] > 5.0 * np.median(found.left_out_px)


def test_turning_about_one_axis_only_is_refused():
    rig = Rig(BOARD, 'fixed', seed=1)
    middle = rig.poses(1)[0]
    turns = [se3.pose_multiply(middle, se3.pose(
        np.zeros(3), se3.quat_from_rotvec(np.array([0.0, 0.0, angle]))))
        for angle in np.linspace(-0.4, 0.4, 6)]
    with pytest.raises(InputError, match='fewer than two axes'):
        solve([rig.sighting(pose, 0.0) for pose in turns], CAMERA, 'fixed')


def test_too_few_pictures_are_refused():
    rig = Rig(BOARD, 'fixed')
    with pytest.raises(InputError, match='there are 2 samples; allowed: >= 3'):
        solve([rig.sighting(pose) for pose in rig.poses(2)], CAMERA, 'fixed')


@pytest.mark.parametrize(('settings', 'message'), [
    ({'pixel_std': 0.0}, 'pixel_std is 0.0 px; allowed: > 0'),
    ({'arm_position_std_mm': -1.0}, 'arm_position_std_mm is -1.0; allowed: >= 0'),
    ({'arm_rotation_std_deg': float('nan')}, 'arm_rotation_std_deg is nan')])
def test_errors_without_meaning_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        ErrorModel(**settings)
