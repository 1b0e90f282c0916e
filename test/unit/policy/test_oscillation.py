# SPDX-License-Identifier: Apache-2.0
"""A swing at the rate of the policy is smoothed; ordinary corrections come back as they are."""

from hypothesis import given, settings, strategies
import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.policy.oscillation import OscillationConfig, OscillationDamper, ReversalCounter
import pytest

TICK_S = 0.02


def run(damper, actions, acting=1.0, start_s=0.0):
    """Feed actions (T, 7) at the policy's rate; return what comes out and the shares, (T, 7)."""
    out, shares = [], []
    for tick, action in enumerate(np.asarray(actions, dtype=float)):
        out.append(damper.damp(action, acting, start_s + tick * TICK_S, TICK_S))
        shares.append(damper.share.copy())
    return np.array(out), np.array(shares)


def swing(seconds, *, size=0.6, rate_hz=10.0, offset=0.0, axis=0):
    """Make actions (T, 7) of which one axis swings about an offset."""
    time_s = np.arange(round(seconds / TICK_S)) * TICK_S
    actions = np.zeros((len(time_s), 7))
    actions[:, axis] = offset + size * np.sin(2.0 * np.pi * rate_hz * time_s + 0.3)
    return actions


def test_reversals_are_changes_of_direction_after_a_swing_of_some_size():
    counter = ReversalCounter(0.4, 20)
    for now_s, value in enumerate([0.3, 0.8, 0.7, 0.5, 0.9, 0.4, 0.3, 0.6, 0.8, 0.2]):
        counter.update(value, float(now_s))
    # Down from 0.9 (at 5), up from 0.3 (at 8), down from 0.8 (at 9).
    assert counter.count(-1.0) == 3
    assert counter.count(5.0) == 2
    assert counter.count(9.0) == 0


@pytest.mark.parametrize('offset', [0.0, 0.3])
def test_an_oscillation_is_smoothed_and_its_mean_stays(offset):
    actions = swing(3.0, offset=offset)
    out, shares = run(OscillationDamper(), actions)
    late = out[100:, 0]
    assert shares[-1, 0] == 1.0
    assert late.max() - late.min() < 0.15 * (actions[:, 0].max() - actions[:, 0].min())
    assert late.mean() == pytest.approx(offset, abs=0.05)


def test_other_axes_are_let_be():
    actions = swing(2.0, axis=4)
    actions[:, 1] = 0.7
    out, shares = run(OscillationDamper(), actions)
    assert shares[-1, 4] == 1.0
    assert (np.delete(shares, 4, axis=1) == 0.0).all()
    assert (out[:, 1] == 0.7).all()


@pytest.mark.parametrize('changes', [{'size': 0.19}, {'rate_hz': 4.0}])
def test_small_and_slow_swings_come_back_as_they_are(changes):
    actions = swing(4.0, **changes)
    out, _ = run(OscillationDamper(), actions)
    assert (out == actions).all()


def test_a_swing_that_hardly_acts_is_let_be():
    actions = swing(2.0)
    out, _ = run(OscillationDamper(), actions, acting=0.3)
    assert (out == actions).all()


def test_smoothing_sets_in_gradually_and_ceases_for_good():
    damper = OscillationDamper()
    _, shares = run(damper, swing(2.0))
    config = damper.config
    steps = np.diff(shares[:, 0])
    assert steps.max() <= TICK_S / config.fall_s + 1e-12
    still = np.full((round(2.0 / TICK_S), 7), 0.5)
    out, shares = run(damper, still, start_s=2.0)
    steps = np.diff(shares[:, 0])
    assert steps.min() >= -TICK_S / config.rise_s - 1e-12
    assert shares[-1, 0] == 0.0 and (out[-1] == still[-1]).all()


def test_a_new_episode_forgets_the_swing():
    damper = OscillationDamper()
    run(damper, swing(2.0))
    damper.reset()
    out, shares = run(damper, np.full((5, 7), 0.5), start_s=2.0)
    assert (out == 0.5).all() and not shares.any()


@settings(max_examples=40, deadline=None)
@given(strategies.lists(
    strategies.floats(-1.0, 1.0, allow_subnormal=False), min_size=30, max_size=120))
def test_smoothed_actions_stay_in_bounds_and_shares_in_0_to_1(values):
    actions = np.tile(np.array(values)[:, None], (1, 7))
    out, shares = run(OscillationDamper(), actions)
    assert (np.abs(out) <= 1.0 + 1e-12).all()
    assert ((0.0 <= shares) & (shares <= 1.0)).all()


@pytest.mark.parametrize('changes', [
    {'window_s': 0.0}, {'swing': 3.0}, {'mean_s': np.nan}, {'ordinary_reversals': 0},
    {'full_reversals': 6}])
def test_settings_that_cannot_work_are_refused(changes):
    with pytest.raises(ConfigError, match=f'{next(iter(changes))}.*allowed'):
        OscillationConfig(**changes)
