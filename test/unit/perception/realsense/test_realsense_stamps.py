# SPDX-License-Identifier: Apache-2.0
"""Time stamps of a camera come out on the clock of the stack and never go back."""
import numpy as np
from ocrrl_ros.perception.adapters.realsense.stamps import StampClock
import pytest

PERIOD_S = 1.0 / 30.0
EPOCH_S = 1.7e9


def arrivals(exposed_s, rng, least_s=0.02):
    """Return when frames arrive: delays of 20 ms and more, now and then much more."""
    delays = least_s + rng.exponential(0.005, len(exposed_s))
    delays[rng.random(len(exposed_s)) < 0.05] += 0.08
    return np.maximum.accumulate(exposed_s + delays)


def test_stamps_on_the_hosts_clock_are_taken_as_they_are():
    clock = StampClock(latency_s=0.5)
    for index in range(5):
        exposed_s = EPOCH_S + index * PERIOD_S
        assert clock.stamp(exposed_s, 'host', exposed_s + 0.03) == exposed_s
    assert clock.method == 'host'


def test_a_hosts_clock_that_is_not_ours_is_estimated():
    clock = StampClock()
    stamps = [clock.stamp(EPOCH_S + t, 'host', 5.0 + t) for t in np.arange(5) * PERIOD_S]
    assert clock.method == 'estimate'
    np.testing.assert_allclose(stamps, 5.0 + np.arange(5) * PERIOD_S, atol=1e-6)


def test_the_cameras_own_clock_is_followed_to_a_millisecond_through_delays_and_drift():
    rng = np.random.default_rng(0)
    exposed_s = EPOCH_S + np.arange(9000) * PERIOD_S
    own_s = (exposed_s - EPOCH_S) * (1.0 + 50e-6) + 77.0
    clock = StampClock(latency_s=0.02)
    stamps = [clock.stamp(own, 'camera', arrival)
              for own, arrival in zip(own_s, arrivals(exposed_s, rng))]
    kept = np.array([np.nan if stamp is None else stamp for stamp in stamps])
    assert np.isfinite(kept[30:]).all()
    error_s = (kept - exposed_s)[30:]
    assert np.abs(error_s).max() < 3e-3
    assert np.abs(error_s[300:]).mean() < 1e-3


def test_without_a_known_latency_stamps_are_late_by_the_least_delay():
    exposed_s = 100.0 + np.arange(600) * PERIOD_S
    clock = StampClock()
    for exposed, arrival in zip(exposed_s, arrivals(exposed_s, np.random.default_rng(1))):
        stamp_s = clock.stamp(exposed, 'camera', arrival)
    assert stamp_s - exposed_s[-1] == pytest.approx(0.02, abs=1e-3)


def test_stamps_never_go_back_when_a_faster_frame_shows_that_the_first_was_late():
    clock = StampClock()
    stamps = [clock.stamp(index * PERIOD_S, 'camera', 10.0 + index * PERIOD_S + delay_s)
              for index, delay_s in enumerate([0.4] + [0.02] * 30)]
    given = [stamp for stamp in stamps if stamp is not None]
    assert (np.diff(given) >= 1e-3).all()
    assert stamps[1] is None
    assert given[-1] == pytest.approx(10.0 + 30 * PERIOD_S + 0.02)


def test_stamps_are_never_of_the_future():
    clock = StampClock()
    for index in range(50):
        arrival_s = 10.0 + index * PERIOD_S + 0.01 * (index % 3)
        stamp_s = clock.stamp(index * PERIOD_S + 0.012 * (index % 2), 'camera', arrival_s)
        assert stamp_s is None or stamp_s <= arrival_s


@pytest.mark.parametrize('own_clock_starts_at', [0.0, 500.0])
def test_a_camera_whose_clock_was_set_goes_on(own_clock_starts_at):
    clock = StampClock()
    first = [clock.stamp(100.0 + t, 'camera', 10.0 + t) for t in np.arange(30) * PERIOD_S]
    second = [clock.stamp(own_clock_starts_at + t, 'camera', 11.1 + t)
              for t in np.arange(30) * PERIOD_S]
    np.testing.assert_allclose(first + second, [
        *(10.0 + np.arange(30) * PERIOD_S), *(11.1 + np.arange(30) * PERIOD_S)])


@pytest.mark.parametrize('pace', [0.5, 1.0, 8.0])
def test_a_recording_is_stamped_with_its_arrival_at_whatever_pace_it_is_played(pace):
    clock = StampClock(latency_s=0.1)
    arrivals_s = 10.0 + np.arange(900) * PERIOD_S / pace
    stamps = [clock.stamp(100.0 + (index % 90) * PERIOD_S, 'recording', arrival_s)
              for index, arrival_s in enumerate(arrivals_s)]
    np.testing.assert_allclose(stamps, arrivals_s, atol=1e-9)


@pytest.mark.parametrize('jump_s', [3600.0, -3600.0])
def test_the_stacks_clock_may_be_set(jump_s):
    clock = StampClock()
    for index in range(30):
        clock.stamp(index * PERIOD_S, 'camera', 1e4 + index * PERIOD_S)
    arrival_s = 1e4 + jump_s + 30 * PERIOD_S
    assert clock.stamp(30 * PERIOD_S, 'camera', arrival_s) == pytest.approx(arrival_s)


def test_after_a_reconnection_the_offset_is_estimated_anew():
    clock = StampClock()
    clock.stamp(50.0, 'camera', 10.0)
    clock.restart()
    assert clock.stamp(50.1, 'camera', 20.0) == 20.0
