# SPDX-License-Identifier: Apache-2.0
"""The lag of a soft controller is no tracking error; a blocked or pushed arm is."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.impedance import JointImpedanceConfig
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.torque_rate import TorqueRatePredictor
from ocrrl_ros.robot.tracking import TrackingConfig, TrackingMonitor
import pytest

READY = np.array(fr3.READY_POSITION)
KINEMATICS = FrankaKinematics()
LAW = JointImpedanceConfig()
DT_S = 0.005


def _monitor() -> TrackingMonitor:
    """Return a monitor of an arm that is at its command."""
    monitor = TrackingMonitor(TrackingConfig(), KINEMATICS, LAW.velocity_lead_s())
    monitor.reset(READY)
    return monitor


def _move(monitor: TrackingMonitor, speed: np.ndarray, seconds: float) -> np.ndarray:
    """Move the command steadily and return where it ends."""
    q = READY
    for _ in range(round(seconds / DT_S)):
        q = q + speed * DT_S
        monitor.update(q, DT_S)
    return q


@pytest.mark.parametrize('lags', [0.0, 0.5, 1.0])
def test_arm_between_the_command_and_its_lag_is_followed(lags: float) -> None:
    """0.5 rad behind in joint 7 at 2 rad/s is what the law gives; so is less."""
    monitor = _monitor()
    speed = np.array([0.0, 0.0, 0.0, 0.3, 0.0, 0.0, 2.0])
    q = _move(monitor, speed, 1.5) - lags * speed * LAW.velocity_lead_s()
    assert not monitor.lost(q)
    assert monitor.errors(q)[1] < 0.03
    assert lags == 0.0 or np.abs(READY + 1.5 * speed - q).max() > 0.2


def test_what_the_joints_alone_show_is_what_the_poses_show() -> None:
    """The short way out never hides an arm that is off, at random errors about the limits."""
    rng, monitor, found = np.random.default_rng(3), _monitor(), set()
    q = _move(monitor, np.array([0.3, -0.2, 0.1, 0.4, 0.5, -0.3, 1.0]), 0.5)
    for _ in range(2000):
        measured = q + rng.normal(size=7) * 10.0 ** rng.uniform(-3.0, -0.7)
        tcp_m, joint_rad = monitor.errors(measured)
        config = monitor.config
        is_off = tcp_m > config.max_tcp_error_m or joint_rad > config.max_joint_error_rad
        assert bool(monitor.lost(measured)) == is_off
        found.add(is_off)
    assert found == {False, True}


def test_arm_that_stands_still_while_its_command_goes_on_is_lost() -> None:
    """A blocked arm is found when the lag explains no more."""
    monitor = _monitor()
    speed = np.array([0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    _move(monitor, speed, 0.1)
    assert not monitor.lost(READY)
    _move(monitor, speed, 0.6)
    assert 'TCP' in monitor.lost(READY) and 'allowed: 50 mm' in monitor.lost(READY)


def test_pushed_arm_is_lost_by_joint_or_by_tcp() -> None:
    """Joint 7 moves no TCP and counts by its angle."""
    monitor = _monitor()
    assert not monitor.lost(READY + np.where(np.arange(7) == 6, 0.19, 0.0))
    assert 'a joint 0.21 rad' in monitor.lost(READY + np.where(np.arange(7) == 6, 0.21, 0.0))
    assert 'TCP' in monitor.lost(READY + np.where(np.arange(7) == 0, 0.18, 0.0))
    monitor.reset(READY + 0.21)
    assert not monitor.lost(READY + 0.21)


def test_tracking_settings_outside_their_range_are_refused() -> None:
    """The message names the value."""
    with pytest.raises(ConfigError, match='max_tcp_error_m is 1.0 m'):
        TrackingConfig(max_tcp_error_m=1.0)
    with pytest.raises(ConfigError, match='max_joint_error_rad is 0.0 rad'):
        TrackingConfig(max_joint_error_rad=0.0)


def test_torque_rate_is_what_the_law_changes_by() -> None:
    """A command that moves at 0.1 rad/s past an arm at rest asks for K times that."""
    predictor = TorqueRatePredictor(LAW)
    still = np.zeros(7)
    for tick in range(4):
        predictor.update(READY + 0.1 * DT_S * tick, READY, still, DT_S)
    np.testing.assert_allclose(predictor.rate, 0.1 * LAW.stiffness_gains(), rtol=1e-9)
    predictor.update(READY + 0.1 * DT_S * 3, READY, np.full(7, 0.01), DT_S)
    np.testing.assert_allclose(predictor.rate, -LAW.damping_gains() * 0.01 / DT_S, rtol=1e-9)
    np.testing.assert_allclose(predictor.take_peak(), np.maximum(
        0.1 * LAW.stiffness_gains(), LAW.damping_gains() * 0.01 / DT_S), rtol=1e-9)
    np.testing.assert_array_equal(predictor.take_peak(), 0.0)
    predictor.reset()
    predictor.update(READY + 1.0, READY, still, DT_S)
    np.testing.assert_array_equal(predictor.rate, 0.0)
