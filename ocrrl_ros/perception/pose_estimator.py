# SPDX-License-Identifier: Apache-2.0
"""Object poses in the robot's base frame from RGB-D frames of a calibrated camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from ocrrl_ros.core.configuration import load_yaml
from ocrrl_ros.core.errors import ConfigError, InputError, UnknownNameError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.core.se3 import check_pose, quat_to_matrix
from ocrrl_ros.perception.adapters.detections.config import DetectionsConfig
from ocrrl_ros.perception.adapters.foundation_pose.config import FoundationPoseConfig
from ocrrl_ros.perception.adapters.sam2_onnx import Sam2OnnxConfig
from ocrrl_ros.perception.adapters.sam2_predictor import ImagePredictor, VideoPredictor
from ocrrl_ros.perception.adapters.sam2_video import Sam2VideoConfig
from ocrrl_ros.perception.confidence import ConfidenceConfig
from ocrrl_ros.perception.detected_pose import DetectedPose, in_camera
from ocrrl_ros.perception.estimate import ObjectEstimate
from ocrrl_ros.perception.frame import Intrinsics, RgbdFrame
from ocrrl_ros.perception.gate import GateConfig
from ocrrl_ros.perception.kernels import BACKENDS, load_kernels
from ocrrl_ros.perception.motion import MotionConfig
from ocrrl_ros.perception.object_model import ObjectModel
from ocrrl_ros.perception.object_size import SizeConfig
from ocrrl_ros.perception.object_tracker import ObjectTracker, TrackingConfig
from ocrrl_ros.perception.pose_fitter import EmbeddedFitter, PoseFitter
from ocrrl_ros.perception.sdf_tracker import SolverConfig
from ocrrl_ros.perception.segmentation import SegmentationConfig, Segmenter
from ocrrl_ros.perception.support_plane import SupportPlane, SupportPlaneConfig
from ocrrl_ros.perception.view import View


PoseBackend = Literal['embedded', 'foundation_pose', 'detections']
"""What fits poses: our own solver, the networks of FoundationPose, or another program."""
MaskBackend = Literal['colour', 'sam2_onnx', 'sam2_video']
"""What finds an object's pixels: its colour, or SAM 2 as an image or a video predictor."""
_AHEAD = np.array([0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class TrackerConfig:
    """Every setting of the tracker; `config/tracker.yaml` fills it."""

    backend: str = field(default='auto', metadata={'description': f'kernels, one of {BACKENDS}'})
    pose_backend: PoseBackend = field(default='embedded', metadata={
        'description': 'embedded: signed distance and silhouette on the CPU; foundation_pose: '
                       'the networks that foundation_pose names; detections: poses that come '
                       'with the frames'})
    foundation_pose: FoundationPoseConfig = field(
        default_factory=FoundationPoseConfig, metadata={'description': 'FoundationPose'})
    detections: DetectionsConfig = field(
        default_factory=DetectionsConfig, metadata={'description': 'poses of another program'})
    mask_backend: MaskBackend = field(default='colour', metadata={
        'description': 'colour, sam2_onnx: the two models that sam2 names, or sam2_video: the '
                       'checkpoint that sam2_video names'})
    sam2: Sam2OnnxConfig = field(
        default_factory=Sam2OnnxConfig, metadata={'description': 'SAM 2, image predictor'})
    sam2_video: Sam2VideoConfig = field(
        default_factory=Sam2VideoConfig, metadata={'description': 'SAM 2, video predictor'})
    segmentation: SegmentationConfig = field(
        default_factory=SegmentationConfig, metadata={'description': 'colour segmentation'})
    solver: SolverConfig = field(
        default_factory=SolverConfig, metadata={'description': 'noise and effort of the fit'})
    size: SizeConfig = field(
        default_factory=SizeConfig, metadata={'description': 'sizes against those of the files'})
    motion: MotionConfig = field(
        default_factory=MotionConfig, metadata={'description': 'motion model'})
    confidence: ConfidenceConfig = field(
        default_factory=ConfidenceConfig, metadata={'description': 'probability of a good pose'})
    gate: GateConfig = field(
        default_factory=GateConfig, metadata={'description': 'hysteresis of validity'})
    tracking: TrackingConfig = field(
        default_factory=TrackingConfig, metadata={'description': 'bookkeeping of a track'})
    support_plane: SupportPlaneConfig = field(
        default_factory=SupportPlaneConfig, metadata={'description': 'table and depth scale'})

    def __post_init__(self) -> None:
        """Refuse unknown kernels."""
        if self.backend not in BACKENDS:
            raise UnknownNameError('kernel backend', self.backend, BACKENDS)

    @property
    def fit_confidence(self) -> ConfidenceConfig:
        """Return the confidence that goes with what fits poses."""
        if self.pose_backend == 'foundation_pose':
            return self.foundation_pose.confidence
        if self.pose_backend == 'detections':
            return self.detections.confidence
        return self.confidence

    def with_fit_confidence(self, confidence: ConfidenceConfig) -> TrackerConfig:
        """Return these settings with another confidence for what fits poses."""
        if self.pose_backend == 'foundation_pose':
            return replace(self, foundation_pose=replace(
                self.foundation_pose, confidence=confidence))
        if self.pose_backend == 'detections':
            return replace(self, detections=replace(self.detections, confidence=confidence))
        return replace(self, confidence=confidence)


def load_tracker_config() -> TrackerConfig:
    """Read `config/tracker.yaml`."""
    return load_yaml(TrackerConfig, config_path('tracker.yaml'))


class PoseEstimator:
    """
    Track several objects with one camera.

    :param objects: the objects to track; ids are unique.
    :param base_T_camera: (7,) pose of the colour camera's optical frame as calibrated.
    :param config: settings; those of `config/tracker.yaml` when None.
    :param sam2: predictor of the kind that mask_backend names, where one is open already.
    """

    def __init__(
            self, objects: Sequence[ObjectModel], base_T_camera: np.ndarray,
            config: TrackerConfig | None = None,
            sam2: ImagePredictor | VideoPredictor | None = None) -> None:
        """Start with every object lost."""
        self._config = config or load_tracker_config()
        ids = [model.object_id for model in objects]
        if not ids or len(set(ids)) != len(ids):
            raise ConfigError(f'object ids are {ids}; allowed: at least one, all different')
        self.set_camera(base_T_camera)
        self._plane = SupportPlane(self._config.support_plane)
        self._models = {model.object_id: model for model in objects}
        self._segmenters = self._new_segmenters(objects, sam2)
        self._fitters = {model.object_id: self._new_fitter(model) for model in objects}
        self._trackers = {model.object_id: self._new_tracker(model) for model in objects}

    @property
    def object_ids(self) -> tuple[str, ...]:
        """Ids of the objects tracked, in the order given."""
        return tuple(self._trackers)

    @property
    def depth_scale(self) -> float:
        """Measured over true depth, as the supporting plane shows it."""
        return self._plane.depth_scale

    def set_camera(self, base_T_camera: np.ndarray) -> None:
        """Use another camera pose (7,) from the next frame on; tracks continue in base."""
        self._base_T_camera = check_pose(base_T_camera, 'base_T_camera')

    def process(
            self, frame: RgbdFrame, detected: Mapping[str, DetectedPose] | None = None,
            ) -> dict[str, ObjectEstimate]:
        """
        Return one estimate per object id; frames of an object come in the order of their stamps.

        :param detected: poses that another program found in this frame, for `pose_backend`
            detections; only these objects are tracked in it. All are where it is None.
        """
        self._plane.update(frame.depth_m, frame.intrinsics, self._base_T_camera, frame.stamp_s)
        base_T_camera = self._plane.levelled(self._base_T_camera)
        view = View(
            frame=frame, base_R_camera=quat_to_matrix(base_T_camera[3:]),
            base_t_camera=base_T_camera[:3], plane=self._plane.in_camera(base_T_camera),
            depth_scale=self._plane.depth_scale)
        if detected is None:
            return {name: tracker.process(view) for name, tracker in self._trackers.items()}
        view = replace(view, detected={
            name: in_camera(pose, view, self._config.detections.from_depth)
            for name, pose in detected.items()})
        return {name: self._trackers[name].process(view) for name in detected}

    def advance(
            self, estimates: Mapping[str, ObjectEstimate], now_s: float,
            ) -> dict[str, ObjectEstimate]:
        """
        Return estimates of the newest frame with the poses that objects have by now.

        Constant velocity from the image to ``now_s``, at most ``motion.max_lead_s``; stamps stay
        those of the image, covariances grow.
        """
        return {name: self._trackers[name].advance(estimate, now_s)
                for name, estimate in estimates.items()}

    def starve(self, object_id: str, stamp_s: float) -> ObjectEstimate:
        """Give up an object of which nobody says where it is in the frame of a stamp."""
        return self._trackers[object_id].starve(stamp_s)

    def reset(self) -> None:
        """Forget every track; what the table said about the camera is kept."""
        for tracker in self._trackers.values():
            tracker.reset()

    def warm_up(self) -> None:
        """
        Compile the kernels: search and track once on a synthetic image, touching no track.

        It comes before the first frame: what SAM 2 follows as a video is forgotten.
        """
        anywhere = replace(
            self._config.tracking, workspace_min_m=(-1e3,) * 3, workspace_max_m=(1e3,) * 3)
        for model in self._models.values():
            tracker = self._new_tracker(model, anywhere)
            for stamp_s in (0.0, 0.03):
                tracker.process(View(
                    frame=_patch_frame(model, stamp_s), base_R_camera=np.eye(3),
                    base_t_camera=np.zeros(3), plane=np.array([0.0, 0.0, 1.0, 1.0]),
                    depth_scale=1.0, detected={model.object_id: _AHEAD}))
            tracker.reset()

    def prompt(self, object_id: str, pixel: np.ndarray) -> None:
        """
        Forget an object's track and look for it at a pixel (2,) of the next frame.

        :raises UnknownNameError: no such object is tracked.
        :raises InputError: masks are found by colour, which cannot be prompted, or the pixel is
            no pair of finite numbers.
        """
        if object_id not in self._trackers:
            raise UnknownNameError('object', object_id, self.object_ids)
        if self._config.mask_backend == 'colour':
            raise InputError('mask_backend is colour; prompts are for sam2_onnx and sam2_video')
        pixel = np.asarray(pixel, float)
        if pixel.shape != (2,) or not np.isfinite(pixel).all():
            raise InputError(f'pixel is {pixel.tolist()}; allowed: two finite numbers')
        self._segmenters[object_id].prompt(pixel)
        self._trackers[object_id].reset()

    def _new_segmenters(
            self, objects: Sequence[ObjectModel],
            sam2: ImagePredictor | VideoPredictor | None) -> dict[str, Segmenter]:
        """Build what finds each object's pixels; with SAM 2 they share one predictor."""
        config = self._config
        kernels = load_kernels(config.backend)
        others = {model.object_id: [
            other.colour for other in objects if other is not model and other.colour is not None]
            for model in objects}
        if config.mask_backend == 'colour':
            return {model.object_id: Segmenter(
                model, config.segmentation, kernels, others[model.object_id])
                for model in objects}
        from ocrrl_ros.perception.adapters.sam2_segmenter import Sam2Segmenter, Sam2VideoSegmenter
        if config.mask_backend == 'sam2_video':
            from ocrrl_ros.perception.adapters.sam2_video import Sam2VideoTracker
            video = sam2 or Sam2VideoTracker(config.sam2_video)
            return {model.object_id: Sam2VideoSegmenter(
                model, config.segmentation, kernels, video, config.sam2_video,
                others[model.object_id])
                for model in objects}
        from ocrrl_ros.perception.adapters.sam2_onnx import Sam2OnnxPredictor
        predictor = sam2 or Sam2OnnxPredictor(config.sam2)
        return {model.object_id: Sam2Segmenter(
            model, config.segmentation, kernels, predictor, others[model.object_id])
            for model in objects}

    def _new_fitter(self, model: ObjectModel) -> PoseFitter:
        """Build what fits an object's pose."""
        config = self._config
        if config.pose_backend == 'foundation_pose':
            from ocrrl_ros.perception.adapters.foundation_pose.fitter import FoundationPoseFitter
            return FoundationPoseFitter(model, config.foundation_pose)
        if config.pose_backend == 'detections':
            from ocrrl_ros.perception.adapters.detections.fitter import DetectionFitter
            return DetectionFitter(model, config.detections)
        return EmbeddedFitter(model, config.solver, load_kernels(config.backend), config.size)

    def _new_tracker(
            self, model: ObjectModel, tracking: TrackingConfig | None = None) -> ObjectTracker:
        """Build the tracker of one object."""
        config, confidence = self._config, self._config.fit_confidence
        if model.colour is None:
            confidence = replace(confidence, excess=min(
                confidence.excess, config.segmentation.raised.excess))
        return ObjectTracker(
            model, load_kernels(config.backend), segmenter=self._segmenters[model.object_id],
            fitter=self._fitters[model.object_id], motion=config.motion,
            confidence=confidence, gate=config.gate,
            tracking=tracking or config.tracking)


def _patch_frame(model: ObjectModel, stamp_s: float) -> RgbdFrame:
    """Return a flat patch in the object's colour, as large as its face at half a metre."""
    camera = Intrinsics(fx=300.0, fy=300.0, cx=79.5, cy=59.5, width=160, height=120)
    half = max(8, int(150.0 * model.shape.edges_m.min() / 0.5))
    rows, columns = slice(60 - half, 60 + half), slice(80 - half, 80 + half)
    rgb = np.zeros((120, 160, 3), dtype=np.uint8)
    depth_m = np.full((120, 160), 0.8, dtype=np.float32)
    rgb[rows, columns] = model.shown_rgb * 255.0
    depth_m[rows, columns] = 0.5
    return RgbdFrame(stamp_s=stamp_s, rgb=rgb, depth_m=depth_m, intrinsics=camera)
