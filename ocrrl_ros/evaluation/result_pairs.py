# SPDX-License-Identifier: Apache-2.0
"""Check results of `evaluate` and `demo`, and pair those that ran the same episodes."""
from collections.abc import Mapping, Sequence
from typing import Any

from ocrrl_ros.core.errors import InputError
from ocrrl_ros.evaluation.statistics import compare_paired, PairedComparison

RESULT_FIELDS = ('task', 'domain', 'policy', 'poses', 'episodes', 'successes', 'rate', 'wilson95')


def check_result(result: Mapping[str, Any], source: str) -> None:
    """Raise InputError unless the mapping is a result of `evaluate` or `demo`."""
    missing = [name for name in RESULT_FIELDS if name not in result]
    if missing:
        raise InputError(f'{source} is no evaluation result: it lacks {", ".join(missing)}')


def pair_results(results: Sequence[Mapping[str, Any]]) -> list[tuple[str, PairedComparison]]:
    """
    Compare residual with base, and the ROS graph with the offline rollout, on the same episodes.

    Two results are paired when task, domain and every initial state agree; episodes that either
    side marked invalid (`valid` is false) are left out.
    """
    found = []
    for result in results:
        for other in results:
            name = _comparison(result, other)
            if name is None or not _same_episodes(result, other):
                continue
            comparison = _compare_valid(result, other)
            if comparison is not None:
                found.append((name, comparison))
    return found


def compare_results(
        first: Mapping[str, Any], second: Mapping[str, Any]) -> PairedComparison:
    """
    Compare any two results that ran the same episodes of the same world, whatever the policies.

    :return: differences are first - second.
    :raises InputError: they did not; the message says what differs.
    """
    for name in ('task', 'domain', 'domain_sha256', 'success_version'):
        if first.get(name) != second.get(name):
            raise InputError(
                f'the results cannot be paired: {name} is {first.get(name)!r} in the first and '
                f'{second.get(name)!r} in the second')
    if not _same_episodes(first, second):
        raise InputError(
            'the results cannot be paired: their initial states differ '
            f'({_starts(first)}; {_starts(second)})')
    comparison = _compare_valid(first, second)
    if comparison is None:
        raise InputError('the results cannot be paired: no episode is valid in both')
    return comparison


def _starts(result: Mapping[str, Any]) -> str:
    """Say which episodes a result ran."""
    return f'seed {result.get("seed")}, {len(result.get("init_sha256") or ())} initial states'


def _compare_valid(
        one: Mapping[str, Any], two: Mapping[str, Any]) -> PairedComparison | None:
    """Compare the episodes that both results count; None when there are none."""
    rows = [(bool(first), bool(second)) for first, second, good in zip(
        one['outcomes'], two['outcomes'], _both_valid(one, two)) if good]
    return compare_paired(*zip(*rows)) if rows else None


def _comparison(result: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """Name what the difference of two results would tell, or None when it tells nothing."""
    is_graph = [each.get('through') == 'ros' for each in (result, other)]
    if result['policy'] != 'base' and other['policy'] == 'base':
        return (f'{policy_name(result)} ({result["poses"]} poses) minus '
                f'{policy_name(other)} in {result["domain"]}')
    if result['policy'] == other['policy'] and is_graph == [True, False]:
        return (f'{policy_name(result)} over ROS minus offline ({other["poses"]} poses) in '
                f'{result["domain"]}')
    return None


def _same_episodes(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    """Tell whether two results ran the same initial states."""
    return (one['task'] == two['task'] and one['domain'] == two['domain']
            and bool(one.get('init_sha256')) and one['init_sha256'] == two.get('init_sha256'))


def _both_valid(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[bool]:
    """Tell per episode whether both results count it."""
    n = len(one['outcomes'])
    first, second = (result.get('valid') or [True] * n for result in (one, two))
    return [a and b for a, b in zip(first, second)]


def policy_name(result: Mapping[str, Any]) -> str:
    """Name a result's policy for people."""
    names = {'base': 'base alone', 'residual': 'base + residual'}
    return names.get(result['policy'], str(result['policy']))
