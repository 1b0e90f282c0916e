# SPDX-License-Identifier: Apache-2.0
"""The force of a hold fades, a free arm does not drift, and commands stay smooth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.command_shaping import CommandShaper
from ocrrl_ros.robot.hold_bleed import HoldBleed, HoldConfig
import pytest

READY = np.array(fr3.READY_POSITION)
DT_S = 0.005
JOINT = np.array([0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])


def _hold(arm: Callable[[np.ndarray], np.ndarray], seconds: float = 15.0) -> np.ndarray:
    """Hold 0.05 rad beyond ready, where arm(command) says what is measured; return commands."""
    shaper, bleed = CommandShaper(), HoldBleed(HoldConfig())
    shaper.seed(READY + 0.05 * JOINT)
    bleed.begin()
    rows, last = [], (shaper.q, shaper.dq, shaper.ddq)
    for tick in range(round(seconds / DT_S)):
        if tick % 4 == 0:
            bleed.update(shaper, arm(shaper.q), tick * DT_S)
        row = shaper.sample(DT_S)
        assert (np.abs(row[2] - last[2]) <= shaper.max_jerk * DT_S * (1 + 1e-6)).all()
        assert (np.abs(row[1] - last[1]) <= shaper.max_acceleration * DT_S + 1e-9).all()
        rows.append(row[0])
        last = row
    assert shaper.is_at_rest
    return np.array(rows)


def test_force_against_something_stiff_fades_to_nothing() -> None:
    """The target ends where the arm stands."""
    rows = _hold(lambda q: READY)
    np.testing.assert_allclose(rows[round(0.25 / DT_S)], READY + 0.05 * JOINT)
    np.testing.assert_allclose(rows[-1], READY, atol=1e-6)


def test_force_against_something_as_soft_as_the_arm_fades_in_rounds() -> None:
    """Half of the deviation is left after each round, until little is."""
    rows = _hold(lambda q: READY + 0.5 * (q - READY))
    pushed = (rows[-1] - READY)[1]
    assert 0.0 < pushed < 0.02
    assert np.abs(0.5 * pushed) < HoldConfig().least_deviation_rad


def test_free_arm_that_sags_a_little_is_left_alone() -> None:
    """Friction and gravity errors below the least deviation move nothing."""
    rows = _hold(lambda q: q - 0.009 * JOINT)
    np.testing.assert_array_equal(rows - rows[0], 0.0)


def test_free_arm_that_sags_much_drifts_no_further_than_it_sags() -> None:
    """One round, then it shows that the arm follows."""
    rows = _hold(lambda q: q - 0.03 * JOINT)
    np.testing.assert_allclose(rows[-1], READY + 0.02 * JOINT, atol=1e-6)


def test_moving_hold_waits_for_rest() -> None:
    """No round starts before the arm has stood for the settling time."""
    shaper, bleed = CommandShaper(), HoldBleed(HoldConfig())
    shaper.seed(READY, np.full(7, 0.8))
    bleed.begin()
    started = [tick for tick in range(200)
               if bleed.update(shaper, READY, tick * DT_S) + 0 * len(shaper.sample(DT_S))]
    stopped_s = 0.8 / 8.0 + 8.0 / 2500.0
    assert started and started[0] * DT_S >= stopped_s + HoldConfig().settle_s - 2 * DT_S


def test_hold_settings_outside_their_range_are_refused() -> None:
    """The message names the value."""
    with pytest.raises(ConfigError, match='bleed_s is 0.0'):
        HoldConfig(bleed_s=0.0)
