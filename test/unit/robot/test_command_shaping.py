# SPDX-License-Identifier: Apache-2.0
"""No input makes the command shaper break a limit."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.command_shaping import CommandShaper, ShapingConfig
from ocrrl_ros.robot.limits import JointLimits
import pytest

READY = np.array(fr3.READY_POSITION)
LIMITS = JointLimits.for_image()
Sample = tuple[np.ndarray, np.ndarray, np.ndarray]


class Watch:
    """Checks every sample of a shaper against the limits and against the one before."""

    def __init__(self, shaper: CommandShaper):
        """Start from the shaper's state."""
        self.shaper = shaper
        self.last: Sample = (shaper.q, shaper.dq, shaper.ddq)

    def sample(self, dt_s: float) -> Sample:
        """Sample and check."""
        shaper = self.shaper
        q, dq, ddq = shaper.sample(dt_s)
        assert (q >= LIMITS.position_lower).all(), q
        assert (q <= LIMITS.position_upper).all(), q
        lower, upper = LIMITS.velocity_bounds(q)
        assert (dq >= lower - 1e-6).all(), (dq - lower).min()
        assert (dq <= upper + 1e-6).all(), (dq - upper).max()
        assert (np.abs(dq) <= shaper.max_velocity + 1e-6).all(), dq
        assert (np.abs(ddq) <= shaper.max_acceleration + 1e-6).all(), ddq
        jerk = np.abs(ddq - self.last[2]) / dt_s
        assert (jerk <= shaper.max_jerk * (1 + 1e-6)).all(), jerk
        # Positions and velocities are integrals of what follows them, not merely bounded.
        mean = (q - self.last[0]) / dt_s
        slack = shaper.max_acceleration * dt_s + 1e-9
        assert (np.abs(mean - 0.5 * (dq + self.last[1])) <= slack).all()
        self.last = q, dq, ddq
        return self.last


def _shaper(q: np.ndarray = READY, **config: float) -> CommandShaper:
    """Return a shaper seeded at rest."""
    shaper = CommandShaper(LIMITS, ShapingConfig(**config))
    shaper.seed(q)
    return shaper


def vectors(low: float, high: float) -> st.SearchStrategy[np.ndarray]:
    """Return arrays (7,) of floats, extremes included."""
    return st.lists(st.floats(low, high), min_size=7, max_size=7).map(np.array)


goals = st.tuples(
    vectors(-4.0, 5.0), st.none() | vectors(-6.0, 6.0), st.floats(0.0, 0.3),
    st.integers(1, 25))


@settings(max_examples=50, deadline=None)
@given(
    start=vectors(0.0, 1.0), start_velocity=vectors(-6.0, 6.0),
    commands=st.lists(goals, min_size=1, max_size=8), stop_at=st.integers(0, 10))
def test_no_goal_breaks_a_limit(
        start: np.ndarray, start_velocity: np.ndarray, commands: list, stop_at: int) -> None:
    """Random seeds and goals, far out of range and fast, at 5 ms."""
    shaper = CommandShaper(LIMITS)
    span = LIMITS.position_upper - LIMITS.position_lower
    try:
        shaper.seed(LIMITS.position_lower + start * span, start_velocity)
    except InputError:
        shaper.seed(LIMITS.position_lower + start * span)
    watch = Watch(shaper)
    for i, (q, dq, min_duration_s, count) in enumerate(commands):
        if i == stop_at:
            shaper.stop()
        else:
            shaper.set_goal(q, dq, min_duration_s)
        for _ in range(count):
            watch.sample(0.005)
    for _ in range(150):
        watch.sample(0.02)
    shaper.stop()
    for _ in range(150):
        watch.sample(0.005)
    np.testing.assert_allclose(shaper.dq, 0.0, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2 ** 32 - 1), fractions=st.tuples(*[st.floats(0.05, 1.0)] * 3),
    scale=st.floats(0.05, 1.0))
