# SPDX-License-Identifier: Apache-2.0
"""Masks by SAM 2 in the place of those by colour: prompted by prediction, colour or operator."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np
from ocrrl_ros.perception.adapters.sam2_predictor import (
    ImagePredictor, MaskPrediction, Prompt, VideoPredictor)
from ocrrl_ros.perception.adapters.sam2_video import Sam2VideoConfig
from ocrrl_ros.perception.frame import RgbdFrame
from ocrrl_ros.perception.object_model import ColourModel, ObjectModel
from ocrrl_ros.perception.raised_pixels import Surroundings
from ocrrl_ros.perception.segmentation import (
    Masked, Segment, SegmentationConfig, Segmenter)

# Logits beyond this are as sure as can be; the edge lies where they pass 0.
_SURE = 8.0


class Sam2Segmenter(Segmenter):
    """
    Segmentation of one object by an image predictor.

    Near a prediction, the box around the predicted outline is the prompt; without one, the box of
    each find by colour, or the point that an operator gave.

    :param predictor: shared by all objects, so that a picture is encoded once.
    """

    def __init__(
            self, model: ObjectModel, config: SegmentationConfig, kernels: ModuleType,
            predictor: ImagePredictor, others: Sequence[ColourModel] = ()) -> None:
        """Start without a prompt."""
        super().__init__(model, config, kernels, others)
        self._predictor = predictor
        self._prompt: Prompt | None = None

    def prompt(self, pixel: np.ndarray) -> None:
        """Search at a pixel (2,) next time, whatever colour is there."""
        self._prompt = Prompt(
            points=np.asarray(pixel, float).reshape(1, 2), on_object=np.array([True]))

    def search(
            self, frame: RgbdFrame, depth_scale: float,
            plane: np.ndarray | None = None) -> list[Segment]:
        """Return finds whose size fits the object: the operator's, else those by colour."""
        prompt, self._prompt = self._prompt, None
        if prompt is None:
            return super().search(frame, depth_scale, plane)
        found = self._predictor.predict(frame.rgb, prompt)
        rows, columns = np.nonzero(found.logits > 0.0) if found else ((), ())
        if not len(rows):
            return []
        box = np.array([columns.min(), rows.min(), columns.max(), rows.max()])
        window = self._around(box, frame.intrinsics)
        find = self._largest_part(frame, _in_window(found, window), window, depth_scale)
        return [find] if find is not None and self._fits(find) else []

    def _masked(
            self, frame: RgbdFrame, box: np.ndarray, window: tuple[int, ...],
            around: Surroundings) -> Masked:
        """Ask SAM 2 for what is in a box."""
        limits = np.array([frame.intrinsics.width, frame.intrinsics.height] * 2) - 1.0
        inside = np.clip(box.astype(float), 0.0, limits)
        return _in_window(self._predictor.predict(frame.rgb, Prompt(box=inside)), window)


class Sam2VideoSegmenter(Sam2Segmenter):
    """
    Segmentation of one object by a video predictor.

    The mask of the find that the tracker goes on from is the prompt. From then on the mask comes
    from SAM 2's memory alone, until the object was absent for a while or the track is lost.

    :param video: shared by all objects, so that a picture is encoded once.
    """

    def __init__(
            self, model: ObjectModel, config: SegmentationConfig, kernels: ModuleType,
            video: VideoPredictor, settings: Sam2VideoConfig,
            others: Sequence[ColourModel] = ()) -> None:
        """Start with nothing tracked."""
        super().__init__(model, config, kernels, video, others)
        self._video, self._settings = video, settings
        self._object_id = model.object_id
        self._absent = 0

    def search(
            self, frame: RgbdFrame, depth_scale: float,
            plane: np.ndarray | None = None) -> list[Segment]:
        """Return finds as an image predictor does; none while an absent object may come back."""
        return [] if self._absent else super().search(frame, depth_scale, plane)

    def keep(self, frame: RgbdFrame, find: Segment) -> None:
        """Prompt with the mask of a find."""
        self._fit_to(frame)
        self._absent = 0
        self._video.prompt(self._object_id, mask=find.whole_mask(frame.rgb.shape[:2]))
        self._video.track(frame.rgb)

    def forget(self) -> None:
        """Track the object no longer."""
        self._absent = 0
        self._video.forget(self._object_id)

    def _expected(
            self, frame: RgbdFrame, box: np.ndarray, window: tuple[int, ...],
            around: Surroundings) -> Masked:
        """Return what the memory says, wherever the object is predicted."""
        self._fit_to(frame)
        found = self._video.track(frame.rgb).get(self._object_id)
        if found is None:
            self._absent = 0
            return _in_window(None, window)
        if found.quality >= self._settings.min_object_score:
            self._absent = 0
            return _in_window(found, window)
        self._absent += 1
        if self._absent >= self._settings.absent_frames:
            self.forget()
        return _in_window(None, window)

    def _fit_to(self, frame: RgbdFrame) -> None:
        """Begin anew when the camera has changed the size of its pictures."""
        if self._video.size not in (None, frame.rgb.shape[:2]):
            self._video.reset()


def _in_window(found: MaskPrediction | None, window: tuple[int, ...]) -> Masked:
    """Return a prediction in a window; nothing where there is none."""
    if found is None:
        shape = window[3] - window[1], window[2] - window[0]
        return Masked(np.zeros(shape, np.float32), np.zeros(shape, bool))
    logits = found.logits[window[1]:window[3], window[0]:window[2]]
    return Masked(
        np.clip(logits, -_SURE, _SURE), np.ascontiguousarray(logits > 0.0), found.quality)
