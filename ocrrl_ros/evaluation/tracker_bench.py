# SPDX-License-Identifier: Apache-2.0
"""
Errors, losses, honesty and speed of the embedded tracker on rendered sequences.

Errors are gross: camera calibration, depth bias and noise of the domain are all in them, and so is
the choice among the object's symmetric poses, which is undone before comparing.
"""
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
import resource
import time
from typing import Any

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.evaluation.late_poses import LATE_FRAMES, LateError, LatePoses
from ocrrl_ros.evaluation.tracker_figures import BAD_M, BAD_RAD, Sample, summarise
from ocrrl_ros.evaluation.tracker_pictures import WorstFrames
from ocrrl_ros.evaluation.tracker_scenes import check_rows, seen_task
from ocrrl_ros.evaluation.tracker_sequences import (
    ROWS, SequenceSource, TrueFrame, TrueObject)
from ocrrl_ros.perception.estimate import ObjectEstimate
from ocrrl_ros.perception.object_model import load_object, ObjectModel
from ocrrl_ros.perception.pose_estimator import (
    load_tracker_config, PoseEstimator, TrackerConfig)
from ocrrl_ros.sim.domain import Domain, load_domain

LONG_KEPT_EVERY = 10
"""Frames of row long of which one is kept: the bench's own notes must not look like a leak."""


@dataclass(frozen=True, kw_only=True)
class TrackerBenchConfig:
    """What is rendered and measured."""

    task: str = field(
        default='cube_lift', metadata={'description': 'task or scene whose objects are tracked'})
    domains: tuple[str, ...] = field(
        default=('sim', 'proxy'), metadata={'description': 'domains to render'})
    rows: tuple[str, ...] = field(
        default=ROWS, metadata={'description': f'kinds of sequences, of {ROWS}'})
    depth_biases: tuple[float, ...] = field(
        default=(0.0, 0.01), metadata={'description': 'depth biases, share of range'})
    sequences: int = field(default=10, metadata={'description': 'sequences per row'})
    grasps: int = field(default=4, metadata={'description': 'sequences of the row grasp'})
    seed: int = field(default=10_000, metadata={'description': 'seed of all sequences'})
    models: tuple[str, ...] = field(
        default=(), metadata={'description': 'YAML files that describe objects of the task '
                              'otherwise than config/objects, say by a mesh'})
    colourless: tuple[str, ...] = field(
        default=(), metadata={'description': 'objects whose colour the tracker is not told'})

    def __post_init__(self) -> None:
        """Refuse unknown rows and empty runs."""
        for row in self.rows:
            if row not in ROWS:
                raise UnknownNameError('bench row', row, ROWS)
        check_rows(self.task, self.rows)
        if self.sequences < 1 or self.grasps < 1:
            raise ConfigError(
                f'sequences is {self.sequences} and grasps {self.grasps}; allowed: >= 1')


class TrackerBench:
    """Runs the tracker over sequences of one domain and depth bias."""

    def __init__(
            self, task: str, domain: Domain, depth_bias: float | None,
            config: TrackerConfig | None = None, pictures: WorstFrames | None = None,
            models: dict[str, ObjectModel] | None = None):
        """
        Build renderer and tracker, and compile.

        :param models: how the tracker is told that objects look, by id; `config/objects` where
            None.
        """
        self._models = models or {name: load_object(name) for name in seen_task(task).object_ids}
        self.source = SequenceSource(task, domain, depth_bias)
        self._camera_m = domain.camera.true_pose()[:3]
        config = config or load_tracker_config()
        self._late_s = LATE_FRAMES / domain.camera.rate_hz
        # Tracking is the same with any lead; here it is measured whether it is used or not.
        config = replace(config, motion=replace(config.motion, max_lead_s=self._late_s))
        self._estimator = PoseEstimator(
            list(self._models.values()), domain.camera.told_pose(), config)
        self._estimator.warm_up()
        self._pictures = pictures
        self._view = domain.camera.true_pose(), domain.camera.true_intrinsics()

    def run(self, row: str, seed: int, index: int, target: str) -> list[Sample]:
        """Track one sequence from nothing."""
        self._estimator.reset()
        samples, late = [], LatePoses(self._models)
        for number, frame in enumerate(self.source.sequence(row, seed, index, target)):
            wall, cpu = time.perf_counter(), time.thread_time()
            estimates = self._estimator.process(frame.frame)
            spent = time.perf_counter() - wall, time.thread_time() - cpu
            arrived = late.arrive(frame.objects)
            late.add(estimates, self._estimator.advance(
                estimates, frame.frame.stamp_s + self._late_s))
            for name, truth in frame.objects.items():
                sample = self._judge(
                    index, truth, estimates[name], spent, number == 0, arrived.get(name))
                if row != 'long' or number % LONG_KEPT_EVERY == 0 or not sample.valid:
                    samples.append(sample)
                self._draw(sample, frame, truth, estimates[name], row)
        return samples

    def _draw(
            self, sample: Sample, frame: TrueFrame, truth: TrueObject, estimate: ObjectEstimate,
            row: str) -> None:
        """Offer a frame in which the object was seen to the picture sheet."""
        if self._pictures is None or not sample.is_seen:
            return
        name = sample.object_id
        self._pictures.offer(
            sample.distance_m / BAD_M + sample.angle_rad / BAD_RAD, frame.frame, truth.pose,
            estimate, *self._view, self._models[name].shape.surfaces,
            f'{row} {name} {sample.sequence} {sample.stamp_s:.2f} s')

    def close(self) -> None:
        """Free the camera."""
        self.source.close()

    def _judge(
            self, index: int, truth: TrueObject, estimate: ObjectEstimate,
            spent: tuple[float, float], first: bool, late: LateError | None) -> Sample:
        """Compare an estimate with the truth."""
        pose, true_pose = estimate.base_T_object, truth.pose
        turned = self._models[estimate.object_id].nearest_rotation(pose[3:], true_pose[3:])
        error_m = pose[:3] - true_pose[:3]
        error_rad = se3.quat_to_rotvec(
            se3.quat_multiply(turned, se3.quat_conjugate(true_pose[3:])))
        ray = true_pose[:3] - self._camera_m
        ray = ray / np.linalg.norm(ray)
        tilt = error_rad - (error_rad @ ray) * ray
        covariance = estimate.covariance
        return Sample(
            object_id=estimate.object_id, sequence=index, stamp_s=estimate.stamp_s,
            phase=truth.phase, speed=truth.speed,
            error_m=error_m, error_rad=error_rad, tilt_rad=float(np.linalg.norm(tilt)),
            valid=estimate.valid, just_lost=estimate.just_lost, state=estimate.state.value,
            confidence=estimate.confidence, wall_s=spent[0], cpu_s=spent[1], first=first,
            nees_position=float(error_m @ np.linalg.solve(covariance[:3, :3], error_m)),
            nees_rotation=float(error_rad @ np.linalg.solve(covariance[3:, 3:], error_rad)),
            nees_tilt=_nees_across(error_rad, covariance[3:, 3:], ray),
            parts=estimate.parts, is_there=truth.is_there, memory_mb=resident_mb(),
            late=late)


