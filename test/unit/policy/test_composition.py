# SPDX-License-Identifier: Apache-2.0
"""The residual stays inside its bound and vanishes exactly without gain."""

from hypothesis import given
from hypothesis.extra import numpy as arrays
from hypothesis.strategies import floats
import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.se3 import pose, quat_angle, quat_from_rotvec, quat_normalize
from ocrrl_ros.policy.composition import compose, decompose, ResidualBounds
import pytest

ACTION = arrays.arrays(float, (1, 7), elements=floats(-5.0, 5.0))
QUATERNION = arrays.arrays(float, 4, elements=floats(-1.0, 1.0)).filter(
    lambda q: np.linalg.norm(q) > 0.1)


def _base(quaternion=(0.3, -0.2, 0.5, 0.7)):
    return pose(np.array([[0.5, 0.1, 0.2]]), quat_normalize(np.array([quaternion])))


@given(ACTION, QUATERNION, floats(0.0, 1.0))
def test_offset_never_exceeds_the_bound(action, quaternion, gain):
    base = _base(quaternion)
    poses, opening = compose(base, np.array([0.5]), action, ResidualBounds(), np.array([gain]))
    assert np.linalg.norm(poses[0, :3] - base[0, :3]) <= np.sqrt(3) * 0.02 * gain + 1e-9
    assert quat_angle(poses[0, 3:], base[0, 3:]) <= np.sqrt(3) * 0.2 * gain + 1e-6
    assert 0.0 <= opening[0] <= 1.0


@given(ACTION, QUATERNION)
def test_zero_gain_returns_the_base_bit_for_bit(action, quaternion):
    base = _base(quaternion)
    poses, opening = compose(base, np.array([0.7]), action, ResidualBounds(), np.zeros(1))
    assert (poses == base).all() and opening[0] == 0.7


def test_translation_is_along_the_targets_own_axes():
    flipped = pose(np.zeros((1, 3)), np.array([[1.0, 0.0, 0.0, 0.0]]))
    poses, _ = compose(flipped, np.ones(1), np.array([[0, 0, 1.0, 0, 0, 0, 0]]),
                       ResidualBounds(), np.ones(1))
    assert np.allclose(poses[0, :3], [0, 0, -0.02])


def test_full_gripper_action_flips_the_command():
    _, opening = compose(_base(), np.array([1.0]), np.array([[0, 0, 0, 0, 0, 0, -1.0]]),
                         ResidualBounds(), np.ones(1))
    assert opening[0] == 0.0


@pytest.mark.parametrize('values', [
    {'translation_m': -0.01}, {'translation_m': 0.5}, {'rotation_rad': 2.0}, {'gripper': 1.1}])
def test_bounds_outside_reason_are_refused(values):
    with pytest.raises(ConfigError):
        ResidualBounds(**values)


def test_decomposed_command_composes_back_within_the_bounds():
    rng = np.random.default_rng(0)
    base = pose(rng.normal(size=(20, 3)), quat_from_rotvec(rng.normal(size=(20, 3))))
    bounds = ResidualBounds()
    action = rng.uniform(-0.9, 0.9, (20, 7))
    action[:, 6] *= 0.5
    opening = np.full(20, 0.5)
    wanted, wanted_opening = compose(base, opening, action, bounds, np.ones(20))
    np.testing.assert_allclose(
        decompose(base, opening, wanted, wanted_opening, bounds), action, atol=1e-9)
    far = wanted.copy()
    far[:, 0] += 1.0
    assert np.abs(decompose(base, opening, far, wanted_opening, bounds)).max() == 1.0
