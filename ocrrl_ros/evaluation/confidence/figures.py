# SPDX-License-Identifier: Apache-2.0
"""
How far a confidence can be trusted: the figures of protocol section 8.

Intervals are bootstraps over sequences: neighbouring frames are hardly independent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ocrrl_ros.evaluation.confidence.frames import JudgedFrames

BINS = 15
RESAMPLES = 2000


def figures(frames: JudgedFrames, seed: int = 0) -> dict[str, Any]:
    """
    Return counts, what the gate lets pass, and how well calibrated the probability is.

    ``bad_passed`` and ``good_rejected`` are shares of bad and good frames. A good frame counts as
    rejected from the first valid frame of its sequence on; ``good_waiting`` are those before.
    Figures for which there is nothing to count are None.
    """
    seen = frames.where(frames.seen)
    started = frames.where(since_first_valid(frames) & frames.seen)
    waiting = len(frames.where(frames.seen & frames.good)) - int(started.good.sum())
    clear = seen.where(seen.good | seen.bad)
    rng = np.random.default_rng(seed)
    return {
        'frames': len(seen), 'sequences': len(np.unique(frames.sequence)),
        'good': int(seen.good.sum()), 'bad': int(seen.bad.sum()),
        'between': int((~seen.good & ~seen.bad).sum()),
        'bad_sequences': len(np.unique(seen.sequence[seen.bad])),
        'bad_passed': _share(seen.where(seen.bad), True, rng),
        'good_rejected': _share(started.where(started.good), False, rng),
        'good_waiting': waiting,
    } | calibration(clear.confidence, clear.good)


def calibration(probability: np.ndarray, good: np.ndarray) -> dict[str, float | None]:
    """
    Return ECE at the prevalence found and at one half, AUROC and Brier skill.

    :param probability: (n,) that a frame is good.
    :param good: (n,) bool.
    """
    if good.all() or not good.any():
        return dict.fromkeys(('ece', 'ece_balanced', 'auroc', 'brier_skill'))
    even = np.ones(len(good))
    balanced = np.where(good, 0.5 / good.sum(), 0.5 / (~good).sum())
    share = good.mean()
    skill = 1.0 - np.mean((probability - good) ** 2) / (share * (1.0 - share))
    return {
        'ece': calibration_error(probability, good, even),
        'ece_balanced': calibration_error(probability, good, balanced),
        'auroc': auroc(probability, good), 'brier_skill': float(skill)}


def calibration_error(
        probability: np.ndarray, good: np.ndarray, weight: np.ndarray) -> float:
    """Return the expected calibration error over bins of equal mass."""
    order = np.argsort(probability, kind='stable')
    mass = weight[order] / weight.sum()
    # The middle of each frame's own mass decides its bin, so that a heavy one is not split.
    place = np.cumsum(mass) - mass / 2
    bins = np.minimum((BINS * place).astype(int), BINS - 1)
    gap = mass * (probability[order] - good[order])
    return float(np.abs(np.bincount(bins, gap, BINS)).sum())


def auroc(score: np.ndarray, good: np.ndarray) -> float:
    """Return the probability that a good frame scores above a bad one; equals count half."""
    _, level, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[level]
    n_good, n_bad = int(good.sum()), int((~good).sum())
    return float((ranks[good].sum() - n_good * (n_good + 1) / 2) / (n_good * n_bad))


def since_first_valid(frames: JudgedFrames) -> np.ndarray:
    """Say which frames come after the gate first opened in their sequence (n,)."""
    since = np.zeros(len(frames), bool)
    for number in np.unique(frames.sequence):
        inside = frames.sequence == number
        since[inside] = np.cumsum(frames.valid[inside]) > 0
    return since


def _share(
        frames: JudgedFrames, valid: bool, rng: np.random.Generator) -> dict[str, Any] | None:
    """Return the share of frames whose gate is open or closed, with a 95 % interval."""
    if not len(frames):
        return None
    _, group = np.unique(frames.sequence, return_inverse=True)
    hits = np.bincount(group, frames.valid == valid)
    sizes = np.bincount(group).astype(float)
    drawn = rng.integers(len(sizes), size=(RESAMPLES, len(sizes)))
    shares = hits[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return {'share': float(hits.sum() / sizes.sum()), 'interval95': [float(low), float(high)]}
