# SPDX-License-Identifier: Apache-2.0
"""Joint limits, the position-dependent velocity limit included."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.limits import JointLimits
import pytest


@pytest.mark.parametrize('image', ['5.9', '5.8'])
def test_velocity_is_full_in_the_middle_and_zero_at_the_limits(image: str) -> None:
    """Both ends of every joint forbid motion outward and allow it inward."""
    limits = JointLimits.for_image(image)
    lower, upper = limits.velocity_bounds(
        0.5 * (limits.position_lower + limits.position_upper))
    np.testing.assert_allclose(upper, np.array(fr3.MAX_VELOCITY) - 1e-3)
    np.testing.assert_allclose(lower, -upper)
    # The older image's formula has its own bounds, 0.001 to 0.008 rad further out.
    np.testing.assert_allclose(limits.velocity_bounds(limits.position_upper)[1], 0.0, atol=5e-3)
    assert (limits.velocity_bounds(limits.position_upper)[0] < -1.0).all()
    np.testing.assert_allclose(limits.velocity_bounds(limits.position_lower)[0], 0.0, atol=5e-3)


def test_formula_value_by_hand() -> None:
    """Joint 2 at 1.5 rad: sqrt(2 * 2.585 * 0.3361) - 0.2517 - 0.001."""
    limits = JointLimits.for_image()
    upper = limits.velocity_bounds(np.full((2, 7), 1.5))[1]
    assert upper.shape == (2, 7)
    assert upper[0, 1] == pytest.approx(1.06550, abs=1e-5)


def test_rectangular_speeds_match_the_formula_at_the_rectangular_range() -> None:
    """Franka's suggested speeds are the formula at the corner of its suggested box, rounded."""
    limits = JointLimits.for_image()
    corner = np.array([2.3476, 1.5454, 2.4937, -0.4226, 2.5100, 4.2841, 2.7045])
    speed = [2.0, 1.0, 1.5, 1.25, 3.0, 1.5, 3.0]
    np.testing.assert_allclose(limits.velocity_bounds(corner)[1], speed, rtol=0.05)


@pytest.mark.parametrize('speed', [0.0, 0.15, 1.3])
def test_box_is_where_the_speed_is_allowed(speed: float) -> None:
    """At the edges of the box the limit equals the speed; it never leaves the position limits."""
    limits = JointLimits.for_image()
    lower, upper = limits.box(speed)
    np.testing.assert_allclose(limits.velocity_bounds(upper)[1], speed, atol=1e-9)
    np.testing.assert_allclose(limits.velocity_bounds(lower)[0], -speed, atol=1e-9)
    assert (lower >= limits.position_lower).all()
    assert (upper <= limits.position_upper).all()


def test_older_image_is_narrower_and_unknown_ones_are_refused() -> None:
    """The two sets differ as published."""
    new, old = JointLimits.for_image('5.9'), JointLimits.for_image('5.8')
    assert (old.position_upper <= new.position_upper).all()
    assert old.position_upper[0] == 2.7437
    with pytest.raises(UnknownNameError, match=r"'4\.0'.*5\.8, 5\.9"):
        JointLimits.for_image('4.0')
