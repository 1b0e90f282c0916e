# SPDX-License-Identifier: Apache-2.0
"""A thinned topic keeps its rate, and a clock that is set back silences none."""

from ocrrl_ros.interfaces.recording import _Thinned
import pytest


def test_calls_are_thinned_to_the_rate():
    thinned = _Thinned(50.0)
    assert sum(thinned.is_due(0.005 * tick) for tick in range(400)) == pytest.approx(100, abs=2)


@pytest.mark.parametrize('by_s', [-1.0, -3600.0])
def test_recording_goes_on_at_once_after_the_clock_was_set_back(by_s):
    thinned = _Thinned(50.0)
    assert all(thinned.is_due(time_s) for time_s in (99.98, 100.0))
    assert not thinned.is_due(99.995)
    assert thinned.is_due(100.0 + by_s)
    assert not thinned.is_due(100.005 + by_s)
    assert thinned.is_due(100.02 + by_s)
