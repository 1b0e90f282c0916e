# SPDX-License-Identifier: Apache-2.0
"""Track one object through frames: predict, segment, fit, judge, and find again when lost."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import ModuleType

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.se3 import pose_identity, quat_from_rotvec, quat_multiply
from ocrrl_ros.perception.confidence import ConfidenceConfig, FEATURES, image_parts
from ocrrl_ros.perception.estimate import ObjectEstimate, TrackState
from ocrrl_ros.perception.gate import ConfidenceGate, GateConfig
from ocrrl_ros.perception.motion import MotionConfig, MotionFilter
from ocrrl_ros.perception.object_model import ObjectModel
from ocrrl_ros.perception.pose_fitter import PoseFitter
from ocrrl_ros.perception.rotation import orthonormal, to_pose
from ocrrl_ros.perception.sdf_tracker import Fit, Prior
from ocrrl_ros.perception.segmentation import Segment, Segmenter
from ocrrl_ros.perception.view import View

SPIN_SIGMA_RAD = np.pi / np.sqrt(3.0)
"""Standard deviation of an angle of which nothing is known."""
JUDGED_PX = 1500
"""About so many pixels of a mask are compared with the rendered object."""


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Bookkeeping of one track."""

    coast_s: float = field(
        default=0.3, metadata={'description': 'longest prediction without seeing the object, s'})
    max_gap_s: float = field(
        default=1.0, metadata={'description': (
            'a track ends where no image came for so long, or stamps go back: what the object '
            'did meanwhile is not known, s')})
    retry_period_s: float = field(
        default=0.1, metadata={'description': 'time between global searches in doubt, s'})
    retry_gain: float = field(
        default=0.1, metadata={'description': 'confidence that a new find must gain'})
    bias_sigma_m: float = field(
        default=0.0025, metadata={'description': 'systematic position error, m, per axis'})
    scale_sigma: float = field(
        default=0.004, metadata={'description': 'systematic error along the ray, share of range'})
    bias_sigma_rad: float = field(
        default=0.03, metadata={'description': (
            'systematic rotation error, rad, per axis: sizes 3 % off turn a small box by 3 deg')})
    workspace_min_m: tuple[float, float, float] = field(
        default=(0.0, -0.8, -0.05), metadata={'description': 'least coordinates, base, m'})
    workspace_max_m: tuple[float, float, float] = field(
        default=(1.0, 0.8, 0.9), metadata={'description': 'greatest coordinates, base, m'})

    def __post_init__(self) -> None:
        """Refuse times and sigmas out of range."""
        if self.coast_s < 0.0 or self.retry_period_s < 0.0 or self.max_gap_s <= 0.0:
            raise ConfigError(
                f'coast_s is {self.coast_s} s, retry_period_s {self.retry_period_s} s and '
                f'max_gap_s {self.max_gap_s} s; allowed: >= 0 s, max_gap_s > 0')
        for name in ('bias_sigma_m', 'scale_sigma', 'bias_sigma_rad'):
            if getattr(self, name) < 0.0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: >= 0')
        if not all(a < b for a, b in zip(self.workspace_min_m, self.workspace_max_m)):
            raise ConfigError(
                f'workspace_min_m is {self.workspace_min_m} m, not below {self.workspace_max_m} m')


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """A fit in the base frame with what the image says about it."""

    rotation: np.ndarray
    translation: np.ndarray
    covariance: np.ndarray
    parts: dict[str, float]
    confidence: float


