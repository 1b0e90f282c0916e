# SPDX-License-Identifier: Apache-2.0
"""
SAM 2 as a streaming video predictor: prompted once, it follows objects from memory.

The model is that of transformers; pictures are prepared here, so torchvision is not needed.
Weights do not ship.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import get_args, Literal

import cv2
import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError, UnknownNameError
from ocrrl_ros.perception.adapters.sam2_checkpoint import load_video_model
from ocrrl_ros.perception.adapters.sam2_predictor import (
    logits_in_picture, MaskPrediction, normalised_square, points_in_square, Prompt)
from ocrrl_ros.perception.adapters.sam2_session import Sam2Session
from ocrrl_ros.perception.frame import check_picture

Device = Literal['cpu', 'cuda']
"""What runs the network: the processor, or an NVIDIA GPU."""
Precision = Literal['float32', 'bfloat16']
"""Numbers that the network computes with."""


@dataclass(frozen=True, kw_only=True)
class Sam2VideoConfig:
    """Settings of SAM 2 as a video predictor."""

    model: str = field(default='', metadata={'description': (
        'local folder of a SAM 2 checkpoint of transformers; nothing is downloaded')})
    device: Device = field(
        default='cpu', metadata={'description': 'cpu (seconds a picture), or cuda'})
    dtype: Precision = field(
        default='float32', metadata={'description': 'float32, or bfloat16'})
    memory_frames: int = field(default=6, metadata={'description': (
        'frames remembered beside the prompted one, at most as many as the checkpoint reads '
        '(6 of SAM 2); fewer are faster')})
    min_object_score: float = field(default=0.5, metadata={'description': (
        'probability that the object is in the picture below which it is absent, 0.5 .. 1 (below '
        '0.5 SAM 2 gives no mask)')})
    absent_frames: int = field(default=3, metadata={'description': (
        'absent in so many frames in a row, it is searched and prompted anew')})

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        for name, allowed in (('device', get_args(Device)), ('dtype', get_args(Precision))):
            if getattr(self, name) not in allowed:
                raise UnknownNameError(name, getattr(self, name), allowed, 'SAM 2 video')
        if self.memory_frames < 0:
            raise ConfigError(f'memory_frames is {self.memory_frames}; allowed: >= 0')
        if not 0.5 <= self.min_object_score <= 1.0:
            raise ConfigError(f'min_object_score is {self.min_object_score}; allowed: 0.5 .. 1')
        if self.absent_frames < 1:
            raise ConfigError(f'absent_frames is {self.absent_frames}; allowed: >= 1')


class _Tracked:
    """An object: what it is said to be, its memory, and the last answer about it."""

    def __init__(self, asked: Prompt | np.ndarray) -> None:
        """Wait for the picture that the prompt is about."""
        self.asked = asked
        self.session: Sam2Session | None = None
        self.frame = -1
        self.answer: MaskPrediction | None = None


class Sam2VideoTracker:
    """
    Follows any number of objects through pictures of one size; a picture is encoded once.

    Which picture comes next is told by the array: the same array is the same picture. What is
    kept does not grow with the number of pictures.
    """

    def __init__(self, config: Sam2VideoConfig) -> None:
        """
        Open the model.

        :raises ConfigError: no folder is given, or the device is not there.
        :raises BundleError: the folder is missing or holds no SAM 2 video model.
        :raises MissingDependencyError: torch or transformers is not installed.
        """
        if not config.model:
            raise ConfigError('model is not given; it is the folder of a SAM 2 checkpoint of '
                              'transformers, such as a copy of facebook/sam2.1-hiera-tiny')
        self.config = config
        self._model = load_video_model(config.model, config.device, config.dtype)
        self._model.num_maskmem = min(self._model.num_maskmem, config.memory_frames + 1)
        self._side_px = int(self._model.config.image_size)
        self._features = Sam2Session(self._model)
        self._objects: dict[Hashable, _Tracked] = {}
        self._size: tuple[int, int] | None = None
        self._seen: np.ndarray | None = None
        self._pixels = None
        self._frame = -1

    @property
    def object_ids(self) -> tuple[Hashable, ...]:
        """Ids of the objects tracked, in the order of their prompts."""
        return tuple(self._objects)

    @property
    def size(self) -> tuple[int, int] | None:
        """Rows and columns of the pictures that objects are tracked in; None without any."""
        return self._size if self._objects else None

    def predict(self, rgb: np.ndarray, prompt: Prompt) -> MaskPrediction | None:
        """
        Return the mask of what a prompt asks for in a picture (H, W, 3) uint8, remembering none.

        None where SAM 2 thinks that there is no such object.

        :raises InputError: the picture has another shape or type.
        """
        self._look_at(rgb)
        session = Sam2Session(self._model, self._features)
        session.prompt_points(
            self._frame, *points_in_square(prompt, rgb.shape, self._side_px))
        logits, score = session.step(self._frame, self._pixels, remember=False)
        if score < self.config.min_object_score:
            return None
        return MaskPrediction(logits=logits_in_picture(logits, rgb.shape), quality=score)

    def prompt(
            self, object_id: Hashable, *, box: np.ndarray | None = None,
            point: np.ndarray | None = None, mask: np.ndarray | None = None) -> None:
        """
        Say what an object is in the next picture that is tracked; its past is forgotten.

        :param box: (4,) left, top, right, bottom in px.
        :param point: (2,) a pixel on the object.
        :param mask: (H, W) bool.
        :raises InputError: not exactly one of them is given, or it has another shape or no size.
        """
        given = {'box': box, 'point': point, 'mask': mask}
        names = [name for name, value in given.items() if value is not None]
        if len(names) != 1:
            raise InputError(
                f'a prompt is one of box, point and mask; given: {", ".join(names) or "none"}')
        self._objects[object_id] = _Tracked(_checked(names[0], np.asarray(given[names[0]])))

    def track(self, rgb: np.ndarray) -> dict[Hashable, MaskPrediction]:
        """
        Return the mask of every object in the next picture (H, W, 3) uint8, with its score.

        An object that is not there has no logit above 0. For the picture seen last, only objects
        prompted since then are looked for.

        :raises InputError: the picture has another shape or type, or not the size of those
            before or of a prompted mask.
        """
        check_picture(rgb)
        if not self._objects:
            self._size = None
            return {}
        if self._size not in (None, rgb.shape[:2]):
            raise InputError(f'picture is {rgb.shape[:2]}, rows and columns; objects are tracked '
                             f'in {self._size}; reset before the camera changes')
        self._look_at(rgb)
        for object_id, tracked in list(self._objects.items()):
            if tracked.frame == self._frame:
                continue
            if tracked.session is None:
                self._begin(object_id, tracked)
            logits, score = tracked.session.step(self._frame, self._pixels)
            tracked.frame, tracked.answer = self._frame, MaskPrediction(
                logits=logits_in_picture(logits, rgb.shape), quality=score)
        self._size = rgb.shape[:2]
        return {object_id: tracked.answer for object_id, tracked in self._objects.items()}

    def forget(self, object_id: Hashable) -> None:
        """Track an object no longer, if it is tracked."""
        self._objects.pop(object_id, None)
        self._size = self.size

    def reset(self) -> None:
        """Forget every object; the next picture may have another size."""
        self._objects.clear()
        self._size = None

    def _look_at(self, rgb: np.ndarray) -> None:
        """Take a picture, unless it is the one at hand; it is encoded when first asked about."""
        check_picture(rgb)
        if rgb is self._seen:
            return
        import torch
        pixels = torch.from_numpy(normalised_square(rgb, self._side_px))
        self._pixels = pixels.to(self._model.device, self._model.dtype)
        self._seen = rgb
        self._frame += 1

    def _begin(self, object_id: Hashable, tracked: _Tracked) -> None:
        """Prompt an object in the picture at hand; one that does not fit it is forgotten."""
        session, shape = Sam2Session(self._model, self._features), self._seen.shape[:2]
        if isinstance(tracked.asked, Prompt):
            session.prompt_points(
                self._frame, *points_in_square(tracked.asked, shape, self._side_px))
        elif tracked.asked.shape != shape:
            self.forget(object_id)
            raise InputError(f'mask of {object_id!r} is {tracked.asked.shape}; allowed: {shape}, '
                             'as the picture')
        else:
            share = cv2.resize(
                tracked.asked.astype(np.float32), (self._side_px,) * 2,
                interpolation=cv2.INTER_LINEAR)
            session.prompt_mask(self._frame, share >= 0.5)
        tracked.session = session


def _checked(name: str, value: np.ndarray) -> Prompt | np.ndarray:
    """Return a prompt of one kind; refuse other shapes and what has no size."""
    if name == 'mask':
        if value.ndim != 2 or value.dtype != bool or not value.any():
            raise InputError(f'mask is {value.shape} {value.dtype} with {np.count_nonzero(value)} '
                             'pixels; allowed: (H, W) bool with at least one')
        return value
    shape = (4,) if name == 'box' else (2,)
    value = value.astype(float)
    if value.shape != shape or not np.isfinite(value).all():
        raise InputError(f'{name} is {value.tolist()}; allowed: {shape[0]} finite numbers, px')
    if name == 'point':
        return Prompt(points=value[None], on_object=np.array([True]))
    if not (value[:2] < value[2:]).all():
        raise InputError(f'box is {value.tolist()}; allowed: left < right, top < bottom, px')
    return Prompt(box=value)
