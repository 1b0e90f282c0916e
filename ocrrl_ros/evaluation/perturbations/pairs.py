# SPDX-License-Identifier: Apache-2.0
"""Compare how two policies recover from the same disturbances."""
from collections.abc import Mapping
from typing import Any

from ocrrl_ros.evaluation.perturbations.summary import RECOVERED_WITHIN_S
from ocrrl_ros.evaluation.statistics import compare_paired, PairedComparison

SAME = ('kind', 'phase', 'size')


def recovered(episode: Mapping[str, Any]) -> bool | None:
    """Tell whether an episode was back on course in time; None if it never left it."""
    if episode['time_s'] is None or not episode['left_course']:
        return None
    back_s = episode['recovery_s']
    return back_s is not None and back_s <= RECOVERED_WITHIN_S + 1e-9


def compare_recoveries(
        first: Mapping[str, Any], second: Mapping[str, Any]) -> PairedComparison | None:
    """
    Compare recovery within 1 s over the episodes in which the same plan drove both off course.

    The moment of a plan comes in each policy's own time: what is paired is what was drawn.

    :param first: result of `evaluate --perturb` of the same episodes as the second.
    :return: differences are first - second; None without such episodes.
    """
    both = [result.get('disturbance', {}).get('episodes', ()) for result in (first, second)]
    rows = [(recovered(one), recovered(two)) for one, two in zip(*both)
            if all(one[name] == two[name] for name in SAME)]
    known = [row for row in rows if None not in row]
    return compare_paired(*zip(*known)) if known else None
