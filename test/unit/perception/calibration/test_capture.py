# SPDX-License-Identifier: Apache-2.0
"""Tests of when a picture of a board counts, and of the advice to whoever moves the arm."""
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception.calibration.board import BoardView
from ocrrl_ros.perception.calibration.capture import CaptureConfig, CaptureGuide
import pytest

Q = np.array([0.0, -0.5, 0.0, -2.0, 0.0, 1.5, 0.8])
HERE = np.array([0.5, 0.0, 0.4, 1.0, 0.0, 0.0, 0.0])


def view(points=24):
    """Return a sighting of that many points."""
    return BoardView(points=np.zeros((points, 3)), pixels=np.zeros((points, 2)))


def tilted(x_deg=0.0, y_deg=0.0, shift_m=0.0):
    """Return a pose tilted away from `HERE`."""
    turn = se3.quat_from_rotvec(np.radians([x_deg, y_deg, 0.0]))
    return se3.pose_multiply(HERE, se3.pose(np.array([shift_m, 0.0, 0.0]), turn))


def standing_guide(poses=(), **settings):
    """Return a guide of an arm that has stood still for a second, at t = 1 s."""
    guide = CaptureGuide(CaptureConfig(**settings), 24, list(poses))
    guide.follow(0.0, Q)
    guide.follow(1.0, Q + 1e-4)
    return guide


def test_a_picture_counts_once_the_arm_has_stood_still():
    guide = standing_guide()
    assert guide.judge(0.5, view(), HERE).text == 'hold still'
    assert guide.judge(1.0, view(), HERE).take
    guide.follow(1.1, Q + 0.01)
    assert guide.judge(1.2, view(), HERE).text == 'hold still'
    assert guide.judge(2.0, view(), HERE).take


def test_slow_creeping_is_no_standing_still():
    guide = standing_guide()
    for step in range(200):
        guide.follow(1.0 + 0.01 * step, Q + 0.0005 * step)
        assert not guide.judge(1.0 + 0.01 * step, view(), HERE).take or step < 4


def test_a_picture_from_before_the_arm_stood_still_does_not_count():
    guide = standing_guide()
    guide.follow(5.0, Q + 0.1)
    assert not guide.judge(4.9, view(), HERE).take


def test_a_clock_that_runs_back_starts_the_wait_anew():
    guide = standing_guide()
    guide.follow(-10.0, Q)
    assert not guide.judge(-9.5, view(), HERE).take
    assert guide.judge(-9.0, view(), HERE).take


@pytest.mark.parametrize('seen', [None, view(11)])
def test_too_little_of_the_board_does_not_count(seen):
    advice = standing_guide().judge(1.0, seen, HERE)
    assert not advice.take
    assert 'of 24 points of the board are seen' in advice.text


def test_without_joint_positions_nothing_counts():
    guide = CaptureGuide(CaptureConfig(), 24)
    assert guide.judge(1.0, view(), HERE).text == 'no joint positions yet'


def test_the_same_place_does_not_count_twice():
    guide = standing_guide()
    guide.note(HERE)
    assert not guide.judge(1.0, view(), HERE).take
    assert guide.judge(1.0, view(), tilted(shift_m=0.031)).take
    assert guide.judge(1.0, view(), tilted(x_deg=8.5)).take
    assert not guide.judge(1.0, view(), tilted(x_deg=7.0, shift_m=0.02)).take


def test_the_advice_follows_what_is_missing():
    assert 'tilt the hand by 20' in standing_guide([HERE]).next_step()
    flat = [tilted(shift_m=0.04 * step) for step in range(4)]
    assert 'tilt the hand further' in standing_guide(flat).next_step()
    one_axis = [tilted(x_deg=angle) for angle in (-25, -10, 10, 25)]
    assert 'about another axis' in standing_guide(one_axis).next_step()
    both = one_axis + [tilted(y_deg=angle) for angle in (-25, -10, 10, 25)]
    assert 'another place and distance' in standing_guide(both).next_step()


def test_it_is_done_when_there_are_enough():
    guide = standing_guide([tilted(shift_m=0.1 * step) for step in range(3)], samples=4)
    assert (guide.taken, guide.is_done) == (3, False)
    guide.note(HERE)
    assert guide.is_done


@pytest.mark.parametrize(('settings', 'message'), [
    ({'samples': 3}, r'samples is 3; allowed: 4 \.\. 500'),
    ({'settle_s': 0.0}, 'settle_s is 0.0; allowed: > 0'),
    ({'min_points_share': 1.5}, 'min_points_share is 1.5')])
def test_settings_without_meaning_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        CaptureConfig(**settings)
