# SPDX-License-Identifier: Apache-2.0
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.sim.bridge_config import BridgeConfig, BridgeRates, EpisodeSelection
from ocrrl_ros.sim.bridge_timing import RealTimeFactor, Schedule, StampClock
import pytest


@pytest.mark.parametrize('rate_hz', [1000.0, 500.0, 30.0, 15.0, 7.3])
def test_schedule_keeps_the_mean_rate(rate_hz):
    schedule = Schedule(rate_hz, 0.001)
    assert sum(schedule.is_due(step) for step in range(10000)) == pytest.approx(
        10 * rate_hz, abs=1)


def test_schedule_is_due_at_once_and_never_at_rate_zero():
    assert Schedule(1.0, 0.001).is_due(0)
    assert not any(Schedule(0.0, 0.001).is_due(step) for step in range(100))


def test_schedule_asked_in_coarse_ticks_gives_one_per_tick_at_most():
    schedule = Schedule(1000.0, 0.001)
    assert [schedule.is_due(step) for step in (0, 5, 10, 15)] == [True] * 4


def test_real_time_factor_is_given_per_window():
    factor = RealTimeFactor(1.0)
    assert factor.update(0.0, 0.0) is None
    assert factor.update(0.5, 0.5) is None
    assert factor.update(1.0, 0.9) == pytest.approx(0.9)
    assert factor.update(2.0, 1.9) == pytest.approx(1.0)
    assert factor.last == pytest.approx(1.0)


def test_stamps_keep_physics_distances_until_time_was_lost():
    clock = StampClock(offset_s=1000.0)
    clock.follow(1.0, 1001.002)
    clock.follow(1.5, None)
    assert clock.stamp_s(2.0) - clock.stamp_s(1.0) == pytest.approx(1.0)
    assert clock.corrections == 0
    clock.follow(2.0, 1002.5)
    assert clock.stamp_s(2.0) == pytest.approx(1002.5)
    assert clock.corrections == 1


@pytest.mark.parametrize('make, named', [
    (lambda: BridgeRates(crisp_hz=2000.0), 'rates.crisp_hz is 2000.0 Hz'),
    (lambda: EpisodeSelection(seed=-3), 'sim.seed is -3'),
    (lambda: BridgeConfig(realtime_priority=120), 'realtime_priority is 120'),
    (lambda: BridgeConfig(command_tick_s=0.5), 'command_tick_s is 0.5 s'),
    (lambda: BridgeConfig(renderer_timeout_s=0.0), 'renderer_timeout_s is 0.0 s'),
])
def test_impossible_setting_is_named_with_its_range(make, named):
    with pytest.raises(ConfigError, match=named + '.*allowed'):
        make()
