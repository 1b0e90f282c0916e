# SPDX-License-Identifier: Apache-2.0
"""Frames in which the tracker said something about an object, with what was true."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ocrrl_ros.core.errors import DatasetError
from ocrrl_ros.evaluation.tracker_figures import Sample
from ocrrl_ros.perception.confidence import FEATURES


@dataclass(frozen=True, kw_only=True)
class JudgedFrames:
    """
    One entry (n,) per frame and object, frames of a sequence in order.

    ``sequence`` numbers differ between sequences; ``seen`` says that the tracker made an
    estimate from the image (not a prediction); ``error_m`` and ``error_rad`` against the truth;
    ``good`` and ``bad`` as the protocol has them, neither in between; ``valid`` the gate;
    ``confidence`` 0 .. 1; ``features`` (n, F) in the order of `FEATURES`.
    """

    sequence: np.ndarray
    object_id: np.ndarray
    row: np.ndarray
    seen: np.ndarray
    error_m: np.ndarray
    error_rad: np.ndarray
    good: np.ndarray
    bad: np.ndarray
    valid: np.ndarray
    confidence: np.ndarray
    features: np.ndarray

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.sequence)

    def where(self, keep: np.ndarray) -> JudgedFrames:
        """Return the frames of a mask (n,)."""
        return JudgedFrames(**{
            item.name: getattr(self, item.name)[keep] for item in dataclasses.fields(self)})

    def save(self, path: Path) -> None:
        """Write to a file that appears only when it is complete."""
        part = path.with_suffix('.part.npz')
        np.savez_compressed(part, names=np.array(FEATURES), **{
            item.name: getattr(self, item.name) for item in dataclasses.fields(self)})
        part.rename(path)


def frames_of(samples: Sequence[Sample], row: str, sequence: int) -> JudgedFrames:
    """Return the frames of one object in one sequence."""
    def column(values: list, kind: type) -> np.ndarray:
        return np.array(values, dtype=kind)

    return JudgedFrames(
        sequence=np.full(len(samples), sequence), row=np.full(len(samples), row),
        object_id=np.array([sample.object_id for sample in samples]),
        seen=column([sample.is_seen for sample in samples], bool),
        error_m=column([sample.distance_m for sample in samples], float),
        error_rad=column([sample.angle_rad for sample in samples], float),
        good=column([sample.is_good for sample in samples], bool),
        bad=column([sample.is_bad for sample in samples], bool),
        valid=column([sample.valid for sample in samples], bool),
        confidence=column([sample.confidence for sample in samples], float),
        features=np.array(
            [[sample.parts[name] for name in FEATURES] for sample in samples]
        ).reshape(len(samples), len(FEATURES)))


def joined(parts: Sequence[JudgedFrames]) -> JudgedFrames:
    """
    Return all frames, sequences numbered anew.

    :raises DatasetError: there are none.
    """
    if not parts:
        raise DatasetError('there are no judged frames')
    shift, sequences = 0, []
    for part in parts:
        _, numbers = np.unique(part.sequence, return_inverse=True)
        sequences.append(numbers + shift)
        shift += 1 + int(numbers.max(initial=-1))
    return JudgedFrames(sequence=np.concatenate(sequences), **{
        item.name: np.concatenate([getattr(part, item.name) for part in parts])
        for item in dataclasses.fields(JudgedFrames) if item.name != 'sequence'})


def load_frames(path: Path) -> JudgedFrames:
    """
    Read frames that `save` wrote.

    :raises DatasetError: the file has other features than this version knows.
    """
    with np.load(path) as stored:
        if tuple(stored['names']) != FEATURES:
            raise DatasetError(
                f'{path} has features {", ".join(stored["names"])}; expected '
                f'{", ".join(FEATURES)}: delete it and collect again')
        return JudgedFrames(**{
            item.name: stored[item.name] for item in dataclasses.fields(JudgedFrames)})
