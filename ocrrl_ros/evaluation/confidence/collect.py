# SPDX-License-Identifier: Apache-2.0
"""
Let the tracker follow objects in many worlds and write down what it said and what was true.

A part is one object in one world and one file; parts that are there already are not done again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
import hashlib
import json
from pathlib import Path
import zlib

import numpy as np
from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.evaluation.carried_motion import HARD_ROWS
from ocrrl_ros.evaluation.confidence.frames import (
    frames_of, joined, JudgedFrames, load_frames)
from ocrrl_ros.evaluation.tracker_bench import TrackerBench
from ocrrl_ros.evaluation.tracker_figures import Sample
from ocrrl_ros.evaluation.tracker_sequences import WHOLE_SCENE
from ocrrl_ros.evaluation.worker_pool import run_items
from ocrrl_ros.perception.pose_estimator import TrackerConfig
from ocrrl_ros.sim.domain import Domain

Range = tuple[float, float]
#: Object -> (task in which it is carried, or which moves it).
OBJECT_TASKS = {
    'cube': 'cube_lift', 'base_cube': 'stack_cube', 'block': 'pick_place', 'bowl': 'pick_place',
    'cup': 'stand_cup', 'drawer': 'close_drawer'}
EASY_ROWS = {'rest': 1, 'free': 3, 'face_on': 1, 'grasp': 1}
"""Sequences per world of the rows that the tracker must bear."""
CONFIDENCE_ROWS = (*EASY_ROWS, *HARD_ROWS)


@dataclass(frozen=True, kw_only=True)
class SensorRanges:
    """
    Depth cameras that the confidence is fitted to, drawn uniformly for each world of ``sim``.

    Ranges are the protocol's (section 8) widened to what is reported of D400 cameras; sources
    stand beside the same settings in config/domains/world_distribution.yaml.
    """

    sigma_m_at_1m: Range = field(
        default=(0.0025, 0.005), metadata={'description': 'noise at 1 m, m'})
    correlation_px: Range = field(
        default=(2.0, 5.0), metadata={'description': 'correlation length of the noise, px'})
    bias_fraction: Range = field(
        default=(-0.01, 0.01), metadata={'description': 'depth bias, share of range'})
    edge_hole_probability: Range = field(
        default=(0.4, 0.9), metadata={'description': 'share of edge pixels without a reading'})


@dataclass(frozen=True, kw_only=True)
class Part:
    """One object in one world."""

    object_id: str
    world: int
    seed: int
    hard_sequences: int

    @property
    def file_name(self) -> str:
        """Name of the file that the part is kept in."""
        return f'{self.object_id}_{self.world}_s{self.seed}_h{self.hard_sequences}.npz'


def parts_of(
        objects: Sequence[str], *, worlds: int, seed: int, hard_sequences: int) -> list[Part]:
    """
    Return the parts of some objects.

    :raises ConfigError: an unknown object, or nothing to do.
    """
    for name in objects:
        if name not in OBJECT_TASKS:
            raise ConfigError(f'object is {name!r}; allowed: {", ".join(OBJECT_TASKS)}')
    if worlds < 1 or hard_sequences < 1:
        raise ConfigError(
            f'worlds is {worlds} and hard_sequences {hard_sequences}; allowed: >= 1')
    return [Part(object_id=name, world=world, seed=seed, hard_sequences=hard_sequences)
            for world in range(worlds) for name in objects]


@dataclass(frozen=True, kw_only=True)
class CollectSettings:
    """``domain`` is drawn from anew for each part where it has training ranges."""

    domain: Domain
    tracker: TrackerConfig
    folder: Path
    rows: tuple[str, ...] = CONFIDENCE_ROWS
    sensors: SensorRanges = SensorRanges()

    def __post_init__(self) -> None:
        """
        Refuse unknown rows.

        :raises UnknownNameError: a row is none of `CONFIDENCE_ROWS`.
        """
        for row in self.rows:
            if row not in CONFIDENCE_ROWS:
                raise UnknownNameError('row', row, CONFIDENCE_ROWS, 'rows')

    @property
    def part_folder(self) -> Path:
        """Return where parts lie; each tracker, world and choice of rows has a folder."""
        text = json.dumps(
            [to_mapping(self.tracker), to_mapping(self.sensors), self.rows], sort_keys=True)
        digest = hashlib.sha256((text + self.domain.sha256()).encode()).hexdigest()
        return self.folder / digest[:12]


class Collector:
    """Runs parts one after another in one process."""

    def __init__(self, settings: CollectSettings) -> None:
        """Keep the settings."""
        self._settings = settings

    def __call__(self, part: Part) -> str:
        """Track, judge, and write the file; return its name."""
        settings, path = self._settings, self._settings.part_folder / part.file_name
        if path.exists():
            return part.file_name
        domain = drawn_domain(settings.domain, settings.sensors, part)
        bench = TrackerBench(OBJECT_TASKS[part.object_id], domain, None, settings.tracker)
        try:
            found = [frames_of(samples, row, number) for number, (row, samples) in
                     enumerate(self._sequences(bench, part))]
        finally:
            bench.close()
        joined(found).save(path)
        return part.file_name

    def _sequences(self, bench: TrackerBench, part: Part) -> list[tuple[str, list[Sample]]]:
        """Return row and samples of the object in every sequence of a part."""
        found = []
        for row in self._settings.rows:
            count = EASY_ROWS.get(row, part.hard_sequences)
            targets = bench.source.targets(row)
            if row not in WHOLE_SCENE and part.object_id not in targets:
                continue
            target = targets[0] if row in WHOLE_SCENE else part.object_id
            for index in range(count):
                samples = bench.run(row, part.seed, part.world * count + index, target)
                found.append((row, [s for s in samples if s.object_id == part.object_id]))
        return found


def drawn_domain(domain: Domain, sensors: SensorRanges, part: Part) -> Domain:
    """Return the world of a part: sizes and depth camera drawn, unless it is no training world."""
    if domain.randomization is None:
        return domain
    rng = np.random.default_rng(np.random.SeedSequence(
        [part.seed, part.world, zlib.crc32(part.object_id.encode())]))
    noise = replace(domain.camera.depth_noise, **{
        name: float(rng.uniform(*getattr(sensors, name)))
        for name in ('sigma_m_at_1m', 'correlation_px', 'bias_fraction',
                     'edge_hole_probability')})
    drawn = domain.sample_dynamics(rng)
    return replace(drawn, camera=replace(domain.camera, depth_noise=noise))


def collect(
        settings: CollectSettings, parts: Sequence[Part], *, workers: int,
        progress: Callable[[str], None] | None = None) -> JudgedFrames:
    """Return the frames of all parts, making those whose files are not there."""
    settings.part_folder.mkdir(parents=True, exist_ok=True)
    for name in run_items(Collector, settings, parts, workers=workers):
        if progress is not None:
            progress(name)
    return joined([load_frames(settings.part_folder / part.file_name) for part in parts])
