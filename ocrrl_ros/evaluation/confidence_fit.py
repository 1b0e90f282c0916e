# SPDX-License-Identifier: Apache-2.0
"""
Fit the logistic weights of the tracker's confidence to judged frames.

Frames between good and bad say nothing and are left out. No weight may reward disagreement, which
bounds the fit where the data are thin.
"""
from collections.abc import Sequence
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import DatasetError
from ocrrl_ros.evaluation.tracker_bench import Sample
from ocrrl_ros.perception.confidence import FEATURES
from scipy.optimize import minimize

RIDGE = 1e-3
MIN_FRAMES = 50


class ConfidenceFit:
    """Collects frames of domain ``sim`` and fits."""

    def __init__(self) -> None:
        """Start empty."""
        self._features: list[list[float]] = []
        self._good: list[bool] = []

    def add(self, domain: str, bias: float, row: str, samples: Sequence[Sample]) -> None:
        """Take one sequence; other domains than ``sim`` are passed over."""
        if domain != 'sim':
            return
        for sample in samples:
            if sample.state in ('ok', 'warn') and (sample.is_good or sample.is_bad):
                self._features.append([sample.parts[name] for name in FEATURES])
                self._good.append(sample.is_good)

    def summary(self) -> dict[str, Any]:
        """
        Return weights by name, counts and what the fit reaches on its own data.

        :raises DatasetError: too few good or bad frames.
        """
        features, good = np.array(self._features), np.array(self._good, dtype=float)
        count = int(good.sum()), int(len(good) - good.sum())
        if min(count) < MIN_FRAMES:
            raise DatasetError(
                f'{count[0]} good and {count[1]} bad frames; the fit needs {MIN_FRAMES} of each')
        weights = fit_weights(features, good)
        probability = 1.0 / (1.0 + np.exp(-(features @ weights[1:] + weights[0])))
        return {
            'weights': {'bias': float(weights[0])} | {
                name: float(weight) for name, weight in zip(FEATURES, weights[1:])},
            'good': count[0], 'bad': count[1],
            'brier': float(np.mean((probability - good) ** 2)),
            'auroc': _auroc(probability, good > 0.5)}


def fit_weights(features: np.ndarray, good: np.ndarray) -> np.ndarray:
    """
    Return bias and weights (1 + F,) of the most probable logistic model, weights <= 0.

    :param features: (n, F), zero for a perfect match.
    :param good: (n,) 1 for good, 0 for bad frames.
    """
    scale = np.maximum(features.std(axis=0), 1e-6)
    inputs = np.concatenate([np.ones((len(good), 1)), features / scale], axis=1)
    sign = 2.0 * good - 1.0

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (inputs @ weights)
        pull = -sign / (1.0 + np.exp(np.clip(margin, -50.0, 50.0)))
        penalty = RIDGE * weights[1:] @ weights[1:]
        gradient = inputs.T @ pull / len(good)
        gradient[1:] += 2.0 * RIDGE * weights[1:]
        return float(np.mean(np.logaddexp(0.0, -margin)) + penalty), gradient

    bounds = [(None, None)] + [(None, 0.0)] * features.shape[1]
    found = minimize(loss, np.zeros(inputs.shape[1]), jac=True, bounds=bounds, method='L-BFGS-B')
    return np.concatenate([found.x[:1], found.x[1:] / scale])


def _auroc(score: np.ndarray, good: np.ndarray) -> float:
    """Return the probability that a good frame scores above a bad one."""
    order = np.argsort(score)
    ranks = np.empty(len(score))
    ranks[order] = np.arange(1, len(score) + 1)
    n_good, n_bad = good.sum(), (~good).sum()
    return float((ranks[good].sum() - n_good * (n_good + 1) / 2) / (n_good * n_bad))
