# SPDX-License-Identifier: Apache-2.0
"""The model of the hand: threshold, latency, speed."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.robot.gripper import GripperConfig, GripperModel
import pytest

DT_S = 0.01


def _times_until(model: GripperModel, finger_m: float, limit_s: float = 3.0) -> float:
    """Return the time until hand 0 is at a finger position."""
    for i in range(round(limit_s / DT_S)):
        if abs(model.finger_m[0] - finger_m) < 1e-9:
            return i * DT_S
        model.step(DT_S)
    raise AssertionError(f'{model.finger_m[0]} m never became {finger_m} m')


def test_closing_takes_latency_plus_width_over_speed() -> None:
    """0.1 s of latency, then 80 mm at 0.1 m/s."""
    model = GripperModel(1)
    model.command(np.array([0.0]))
    for _ in range(10):
        assert model.step(DT_S)[0] == pytest.approx(0.04)
    assert _times_until(model, 0.0) == pytest.approx(0.8, abs=1.5 * DT_S)


def test_width_never_moves_faster_than_the_speed() -> None:
    """Whatever the commands, finger targets change by at most speed / 2."""
    rng, model = np.random.default_rng(0), GripperModel(8)
    last = model.finger_m
    for _ in range(500):
        model.command(rng.uniform(0, 1, 8))
        now = model.step(DT_S)
        assert (np.abs(now - last) <= 0.5 * 0.1 * DT_S + 1e-12).all()
        assert (now >= 0.0).all()
        assert (now <= 0.04).all()
        last = now


def test_hysteresis_ignores_chatter_around_the_threshold() -> None:
    """Openings between 0.4 and 0.6 keep the last command."""
    model = GripperModel(2)
    model.reset(np.array([0, 1]), np.array([1.0, 0.0]))
    for opening in (0.41, 0.59, 0.45, 0.55):
        model.command(np.full(2, opening))
        model.step(0.5)
    np.testing.assert_array_equal(model.is_open, [True, False])
    model.command(np.array([0.39, 0.61]))
    model.step(0.5)
    np.testing.assert_array_equal(model.is_open, [False, True])


def test_command_withdrawn_within_the_latency_has_no_effect() -> None:
    """The latest command wins."""
    model = GripperModel(1)
    model.command(np.array([0.0]))
    model.step(0.05)
    model.command(np.array([1.0]))
    for _ in range(50):
        assert model.step(DT_S)[0] == pytest.approx(0.04)


def test_held_object_is_released_from_its_own_width() -> None:
    """Opening starts at the measured width, not at the target inside the object."""
    model = GripperModel(1)
    model.reset(np.array([0]), np.array([0.0]))
    model.command(np.array([1.0]))
    measured = np.array([0.02])
    for _ in range(9):
        assert model.step(DT_S, measured)[0] == 0.0
    assert model.step(DT_S, measured)[0] >= 0.02


def test_result_does_not_depend_on_the_step() -> None:
    """Training steps 5 ms, the bridge 1 ms: the same motion."""
    coarse, fine = GripperModel(1), GripperModel(1)
    for model in (coarse, fine):
        model.command(np.array([0.0]))
    for _ in range(40):
        coarse.step(0.005)
    for _ in range(200):
        fine.step(0.001)
    np.testing.assert_allclose(coarse.finger_m, fine.finger_m, atol=1e-9)


def test_hands_are_independent() -> None:
    """Each hand has its own command, latency and speed."""
    model = GripperModel(3)
    model.set_dynamics(np.array([1, 2]), np.array([0.0, 0.3]), np.array([0.05, 0.1]))
    model.command(np.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(model.step(0.2), [0.04, 0.04 - 0.5 * 0.05 * 0.2, 0.04])


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_openings_that_are_not_finite_are_refused(bad: float) -> None:
    """The commands stay as they were."""
    model = GripperModel(2)
    with pytest.raises(InputError, match='finite'):
        model.command(np.array([0.0, bad]))
    model.step(1.0)
    np.testing.assert_allclose(model.finger_m, 0.04)


@pytest.mark.parametrize(('name', 'value'), [
    ('latency_s', -0.1), ('speed_m_s', 0.0), ('open_width_m', 0.09), ('finger_force_n', 200.0),
    ('hysteresis', 0.6), ('finger_stiffness', 0.0)])
def test_settings_outside_their_range_are_refused(name: str, value: float) -> None:
    """The message names the setting."""
    with pytest.raises(ConfigError, match=name):
        GripperConfig(**{name: value})
