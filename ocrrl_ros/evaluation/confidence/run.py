# SPDX-License-Identifier: Apache-2.0
"""
Fit the confidence in ``sim`` without two objects, then test it on those and in another world.

The tests use sequences that the fit has not seen, tracked anew with the fitted weights: what the
tracker does, when it searches and what it keeps, follows its confidence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.evaluation.carried_motion import HARD_ROWS
from ocrrl_ros.evaluation.confidence.collect import (
    collect, CollectSettings, CONFIDENCE_ROWS, OBJECT_TASKS, parts_of)
from ocrrl_ros.evaluation.confidence.figures import figures
from ocrrl_ros.evaluation.confidence.fit import fit_confidence, fit_gate, probabilities
from ocrrl_ros.evaluation.confidence.frames import JudgedFrames
from ocrrl_ros.perception.pose_estimator import TrackerConfig
from ocrrl_ros.sim.domain import load_domain

Progress = Callable[[str, int, int], None]
_TEST_SEED_STEP = 1000


@dataclass(frozen=True, kw_only=True)
class ConfidenceRunConfig:
    """What is fitted and tested."""

    left_out: tuple[str, ...] = field(
        default=('block', 'bowl'), metadata={'description': 'objects that are not fitted to'})
    worlds: int = field(default=6, metadata={
        'description': 'worlds drawn from sim for each object that is fitted to'})
    test_worlds: int = field(default=3, metadata={
        'description': 'times that each object is tested in each world'})
    test_domain: str = field(
        default='proxy', metadata={'description': 'world in which every object is tested'})
    hard_sequences: int = field(
        default=4, metadata={'description': 'sequences of each hard row per object and world'})
    rows: tuple[str, ...] = field(
        default=CONFIDENCE_ROWS, metadata={'description': 'kinds of sequences'})
    seed: int = field(default=10_000, metadata={'description': 'seed of the sequences'})
    workers: int = field(default=2, metadata={'description': 'processes'})

    def __post_init__(self) -> None:
        """Refuse what leaves nothing to fit to or to test on."""
        unknown = [name for name in self.left_out if name not in OBJECT_TASKS]
        if unknown or not 0 < len(self.left_out) < len(OBJECT_TASKS):
            raise ConfigError(
                f'left_out is {self.left_out}; allowed: some, but not all, of '
                f'{", ".join(OBJECT_TASKS)}')
        for name in ('worlds', 'test_worlds', 'hard_sequences', 'workers'):
            if getattr(self, name) < 1:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: >= 1')


def run_fit(
        config: ConfidenceRunConfig, tracker: TrackerConfig, folder: Path,
        progress: Progress | None = None) -> tuple[TrackerConfig, dict[str, Any]]:
    """
    Return the tracker's settings with a fitted confidence, and how it fits its own data.

    Only ``sim`` is opened here.
    """
    objects = [name for name in OBJECT_TASKS if name not in config.left_out]
    frames = _collected(
        config, objects, 'sim', tracker, folder, config.worlds, config.seed, progress)
    confidence = fit_confidence(frames, tracker.fit_confidence)
    gate = fit_gate(frames, probabilities(frames, confidence), tracker.gate)
    fitted = replace(tracker.with_fit_confidence(confidence), gate=gate)
    used = frames.where(frames.seen & (frames.good | frames.bad))
    return fitted, {
        'weights': to_mapping(confidence), 'gate': to_mapping(gate), 'good': int(used.good.sum()),
        'bad': int(used.bad.sum()), 'objects': objects}


def run_tests(
        config: ConfidenceRunConfig, tracker: TrackerConfig, folder: Path,
        progress: Progress | None = None) -> dict[str, Any]:
    """Return the figures on the objects left out in ``sim`` and on all in the test world."""
    seed = config.seed + _TEST_SEED_STEP
    return {
        name: _by_row(_collected(
            config, objects, domain, tracker, folder, config.test_worlds, seed, progress))
        for name, objects, domain in (
            ('left_out_sim', config.left_out, 'sim'),
            ('test_domain', tuple(OBJECT_TASKS), config.test_domain))}


def _collected(
        config: ConfidenceRunConfig, objects: tuple[str, ...] | list[str], domain: str,
        tracker: TrackerConfig, folder: Path, worlds: int, seed: int,
        progress: Progress | None) -> JudgedFrames:
    """Collect frames, and say how far it is."""
    parts = parts_of(objects, worlds=worlds, seed=seed, hard_sequences=config.hard_sequences)
    done: list[str] = []

    def report(name: str) -> None:
        done.append(name)
        if progress is not None:
            progress(f'{domain} {name}', len(done), len(parts))

    settings = CollectSettings(
        domain=load_domain(domain), tracker=tracker, folder=folder, rows=config.rows)
    return collect(settings, parts, workers=config.workers, progress=report)


def _by_row(frames: JudgedFrames) -> dict[str, Any]:
    """Return the figures of all frames, of the easy and the hard rows, and of each row."""
    hard = np.isin(frames.row, HARD_ROWS)
    groups = {'all': frames, 'hard': frames.where(hard), 'easy': frames.where(~hard)}
    groups |= {str(row): frames.where(frames.row == row) for row in np.unique(frames.row)}
    return {name: figures(group) for name, group in groups.items() if len(group)}