def _nees_across(error_rad: np.ndarray, covariance: np.ndarray, ray: np.ndarray) -> float:
    """Return the squared error (3,) over its covariance (3, 3) in the two directions across."""
    across = np.linalg.svd(ray[None])[2][1:]
    error = across @ error_rad
    return float(error @ np.linalg.solve(across @ covariance @ across.T, error))


def tracked_models(config: TrackerBenchConfig) -> dict[str, ObjectModel]:
    """
    Return what the tracker is told of the task's objects, by id.

    :raises UnknownNameError: the task has no object that ``models`` or ``colourless`` name.
    """
    found = {name: load_object(name) for name in seen_task(config.task).object_ids}
    given = {model.object_id: model for model in map(load_object, config.models)}
    for option, names in (('--models', given), ('--colourless', config.colourless)):
        for name in names:
            if name not in found:
                raise UnknownNameError('object', name, found, option)
    found |= given
    return found | {name: replace(found[name], colour=None) for name in config.colourless}


def resident_mb() -> float:
    """Return the memory that this process holds, MB; 0 where the system does not say."""
    try:
        pages = int(Path('/proc/self/statm').read_text(encoding='ascii').split()[1])
    except OSError:
        return 0.0
    return pages * resource.getpagesize() / 2 ** 20


def run_bench(
        config: TrackerBenchConfig, *, tracker: TrackerConfig | None = None,
        pictures: WorstFrames | None = None,
        progress: Callable[[str, int, int], None] | None = None,
        log: Callable[[str, float, str, Sequence[Sample]], None] | None = None,
        ) -> list[dict[str, Any]]:
    """
    Measure every combination of domain, depth bias and row.

    :param progress: called with what runs, sequences done and sequences in all.
    :param log: called with domain, bias, row and the samples of one object in each sequence.
    :return: one mapping per combination and object, see `summarise`.
    """
    counts = {row: config.grasps if row == 'grasp' else config.sequences for row in config.rows}
    total = sum(counts.values()) * len(config.domains) * len(config.depth_biases)
    done, results, models = 0, [], tracked_models(config)
    for name in config.domains:
        for bias in config.depth_biases:
            bench = TrackerBench(
                config.task, load_domain(name), bias, tracker, pictures, models)
            for row in config.rows:
                samples: dict[str, list[Sample]] = {}
                for index in range(counts[row]):
                    if progress is not None:
                        progress(f'{name} {row}', done, total)
                    for target in bench.source.targets(row):
                        for item, found in _by_object(
                                bench.run(row, config.seed, index, target)).items():
                            samples.setdefault(item, []).extend(found)
                            if log is not None:
                                log(name, bias, row, found)
                    done += 1
                results += [
                    {'domain': name, 'depth_bias': bias, 'row': row, 'object': item}
                    | summarise(found) for item, found in samples.items()]
            bench.close()
    return results


def _by_object(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """Return the samples of each object."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.object_id, []).append(sample)
    return found