def test_streams_near_the_limits_stay_within_them(
        seed: int, fractions: tuple[float, float, float], scale: float) -> None:
    """Noisy 20 Hz goals around a corner of the joint space, at every setting, at 1 ms."""
    rng = np.random.default_rng(seed)
    names = ('velocity_fraction', 'acceleration_fraction', 'jerk_fraction')
    shaper = CommandShaper(LIMITS, ShapingConfig(**dict(zip(names, fractions))))
    corner = np.where(rng.random(7) < 0.5, LIMITS.position_lower, LIMITS.position_upper)
    shaper.seed(corner + rng.uniform(0.0, 0.4) * (READY - corner))
    watch = Watch(shaper)
    shaper.set_speed_scale(scale)
    for _ in range(12):
        shaper.set_goal(
            corner + rng.normal(0.0, 0.3, 7), rng.normal(0.0, 1.0, 7), rng.uniform(0.0, 0.1))
        for _ in range(rng.integers(1, 80)):
            watch.sample(0.001)


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('field', ['q', 'dq', 'min_duration_s'])
def test_unusable_goal_is_refused_and_the_old_one_goes_on(bad: float, field: str) -> None:
    """Numbers that are not finite raise; the command stream is the same as without them."""
    goal = {'q': READY + 0.1, 'dq': np.zeros(7), 'min_duration_s': 0.1}
    disturbed, calm = _shaper(), _shaper()
    disturbed.set_goal(**goal)
    calm.set_goal(**goal)
    wrong = dict(goal)
    wrong[field] = bad if field == 'min_duration_s' else np.where(np.arange(7) == 3, bad, READY)
    with pytest.raises(InputError, match=str(bad)):
        disturbed.set_goal(**wrong)
    for _ in range(50):
        np.testing.assert_array_equal(disturbed.sample(0.005)[0], calm.sample(0.005)[0])


def test_goal_of_wrong_shape_is_refused() -> None:
    """Six numbers are no FR3 goal."""
    with pytest.raises(InputError, match='7 finite numbers'):
        _shaper().set_goal(np.zeros(6))


def test_goal_is_reached_in_the_asked_time() -> None:
    """A small step takes exactly min_duration_s, then the arm rests there."""
    shaper = _shaper()
    assert shaper.set_goal(READY + 0.01, None, 0.2)
    assert np.abs(shaper.sample(0.19)[0] - READY - 0.01).max() > 1e-6
    np.testing.assert_allclose(shaper.sample(0.01)[0], READY + 0.01, atol=1e-9)
    np.testing.assert_allclose(shaper.sample(5.0)[0], READY + 0.01, atol=1e-9)


def test_moving_goal_coasts_for_one_period_then_rests() -> None:
    """A policy that falls silent leaves the arm at rest within one goal period and braking."""
    shaper = _shaper()
    velocity = np.full(7, 0.2)
    assert shaper.set_goal(READY + 0.01, velocity, 0.1)
    watch = Watch(shaper)
    reached_s = 0.0
    while np.abs(shaper.q - READY - 0.01).max() > 1e-6 and reached_s < 0.5:
        watch.sample(0.001)
        reached_s += 0.001
    np.testing.assert_allclose(shaper.dq, velocity, atol=1e-3)
    for _ in range(100):
        watch.sample(0.001)
    np.testing.assert_allclose(shaper.dq, velocity, atol=1e-3)
    for _ in range(100):
        watch.sample(0.001)
    np.testing.assert_allclose(shaper.dq, 0.0, atol=1e-9)
    assert (shaper.q - READY < 0.01 + 0.2 * 0.1 + 0.2 * 0.1).all()


def test_steady_stream_of_moving_goals_is_followed_without_stopping() -> None:
    """20 Hz points of a straight motion with its velocity give that velocity throughout."""
    shaper = _shaper()
    velocity = np.full(7, 0.3)
    speeds = []
    for i in range(1, 30):
        assert shaper.set_goal(READY + velocity * 0.05 * i, velocity, 0.05)
        speeds += [shaper.sample(0.005)[1] for _ in range(10)]
    np.testing.assert_allclose(np.array(speeds)[100:], 0.3, atol=0.02)


