# SPDX-License-Identifier: Apache-2.0
"""What episodes of `ocrrl bench limits` showed, added up, and kept in a file to go on later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
import json
import math
from pathlib import Path

from ocrrl_ros.core.errors import InputError

# Times are counted in bins of one per cent.
_BINS_PER_E = 100.0


@dataclass(frozen=True)
class FuzzResult:
    """What one episode showed: counts by name; times by what was timed, as counts of bins."""

    number: int
    ticks: int
    violations: dict[str, int]
    events: dict[str, int]
    times: dict[str, dict[str, int]]


def binned(times_ns: list[int]) -> dict[str, int]:
    """Return how many times lie in each bin."""
    return dict(Counter(
        str(math.ceil(_BINS_PER_E * math.log(max(time_ns, 1)))) for time_ns in times_ns))


def quantiles(bins: Counter[str]) -> dict[str, float]:
    """Return quantiles in us, at most one per cent above the true ones."""
    rows = sorted((int(name), count) for name, count in bins.items())
    total = sum(count for _, count in rows)
    found = {'n': total}
    for label, share in (('p50_us', 0.5), ('p99_us', 0.99), ('max_us', 1.0)):
        seen, value = 0, 0.0
        for number, count in rows:
            seen, value = seen + count, math.exp(number / _BINS_PER_E) / 1e3
            if seen >= share * total:
                break
        found[label] = value
    return found


class KeptEpisodes:
    """A file with one finished episode a line, after one line that says what they belong to."""

    def __init__(self, path: Path, belongs_to: dict[str, object]):
        """
        Open or begin the file.

        :param belongs_to: seed and code of the run.
        :raises InputError: the file belongs to another run.
        """
        self._path = path
        self.results: list[FuzzResult] = []
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(belongs_to) + '\n')
            return
        lines = list(self._lines())
        if not lines or lines[0] != belongs_to:
            raise InputError(
                f'{path} keeps episodes of {lines[:1]}; allowed: those of {belongs_to}, or a file '
                'that does not exist')
        self.results = [FuzzResult(**line) for line in lines[1:]]
        # What was cut off would run into the next line.
        path.write_text(''.join(json.dumps(line) + '\n' for line in lines))

    def add(self, result: FuzzResult) -> None:
        """Keep one more episode."""
        with self._path.open('a') as file:
            file.write(json.dumps(asdict(result)) + '\n')

    def _lines(self) -> Iterator[dict[str, object]]:
        """Yield the lines; a last one that was cut off does not count."""
        for line in self._path.read_text().splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                return
