# SPDX-License-Identifier: Apache-2.0
"""
The language check of the protocol (section 7).

One scene with two cubes: from the same start a base is told to lift the one and to lift the
other, in the words of the demonstrations and in three wordings that no demonstration has. What
counts is which cube the hand lifts first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.resources import default_base
from ocrrl_ros.evaluation.chunk_schedule import RolloutConfig
from ocrrl_ros.evaluation.policies import load_policies
from ocrrl_ros.evaluation.provenance import available_cores
from ocrrl_ros.evaluation.rollout_factory import build_rollout, RolloutSettings
from ocrrl_ros.evaluation.statistics import goal_holds, lower_bound, wilson_interval
from ocrrl_ros.evaluation.worker_pool import run_items
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.seeding import episode_rngs
from ocrrl_ros.sim.tasks import get_task

TASKS = {'red': 'lift_red_of_two', 'green': 'lift_green_of_two'}
CUBES = {'cube': 'red', 'base_cube': 'green'}
WORDINGS = ('lift the {colour} cube', 'pick up the {colour} cube', 'raise the {colour} block',
            'grab the {colour} one and hold it up')
"""The first is that of the demonstrations, the others are unseen."""
STREAM_NAME = 'language'
"""In place of the task's name in the seeds, so that both instructions meet the same starts."""
GOAL = 0.90


@dataclass(frozen=True, kw_only=True)
class LanguageConfig:
    """What to check."""

    base: str | None = field(
        default=None, metadata={'description': "base bundle; default: the domain's own"})
    domain: str = field(default='sim', metadata={'description': 'sim, proxy or a domain file'})
    episodes: int = field(
        default=100, metadata={'description': 'starts; each is run with both cubes and all words'})
    seed: int = field(default=10_000, metadata={'description': 'evaluation seed'})
    workers: int = field(default=0, metadata={'description': 'processes; 0: one per core'})

    def __post_init__(self) -> None:
        """Refuse counts and seeds that mean nothing."""
        if self.episodes < 1:
            raise ConfigError(f'episodes is {self.episodes}; allowed: >= 1')
        if self.seed < 0 or self.workers < 0:
            raise ConfigError(f'seed is {self.seed}, workers {self.workers}; allowed: >= 0')


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One episode: what was asked for and which cube was lifted first (empty: none)."""

    colour: str
    wording: int
    episode: int
    picked: str = ''
    init_sha256: str = ''


class LanguageWorker:
    """Runs attempts; lives in a worker process."""

    def __init__(self, config: LanguageConfig):
        """Build a world per named cube."""
        self._config = config
        self._domain = load_domain(config.domain).name
        self._rollouts = {colour: build_rollout(RolloutSettings(
            task=task, domain=config.domain, base=config.base or default_base(config.domain),
            residual=None, poses='truth', seed=config.seed, rollout=RolloutConfig()))
            for colour, task in TASKS.items()}

    def __call__(self, attempt: Attempt) -> Attempt:
        """Run one attempt."""
        streams = episode_rngs(STREAM_NAME, self._domain, self._config.seed, attempt.episode)
        record = self._rollouts[attempt.colour].run(
            attempt.episode, streams,
            instruction=WORDINGS[attempt.wording].format(colour=attempt.colour))
        return Attempt(**{**asdict(attempt), 'picked': CUBES.get(record.picked, ''),
                          'init_sha256': record.init_sha256})

    def close(self) -> None:
        """Free the renderers."""
        for rollout in self._rollouts.values():
            rollout.close()


def measure_language(config: LanguageConfig,
                     progress: Callable[[int, int], None] = lambda *_: None) -> dict[str, Any]:
    """
    Run every start with both cubes named in all wordings.

    :raises BundleError: the base is missing or does not serve both tasks.
    """
    base = config.base or default_base(config.domain)
    bundles = [load_policies(get_task(task), base, None) for task in TASKS.values()]
    planned = [Attempt(colour=colour, wording=wording, episode=episode)
               for episode in range(config.episodes) for wording in range(len(WORDINGS))
               for colour in TASKS]
    done = []
    for attempt in run_items(LanguageWorker, config, planned,
                             workers=config.workers or available_cores()):
        done.append(attempt)
        progress(len(done), len(planned))
    domain = load_domain(config.domain)
    return {
        'domain': domain.name, 'domain_sha256': domain.sha256(), 'seed': config.seed,
        'episodes': len(planned), 'starts': config.episodes, 'base': bundles[0].base_name,
        'base_sha256': bundles[0].base_sha256, 'train_seed': bundles[0].train_seed,
        **summarise_attempts(done)}


def summarise_attempts(attempts: Iterable[Attempt]) -> dict[str, Any]:
    """Return how often the named cube was picked, by wording, and what a swap of the name did."""
    found = list(attempts)
    rows = [{'instruction': words.format(colour=colour), 'unseen': index > 0,
             **_counts([a for a in found if a.colour == colour and a.wording == index])}
            for index, words in enumerate(WORDINGS) for colour in TASKS]
    return {
        'wordings': rows, 'all': _counts(found),
        'unseen': _counts([attempt for attempt in found if attempt.wording > 0]),
        'swapped': _swapped(found)}


def _counts(attempts: list[Attempt]) -> dict[str, Any]:
    """Count which cube was picked; the share is of picks, not of episodes."""
    picks = sum(attempt.picked != '' for attempt in attempts)
    named = sum(attempt.picked == attempt.colour for attempt in attempts)
    counts: dict[str, Any] = {'episodes': len(attempts), 'picks': picks, 'named': named}
    if picks:
        counts |= {'share': named / picks, 'wilson95': list(wilson_interval(named, picks)),
                   'lower_bound95': lower_bound(named, picks),
                   'goal_holds': goal_holds(named, picks, GOAL)}
    return counts


def _swapped(attempts: list[Attempt]) -> dict[str, Any]:
    """Return how often, from one start, each of the two names led to a pick of its own cube."""
    by_start: dict[tuple[int, int], dict[str, str]] = {}
    for attempt in attempts:
        start = by_start.setdefault((attempt.episode, attempt.wording), {})
        start[attempt.colour] = attempt.picked
    pairs = [picks for picks in by_start.values() if all(picks.get(c) for c in TASKS)]
    other = sum(picks['red'] != picks['green'] for picks in pairs)
    both = sum(all(picks[colour] == colour for colour in TASKS) for picks in pairs)
    return {'pairs_with_two_picks': len(pairs), 'picked_the_other': other, 'both_named': both}
