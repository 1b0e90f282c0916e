# SPDX-License-Identifier: Apache-2.0
"""Tests of what a calibration is refused for."""
import re

from board_pictures import CAMERA, Rig
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception.calibration.board import BoardConfig, CalibrationBoard
from ocrrl_ros.perception.calibration.hand_eye import Sighting
from ocrrl_ros.perception.calibration.quality import (
    calibrate, CalibrationLimits, tilt_spread_deg)
import pytest

BOARD = CalibrationBoard(BoardConfig())
ARM = {'arm_error_m': 0.0003, 'arm_error_rad': 0.0004}


def sightings(count=15, tilt_deg=25.0, seed=1, mount='fixed', **arm):
    """Return pictures of a board by an arm that errs a little."""
    rig = Rig(BOARD, mount, seed=seed, **(arm or ARM))
    return [rig.sighting(pose) for pose in rig.poses(count, tilt_deg)]


def slipped(sighting, metres):
    """Return a picture whose arm was elsewhere than it said."""
    return Sighting(view=sighting.view, base_T_tcp=se3.pose_multiply(
        sighting.base_T_tcp, se3.pose(np.array([metres, 0, 0]), se3.pose_identity()[3:])))


def test_a_good_session_is_accepted_as_it_is():
    found = calibrate(sightings(), CAMERA, 'fixed')
    assert found.accepted
    assert found.kept == tuple(range(15))
    assert found.dropped == ()
    assert 0.0 < found.position_std_mm < 2.0
    assert 0.0 < found.rotation_std_deg < 0.3


def test_pictures_that_contradict_the_others_are_left_out():
    good = sightings()
    bad = [slipped(item, 0.03) if index in (4, 9) else item for index, item in enumerate(good)]
    found = calibrate(bad, CAMERA, 'fixed')
    assert found.dropped == (4, 9)
    assert found.accepted
    expected = calibrate([item for index, item in enumerate(good) if index not in (4, 9)],
                         CAMERA, 'fixed').solution.parent_T_camera
    assert np.allclose(found.solution.parent_T_camera, expected, atol=1e-6)


def test_a_session_of_which_much_contradicts_is_refused():
    bad = [slipped(item, 0.02 * (index % 3)) for index, item in enumerate(sightings())]
    found = calibrate(bad, CAMERA, 'fixed')
    assert not found.accepted
    assert len(found.dropped) <= 3
    assert any('corners are off by' in problem for problem in found.problems)


def test_none_is_left_out_where_none_may_be():
    bad = [slipped(item, 0.03) if index == 4 else item for index, item in enumerate(sightings())]
    found = calibrate(bad, CAMERA, 'fixed', limits=CalibrationLimits(max_dropped_share=0.0))
    assert found.dropped == ()
    assert not found.accepted


def test_a_camera_that_is_called_fixed_and_is_on_the_wrist_is_refused():
    assert not calibrate(sightings(mount='wrist'), CAMERA, 'fixed').accepted


@pytest.mark.parametrize(('settings', 'problem'), [
    ({'count': 8}, '8 pictures agree; needed: 10'),
    ({'tilt_deg': 8.0}, 'the hand was tilted by .* deg about its second axis; needed: 7 deg'),
    ({'arm_error_m': 0.004, 'arm_error_rad': 0.004}, "the camera's position is known to")])
def test_a_poor_session_is_refused_by_what_it_lacks(settings, problem):
    problems = ' | '.join(calibrate(sightings(**settings), CAMERA, 'fixed').problems)
    assert re.search(problem, problems), problems


def test_the_spread_of_turns_is_that_of_the_angles():
    angles = np.radians(np.linspace(-20.0, 20.0, 41))
    turns = np.array([se3.pose(np.zeros(3), se3.quat_from_rotvec(np.array([angle, 0, 0])))
                      for angle in angles])
    spread = tilt_spread_deg(turns)
    assert spread[0] == pytest.approx(np.degrees(angles.std()), rel=1e-6)
    assert spread[1] < 1e-6
    assert np.array_equal(tilt_spread_deg(turns[:2]), np.zeros(3))


@pytest.mark.parametrize(('settings', 'message'), [
    ({'min_samples': 3}, 'min_samples is 3; allowed: >= 4'),
    ({'max_rms_px': 0.0}, 'max_rms_px is 0.0; allowed: > 0'),
    ({'max_dropped_share': 0.6}, r'max_dropped_share is 0.6; allowed: 0 \.\. 0.5')])
def test_limits_without_meaning_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        CalibrationLimits(**settings)
