# SPDX-License-Identifier: Apache-2.0
"""Whatever received targets break is counted, and nothing else."""

from collections import Counter

import numpy as np
from ocrrl_ros.evaluation.faults.received_targets import broken_targets, shaper_of
from ocrrl_ros.robot.fr3 import READY_POSITION


def test_what_is_broken_is_counted():
    shaper, times_s = shaper_of(), 0.005 * np.arange(400)
    smooth = np.tile(READY_POSITION, (400, 1))
    smooth[:, 0] += 0.1 * np.sin(2.0 * np.pi * times_s)
    assert not broken_targets(times_s, smooth, shaper)
    assert not broken_targets(times_s + np.where(times_s > 1.0, 0.4, 0.0), smooth, shaper)
    ahead = times_s + np.where(times_s > 1.0, 1.0, 0.0)
    assert not broken_targets(ahead, smooth, shaper, clock_sets_s=(1.0, -1.0))
    step = np.where(times_s > 1.0, 1.0, 0.0)[:, None] * np.eye(7)[0]
    assert set(broken_targets(times_s, smooth + 0.5 * step, shaper)) >= {
        'leap', 'velocity', 'acceleration', 'jerk'}
    assert set(broken_targets(ahead, smooth + 0.0005 * step, shaper, clock_sets_s=(1.0,))) == {
        'acceleration', 'jerk'}
    corner = 0.5 * np.clip(times_s - 1.0, 0.0, None)[:, None] * np.eye(7)[3]
    assert set(broken_targets(times_s, smooth + corner, shaper)) == {'acceleration', 'jerk'}
    # At 200 Hz a jerk that is forbidden hides in a change of the acceleration that is not.
    fine_s = 0.001 * np.arange(200)
    bend = READY_POSITION + 3.9 * np.clip(fine_s - 0.1, 0.0, None)[:, None] ** 2 * np.eye(7)[3]
    assert set(broken_targets(fine_s, bend, shaper, period_s=0.001)) == {'jerk'}
    low = smooth - 1.3 * np.eye(7)[1]
    assert broken_targets(times_s, smooth + 9.0 * step, shaper)['position']
    assert not set(broken_targets(times_s, low, shaper)) & {'jerk', 'acceleration', 'velocity'}
    low[100, 4] = np.nan
    assert broken_targets(times_s, low, shaper) == Counter({'not finite': 1})


def test_a_stream_that_never_came_breaks_nothing():
    for count in (0, 1, 3):
        q = np.tile(READY_POSITION, (count, 1)).reshape(-1, 7)
        assert not broken_targets(0.005 * np.arange(count), q, shaper_of())
