# SPDX-License-Identifier: Apache-2.0
"""Poses expire, losses clear validity at once, and the gain fades and returns."""

import numpy as np
from ocrrl_ros.core.se3 import pose_identity
from ocrrl_ros.policy.object_poses import ObjectPoseBuffer
import pytest

POSE = np.array([0.5, 0.1, 0.02, 0.0, 0.0, 0.0, 1.0])


def _buffer(n=1, objects=1):
    buffer = ObjectPoseBuffer(n, objects)
    buffer.reset(slice(None), 0.0)
    return buffer


def test_pose_is_valid_until_its_stamp_is_too_old():
    buffer = _buffer()
    buffer.update(0, 0, POSE, 1.0)
    view = buffer.query(1.2)
    assert view.valid[0, 0] and np.allclose(view.poses[0, 0], POSE)
    assert np.isclose(view.age_s[0, 0], 0.2)
    late = buffer.query(1.201)
    assert not late.valid[0, 0] and (late.poses[0, 0] == pose_identity()).all()


def test_lost_is_invalid_at_once_until_the_next_pose():
    buffer = _buffer()
    buffer.update(0, 0, POSE, 1.0)
    buffer.mark_lost(0, 0)
    assert not buffer.query(1.0).valid[0, 0]
    buffer.update(0, 0, POSE, 1.05)
    assert buffer.query(1.05).valid[0, 0]


def test_older_pose_does_not_replace_a_newer_one():
    buffer = _buffer()
    buffer.update(0, 0, POSE, 1.0)
    buffer.update(0, 0, POSE + [1, 0, 0, 0, 0, 0, 0], 0.9)
    assert buffer.query(1.0).poses[0, 0, 0] == 0.5


def _gains(buffer, start_s, stop_s, rate_hz):
    found = {}
    for now in np.arange(start_s, stop_s + 1e-9, 1.0 / rate_hz):
        buffer.query(now)
        found[round(float(now), 3)] = buffer.gain()[0]
    return found


@pytest.mark.parametrize('rate_hz', [20, 50, 200])
def test_gain_fades_after_the_tolerance_at_any_tick_rate(rate_hz):
    buffer = _buffer()
    buffer.update(0, 0, POSE, 0.0)
    gains = _gains(buffer, 0.0, 1.2, rate_hz)
    assert gains[0.7] == 1.0  # valid until 0.2, then 0.5 of tolerance
    assert 0.25 < gains[0.9] < 0.45
    assert gains[1.1] == 0.0


def test_without_any_pose_there_is_never_a_gain():
    assert set(_gains(_buffer(), 0.0, 1.0, 50).values()) == {0.0}


def test_gain_rises_with_the_first_pose_and_returns_with_later_ones():
    for waited_s in (0.0, 1.0):
        buffer = _buffer()
        _gains(buffer, 0.0, waited_s, 50)
        buffer.update(0, 0, POSE, waited_s + 0.02)
        gains = _gains(buffer, waited_s + 0.02, waited_s + 0.18, 50)
        assert 0.4 < gains[round(waited_s + 0.18, 3)] < 0.8


def test_reset_touches_only_the_given_rows():
    buffer = _buffer(n=2)
    buffer.update(np.array([0, 1]), np.array([0, 0]), np.stack([POSE, POSE]), 1.0)
    buffer.reset(np.array([1]), 1.0)
    assert buffer.query(1.0).valid[:, 0].tolist() == [True, False]
