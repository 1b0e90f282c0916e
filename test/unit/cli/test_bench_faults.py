# SPDX-License-Identifier: Apache-2.0
"""What `ocrrl bench faults` refuses, and how it sums up kills; the graph itself is a ROS test."""
from types import SimpleNamespace

from ocrrl_ros.cli.bench_faults import _periods, _row, _table, BenchFaults
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
import pytest


@pytest.mark.parametrize(('settings', 'words'), [
    ({'repeats': 0}, 'repeats is 0'), ({'hog_s': -1.0}, 'hog_s is -1.0'),
    ({'hogs': 0}, 'hogs is 0'), ({'rest_s': -1.0}, 'rest_s is -1.0')])
def test_settings_without_meaning_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        BenchFaults(**settings)


def test_unknown_nodes_are_named():
    with pytest.raises(UnknownNameError, match="unknown node 'arm'.*known: base_policy"):
        BenchFaults(nodes=('arm',))


def restart(moving_s, state):
    """Make what followed on one kill."""
    return SimpleNamespace(
        alive_s=0.5 * moving_s, moving_s=moving_s, silence_s=0.1, states=(state, 'executing'))


def test_kills_are_summed_up_by_median_and_worst():
    row = _row('episode', [restart(time_s, text) for time_s, text in (
        (1.0, 'a'), (2.0, 'b'), (2.5, 'a'))])
    assert row['moving_s']['median'] == 2.0 and row['moving_s']['worst'] == 2.5
    assert row['states'] == ['a', 'executing', 'b'] and row['passed']
    assert not _row('episode', [restart(3.5, 'a')])['passed']
    assert _table([row]).row_count == 1


def test_pauses_between_episodes_are_no_periods():
    found = _periods([0.0, 0.005, 0.010, 5.0, 5.005])
    assert found['n'] == 3 and found['max_ms'] == 5.0
    assert _periods([1.0]) == {'n': 0}
