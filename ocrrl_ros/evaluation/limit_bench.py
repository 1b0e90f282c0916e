# SPDX-License-Identifier: Apache-2.0
"""Count limit violations in random command ticks, and take the processor time of shaping."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
import time
from typing import Any

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.evaluation.limit_fuzz import FuzzEpisode
from ocrrl_ros.evaluation.limit_record import binned, FuzzResult, KeptEpisodes, quantiles
from ocrrl_ros.evaluation.limit_watch import BODY_EVERY, count_violations
from ocrrl_ros.evaluation.provenance import available_cores, read_git_state
from ocrrl_ros.evaluation.worker_pool import run_items

P99_GOAL_S = 250e-6
EPISODE_TICKS = 5000


@dataclass(frozen=True, kw_only=True)
class LimitBenchConfig:
    """How much to try."""

    ticks: int = field(
        default=1_000_000, metadata={'description': 'random command ticks of 1 ms'})
    seed: int = field(default=0, metadata={'description': 'seed of all of them'})
    workers: int = field(default=0, metadata={'description': 'processes; 0: one per core'})
    keep: str = field(
        default='', metadata={'description': (
            'file that keeps finished episodes: the same command goes on where it was ended')})

    def __post_init__(self) -> None:
        """Refuse counts that mean nothing."""
        if self.ticks < EPISODE_TICKS:
            raise ConfigError(f'ticks is {self.ticks}; allowed: >= {EPISODE_TICKS}')
        if self.seed < 0 or self.workers < 0:
            raise ConfigError(
                f'seed is {self.seed} and workers {self.workers}; allowed: >= 0 each')


class FuzzWorker:
    """Runs any episode; lives in a worker process."""

    def __init__(self, seed: int):
        """Keep the seed and compile the kernels, so that no time contains that."""
        self._seed = seed
        FuzzEpisode(seed, 0).run(2 * EPISODE_TICKS // 10)

    def __call__(self, number: int) -> FuzzResult:
        """Run one episode and judge it."""
        episode = FuzzEpisode(self._seed, number)
        episode.run(EPISODE_TICKS)
        shaper, violations = episode.shaper, Counter()
        for stream in episode.streams:
            violations.update(count_violations(stream, shaper, shaper.guard))
        events = episode.events + Counter({
            'refused goals': shaper.refused_goals, 'substituted goals': shaper.substituted_goals,
            'late stops': shaper.late_stops, f'episodes with image {episode.image}': 1})
        events.update({f'guard acted: {n}': c for n, c in shaper.guard_counts.items()})
        kind = 'calm' if episode.is_calm else (
            'shipped settings' if episode.is_shipped else 'random settings')
        times = {f'{name}, {kind}': binned(values) for name, values in episode.times_ns.items()}
        return FuzzResult(
            number, EPISODE_TICKS, {name: int(count) for name, count in violations.items()},
            dict(events), times)


def bench_limits(
        config: LimitBenchConfig, progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """
    Run random episodes and return counts and times.

    :param progress: called with the number of ticks done so far.
    """
    started_s = time.monotonic()
    violations: Counter[str] = Counter()
    events: Counter[str] = Counter()
    times: dict[str, Counter[str]] = {}
    done = 0
    for result in _results(config):
        violations.update(result.violations)
        events.update(result.events)
        for name, bins in result.times.items():
            times.setdefault(name, Counter()).update(bins)
        done += result.ticks
        if progress is not None:
            progress(done)
    found = {name: quantiles(bins) for name, bins in sorted(times.items())}
    p99_us = found['target, calm']['p99_us']
    total = sum(violations.values())
    return {
        'ticks': done, 'seed': config.seed, 'violations': dict(violations),
        'violations_total': total, 'bodies_every_ticks': BODY_EVERY, 'events': dict(events),
        'times': found, 'target_p99_us': p99_us, 'goals': {
            'violations_total': 0, 'target_p99_us': P99_GOAL_S * 1e6},
        'wall_s': time.monotonic() - started_s,
        'passed': total == 0 and p99_us <= P99_GOAL_S * 1e6}


def _results(config: LimitBenchConfig) -> Iterator[FuzzResult]:
    """Yield the results of all episodes, those that were kept first."""
    numbers = range(-(-config.ticks // EPISODE_TICKS))
    kept = None
    if config.keep:
        kept = KeptEpisodes(
            Path(config.keep), {'seed': config.seed, 'code': asdict(read_git_state())})
        yield from (result for result in kept.results if result.number in numbers)
    known = {result.number for result in kept.results} if kept else set()
    for result in run_items(
            FuzzWorker, config.seed, [number for number in numbers if number not in known],
            workers=config.workers or available_cores()):
        if kept is not None:
            kept.add(result)
        yield result
