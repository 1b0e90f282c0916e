# SPDX-License-Identifier: Apache-2.0
"""A plan waits for a hand that does not follow it, and is left alone otherwise."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.policy.plan_lead import LeadConfig, limit_lead, pull
import pytest

CONFIG = LeadConfig()
ALL = np.ones(1)
HAND = np.array([[0.4, 0.1, 0.3, 1.0, 0.0, 0.0, 0.0]])


def plan_towards(way, later=(0.03, 0.0, 0.0)):
    """Return targets (1, 2, 7) this way (3,) from the hand, the second one further on."""
    targets = np.repeat(HAND[:, None], 2, axis=1)
    targets[0, :, :3] += way
    targets[0, 1, :3] += later
    return targets


def test_plan_within_its_lead_stays_to_the_last_bit():
    targets, twists = plan_towards((0.0, 0.006, -0.0079)), np.arange(6.0)[None]
    found, twist = limit_lead(targets, twists, HAND, np.zeros((1, 3)), ALL, CONFIG)
    np.testing.assert_array_equal(found, targets)
    np.testing.assert_array_equal(twist, twists)


def test_plan_ahead_of_a_hand_at_rest_is_shifted_as_a_whole():
    targets, twists = plan_towards((0.0, 0.03, -0.04)), np.ones((1, 6))
    found, twist = limit_lead(targets, twists, HAND, np.zeros((1, 3)), ALL, CONFIG)
    np.testing.assert_allclose(found[0, 0, :3] - HAND[0, :3], [0.0, 0.006, -0.008], atol=1e-12)
    np.testing.assert_allclose(found[0, 1] - found[0, 0], targets[0, 1] - targets[0, 0])
    np.testing.assert_allclose(twist[0], [0.2, 0.2, 0.2, 1.0, 1.0, 1.0])


@given(st.floats(0.0, 0.5), st.floats(-0.5, 0.5))
def test_lead_grows_with_the_speed_of_the_hand_towards_the_target(lead_m, speed):
    found, _ = limit_lead(
        plan_towards((lead_m, 0.0, 0.0)), np.zeros((1, 6)), HAND, np.array([[speed, 0.3, 0.0]]),
        ALL, CONFIG)
    assert found[0, 0, 0] - HAND[0, 0] == pytest.approx(
        min(lead_m, 0.010 + 0.15 * max(speed, 0.0)), abs=1e-9)


def test_plan_waits_as_far_as_the_residual_pulls_and_a_base_alone_never():
    targets, twists = plan_towards((0.03, 0.0, 0.0)), np.ones((1, 6))
    half, twist = limit_lead(targets, twists, HAND, np.zeros((1, 3)), 0.5 * ALL, CONFIG)
    assert half[0, 0, 0] - HAND[0, 0] == pytest.approx(0.02)
    assert twist[0, 0] == pytest.approx(2.0 / 3.0)
    found, twist = limit_lead(targets, twists, HAND, np.zeros((1, 3)), 0.0 * ALL, CONFIG)
    np.testing.assert_array_equal(found, targets)
    np.testing.assert_array_equal(twist, twists)


def test_residual_pulls_fully_from_the_lead_at_rest_on():
    moved = np.repeat(HAND, 3, axis=0)
    moved[:, 1] += [0.0, 0.005, 0.02]
    found = pull(np.repeat(HAND, 3, axis=0), moved, CONFIG)
    np.testing.assert_allclose(found, [0.0, 0.5, 1.0])


def test_each_robot_has_its_own_lead():
    targets = np.concatenate([plan_towards((0.005, 0, 0)), plan_towards((0.1, 0, 0))])
    found, _ = limit_lead(
        targets, np.zeros((2, 6)), np.repeat(HAND, 2, axis=0), np.zeros((2, 3)),
        np.ones(2), CONFIG)
    assert (found[0] == targets[0]).all()
    assert found[1, 0, 0] == pytest.approx(0.41)


@pytest.mark.parametrize(('name', 'value'), [('rest_m', 0.0), ('speed_s', -0.1)])
def test_leads_with_which_nothing_would_move_are_refused(name, value):
    with pytest.raises(ConfigError, match=f'lead.{name} is {value}; allowed'):
        LeadConfig(**{name: value})


def test_arrays_of_another_size_are_refused():
    targets, twists, still = plan_towards((0.0, 0.0, 0.1)), np.ones((1, 6)), np.zeros((1, 3))
    limit_lead(targets, twists, HAND, still, ALL, CONFIG)
    for wrong in (
            (targets[..., :6], twists, HAND[:, :6], still), (targets, twists[:, :3], HAND, still),
            (targets, twists, HAND, still[:, :2])):
        with pytest.raises(ValueError, match='core dimension'):
            limit_lead(*wrong, ALL, CONFIG)
    with pytest.raises(ValueError, match='core dimension'):
        pull(HAND[:, :2], HAND[:, :2], CONFIG)
