# SPDX-License-Identifier: Apache-2.0
"""
What the pose sensor model of training is fitted to: the tracker's errors and losses by phase.

Errors split into a constant part per sequence (bias), white noise (from differences of
neighbouring frames, which a slow part does not enter) and the slow rest (drift).
"""
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from ocrrl_ros.evaluation.tracker_figures import PHASES, Sample

QUANTILES = (0.5, 0.9, 0.95, 0.99)


class PoseLog:
    """Collects samples of grasps and resting objects, the situations that training has."""

    def __init__(self) -> None:
        """Start empty."""
        self._sequences: list[list[Sample]] = []

    def add(self, domain: str, bias: float, row: str, samples: Sequence[Sample]) -> None:
        """Take one object's sequence."""
        if samples and row in ('rest', 'grasp') and domain == 'sim':
            self._sequences.append(list(samples))

    def summary(self) -> dict[str, Any]:
        """Return the figures of the fit, per object."""
        ids = dict.fromkeys(samples[0].object_id for samples in self._sequences)
        return {'domain': 'sim', 'objects': {
            name: self._figures([s for s in self._sequences if s[0].object_id == name])
            for name in ids}}

    def _figures(self, sequences: list[list[Sample]]) -> dict[str, Any]:
        """Return the figures of one object, per phase."""
        found = [_started(samples) for samples in sequences]
        found = [samples for samples in found if samples]
        bias = np.array([
            np.mean([_error(s) for s in samples if s.valid], axis=0) for samples in found])
        bias = bias.reshape(-1, 6)
        phases = {name: self._phase(found, number) for number, name in enumerate(PHASES)}
        return {
            'sequences': len(found),
            'bias_m': _rms(bias[:, :3]), 'bias_rad': _rms(bias[:, 3:]),
            'first_valid_frames': [
                next((i for i, s in enumerate(samples) if s.valid), None)
                for samples in sequences],
            'phases': phases, 'invalid_bursts_frames': _bursts(found)}

    @staticmethod
    def _phase(sequences: list[list[Sample]], number: int) -> dict[str, Any]:
        """Return error quantiles, noise split and loss of one phase."""
        steps, centred, everything, valid = [], [], [], []
        for samples in sequences:
            inside = [s for s in samples if s.phase == number]
            valid += [s.valid for s in inside]
            errors = [_error(s) for s in inside if s.valid]
            if len(errors) < 3:
                continue
            array = np.array(errors)
            everything.append(array)
            steps.append(np.diff(array, axis=0))
            centred.append(array - array.mean(axis=0))
        if not everything:
            return {'frames': len(valid)}
        errors, step = np.concatenate(everything), np.concatenate(steps)
        spread = np.concatenate(centred)
        white_m, white_rad = _rms(step[:, :3]) / np.sqrt(2), _rms(step[:, 3:]) / np.sqrt(2)
        return {
            'frames': len(valid), 'invalid_share': 1.0 - float(np.mean(valid)),
            'white_m': white_m, 'white_rad': white_rad,
            'drift_m': float(np.sqrt(max(_rms(spread[:, :3]) ** 2 - white_m ** 2, 0.0))),
            'drift_rad': float(np.sqrt(max(_rms(spread[:, 3:]) ** 2 - white_rad ** 2, 0.0))),
            'position_m': _named(np.linalg.norm(errors[:, :3], axis=1)),
            'rotation_rad': _named(np.linalg.norm(errors[:, 3:], axis=1))}


def _started(samples: list[Sample]) -> list[Sample]:
    """Return a sequence from its first valid frame on."""
    first = next((i for i, sample in enumerate(samples) if sample.valid), len(samples))
    return samples[first:]


def _error(sample: Sample) -> np.ndarray:
    """Return translation and rotation error (6,)."""
    return np.concatenate([sample.error_m, sample.error_rad])


def _rms(values: np.ndarray) -> float:
    """Return the root mean square per axis; 0 of nothing."""
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0


def _named(values: np.ndarray) -> dict[str, float]:
    """Return quantiles by name."""
    return {f'p{100 * q:g}': float(np.quantile(values, q)) for q in QUANTILES}


def _bursts(sequences: list[list[Sample]]) -> list[int]:
    """Return the lengths of the runs of invalid frames."""
    lengths = []
    for samples in sequences:
        for valid, run in groupby(samples, key=lambda sample: sample.valid):
            if not valid:
                lengths.append(sum(1 for _ in run))
    return lengths
