# SPDX-License-Identifier: Apache-2.0
"""The demo reports times of the real clock for runs in real time alone."""

from types import SimpleNamespace

from ocrrl_ros.cli.demo_observer import DemoObserver
import pytest


@pytest.mark.parametrize(('factor', 'delays'), [(1.0, 1), (None, 0)])
def test_pose_delays_are_given_for_real_time_alone(factor: float | None, delays: int):
    observer = DemoObserver(SimpleNamespace(diagnostics={}))
    observer.pose_delays_s, observer.pose_rates_hz = [0.05, 0.06], [30.0]
    rows = observer.timing_rows([SimpleNamespace(real_time_factor=factor)])
    assert sum('image stamp to published pose' in row.what for row in rows) == delays
    assert any('real-time factor' in row.what for row in rows) == bool(delays)
