# SPDX-License-Identifier: Apache-2.0
"""
Run episodes through the running ROS graph, seen only through a small protocol.

What the graph does over ROS is in `interfaces.graph_client`; here is what an episode is: reset,
settle, start, watch the task's state until it succeeds, fails or times out, end. An episode with a
one-second window below a real-time factor of 0.98 is invalid and not counted.
"""
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
import time
from typing import Any, Literal, Protocol

import numpy as np
from ocrrl_ros.core.errors import ConfigError, OcrrlError
from ocrrl_ros.evaluation.statistics import wilson_interval

REAL_TIME_GOAL = 0.98
Outcome = Literal['success', 'workspace', 'timeout']


@dataclass(frozen=True, kw_only=True)
class GraphStatus:
    """What the bridge says about its world; `mujoco_bridge/sim/task_state`."""

    episode: int
    time_s: float
    """Simulated time since the last reset."""
    success: bool
    failed: bool
    horizon_s: float
    hold_ticks: int
    held_ticks: int


class Graph(Protocol):
    """The running graph as a session needs it."""

    def reset(self, seed: int, episode: int) -> dict[str, Any]:
        """Put the world at an episode's start; return what the bridge answers."""

    def set_residual(self, enabled: bool) -> None:
        """Switch the residual."""

    def start_episode(self) -> None:
        """Let the robot move."""

    def end_episode(self, outcome: Outcome) -> None:
        """Stop the robot, note the outcome, and return when nobody commands it any more."""

    def wait_status(self, after_s: float | None = None) -> GraphStatus:
        """Return the next status, or the first one whose time is past ``after_s``."""

    def take_real_time_factors(self) -> list[float]:
        """Return the factors of the windows that ended since the last call."""


class Observer(Protocol):
    """Somebody who watches episodes, for films and timing."""

    def begin(self, policy: str, episode: int) -> None:
        """Note that an episode starts now."""

    def watch(self, status: GraphStatus) -> None:
        """Look at the graph; called at 20 Hz while an episode runs."""

    def end(self, record: 'GraphEpisode') -> None:
        """Note how the episode ended."""


@dataclass(frozen=True, kw_only=True)
class SessionConfig:
    """Which episodes to run."""

    episodes: int = field(default=10, metadata={'description': 'episodes per policy'})
    seed: int = field(default=10_000, metadata={'description': 'evaluation seed'})
    settle_s: float = field(
        default=0.5, metadata={'description': 'rest between reset and start, s'})
    time_limit_s: float = field(
        default=0.0, metadata={'description': "end episodes after this time, s; 0: the task's"})
    real_time: bool = field(
        default=True, metadata={'description': 'judge the real-time factor'})

    def __post_init__(self) -> None:
        """Refuse counts and times that mean nothing."""
        if self.episodes < 1:
            raise ConfigError(f'episodes is {self.episodes}; allowed: >= 1')
        if not 0.0 <= self.settle_s <= 10.0:
            raise ConfigError(f'settle_s is {self.settle_s} s; allowed: 0 .. 10')
        if not 0.0 <= self.time_limit_s <= 600.0:
            raise ConfigError(f'time_limit_s is {self.time_limit_s} s; allowed: 0 .. 600')


@dataclass(frozen=True, kw_only=True)
class GraphEpisode:
    """One episode through the graph."""

    policy: str
    episode: int
    outcome: Outcome
    duration_s: float
    """Simulated time from start to end."""
    init_sha256: str
    real_time_factor: float | None
    """Lowest of the one-second windows that ended during the episode."""
    valid: bool
    wall_s: float
    """Wall time from the reset until the robot is at rest again."""

    @property
    def success(self) -> bool:
        """Tell whether the task was done."""
        return self.outcome == 'success'


def run_episode(graph: Graph, config: SessionConfig, policy: str, episode: int,
                observer: Observer | None = None) -> GraphEpisode:
    """
    Run one episode.

    :param policy: `base` or `residual`.
    :raises OcrrlError: the graph refuses, or does not answer.
    """
    reset_s = time.monotonic()
    start = graph.reset(config.seed, episode)
    graph.set_residual(policy == 'residual')
    status = graph.wait_status(after_s=config.settle_s)
    graph.take_real_time_factors()
    graph.start_episode()
    started_s, factors = status.time_s, []
    if observer is not None:
        observer.begin(policy, episode)
    while True:
        status = graph.wait_status()
        factors += graph.take_real_time_factors()
        if observer is not None:
            observer.watch(status)
        outcome = judge(status, started_s, config.time_limit_s)
        if outcome is not None:
            break
    graph.end_episode(outcome)
    lowest = min(factors) if factors else None
    valid = not config.real_time or lowest is None or lowest >= REAL_TIME_GOAL
    record = GraphEpisode(
        policy=policy, episode=episode, outcome=outcome, init_sha256=start['init_sha256'],
        duration_s=round(status.time_s - started_s, 3), real_time_factor=lowest, valid=valid,
        wall_s=time.monotonic() - reset_s)
    if observer is not None:
        observer.end(record)
    return record


def judge(
        status: GraphStatus, started_s: float, time_limit_s: float = 0.0) -> Outcome | None:
    """
    Return how the episode ended, or None while it runs.

    :param time_limit_s: longest episode; 0 for the task's.
    """
    if status.success:
        return 'success'
    if status.failed:
        return 'workspace'
    limit_s = time_limit_s or status.horizon_s
    return 'timeout' if status.time_s - started_s >= limit_s else None


def run_session(graph: Graph, config: SessionConfig, policies: Sequence[str],
                progress: Callable[[GraphEpisode], None],
                observer: Observer | None = None) -> list[GraphEpisode]:
    """
    Run all episodes of every policy, from the same initial states.

    :raises OcrrlError: two policies met different initial states.
    """
    records: list[GraphEpisode] = []
    starts: dict[int, str] = {}
    for policy in policies:
        for episode in range(config.episodes):
            record = run_episode(graph, config, policy, episode, observer)
            if starts.setdefault(episode, record.init_sha256) != record.init_sha256:
                raise OcrrlError(
                    f'episode {episode} started differently for {policy}: '
                    f'{record.init_sha256[:12]} and {starts[episode][:12]}')
            records.append(record)
            progress(record)
    return records


def summarise_session(records: Sequence[GraphEpisode]) -> dict[str, Any]:
    """
    Return the part of a result that follows from episodes; its rate counts the valid ones.

    ``endings`` says how each episode ended. The rules behind ``failure_modes`` need the fingers'
    contacts, which the graph does not publish: the mode of a failure is None.
    """
    counted = [record for record in records if record.valid]
    n, successes = len(counted), sum(record.success for record in counted)
    factors = [r.real_time_factor for r in records if r.real_time_factor is not None]
    return {
        'policy': records[0].policy, 'episodes': n, 'successes': successes,
        'rate': successes / n if n else None,
        'wilson95': list(wilson_interval(successes, n)) if n else [0.0, 1.0],
        'mean_episode_s': float(np.mean([r.duration_s for r in counted])) if n else None,
        'invalid_episodes': len(records) - n,
        'real_time_factor_min': min(factors) if factors else None,
        'outcomes': [record.success for record in records],
        'valid': [record.valid for record in records],
        'init_sha256': [record.init_sha256 for record in records],
        'failure_modes': ['success' if record.success else None for record in records],
        'endings': [record.outcome for record in records],
        'wall_s': round(sum(record.wall_s for record in records), 3),
        'durations_s': [record.duration_s for record in records]}
