# SPDX-License-Identifier: Apache-2.0
"""The `disturbance` block of an evaluation's result."""
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.evaluation.episode_record import EpisodeRecord
from ocrrl_ros.evaluation.perturbations.reaction import ENDED, NONE, REACTED
from ocrrl_ros.evaluation.perturbations.record import DisturbanceRecord
from ocrrl_ros.evaluation.perturbations.settings import DisturbanceSettings, STALL
from ocrrl_ros.evaluation.statistics import compare_paired, wilson_interval

RECOVERED_WITHIN_S = 1.0
OBJECT = 'object'
"""All kinds that move the object; a poke moves the arm, which its own law brings back."""
QUANTILES = {'p05': 0.05, 'median': 0.5, 'p95': 0.95}


def summarise_disturbances(
        settings: DisturbanceSettings, latencies_s: dict[str, Any],
        records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    """
    Build the block.

    :param latencies_s: what lies between the world and the policy here, listed apart.
    :param records: of all episodes, each with its disturbance.
    """
    found = [record.disturbance for record in records]
    met = [item.time_s is not None for item in found]
    block = {
        'kinds': list(settings.kinds), 'phases': list(settings.phases),
        'stall_s': settings.stall_s, 'sizes': to_mapping(settings.sizes),
        'latencies_s': latencies_s, 'episodes': [asdict(item) for item in found],
        'disturbed': sum(met), 'moment_never_came': len(met) - sum(met),
        'twin_differed': sum(not item.twin_identical for item in found),
        'undisturbed': _undisturbed(found), 'success': _success(records)}
    if settings.kinds == (STALL,):
        return block
    groups = {'all': [item for item in found if item.time_s is not None]}
    groups[OBJECT] = [item for item in groups['all'] if item.kind != 'poke']
    groups |= {kind: [item for item in groups['all'] if item.kind == kind]
               for kind in settings.kinds}
    return block | {
        'displacement': {name: _displacement(items) for name, items in groups.items()},
        'reaction': {name: reaction_figures(items, 'reaction') for name, items in groups.items()},
        'decision': {name: reaction_figures(items, 'decision') for name, items in groups.items()},
        'recovery': {name: recovery_figures(items) for name, items in groups.items()}}


def _undisturbed(found: Sequence[DisturbanceRecord]) -> dict[str, Any]:
    """Return the success of the twins of all episodes."""
    outcomes = [item.undisturbed_outcome for item in found]
    return {'outcomes': outcomes, 'successes': sum(outcomes), 'rate': float(np.mean(outcomes)),
            'wilson95': list(wilson_interval(sum(outcomes), len(outcomes)))}


def _success(records: Sequence[EpisodeRecord]) -> dict[str, Any] | None:
    """Compare success with that of the twins, in the episodes that were disturbed."""
    pairs = [(record.outcome, record.disturbance.undisturbed_outcome) for record in records
             if record.disturbance.time_s is not None]
    if not pairs:
        return None
    disturbed, undisturbed = zip(*pairs)
    found = compare_paired(disturbed, undisturbed)
    return {
        'n': len(pairs), 'disturbed_rate': float(np.mean(disturbed)),
        'undisturbed_rate': float(np.mean(undisturbed)), 'difference': found.difference,
        'interval95': list(found.interval95), 'lower_bound95': found.lower_bound95,
        'p_value': found.p_value, 'only_disturbed': found.counts.only_first,
        'only_undisturbed': found.counts.only_second}


def _displacement(items: Sequence[DisturbanceRecord]) -> dict[str, Any]:
    """Return how far a kind moved things."""
    return {'n': len(items), 'not_displaced': sum(not item.reaction for item in items),
            'mm': _quantiles([item.displacement_mm for item in items]),
            'turn_deg': _quantiles([item.turn_deg for item in items]),
            'moved_s': _quantiles([item.moved_s for item in items if item.moved_s is not None])}


def _quantiles(values: Sequence[float]) -> dict[str, float] | None:
    """Return the quantiles of all, None without any."""
    if not values:
        return None
    return {name: float(np.quantile(values, at)) for name, at in QUANTILES.items()} | {
        'largest': float(max(values))}


def reaction_figures(items: Sequence[DisturbanceRecord], which: str) -> dict[str, Any]:
    """
    Return counts and quantiles of the time to an answer.

    No answer counts as one that is later than the limit: a quantile that falls on one is None.
    Episodes that ended before the limit without an answer are counted apart.

    :param which: ``reaction`` or ``decision``.
    """
    outcomes = [getattr(item, which) for item in items]
    times = [np.inf if outcome == NONE else getattr(item, f'{which}_s')
             for item, outcome in zip(items, outcomes) if outcome in (REACTED, NONE)]
    return {
        'n': len(times), 'none': outcomes.count(NONE), 'ended': outcomes.count(ENDED),
        'not_displaced': outcomes.count(''),
        'median_s': _known_quantile(times, 0.5), 'p95_s': _known_quantile(times, 0.95)}


def recovery_figures(items: Sequence[DisturbanceRecord]) -> dict[str, Any]:
    """Return how many of those that left the course were back on it within 1 s, and when."""
    left = [item for item in items if item.left_course]
    times = [np.inf if item.recovery_s is None else item.recovery_s for item in left]
    soon, later, late = (sum(time_s <= limit_s + 1e-9 for time_s in times)
                         for limit_s in (RECOVERED_WITHIN_S, 2.0, 3.0))
    return {
        'n': len(left), 'kept_course': sum(bool(item.reaction) for item in items) - len(left),
        'within_1s': soon, 'rate': soon / len(left) if left else None,
        'wilson95': list(wilson_interval(soon, len(left))) if left else None,
        'within_2s': later, 'within_3s': late, 'ever': int(np.isfinite(times).sum()),
        'median_s': _known_quantile(times, 0.5)}


def _known_quantile(times: Sequence[float], at: float) -> float | None:
    """Return a quantile by order statistics, None where it is not finite or nothing is known."""
    if not len(times):
        return None
    value = float(np.quantile(times, at, method='higher'))
    return value if np.isfinite(value) else None
