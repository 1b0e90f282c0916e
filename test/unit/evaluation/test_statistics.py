# SPDX-License-Identifier: Apache-2.0
"""Tests of ocrrl_ros.evaluation.statistics against hand-computed values."""
import math

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.evaluation import statistics
from ocrrl_ros.evaluation.statistics import PairedCounts
import pytest


def test_wilson_interval_equals_the_hand_computed_value():
    # p = 0.8, n = 10, z = 1.959964: centre = (0.8 + 0.192073) / 1.384146 = 0.716740,
    # half = 1.959964 / 1.384146 * sqrt(0.016 + 0.00960365) = 0.226577
    low, high = statistics.wilson_interval(8, 10)
    assert low == pytest.approx(0.490162, abs=2e-5)
    assert high == pytest.approx(0.943318, abs=2e-5)


def test_wilson_interval_touches_the_ends_at_no_and_all_successes():
    z2 = 1.959964 ** 2
    assert statistics.wilson_interval(0, 10) == (0.0, pytest.approx(z2 / (10 + z2), abs=1e-6))
    assert statistics.wilson_interval(10, 10) == (pytest.approx(10 / (10 + z2), abs=1e-6), 1.0)


@pytest.mark.parametrize(('successes', 'n'), [(-1, 10), (11, 10), (0, 0)])
def test_impossible_counts_are_refused_by_value(successes, n):
    with pytest.raises(InputError, match=f'{successes} successes of {n}'):
        statistics.wilson_interval(successes, n)


def test_lower_bound_of_all_successes_is_the_nth_root_of_alpha():
    assert statistics.lower_bound(10, 10) == pytest.approx(0.05 ** 0.1, abs=1e-9)
    assert statistics.lower_bound(0, 10) == 0.0


def test_lower_bound_of_one_success_is_the_complement_rule():
    # P(X >= 1) = 1 - (1 - p)^n = 0.05
    assert statistics.lower_bound(1, 20) == pytest.approx(1 - 0.95 ** (1 / 20), abs=1e-9)


def test_lower_bound_leaves_five_percent_in_the_tail():
    bound = statistics.lower_bound(960, 1000)
    assert statistics.binomial_tail(960, 1000, bound) == pytest.approx(0.05, abs=1e-6)
    assert bound < 0.96


def test_goal_of_96_percent_needs_a_lower_bound_of_94():
    assert statistics.goal_holds(960, 1000, 0.96)
    assert not statistics.goal_holds(945, 1000, 0.96)


def test_binomial_tail_equals_the_direct_sum():
    direct = sum(math.comb(7, k) * 0.3 ** k * 0.7 ** (7 - k) for k in (5, 6, 7))
    assert statistics.binomial_tail(5, 7, 0.3) == pytest.approx(direct, abs=1e-12)


def test_mcnemar_equals_the_binomial_sum_over_discordant_pairs():
    # 10 discordant, 9 to 1: 2 * (C(10,9) + C(10,10)) / 1024 = 22 / 1024
    pairs = PairedCounts(both=50, only_first=9, only_second=1, neither=40)
    assert statistics.mcnemar_exact(pairs) == pytest.approx(22 / 1024, abs=1e-12)


def test_mcnemar_without_discordance_or_with_a_tie_is_one():
    assert statistics.mcnemar_exact(
        PairedCounts(both=5, only_first=0, only_second=0, neither=5)) == 1.0
    assert statistics.mcnemar_exact(
        PairedCounts(both=5, only_first=4, only_second=4, neither=5)) == 1.0


def test_paired_interval_equals_newcombes_formula_by_hand():
    # a, b, c, d = 20, 12, 2, 16 of 50: p1 = .64, p2 = .44, difference .20.
    # ad - bc = 296 > 0, less n/2 = 271; phi = 271 / sqrt(32 * 18 * 22 * 28) = 0.454955.
    # Wilson: .64 -> (.501413, .758604), .44 -> (.311613, .576889).
    # lower: u = .138587, v = .136889 -> sqrt(u2 - 2 phi u v + v2) = .143803 -> .0562
    # upper: u = .118604, v = .128387 -> .129297 -> .3290
    pairs = PairedCounts(both=20, only_first=12, only_second=2, neither=16)
    low, high = statistics.paired_difference_interval(pairs)
    assert low == pytest.approx(0.0562, abs=2e-4)
    assert high == pytest.approx(0.3290, abs=4e-4)


def test_paired_interval_is_antisymmetric():
    one = PairedCounts(both=20, only_first=12, only_second=2, neither=16)
    other = PairedCounts(both=20, only_first=2, only_second=12, neither=16)
    low, high = statistics.paired_difference_interval(one)
    assert statistics.paired_difference_interval(other) == pytest.approx((-high, -low))


def test_paired_interval_of_identical_outcomes_contains_zero():
    low, high = statistics.paired_difference_interval(
        PairedCounts(both=980, only_first=0, only_second=0, neither=20))
    assert low <= 0.0 <= high


def test_paired_interval_covers_the_true_difference_at_its_level():
    rng = np.random.default_rng(3)
    table = np.array([0.35, 0.45, 0.05, 0.15])
    covered = 0
    for _ in range(400):
        a, b, c, d = rng.multinomial(200, table)
        low, high = statistics.paired_difference_interval(
            PairedCounts(both=a, only_first=b, only_second=c, neither=d))
        covered += low <= 0.40 <= high
    assert 0.92 <= covered / 400 <= 0.99


def test_comparison_counts_pairs_and_signs_the_difference_first_minus_second():
    first = [True] * 8 + [False] * 2
    second = [True] * 4 + [False] * 5 + [True]
    result = statistics.compare_paired(first, second)
    assert result.counts == PairedCounts(both=4, only_first=4, only_second=1, neither=1)
    assert result.difference == pytest.approx(0.3)
    assert result.interval95[0] <= result.lower_bound95 <= result.difference


def test_outcome_vectors_of_different_length_are_refused():
    with pytest.raises(InputError, match='equal non-empty'):
        statistics.count_pairs([True], [True, False])


def test_bootstrap_is_wider_than_episodes_alone_when_seeds_differ():
    rng = np.random.default_rng(0)
    same = np.tile(rng.random(200) < 0.8, (3, 1))
    spread = np.stack([rng.random(200) < p for p in (0.6, 0.8, 1.0)])
    mean, low, high = statistics.bootstrap_seed_episode(same, rng, resamples=1000)
    assert mean == pytest.approx(same.mean())
    wide = statistics.bootstrap_seed_episode(spread, rng, resamples=1000)
    assert wide[2] - wide[1] > 1.5 * (high - low)


def test_bootstrap_of_constant_outcomes_has_no_width():
    rng = np.random.default_rng(0)
    assert statistics.bootstrap_seed_episode(
        np.ones((3, 10)), rng, resamples=50) == (1.0, 1.0, 1.0)


def test_bootstrap_refuses_ragged_outcomes():
    with pytest.raises(InputError, match='same number of episodes'):
        statistics.bootstrap_seed_episode(
            [[True, False], [True]], np.random.default_rng(0), resamples=5)