class ObjectTracker:
    """The track of one object."""

    def __init__(
            self, model: ObjectModel, kernels: ModuleType, *, segmenter: Segmenter,
            fitter: PoseFitter, motion: MotionConfig, confidence: ConfidenceConfig,
            gate: GateConfig, tracking: TrackingConfig) -> None:
        """Start lost."""
        self._model, self._kernels, self._config = model, kernels, tracking
        self._confidence = confidence
        self._segmenter, self._fitter = segmenter, fitter
        self._gate = ConfidenceGate(gate)
        self._filter = MotionFilter(motion)
        self.reset()

    def reset(self) -> None:
        """Forget the track and the last pose."""
        self._gate.reset()
        self._lose()
        self._searched_s = -np.inf
        self._seen_s = self._frame_s = -np.inf
        self._pose: np.ndarray | None = None
        self._covariance = np.diag([1.0] * 3 + [np.pi ** 2] * 3)

    def process(self, view: View) -> ObjectEstimate:
        """Return the estimate for one frame."""
        stamp_s = view.frame.stamp_s
        was_cut = self._cut(stamp_s)
        judged = self._follow(view) if self._tracking else None
        if judged is None or self._must_search(judged, stamp_s):
            judged = self._search(view, judged)
        if judged is None:
            return self._unseen(stamp_s, was_cut)
        self._seen_s = stamp_s
        just_lost = self._gate.update(judged.confidence) or was_cut
        self._pose = self._canonical(judged.rotation, judged.translation)
        self._covariance = self._with_bias(judged.covariance, view)
        state = TrackState.OK if self._gate.is_open else TrackState.WARN
        return self._estimate(stamp_s, judged.confidence, state, just_lost, judged.parts)

    def _cut(self, stamp_s: float) -> bool:
        """End a track across missing images or stamps that go back; say if its gate closed."""
        gap_s, self._frame_s = stamp_s - self._frame_s, stamp_s
        if 0.0 <= gap_s <= self._config.max_gap_s:
            return False
        self._searched_s = -np.inf
        self._lose()
        return self._gate.update(0.0)

    def starve(self, stamp_s: float) -> ObjectEstimate:
        """Return the estimate for an image of which nobody says where the object is: no track."""
        self._lose()
        return self._estimate(
            stamp_s, 0.0, TrackState.STALE, self._gate.update(0.0), _no_parts())

    def advance(self, estimate: ObjectEstimate, now_s: float) -> ObjectEstimate:
        """
        Return the newest estimate where the object is by now; its stamp stays the image's.

        :param now_s: time at which the pose is used; see ``MotionConfig.max_lead_s``.
        """
        moved, growth = self._filter.lead(now_s)
        if not (self._tracking and moved.any()):
            return estimate
        pose = estimate.base_T_object
        turned = quat_multiply(quat_from_rotvec(moved[3:]), pose[3:])
        return replace(
            estimate, base_T_object=np.concatenate([pose[:3] + moved[:3], turned]),
            covariance=estimate.covariance + growth)

    def _must_search(self, judged: _Judged, stamp_s: float) -> bool:
        """Say whether a doubtful track calls for a global search now."""
        waited_s = stamp_s - self._searched_s
        return judged.confidence < self._gate.leave and waited_s >= self._config.retry_period_s

    def _follow(self, view: View) -> _Judged | None:
        """Track from the prediction; None when the object is not seen there."""
        self._filter.predict(view.frame.stamp_s)
        rotation, translation = view.to_camera(self._filter.rotation, self._filter.translation)
        segment = self._segmenter.near(
            view.frame, rotation, translation, view.depth_scale, view.plane)
        if segment is None:
            return None
        turn = view.spread()
        predicted = turn.T @ self._filter.pose_covariance @ turn
        prior = Prior(
            rotation=rotation, translation=translation,
            information=np.linalg.inv(predicted) + self._spin_bound(rotation, predicted))
        fit = self._fitter.follow(view, segment, prior)
        if fit is None:
            return None
        covariance = turn @ np.linalg.inv(fit.information + prior.information) @ turn.T
        turned, moved = view.to_base(fit.rotation, fit.translation)
        turned = orthonormal(turned)
        step = self._filter.correct(turned, moved, covariance)
        surprise = float(np.sqrt(step @ np.linalg.solve(turn @ predicted @ turn.T, step)))
        return self._judge(view, segment, fit, turned, moved, covariance, surprise)

    def _search(self, view: View, current: _Judged | None) -> _Judged | None:
        """Find the object without a prediction; keep the current estimate unless it is worse."""
        best, find = None, None
        for segment in self._segmenter.search(view.frame, view.depth_scale, view.plane):
            fit = self._fitter.search(view, segment)
            judged = None if fit is None else self._found(view, segment, fit)
            if judged is not None and (best is None or judged.confidence > best.confidence):
                best, find = judged, segment
        floor = 0.0 if current is None else current.confidence + self._config.retry_gain
        self._searched_s = view.frame.stamp_s
        if best is None or best.confidence < floor:
            return current
        self._filter.start(
            best.rotation, best.translation, best.covariance, view.frame.stamp_s)
        self._tracking = True
        self._segmenter.keep(view.frame, find)
        return best

    def _found(self, view: View, segment: Segment, fit: Fit) -> _Judged | None:
        """Judge a find; None outside the workspace."""
        rotation, translation = view.to_base(fit.rotation, fit.translation)
        low, high = np.array(self._config.workspace_min_m), np.array(self._config.workspace_max_m)
        if np.any(translation < low) or np.any(translation > high):
            return None
        turn = view.spread()
        weak = np.diag([1.0 / 0.05 ** 2] * 3 + [1.0 / 0.6 ** 2] * 3)
        weak = weak + self._spin_bound(fit.rotation, np.linalg.inv(weak))
        covariance = turn @ np.linalg.inv(fit.information + weak) @ turn.T
        return self._judge(
            view, segment, fit, orthonormal(rotation), translation, covariance, 0.0)

    def _spin_bound(self, rotation: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """
        Return information (6, 6) that takes an invisible turn to the variance of a full circle.

        No image says anything about a turn about a revolution axis; left alone, its variance
        would stay at what the search assumes or grow for ever.

        :param rotation: (3, 3) of the object.
        :param covariance: (6, 6) of its pose as it is.
        """
        information = np.zeros((6, 6))
        if self._model.revolves:
            axis = rotation[:, 2]
            present = 1.0 / float(axis @ covariance[3:, 3:] @ axis)
            information[3:, 3:] = (1.0 / SPIN_SIGMA_RAD ** 2 - present) * np.outer(axis, axis)
        return information

    def _judge(
            self, view: View, segment: Segment, fit: Fit, rotation: np.ndarray,
            translation: np.ndarray, covariance: np.ndarray, surprise: float) -> _Judged:
        """Compare the fit with the image and weigh the evidence."""
        step = max(1, round(np.sqrt(segment.area_px / JUDGED_PX)))
        sums = self._kernels.compare(
            np.ascontiguousarray(segment.depth[::step, ::step]),
            np.ascontiguousarray(segment.mask[::step, ::step]), segment.camera / step,
            np.ascontiguousarray(fit.rotation), fit.translation,
            self._model.shape.surfaces if fit.shape is None else fit.shape,
            self._confidence.tolerances)
        parts = image_parts(step * step * sums)
        turning = covariance[3:, 3:]
        if self._model.revolves:
            seen = np.eye(3) - np.outer(rotation[:, 2], rotation[:, 2])
            turning = seen @ turning @ seen
        variances = [np.linalg.eigvalsh(block)[-1] for block in (covariance[:3, :3], turning)]
        parts['innovation'] = surprise
        parts['size_doubt'] = fit.size_doubt
        parts['size'] = fit.size
        parts['truncated'] = self._segmenter.share_outside(
            view.frame.intrinsics, fit.rotation, fit.translation)
        parts['refiner_update'] = fit.refiner_update
        parts['mask_doubt'] = 0.0
        if segment.quality is not None:
            parts['mask_quality'] = segment.quality
            parts['mask_doubt'] = 1.0 - segment.quality
        parts['position_sigma_mm'] = 1e3 * float(np.sqrt(variances[0]))
        parts['rotation_sigma_deg'] = float(np.degrees(np.sqrt(variances[1])))
        return _Judged(
            rotation=rotation, translation=translation, covariance=covariance, parts=parts,
            confidence=self._confidence.probability(parts))

    def _unseen(self, stamp_s: float, was_cut: bool) -> ObjectEstimate:
        """Return a prediction for a short while, then the last pose."""
        just_lost = self._gate.update(0.0) or was_cut
        state = TrackState.ERROR
        if self._tracking and stamp_s - self._seen_s <= self._config.coast_s:
            state = TrackState.STALE
            self._pose = self._canonical(self._filter.rotation, self._filter.translation)
            self._covariance = self._filter.pose_covariance.copy()
        else:
            self._lose()
        return self._estimate(stamp_s, 0.0, state, just_lost, _no_parts())

    def _lose(self) -> None:
        """Follow the object no longer."""
        self._tracking = False
        self._segmenter.forget()

    def _canonical(self, rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
        """Return the pose (7,) whose symmetric equivalent is nearest the previous one."""
        pose = to_pose(rotation, translation)
        reference = None if self._pose is None else self._pose[3:]
        pose[3:] = self._model.nearest_rotation(pose[3:], reference)
        return pose

    def _with_bias(self, covariance: np.ndarray, view: View) -> np.ndarray:
        """Return the covariance with the systematic errors that frames do not average out."""
        config = self._config
        assert self._pose is not None
        ray = self._pose[:3] - view.base_t_camera
        result = covariance + np.diag(
            [config.bias_sigma_m ** 2] * 3 + [config.bias_sigma_rad ** 2] * 3)
        result[:3, :3] += config.scale_sigma ** 2 * np.outer(ray, ray)
        return result

    def _estimate(
            self, stamp_s: float, confidence: float, state: TrackState, just_lost: bool,
            parts: dict[str, float]) -> ObjectEstimate:
        """Pack the present pose."""
        pose = pose_identity() if self._pose is None else self._pose.copy()
        return ObjectEstimate(
            object_id=self._model.object_id, stamp_s=stamp_s, base_T_object=pose,
            covariance=self._covariance.copy(), confidence=confidence, state=state,
            valid=self._gate.is_open, just_lost=just_lost, parts=parts)


def _no_parts() -> dict[str, float]:
    """Return the figures of an image in which the object is not seen."""
    return dict.fromkeys((*FEATURES, 'iou', 'occluded', 'visible_px', 'size'), 0.0)
