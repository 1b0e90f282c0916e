# SPDX-License-Identifier: Apache-2.0
"""Register an object under a mask, and track it from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.core.onnx_session import Provider
from ocrrl_ros.perception.adapters.foundation_pose.crops import Cropper, Observation, observe
from ocrrl_ros.perception.adapters.foundation_pose.hypotheses import place, rotation_grid
from ocrrl_ros.perception.adapters.foundation_pose.mesh import Mesh
from ocrrl_ros.perception.adapters.foundation_pose.networks import (
    PairNetwork, Refiner, REFINER_OUTPUTS, Scorer, SCORER_OUTPUTS)
from ocrrl_ros.perception.adapters.foundation_pose.raster_numba import eroded, smoothed
from ocrrl_ros.perception.frame import RgbdFrame

# Windows in diameters, and what is too near, as the networks were trained (section 1.1).
_REFINE_RATIO, _SCORE_RATIO = 1.2, 1.1
_REFINE_NEAR_M, _SCORE_NEAR_M = 0.001, 0.1
# What the refiner's turn is limited to, rad.
_LARGEST_TURN_RAD = 0.349066
_NEAREST_M = 0.02


@dataclass(frozen=True, kw_only=True)
class FoundationPoseConfig:
    """Settings of the FoundationPose backend."""

    refine_model: str = field(
        default='', metadata={'description': 'path of refine_model.onnx'})
    score_model: str = field(default='', metadata={'description': 'path of score_model.onnx'})
    provider: Provider = field(
        default='cpu', metadata={'description': 'cpu, or cuda with onnxruntime-gpu'})
    threads: int = field(default=1, metadata={'description': 'threads of the inference library'})
    batch: int = field(default=42, metadata={'description': 'hypotheses refined at once'})
    register_iterations: int = field(
        default=5, metadata={'description': 'refinements of each hypothesis of a new object'})
    track_iterations: int = field(
        default=2, metadata={'description': 'refinements of a tracked object per frame'})
    min_views: int = field(
        default=40, metadata={'description': 'views of a new object all around, at least'})
    turn_step_deg: float = field(
        default=60.0, metadata={'description': 'step of its turn about the viewing axis, deg'})
    apart_deg: float = field(default=30.0, metadata={
        'description': 'hypotheses that look alike within this are one, deg'})
    erosion_m: float = field(default=0.001, metadata={
        'description': 'step between neighbours from which depth stands alone, m'})
    smoothing_m: float = field(default=0.01, metadata={
        'description': 'step between neighbours over which depth is not averaged, m'})

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        for name in ('threads', 'batch', 'register_iterations', 'track_iterations', 'min_views'):
            if getattr(self, name) < 1:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: >= 1')
        for name in ('turn_step_deg', 'apart_deg', 'erosion_m', 'smoothing_m'):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: > 0')


def load_networks(config: FoundationPoseConfig) -> tuple[Refiner, Scorer]:
    """
    Open both models.

    :raises ConfigError: a path is not given.
    :raises BundleError: a file is missing or no such network.
    :raises MissingDependencyError: the provider is not installed.
    """
    for name in ('refine_model', 'score_model'):
        if not getattr(config, name):
            raise ConfigError(
                f"{name} is not given; it is a file of NVIDIA's foundationpose:1.0.1_onnx, which "
                'is downloaded under its own licence')
    refiner = PairNetwork(config.refine_model, REFINER_OUTPUTS, batch=config.batch,
                          threads=config.threads, provider=config.provider)
    scorer = PairNetwork(config.score_model, SCORER_OUTPUTS, batch=2 ** 31,
                         threads=config.threads, provider=config.provider)
    return Refiner(refiner), Scorer(scorer)


@dataclass(frozen=True, kw_only=True)
class Registration:
    """
    Where an object was found.

    :param camera_T_object: (7,) the best hypothesis.
    :param poses: (N, 7) all of them, best first.
    :param scores: (N,) their scores; they order, their size means nothing.
    """

    camera_T_object: np.ndarray
    poses: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """
    Where a tracked object is.

    :param shift_m: length of the last refinement's shift; a track that is lost keeps moving.
    :param turn_rad: angle of its turn.
    """

    camera_T_object: np.ndarray
    shift_m: float
    turn_rad: float


class FoundationPose:
    """
    Pose of one object by the two networks.

    :param mesh: of the object, in the frame in which its pose is reported.
    :param symmetries: (S, 4) rotations that map it onto itself.
    """

    def __init__(
            self, mesh: Mesh, symmetries: np.ndarray, refiner: Refiner, scorer: Scorer,
            config: FoundationPoseConfig = FoundationPoseConfig()):
        """Prepare crops and hypotheses."""
        self._config, self._refiner, self._scorer = config, refiner, scorer
        self._refine_crops = Cropper(mesh, _REFINE_RATIO, _REFINE_NEAR_M)
        self._score_crops = Cropper(mesh, _SCORE_RATIO, _SCORE_NEAR_M)
        self._radius_m = 0.5 * mesh.diameter_m
        self._object_T_centre = se3.pose(mesh.centre, se3.pose_identity()[3:])
        self._rotations = rotation_grid(
            config.min_views, config.turn_step_deg, config.apart_deg, symmetries)

    @property
    def hypothesis_count(self) -> int:
        """Return how many hypotheses a registration starts from."""
        return len(self._rotations)

    def register(self, frame: RgbdFrame, mask: np.ndarray) -> Registration | None:
        """
        Find the object under a mask (H, W) bool.

        :return: None where there is too little depth under the mask to say anything.
        :raises InputError: the mask is of another size or type than the frame.
        """
        if mask.shape != frame.depth_m.shape or mask.dtype != bool:
            raise InputError(
                f'mask is {mask.shape} {mask.dtype}; allowed: {frame.depth_m.shape} bool')
        depth_m = self._filtered(frame.depth_m)
        centre = place(depth_m, mask, frame.intrinsics)
        if centre is None:
            return None
        seen = observe(frame.rgb, depth_m, frame.intrinsics)
        poses = np.hstack([np.tile(centre, (len(self._rotations), 1)), self._rotations])
        for _ in range(self._config.register_iterations):
            poses, _, _ = self._refined(seen, poses)
        scores = self._scorer(*self._score_crops.pairs(seen, poses))
        order = np.argsort(-scores, kind='stable')
        found = self._of_object(poses[order])
        return Registration(camera_T_object=found[0], poses=found, scores=scores[order])

    def track(self, frame: RgbdFrame, camera_T_object: np.ndarray) -> Tracking:
        """
        Follow the object from where it was (7,) or is predicted.

        Nothing here says whether it is still there; that is judged elsewhere.

        :raises InputError: the pose is behind or in the camera.
        """
        if not camera_T_object[2] > _NEAREST_M:
            raise InputError(
                f'camera_T_object has z {camera_T_object[2]} m; allowed: > {_NEAREST_M} m')
        seen = observe(frame.rgb, self._filtered(frame.depth_m), frame.intrinsics)
        poses = se3.pose_multiply(camera_T_object, self._object_T_centre)[None]
        for _ in range(self._config.track_iterations):
            poses, shifts_m, turns = self._refined(seen, poses)
        return Tracking(
            camera_T_object=self._of_object(poses)[0],
            shift_m=float(np.linalg.norm(shifts_m)), turn_rad=float(np.linalg.norm(turns)))

    def _refined(
            self, seen: Observation, poses: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return poses (N, 7) one step better, with shifts (N, 3) in m and turns (N, 3) in rad."""
        shifts, turns = self._refiner(*self._refine_crops.pairs(seen, poses))
        shifts_m, turns = shifts * self._radius_m, _LARGEST_TURN_RAD * np.tanh(turns)
        # The networks were trained to name the inverse of the turn that is to be made.
        rotations = se3.quat_multiply(se3.quat_from_rotvec(-turns), poses[:, 3:])
        places = poses[:, :3] + shifts_m
        places[:, 2] = np.maximum(places[:, 2], _NEAREST_M)
        return np.hstack([places, se3.quat_normalize(rotations)]), shifts_m, turns

    def _of_object(self, poses: np.ndarray) -> np.ndarray:
        """Return poses (N, 7) of the object's frame, from those of the mesh's centre."""
        return se3.pose_multiply(poses, se3.pose_inverse(self._object_T_centre))

    def _filtered(self, depth_m: np.ndarray) -> np.ndarray:
        """Return depth (H, W) without lone readings, smoothed within surfaces."""
        depth_m = np.ascontiguousarray(depth_m, np.float32)
        kept, smooth = np.empty_like(depth_m), np.empty_like(depth_m)
        eroded(depth_m, 2, self._config.erosion_m, 0.8, kept)
        smoothed(kept, 2, 2.0, self._config.smoothing_m, smooth)
        return smooth
