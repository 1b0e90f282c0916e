# SPDX-License-Identifier: Apache-2.0
"""
Intervals and tests for success rates, by section 6 of the protocol.

Rates get the Wilson score interval, goals the exact (Clopper-Pearson) one-sided lower bound,
paired differences the exact McNemar test with Newcombe's hybrid score interval (method 10 of
Newcombe, "Improved confidence intervals for the difference between binomial proportions based on
paired data", Statistics in Medicine 17, 1998), and several training seeds a bootstrap over seed
and episode.
"""
from collections.abc import Sequence
from dataclasses import dataclass
import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike
from ocrrl_ros.core.errors import InputError


def check_counts(successes: int, n: int) -> None:
    """Raise InputError unless 0 <= successes <= n and n >= 1."""
    if n < 1 or not 0 <= successes <= n:
        raise InputError(
            f'{successes} successes of {n} episodes: need 0 <= successes <= n, n >= 1')


def _check_level(confidence: float) -> None:
    if not 0.0 < confidence < 1.0:
        raise InputError(f'confidence {confidence!r} is outside (0, 1)')


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Compute the two-sided Wilson score interval of a rate."""
    check_counts(successes, n)
    _check_level(confidence)
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    lower = 0.0 if successes == 0 else max(0.0, centre - half)
    upper = 1.0 if successes == n else min(1.0, centre + half)
    return lower, upper


def binomial_tail(successes: int, n: int, p: float) -> float:
    """Compute P(X >= successes) for X ~ Binomial(n, p)."""
    check_counts(successes, n)
    if successes == 0 or p >= 1.0:
        return 1.0
    if p <= 0.0:
        return 0.0
    k = np.arange(successes, n + 1)
    log_choose = np.array([
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in k])
    log_terms = log_choose + k * math.log(p) + (n - k) * math.log1p(-p)
    return float(min(1.0, np.exp(log_terms).sum()))


def lower_bound(successes: int, n: int, confidence: float = 0.95) -> float:
    """
    Compute the exact one-sided lower confidence bound of a rate (Clopper-Pearson).

    It is the p at which seeing at least this many successes has probability 1 - confidence,
    found by bisection to 1e-12. A score bound would be anti-conservative near a rate of 1,
    where the goals lie.
    """
    check_counts(successes, n)
    _check_level(confidence)
    if successes == 0:
        return 0.0
    low, high = 0.0, successes / n
    while high - low > 1e-12:
        middle = 0.5 * (low + high)
        if binomial_tail(successes, n, middle) < 1.0 - confidence:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def goal_holds(successes: int, n: int, goal: float, margin: float = 0.02) -> bool:
    """Tell whether the one-sided 95 % lower bound reaches goal - margin (both as rates)."""
    return lower_bound(successes, n) >= goal - margin


@dataclass(frozen=True, kw_only=True)
class PairedCounts:
    """Counts of pairs (first, second): both succeeded, only one of them, none."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def n(self) -> int:
        """Give the number of pairs."""
        return self.both + self.only_first + self.only_second + self.neither


def count_pairs(first: ArrayLike, second: ArrayLike) -> PairedCounts:
    """
    Count the four kinds of pair of two outcome vectors.

    :param first: (N,) booleans, one per episode.
    :param second: (N,) booleans of the same episodes.
    """
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if a.shape != b.shape or a.ndim != 1 or a.size == 0:
        raise InputError(f'paired outcomes need two equal non-empty vectors, got {a.shape} '
                         f'and {b.shape}')
    return PairedCounts(both=int((a & b).sum()), only_first=int((a & ~b).sum()),
                        only_second=int((~a & b).sum()), neither=int((~a & ~b).sum()))


def mcnemar_exact(pairs: PairedCounts) -> float:
    """Compute the exact two-sided McNemar p-value (binomial test on the discordant pairs)."""
    discordant = pairs.only_first + pairs.only_second
    if discordant == 0:
        return 1.0
    larger = max(pairs.only_first, pairs.only_second)
    return min(1.0, 2.0 * binomial_tail(larger, discordant, 0.5))


def _phi(pairs: PairedCounts) -> float:
    """Compute Newcombe's corrected phi coefficient of the 2 x 2 table of pairs."""
    a, b, c, d = pairs.both, pairs.only_first, pairs.only_second, pairs.neither
    product = (a + b) * (c + d) * (a + c) * (b + d)
    if product == 0:
        return 0.0
    numerator = a * d - b * c
    if numerator > 0:
        numerator = max(numerator - pairs.n / 2.0, 0.0)
    return numerator / math.sqrt(product)


def paired_difference_interval(
        pairs: PairedCounts, confidence: float = 0.95) -> tuple[float, float]:
    """
    Compute the interval of rate(first) - rate(second) over pairs (Newcombe 1998, method 10).

    The Wilson limits of the two rates are squared and added with the pairs' phi coefficient as
    correlation. With confidence 0.90 its ends are the one-sided 95 % bounds.
    """
    n = pairs.n
    first, second = pairs.both + pairs.only_first, pairs.both + pairs.only_second
    p1, p2, phi = first / n, second / n, _phi(pairs)
    low1, high1 = wilson_interval(first, n, confidence)
    low2, high2 = wilson_interval(second, n, confidence)

    def spread(u: float, v: float) -> float:
        return math.sqrt(max(u * u - 2.0 * phi * u * v + v * v, 0.0))

    difference = p1 - p2
    return (max(-1.0, difference - spread(p1 - low1, high2 - p2)),
            min(1.0, difference + spread(high1 - p1, p2 - low2)))


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """Comparison of two policies on the same episodes; rates and differences in 0..1."""

    counts: PairedCounts
    difference: float
    interval95: tuple[float, float]
    lower_bound95: float
    p_value: float


def compare_paired(first: ArrayLike, second: ArrayLike) -> PairedComparison:
    """Compare two outcome vectors of the same episodes; differences are first - second."""
    pairs = count_pairs(first, second)
    return PairedComparison(
        counts=pairs, difference=(pairs.only_first - pairs.only_second) / pairs.n,
        interval95=paired_difference_interval(pairs),
        lower_bound95=paired_difference_interval(pairs, 0.90)[0],
        p_value=mcnemar_exact(pairs))


def bootstrap_seed_episode(
        outcomes: Sequence[ArrayLike] | np.ndarray, rng: np.random.Generator, *,
        confidence: float = 0.95, resamples: int = 10_000) -> tuple[float, float, float]:
    """
    Compute the mean and percentile interval of a rate (or paired difference) over seeds.

    Seeds and episodes are both drawn with replacement; the same episodes are drawn for every seed,
    because all seeds meet the same initial states.

    :param outcomes: (S, E) outcomes, or paired differences of outcomes, one row per training seed.
    :return: mean, lower end, upper end.
    """
    try:
        table = np.asarray(outcomes, dtype=float)
    except ValueError as error:
        raise InputError('every training seed needs the same number of episodes') from error
    if table.ndim != 2 or 0 in table.shape:
        raise InputError(f'outcomes have shape {table.shape}, need (seeds, episodes), both >= 1')
    _check_level(confidence)
    seeds, episodes = table.shape
    means = np.empty(resamples)
    for i in range(resamples):
        seed_weight = np.bincount(rng.integers(seeds, size=seeds), minlength=seeds)
        weight = np.bincount(rng.integers(episodes, size=episodes), minlength=episodes)
        means[i] = (seed_weight @ table @ weight) / (seeds * episodes)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return float(table.mean()), float(low), float(high)
