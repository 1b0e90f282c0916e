# SPDX-License-Identifier: Apache-2.0
"""Register an object under a mask, and track it from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.perception.adapters.foundation_pose.config import FoundationPoseConfig
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
# Half of what is looked at around an object, in its radii: its window and how far it may move.
_REGION_RADII = 3.0


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
        centre = place(frame.depth_m, mask, frame.intrinsics)
        if centre is None:
            return None
        frame, mask = self._around(frame, centre, mask)
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
        poses = se3.pose_multiply(camera_T_object, self._object_T_centre)[None]
        frame, _ = self._around(frame, poses[0, :3])
        seen = observe(frame.rgb, self._filtered(frame.depth_m), frame.intrinsics)
        for _ in range(self._config.track_iterations):
            poses, shifts_m, turns = self._refined(seen, poses)
        return Tracking(
            camera_T_object=self._of_object(poses)[0],
            shift_m=float(np.linalg.norm(shifts_m)), turn_rad=float(np.linalg.norm(turns)))

    def _around(
            self, frame: RgbdFrame, centre: np.ndarray, mask: np.ndarray | None = None,
    ) -> tuple[RgbdFrame, np.ndarray | None]:
        """Cut a frame to what can be in any window of an object near a place (3,)."""
        camera = frame.intrinsics
        middle = camera.project(centre)
        reach = _REGION_RADII * self._radius_m * max(camera.fx, camera.fy) / centre[2]
        limits = np.array([camera.width, camera.height])
        low = np.clip(np.floor(middle - reach), 0, limits - 1).astype(int)
        high = np.clip(np.ceil(middle + reach) + 1, low + 1, limits).astype(int)
        region = slice(low[1], high[1]), slice(low[0], high[0])
        cut = RgbdFrame(
            stamp_s=frame.stamp_s, rgb=frame.rgb[region], depth_m=frame.depth_m[region],
            intrinsics=replace(
                camera, cx=camera.cx - low[0], cy=camera.cy - low[1],
                width=int(high[0] - low[0]), height=int(high[1] - low[1])))
        return cut, None if mask is None else mask[region]

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
