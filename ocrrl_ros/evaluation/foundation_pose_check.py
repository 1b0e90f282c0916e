# SPDX-License-Identifier: Apache-2.0
"""
Whether a pair of FoundationPose networks works here: renders whose truth is known.

An object is carried in front of the camera of `sim`; in the first frame it is registered under
the mask of the embedded segmentation, in the others tracked. Errors are up to symmetry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
import itertools
from pathlib import Path
import time
from typing import Any

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.onnx_session import Provider
from ocrrl_ros.evaluation.tracker_figures import GOOD_M, GOOD_RAD
from ocrrl_ros.evaluation.tracker_sequences import SequenceSource, TrueFrame
from ocrrl_ros.perception.adapters.foundation_pose.config import FoundationPoseConfig
from ocrrl_ros.perception.adapters.foundation_pose.estimator import FoundationPose, load_networks
from ocrrl_ros.perception.adapters.foundation_pose.mesh import load_mesh, object_mesh
from ocrrl_ros.perception.frame import RgbdFrame
from ocrrl_ros.perception.kernels import load_kernels
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.pose_estimator import load_tracker_config
from ocrrl_ros.perception.segmentation import Segmenter
from ocrrl_ros.sim.domain import load_domain

_ROW, _DOMAIN = 'free', 'sim'
_NEEDED_SHARE = 0.9
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class FoundationPoseCheckConfig:
    """What the networks are shown."""

    task: str = field(
        default='pick_place', metadata={'description': 'task whose first object is carried'})
    mesh: Path | None = field(default=None, metadata={
        'description': "mesh file in the object's place; default: its primitive"})
    sequences: int = field(default=5, metadata={'description': 'registrations'})
    frames: int = field(default=15, metadata={'description': 'frames tracked after each'})
    seed: int = field(default=10_000, metadata={'description': 'seed of the sequences'})
    refine_model: str = field(default='', metadata={'description': 'path of refine_model.onnx'})
    score_model: str = field(default='', metadata={'description': 'path of score_model.onnx'})
    provider: Provider = field(
        default='cpu', metadata={'description': 'cpu, or cuda with onnxruntime-gpu'})
    threads: int = field(default=1, metadata={'description': 'threads of the inference library'})

    def __post_init__(self) -> None:
        """Refuse to look at nothing."""
        if self.sequences < 1 or self.frames < 1:
            raise ConfigError(
                f'sequences is {self.sequences} and frames {self.frames}; allowed: >= 1')


@dataclass(frozen=True, kw_only=True)
class Error:
    """One estimate against the truth; not finite where there was none."""

    metres: float
    radians: float
    wall_s: float

    @property
    def is_good(self) -> bool:
        """Say whether the pose may be used."""
        return self.metres <= GOOD_M and self.radians <= GOOD_RAD


class FoundationPoseCheck:
    """Shows sequences to a pair of networks."""

    def __init__(self, config: FoundationPoseCheckConfig):
        """
        Open the networks and build the scene.

        :raises ConfigError: a model or mesh is not given or no use.
        :raises BundleError: a file is no such network.
        """
        self._config = config
        settings = FoundationPoseConfig(
            refine_model=config.refine_model, score_model=config.score_model,
            provider=config.provider, threads=config.threads)
        networks = load_networks(settings)
        domain = load_domain(_DOMAIN)
        self._source = SequenceSource(config.task, domain, 0.0)
        self._model = load_object(self._source.targets(_ROW)[0])
        mesh = object_mesh(self._model) if config.mesh is None else load_mesh(config.mesh)
        self._pose = FoundationPose(mesh, self._model.symmetries, *networks, settings)
        tracker = load_tracker_config()
        self._segmenter = Segmenter(
            self._model, tracker.segmentation, load_kernels(tracker.backend))
        self._camera_T_base = se3.pose_inverse(domain.camera.true_pose())

    def run(self, progress: Progress = lambda *_: None) -> dict[str, Any]:
        """Return errors and times of registering and tracking."""
        registered: list[Error] = []
        tracked: list[Error] = []
        for index in range(self._config.sequences):
            progress('FoundationPose', index, self._config.sequences)
            self._follow(index, registered, tracked)
        progress('FoundationPose', self._config.sequences, self._config.sequences)
        rows = {'register': _summary(registered), 'track': _summary(tracked)}
        return {
            'object': self._model.object_id, 'hypotheses': self._pose.hypothesis_count,
            'sequences': self._config.sequences, 'seed': self._config.seed, **rows,
            'passed': all(row['good_share'] >= _NEEDED_SHARE for row in rows.values())}

    def close(self) -> None:
        """Free the camera."""
        self._source.close()

    def _follow(self, index: int, registered: list[Error], tracked: list[Error]) -> None:
        """Register in the first frame of a sequence and track through the others."""
        name = self._model.object_id
        frames = self._source.sequence(_ROW, self._config.seed, index, name)
        pose = None
        for frame in itertools.islice(frames, self._config.frames + 1):
            started_s = time.perf_counter()
            if pose is None:
                pose = self._register(frame.frame)
                registered.append(self._error(pose, frame, started_s))
                if pose is None:
                    return
                continue
            pose = self._pose.track(frame.frame, pose).camera_T_object
            tracked.append(self._error(pose, frame, started_s))

    def _register(self, frame: RgbdFrame) -> np.ndarray | None:
        """Return camera_T_object (7,) of the largest find of the segmentation."""
        finds = self._segmenter.search(frame, 1.0)
        if not finds:
            return None
        found = self._pose.register(frame, finds[0].whole_mask(frame.depth_m.shape))
        return None if found is None else found.camera_T_object

    def _error(self, pose: np.ndarray | None, frame: TrueFrame, started_s: float) -> Error:
        """Compare an estimate with the truth."""
        wall_s = time.perf_counter() - started_s
        if pose is None:
            return Error(metres=np.inf, radians=np.inf, wall_s=wall_s)
        true = se3.pose_multiply(
            self._camera_T_base, frame.objects[self._model.object_id].pose)
        nearest = self._model.nearest_rotation(pose[3:], true[3:])
        return Error(
            metres=float(np.linalg.norm(pose[:3] - true[:3])),
            radians=float(se3.quat_angle(nearest, true[3:])), wall_s=wall_s)


def _summary(errors: list[Error]) -> dict[str, Any]:
    """Return medians and tails, and the share of estimates that may be used."""
    found = [error for error in errors if np.isfinite(error.metres)]
    result: dict[str, Any] = {
        'n': len(errors), 'found': len(found),
        'good_share': float(np.mean([error.is_good for error in errors])) if errors else 0.0}
    for name, values in (
            ('position_mm', [1e3 * error.metres for error in found]),
            ('rotation_deg', [np.degrees(error.radians) for error in found]),
            ('wall_ms', [1e3 * error.wall_s for error in errors])):
        result[name] = {f'p{share}': float(np.percentile(values, share))
                        for share in (50, 95)} if values else None
    return result