def test_stop_brings_the_arm_to_rest_as_fast_as_the_limits_allow() -> None:
    """Braking from 1 rad/s takes about v / a + a / j."""
    shaper = _shaper()
    shaper.set_goal(READY + 1.0)
    watch = Watch(shaper)
    while shaper.dq.max() < 0.9:
        watch.sample(0.001)
    shaper.stop()
    expected_s = 0.95 / 8.0 + 2 * 8.0 / 2500.0
    for _ in range(math.ceil(expected_s / 0.001)):
        watch.sample(0.001)
    np.testing.assert_allclose(shaper.dq, 0.0, atol=1e-9)


def test_goals_beyond_the_limits_end_just_inside_them() -> None:
    """The arm reaches the clipped goal, with room to move, from the ready posture."""
    for far in (np.full(7, 9.0), np.full(7, -9.0)):
        shaper = _shaper()
        watch = Watch(shaper)
        lower, upper = LIMITS.box(shaper.config.goal_speed_rad_s)
        for _ in range(110):
            shaper.set_goal(far, None, 0.05)
            for _ in range(10):
                watch.sample(0.005)
        np.testing.assert_allclose(shaper.q, np.clip(far, lower, upper), atol=2e-3)


def test_arm_leaves_a_limit_as_easily_as_any_other_place() -> None:
    """From a seed at the limits the way back is free."""
    shaper = _shaper(LIMITS.position_upper)
    assert shaper.set_goal(READY)
    watch = Watch(shaper)
    for _ in range(1000):
        watch.sample(0.005)
    np.testing.assert_allclose(shaper.q, READY, atol=1e-9)


def test_sampling_in_blocks_equals_sampling_one_by_one() -> None:
    """Both ways give the same commands."""
    one, block = _shaper(), _shaper()
    for shaper in (one, block):
        shaper.set_goal(READY + 0.05, np.full(7, 0.1), 0.05)
    rows = block.sample_positions(0.005, 60)
    np.testing.assert_array_equal(rows, [one.sample(0.005)[0] for _ in range(60)])


def test_restored_stream_goes_on_where_the_other_was() -> None:
    """A command taken over in mid-motion continues without a jump."""
    first, second = _shaper(), _shaper()
    first.set_goal(READY + 0.3)
    first.sample(0.1)
    second.restore(first.q, first.dq, first.ddq)
    watch = Watch(second)
    second.set_goal(READY + 0.3)
    for _ in range(300):
        watch.sample(0.005)
    np.testing.assert_allclose(second.q, READY + 0.3, atol=1e-9)
    with pytest.raises(InputError, match='ddq'):
        second.restore(first.q, first.dq, np.full(7, np.nan))


def test_measured_noise_is_rest_and_what_cannot_stop_is_refused() -> None:
    """Speeds within the tolerance count as rest, real ones as they are, too high ones not."""
    shaper = _shaper()
    shaper.seed(READY, np.full(7, 0.05))
    assert shaper.is_at_rest
    shaper.seed(READY, np.full(7, 0.4))
    np.testing.assert_array_equal(shaper.dq, 0.4)
    shaper.sample(0.01)
    q = shaper.q
    for fast, where in ((shaper.max_velocity + 0.1, READY),
                        (np.full(7, 0.5), LIMITS.position_upper - 0.005)):
        with pytest.raises(InputError, match='too fast'):
            shaper.seed(where, fast)
    np.testing.assert_array_equal(shaper.q, q)
    shaper.seed(READY, shaper.max_velocity + 0.04)
    np.testing.assert_allclose(shaper.dq, shaper.max_velocity - 0.01)


