# SPDX-License-Identifier: Apache-2.0
"""What SAM 2 is asked and what it answers, whatever runs it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from ocrrl_ros.core.errors import InputError

# What SAM 2 was trained with: a square picture, normalised as ImageNet.
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)
_CORNERS = (2.0, 3.0)


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """
    What is asked for.

    :param box: (4,) left, top, right, bottom in px; None without one.
    :param points: (N, 2) px; on the object, or not, as ``on_object`` (N,) bool says.
    """

    box: np.ndarray | None = None
    points: np.ndarray | None = None
    on_object: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Refuse to ask for nothing."""
        if self.box is None and self.points is None:
            raise InputError('a prompt needs a box or points')
        if (self.points is None) != (self.on_object is None) or (
                self.points is not None and len(self.points) != len(self.on_object)):
            raise InputError('every point of a prompt needs a word on whether it is on the object')


@dataclass(frozen=True, kw_only=True)
class MaskPrediction:
    """
    A mask.

    :param logits: (H, W) float32, above 0 on the object.
    :param quality: what the network thinks of it, 0 .. 1: the image predictor an IoU, the video
        predictor the probability that the object is in the picture at all.
    """

    logits: np.ndarray
    quality: float


class ImagePredictor(Protocol):
    """Answers prompts about one picture."""

    def predict(self, rgb: np.ndarray, prompt: Prompt) -> MaskPrediction | None:
        """Return the mask of what a prompt asks for in a picture; None without a good one."""


class VideoPredictor(ImagePredictor, Protocol):
    """Follows prompted objects from picture to picture as well."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Rows and columns of the pictures that objects are tracked in; None without any."""

    def prompt(
            self, object_id: Hashable, *, box: np.ndarray | None = None,
            point: np.ndarray | None = None, mask: np.ndarray | None = None) -> None:
        """Say what an object is in the next picture that is tracked."""

    def track(self, rgb: np.ndarray) -> dict[Hashable, MaskPrediction]:
        """Return the mask of every object in the next picture; the same array is the same one."""

    def forget(self, object_id: Hashable) -> None:
        """Track an object no longer, if it is tracked."""

    def reset(self) -> None:
        """Forget every object."""


def normalised_square(rgb: np.ndarray, side_px: int) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 as SAM 2 wants it: (1, 3, side, side) float32."""
    square = cv2.resize(rgb, (side_px, side_px), interpolation=cv2.INTER_LINEAR)
    normal = (square.astype(np.float32) / np.float32(255.0) - _MEAN) / _STD
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])


def points_in_square(
        prompt: Prompt, shape: tuple[int, ...], side_px: int) -> tuple[np.ndarray, np.ndarray]:
    """
    Return a prompt as points (N, 2) of the square picture and their labels (N,), float32.

    :param shape: rows, columns and more of the picture that the prompt is about.
    """
    points, labels = [], []
    if prompt.box is not None:
        points += [prompt.box[:2], prompt.box[2:]]
        labels += _CORNERS
    if prompt.points is not None:
        points += list(prompt.points)
        labels += [float(is_on) for is_on in prompt.on_object]
    scale = np.array([side_px / shape[1], side_px / shape[0]])
    return (np.array(points, float) * scale).astype(np.float32), np.array(labels, np.float32)


def logits_in_picture(logits: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return logits (h, w) of the square picture in one of shape (H, W, ...)."""
    return cv2.resize(logits, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
