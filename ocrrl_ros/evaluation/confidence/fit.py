# SPDX-License-Identifier: Apache-2.0
"""
Fit the logistic weights of the tracker's confidence, and the gate's thresholds, to judged frames.

Frames between good and bad say nothing and are left out. No weight may reward disagreement, which
bounds the fit where the data are thin.
"""

from __future__ import annotations

from dataclasses import replace
import itertools

import numpy as np
from ocrrl_ros.core.errors import DatasetError
from ocrrl_ros.evaluation.confidence.figures import since_first_valid
from ocrrl_ros.evaluation.confidence.frames import JudgedFrames
from ocrrl_ros.perception.confidence import ConfidenceConfig, FEATURES
from ocrrl_ros.perception.gate import ConfidenceGate, GateConfig
from scipy.optimize import minimize

RIDGE = 1e-4
MIN_FRAMES = 50
LEVELS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)
"""Thresholds that the gate may have."""
MOST_PASSED, MOST_REJECTED = 0.01, 0.03
"""Shares of bad frames that may pass and of good ones that may not, protocol section 8."""


def fit_confidence(frames: JudgedFrames, start: ConfidenceConfig) -> ConfidenceConfig:
    """
    Return the settings with fitted weights.

    :raises DatasetError: too few good or bad frames.
    """
    used = frames.where(frames.seen & (frames.good | frames.bad))
    count = int(used.good.sum()), int(used.bad.sum())
    if min(count) < MIN_FRAMES:
        raise DatasetError(
            f'{count[0]} good and {count[1]} bad frames; the fit needs {MIN_FRAMES} of each')
    weights = fit_weights(used.features, used.good.astype(float))
    return replace(start, bias=float(weights[0]), **{
        name: float(weight) for name, weight in zip(FEATURES, weights[1:])})


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


def probabilities(frames: JudgedFrames, config: ConfidenceConfig) -> np.ndarray:
    """Return what other weights would have said (n,); 0 where the object was not seen."""
    parts = dict(zip(FEATURES, frames.features.T))
    return np.where(frames.seen, config.probabilities(parts), 0.0)


def gated(frames: JudgedFrames, confidence: np.ndarray, config: GateConfig) -> np.ndarray:
    """Return what a gate would have let pass (n,), sequence by sequence."""
    valid = np.zeros(len(frames), bool)
    for number in np.unique(frames.sequence):
        gate = ConfidenceGate(config)
        for at in np.flatnonzero(frames.sequence == number):
            gate.update(confidence[at])
            valid[at] = gate.is_open
    return valid


def fit_gate(frames: JudgedFrames, confidence: np.ndarray, start: GateConfig) -> GateConfig:
    """
    Return the thresholds that come nearest to what the protocol asks for on both sides.

    A good frame is rejected when the gate is closed after it was open in the same sequence.

    :param confidence: (n,) of the frames.
    """
    found = []
    for leave, enter in itertools.combinations(LEVELS, 2):
        gate = replace(start, enter=enter, leave=leave)
        judged = replace(frames, valid=gated(frames, confidence, gate))
        bad = judged.where(judged.seen & judged.bad).valid
        good = judged.where(judged.seen & judged.good & since_first_valid(judged)).valid
        passed = float(bad.mean()) if len(bad) else 0.0
        rejected = float(1.0 - good.mean()) if len(good) else 1.0
        found.append((max(passed / MOST_PASSED, rejected / MOST_REJECTED), enter, gate))
    return min(found, key=lambda item: item[:2])[2]
