# SPDX-License-Identifier: Apache-2.0
"""Tests of episodes through a made-up graph."""
import json

from ocrrl_ros.core.errors import ConfigError, OcrrlError
from ocrrl_ros.evaluation import graph_session
from ocrrl_ros.evaluation.graph_session import GraphStatus, SessionConfig
import pytest


class FakeGraph:
    """A graph whose residual succeeds after 2 s and whose base times out."""

    def __init__(self, factors=(1.0,), fails=False, drift=False):
        """Take the real-time factors and whether the object leaves the workspace."""
        self.calls, self._factors, self._fails, self._drift = [], factors, fails, drift
        self._time_s, self._running, self._residual = 0.0, False, False

    def reset(self, seed, episode):
        """Note the reset."""
        self.calls.append(('reset', seed, episode))
        self._time_s = 0.0
        return {'init_sha256': f'{episode}{self._residual if self._drift else ""}'}

    def set_residual(self, enabled):
        """Note the switch."""
        self._residual = enabled
        self.calls.append(('residual', enabled))

    def start_episode(self):
        """Note the start."""
        self._running = True
        self.calls.append(('start', round(self._time_s, 2)))

    def end_episode(self, outcome):
        """Note the end."""
        self._running = False
        self.calls.append(('end', outcome))

    def wait_status(self, after_s=None):
        """Advance by 50 ms, or to a time."""
        self._time_s = max(self._time_s + 0.05, after_s or 0.0)
        done = self._running and self._time_s > 2.0
        return GraphStatus(
            episode=0, time_s=self._time_s, success=done and self._residual, horizon_s=15.0,
            failed=done and self._fails, hold_ticks=20, held_ticks=0)

    def take_real_time_factors(self):
        """Return the factors while an episode runs."""
        return list(self._factors) if self._running else [0.1]


def run(graph, episodes=2, **changes):
    """Run base and residual."""
    lines = []
    config = SessionConfig(episodes=episodes, **changes)
    records = graph_session.run_session(graph, config, ('base', 'residual'), lines.append)
    assert lines == records
    return records


def test_both_policies_run_every_episode_from_the_same_start():
    graph = FakeGraph()
    records = run(graph)
    assert [(r.policy, r.episode, r.outcome) for r in records] == [
        ('base', 0, 'timeout'), ('base', 1, 'timeout'), ('residual', 0, 'success'),
        ('residual', 1, 'success')]
    assert [r.init_sha256 for r in records] == ['0', '1', '0', '1']
    assert graph.calls[:4] == [
        ('reset', 10_000, 0), ('residual', False), ('start', 0.5), ('end', 'timeout')]


def test_an_object_out_of_the_workspace_ends_the_episode():
    records = run(FakeGraph(fails=True), episodes=1)
    assert records[0].outcome == 'workspace'


def test_a_slow_window_makes_the_episode_invalid_and_is_not_counted():
    records = run(FakeGraph(factors=(1.0, 0.97)))
    assert not any(record.valid for record in records)
    summary = graph_session.summarise_session(records[:2])
    assert (summary['episodes'], summary['invalid_episodes'], summary['rate']) == (0, 2, None)
    json.dumps(summary, allow_nan=False)


def test_windows_before_the_start_do_not_count():
    assert all(record.valid for record in run(FakeGraph(factors=(0.98,))))


def test_simulated_time_is_never_too_slow():
    assert all(r.valid for r in run(FakeGraph(factors=(0.1,)), real_time=False))


def test_summary_counts_and_bounds_the_rate():
    summary = graph_session.summarise_session(run(FakeGraph())[2:])
    assert (summary['policy'], summary['successes'], summary['rate']) == ('residual', 2, 1.0)
    assert summary['wilson95'][1] == 1.0
    assert summary['failure_modes'] == summary['endings'] == ['success', 'success']


def test_an_ending_is_not_sold_as_a_failure_mode():
    summary = graph_session.summarise_session(run(FakeGraph())[:2])
    assert summary['endings'] == ['timeout', 'timeout']
    assert summary['failure_modes'] == [None, None]
    assert summary['wall_s'] >= 0.0


def test_different_starts_for_two_policies_are_an_error():
    with pytest.raises(OcrrlError, match='started differently'):
        run(FakeGraph(drift=True))


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match='episodes is 0'):
        SessionConfig(episodes=0)
    with pytest.raises(ConfigError, match='settle_s'):
        SessionConfig(settle_s=-1.0)
