# SPDX-License-Identifier: Apache-2.0
"""Chunks are checked on arrival, sampled by time and never executed when stale."""

from hypothesis import given
from hypothesis.strategies import floats, integers
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.core.se3 import pose, quat_angle, quat_from_rotvec
from ocrrl_ros.policy.action_chunk import ActionChunk, ChunkBuffer, interpolate_chunks, plan_ahead
import pytest

STEP_S = 0.05


def _poses(steps=16, speed=0.01, turn=0.02):
    positions = np.outer(np.arange(steps), [speed, 0.0, 0.0])
    return pose(positions, quat_from_rotvec(np.outer(np.arange(steps), [0.0, 0.0, turn])))


def _chunk(stamp_s=10.0, **overrides):
    values = {'poses': _poses(), 'grippers': np.linspace(0, 1, 16)} | overrides
    return ActionChunk(stamp_s, STEP_S, **values)


@given(floats(0.0, 15.0))
def test_interpolation_is_linear_in_time_on_a_straight_path(elapsed):
    poses, _ = interpolate_chunks(_poses()[None], np.zeros((1, 16)), np.array([elapsed]))
    assert np.isclose(poses[0, 0], 0.01 * elapsed)
    assert np.isclose(quat_angle(poses[0, 3:], np.array([0, 0, 0, 1.0])), 0.02 * elapsed,
                      atol=1e-6)


@given(floats(-50.0, 50.0), integers(1, 16))
def test_interpolation_never_leaves_the_chunk(elapsed, horizon):
    poses, grippers = interpolate_chunks(
        _poses(horizon)[None], np.full((1, horizon), 0.3), np.array([elapsed]))
    assert 0.0 <= poses[0, 0] <= 0.01 * (horizon - 1) + 1e-12
    assert grippers[0] == 0.3


def test_gripper_keeps_the_last_points_value_and_ignores_rounding():
    grippers = np.arange(16.0)[None]
    _, sampled = interpolate_chunks(_poses()[None], grippers, np.array([[2.9, 2.9999999, 3.0]]))
    assert sampled.tolist() == [[2.0, 3.0, 3.0]]


def test_batch_equals_single_samples():
    rng = np.random.default_rng(0)
    poses = np.stack([_poses(speed=s) for s in (0.01, 0.02, 0.03)])
    grippers, elapsed = rng.random((3, 16)), np.array([0.5, 3.2, 14.9])
    batch = interpolate_chunks(poses, grippers, elapsed)
    for i in range(3):
        single = interpolate_chunks(poses[i:i + 1], grippers[i:i + 1], elapsed[i:i + 1])
        assert np.allclose(batch[0][i], single[0][0]) and batch[1][i] == single[1][0]


def test_plan_ahead_gives_the_targets_velocity():
    _, _, twists = plan_ahead(_poses()[None], np.zeros((1, 16)), np.array([3.0]), 6.0, STEP_S)
    assert np.allclose(twists[0], [0.2, 0, 0, 0, 0, 0.4])


@pytest.mark.parametrize('overrides', [
    {'poses': np.full((16, 7), np.nan)}, {'poses': np.zeros((16, 7))},
    {'poses': _poses(4)}, {'grippers': np.full(16, 1.5)}, {'grippers': np.full(16, np.nan)},
    {'stamp_s': np.nan}])
def test_bad_chunks_are_refused(overrides):
    with pytest.raises(InputError):
        _chunk(**overrides)


def test_passed_points_are_skipped_whatever_the_latency():
    buffer = ChunkBuffer()
    assert buffer.push(_chunk(10.0), 10.2) is None
    assert np.isclose(buffer.sample(10.2).poses[0, 0], 0.04)
    assert np.isclose(buffer.sample(10.2, ahead_s=0.05).poses[0, 0], 0.05)


def test_chunk_is_stale_after_its_last_point():
    buffer = ChunkBuffer()
    buffer.push(_chunk(10.0), 10.0)
    assert buffer.sample(10.75) is not None
    assert buffer.sample(10.76) is None
    assert 'stale' in buffer.stale_reason(10.76)


@pytest.mark.parametrize(('stamp_s', 'now_s', 'word'), [
    (10.0, 9.0, 'future'), (10.0, 13.0, 'stale'), (4.9, 5.0, 'episode'), (9.9, 10.0, 'active')])
def test_unusable_chunks_are_dropped_with_their_reason(stamp_s, now_s, word):
    buffer = ChunkBuffer()
    buffer.clear(not_before_s=5.0)
    if word == 'active':
        buffer.push(_chunk(9.95), 10.0)
    assert word in buffer.push(_chunk(stamp_s), now_s)


def test_no_chunk_is_named_as_the_cause():
    assert 'no chunk' in ChunkBuffer().stale_reason(0.0)
