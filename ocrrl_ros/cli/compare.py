# SPDX-License-Identifier: Apache-2.0
"""`ocrrl compare`."""
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ocrrl_ros.cli.report_command import read_results
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.evaluation.perturbations.pairs import compare_recoveries
from ocrrl_ros.evaluation.result_pairs import check_result, compare_results
from ocrrl_ros.evaluation.statistics import PairedComparison
from rich.console import Console
from tyro.conf import Positional


@dataclass(frozen=True, kw_only=True)
class Compare:
    """
    Compare two results of `ocrrl evaluate` on the same episodes: FIRST minus SECOND.

    Task, domain and every initial state must agree; policies, bases and poses may differ.
    """

    first: Positional[Path] = field(metadata={'description': 'result file'})
    second: Positional[Path] = field(metadata={'description': 'result file'})

    def run(self, console: Console) -> dict[str, Any]:
        """Pair the episodes and print the difference with its interval."""
        first, second = read_one(self.first), read_one(self.second)
        found = compare_results(first, second)
        low, high = found.interval95
        console.print(
            f'{first["task"]} in {first["domain"]}: {first["rate"]:.1%} minus '
            f'{second["rate"]:.1%}, {found.counts.n} pairs: {100 * found.difference:+.1f} points '
            f'[{100 * low:+.1f}, {100 * high:+.1f}], exact McNemar p {found.p_value:.2g}',
            highlight=False, soft_wrap=True)
        recovery = compare_recoveries(first, second)
        if recovery is not None:
            low, high = recovery.interval95
            console.print(
                f'back on course within 1 s of the same disturbance, {recovery.counts.n} pairs: '
                f'{100 * recovery.difference:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}], '
                f'exact McNemar p {recovery.p_value:.2g}', highlight=False, soft_wrap=True)
        return {
            'task': first['task'], 'domain': first['domain'],
            'first': _origin(self.first, first), 'second': _origin(self.second, second),
            **_mapping(found), 'recovery': None if recovery is None else _mapping(recovery)}


def _mapping(found: PairedComparison) -> dict[str, Any]:
    """Return a comparison as JSON can hold it."""
    return {**asdict(found), 'interval95': list(found.interval95)}


def read_one(path: Path) -> dict[str, Any]:
    """
    Read the only result in a file.

    :raises InputError: the file holds another number of results, or none.
    """
    results = read_results(path)
    if len(results) != 1:
        raise InputError(f'{path} holds {len(results)} results; allowed: 1')
    check_result(results[0], str(path))
    return results[0]


def _origin(path: Path, result: dict[str, Any]) -> dict[str, Any]:
    """Return where a result came from."""
    names = ('policy', 'poses', 'base', 'base_sha256', 'bundle_sha256', 'seed', 'rate', 'git')
    return {'file': str(path)} | {name: result.get(name) for name in names}
