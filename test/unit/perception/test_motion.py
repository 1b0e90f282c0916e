# SPDX-License-Identifier: Apache-2.0
"""The motion filter predicts constant velocity and says how sure it is."""

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception.motion import MotionConfig, MotionFilter
from ocrrl_ros.perception.rotation import rotation_exp, rotation_log
import pytest

TIGHT = np.diag([1e-8] * 3 + [1e-6] * 3)


def followed(frames, velocity, spin, config=None):
    """Return a filter that has seen exact poses of a constant motion at 30 Hz."""
    motion = MotionFilter(config or MotionConfig())
    motion.start(np.eye(3), np.zeros(3), TIGHT, 0.0)
    for number in range(1, frames):
        time_s = number / 30.0
        motion.predict(time_s)
        motion.correct(rotation_exp(spin * time_s), velocity * time_s, TIGHT)
    return motion


def test_prediction_follows_a_constant_motion():
    velocity, spin = np.array([0.3, 0.0, -0.1]), np.array([0.0, 1.5, 0.0])
    motion = followed(8, velocity, spin)
    motion.predict(8 / 30.0)
    np.testing.assert_allclose(motion.translation, velocity * 8 / 30.0, atol=1.5e-3)
    error = rotation_log(motion.rotation @ rotation_exp(-spin * 8 / 30.0))
    assert np.linalg.norm(error) < 0.01


def test_covariance_grows_while_nothing_is_seen_and_stays_positive():
    motion = followed(5, np.zeros(3), np.zeros(3))
    traces = []
    for number in range(5, 12):
        motion.predict(number / 30.0)
        traces.append(np.trace(motion.pose_covariance))
        assert np.linalg.eigvalsh(motion.pose_covariance).min() > 0.0
    assert np.all(np.diff(traces) > 0.0)


def test_unseen_motion_fades():
    motion = followed(8, np.array([0.3, 0.0, 0.0]), np.zeros(3))
    for number in range(8, 60):
        motion.predict(number / 30.0)
    assert np.linalg.norm(motion.rate) < 0.02


def test_earlier_stamps_change_nothing():
    motion = followed(5, np.array([0.1, 0.0, 0.0]), np.zeros(3))
    before = motion.translation.copy()
    motion.predict(0.0)
    np.testing.assert_array_equal(motion.translation, before)


def test_a_lead_moves_the_pose_on_and_leaves_the_state_alone():
    velocity, spin = np.array([0.3, 0.0, -0.1]), np.array([0.0, 1.5, 0.0])
    motion = followed(8, velocity, spin, MotionConfig(max_lead_s=0.1))
    before = motion.translation.copy(), motion.pose_covariance.copy()
    moved, growth = motion.lead(7 / 30.0 + 0.06)
    asked = 0.06 * np.concatenate([velocity, spin])
    np.testing.assert_allclose(moved, asked, rtol=0.12, atol=1e-9)
    assert np.linalg.eigvalsh(growth).min() > 0.0
    np.testing.assert_array_equal(motion.translation, before[0])
    np.testing.assert_array_equal(motion.pose_covariance, before[1])


def test_a_lead_ends_at_its_maximum_and_never_goes_back():
    motion = followed(8, np.array([0.3, 0.0, 0.0]), np.zeros(3), MotionConfig(max_lead_s=0.05))
    at_most = motion.lead(7 / 30.0 + 0.05)[0]
    np.testing.assert_allclose(motion.lead(9.0)[0], at_most, rtol=1e-9)
    assert not motion.lead(0.0)[0].any()


def test_without_a_lead_poses_are_as_seen():
    motion = followed(8, np.array([0.3, 0.0, 0.0]), np.zeros(3))
    assert not motion.lead(1.0)[0].any()


@pytest.mark.parametrize('lead_s', [-0.01, 0.21])
def test_leads_longer_than_a_prediction_are_refused(lead_s):
    with pytest.raises(ConfigError, match='max_lead_s'):
        MotionConfig(max_lead_s=lead_s)


def test_negative_acceleration_is_refused():
    with pytest.raises(ConfigError, match='acceleration_m_s2'):
        MotionConfig(acceleration_m_s2=-1.0)


def test_a_slow_motion_is_not_believed():
    motion = followed(8, np.array([0.005, 0.0, 0.0]), np.zeros(3), MotionConfig(max_lead_s=0.1))
    assert motion.rate[0] > 0.003
    assert np.linalg.norm(motion.lead(1.0)[0][:3]) < 0.05 * 0.1 * motion.rate[0]