@settings(max_examples=100, deadline=None)
@given(start=vectors(0.0, 1.0), velocity=vectors(-1.0, 1.0), acceleration=vectors(-1.0, 1.0))
def test_state_is_either_refused_or_safe(
        start: np.ndarray, velocity: np.ndarray, acceleration: np.ndarray) -> None:
    """Whatever ``restore`` takes, the stop from there keeps every limit."""
    shaper = CommandShaper(LIMITS)
    q = LIMITS.position_lower + start * (LIMITS.position_upper - LIMITS.position_lower)
    try:
        shaper.restore(
            q, velocity * shaper.max_velocity, acceleration * shaper.max_acceleration)
    except InputError:
        assert not shaper.is_seeded
        return
    watch = Watch(shaper)
    for _ in range(700):
        watch.sample(0.001)
    assert shaper.is_at_rest


def test_state_outside_the_invariant_set_is_not_restored() -> None:
    """Too fast, too much acceleration, and no room to stop."""
    shaper = _shaper()
    rest = np.zeros(7)
    for q, dq, ddq in (
            (READY, shaper.max_velocity * 1.01, rest), (READY, rest, shaper.max_acceleration + 1),
            (READY, shaper.max_velocity, shaper.max_acceleration),
            (LIMITS.position_upper - 0.01, np.full(7, 0.5), rest)):
        with pytest.raises(InputError, match='invariant set'):
            shaper.restore(q, dq, ddq)


def test_speed_scale_slows_goals() -> None:
    """A tenth of the speed limits the velocity to a tenth."""
    shaper = _shaper()
    shaper.set_speed_scale(0.1)
    shaper.set_goal(READY + 0.5)
    fastest = max(np.abs(shaper.sample(0.005)[1] / shaper.max_velocity).max() for _ in range(400))
    assert fastest == pytest.approx(0.1, abs=1e-6)
    with pytest.raises(InputError, match='speed scale'):
        shaper.set_speed_scale(0.0)


def test_unseeded_or_wrongly_seeded_shaper_refuses() -> None:
    """Nothing moves before the arm's position is known and possible."""
    shaper = CommandShaper()
    for use in (shaper.stop, lambda: shaper.sample(0.005), lambda: shaper.set_goal(READY)):
        with pytest.raises(InputError, match='not seeded'):
            use()
    with pytest.raises(InputError, match='joint limits'):
        shaper.seed(np.full(7, 3.2))
    assert not shaper.is_seeded


def test_settings_outside_their_range_are_refused() -> None:
    """More than the robot's own limits cannot be asked for."""
    with pytest.raises(ConfigError, match='velocity_fraction is 1.5'):
        ShapingConfig(velocity_fraction=1.5)


@pytest.mark.parametrize('period_s', [0.02, 0.05])
def test_noise_in_one_joint_slows_no_other(period_s):
    """A ramp with a few mrad of noise in joint 1 is followed by the rest without lag."""
    shaper = CommandShaper()
    rng = np.random.default_rng(0)
    speed = np.array([0.0, 0.3, 0.0, 0.3, 0.0, 0.0, 0.0])
    shaper.seed(READY)
    errors = []
    for tick in range(round(1.5 / period_s)):
        goal = READY + speed * (tick + 1) * period_s
        goal[0] += rng.normal(0.0, 0.005)
        assert shaper.set_goal(goal, speed, period_s)
        shaper.sample(period_s)
        errors.append(np.abs(shaper.q - goal)[1:].max())
    assert max(errors[round(0.4 / period_s):]) < 1e-6


def test_step_of_a_moving_goal_is_caught_up_within_a_fraction_of_a_second():
    """A 40 mrad step, 20 mm at the TCP, is gone after 0.25 s while the goal moves on."""
    shaper = CommandShaper()
    speed = np.full(7, 0.1)
    shaper.seed(READY)
    for tick in range(25):
        goal = READY + speed * (tick + 1) * 0.02 + (0.04 if tick > 10 else 0.0)
        shaper.set_goal(goal, speed, 0.02)
        shaper.sample(0.02)
    assert np.abs(shaper.q - goal).max() < 2e-3
