# SPDX-License-Identifier: Apache-2.0
"""Random lives of the command path break no limit, and a stream that does is counted."""

from __future__ import annotations

from collections import Counter
import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.evaluation import limit_bench
from ocrrl_ros.evaluation.limit_bench import bench_limits, EPISODE_TICKS, LimitBenchConfig
from ocrrl_ros.evaluation.limit_fuzz import FuzzEpisode
from ocrrl_ros.evaluation.limit_record import binned, FuzzResult, quantiles
from ocrrl_ros.evaluation.limit_watch import count_violations, Stream
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.command_shaping import CommandShaper
from ocrrl_ros.robot.guard_config import GuardConfig
import pytest

READY = np.array(fr3.READY_POSITION)
DT_S = 0.001


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2 ** 31), number=st.integers(0, 15))
def test_random_life_breaks_nothing(seed: int, number: int) -> None:
    """Both images, any settings: chunks, residuals, holds, resumes, re-seeds, speeds, guards."""
    episode = FuzzEpisode(seed, number)
    episode.run(1500)
    assert episode.events['targets'] + episode.events['joint goals'] > 0
    for stream in episode.streams:
        counts = count_violations(stream, episode.shaper, episode.shaper.guard)
        assert not sum(counts.values()), counts


def _stream() -> tuple[Stream, CommandShaper]:
    """Return a clean stream and its shaper."""
    shaper = CommandShaper(guard=GuardConfig())
    shaper.seed(READY)
    shaper.set_goal(READY + 0.4)
    rows = [shaper.sample(DT_S) for _ in range(400)]
    return Stream(DT_S, *(np.array(column) for column in zip(*rows))), shaper


def _broken(stream: Stream, **changes: np.ndarray) -> Stream:
    """Return a stream with other arrays."""
    return dataclasses.replace(stream, **changes)


def _bump(values: np.ndarray, size: float) -> np.ndarray:
    """Return values with one entry changed."""
    changed = values.copy()
    changed[200, 3] += size
    return changed


def test_clean_stream_has_no_violation() -> None:
    """What the shaper sends passes every check."""
    stream, shaper = _stream()
    assert not sum(count_violations(stream, shaper, shaper.guard).values())


@pytest.mark.parametrize(('column', 'size', 'names'), [
    ('q', 1e-5, ['continuity of position']),
    ('q', 4.0, ['position', 'velocity by differences', 'position-dependent velocity']),
    ('dq', 0.02, ['acceleration by differences', 'continuity of velocity']),
    ('dq', 1.5, ['velocity', 'TCP speed']),
    ('ddq', 3.0, ['jerk by differences', 'continuity of velocity']),
    ('ddq', 9.0, ['acceleration'])])
def test_one_wrong_number_is_counted(column: str, size: float, names: list[str]) -> None:
    """Each check sees what it is for."""
    stream, shaper = _stream()
    changed = _broken(stream, **{column: _bump(getattr(stream, column), size)})
    counts = count_violations(changed, shaper, shaper.guard)
    assert all(counts[name] > 0 for name in names), counts


@pytest.mark.parametrize(('guard', 'name'), [
    ({'workspace_upper_m': (0.31, 0.7, 1.0)}, 'TCP region'),
    ({'min_singular_value': 0.2}, 'singularity'),
    ({'body_height_m': 0.5}, 'planes of the body'),
    ({'tcp_speed_m_s': 0.1}, 'TCP speed')])
def test_motion_that_a_guard_forbids_is_counted(guard: dict, name: str) -> None:
    """A stream that was shaped without these guards is judged by them."""
    stream, shaper = _stream()
    judge = CommandShaper(guard=GuardConfig(**guard)).guard
    assert count_violations(stream, shaper, judge)[name] > 0


def test_bench_counts_every_episode_and_names_what_it_timed() -> None:
    """Ticks are rounded up to whole episodes."""
    done = []
    result = bench_limits(
        LimitBenchConfig(ticks=EPISODE_TICKS + 1, seed=5, workers=1), done.append)
    assert result['ticks'] == 2 * EPISODE_TICKS == done[-1]
    assert result['violations_total'] == 0
    assert {'jerk by differences', 'TCP speed', 'singularity'} <= set(result['violations'])
    assert result['times']['target, calm']['n'] > 100
    with pytest.raises(ConfigError, match='ticks is 10'):
        LimitBenchConfig(ticks=10)


def test_kept_episodes_are_not_run_again(tmp_path, monkeypatch) -> None:
    """A run goes on where its file ends, also in the middle of a line; another one refuses it."""
    path, ran = tmp_path / 'new' / 'kept.jsonl', []

    def run(worker, seed, numbers, workers):
        for number in numbers:
            ran.append(number)
            yield FuzzResult(
                number, EPISODE_TICKS, {'position': number}, {'starts': 1},
                {'target, calm': binned([1000 * (number + 1)])})

    monkeypatch.setattr(limit_bench, 'run_items', run)
    first = bench_limits(LimitBenchConfig(ticks=2 * EPISODE_TICKS, keep=str(path)))
    assert (ran, first['violations_total']) == ([0, 1], 1)
    text = path.read_text()
    path.write_text(text[:-20])
    again = bench_limits(LimitBenchConfig(ticks=3 * EPISODE_TICKS, keep=str(path)))
    assert ran == [0, 1, 1, 2]
    assert (again['ticks'], again['violations_total']) == (3 * EPISODE_TICKS, 3)
    assert again['times']['target, calm']['n'] == 3
    once_more = bench_limits(LimitBenchConfig(ticks=3 * EPISODE_TICKS, keep=str(path)))
    assert len(ran) == 4
    assert once_more['violations'] == again['violations']
    with pytest.raises(InputError, match="'seed': 0"):
        bench_limits(LimitBenchConfig(ticks=EPISODE_TICKS, seed=1, keep=str(path)))


def test_quantiles_of_bins_are_within_a_hundredth() -> None:
    """And never below the true ones."""
    times = np.random.default_rng(0).lognormal(11.0, 1.0, 5000).astype(int)
    found = quantiles(Counter(binned(times.tolist())))
    assert found['n'] == 5000
    ordered = np.sort(times) / 1e3
    for name, index in (('p50_us', 2499), ('p99_us', 4949), ('max_us', 4999)):
        assert 1.0 <= found[name] / ordered[index] <= 1.011, name
