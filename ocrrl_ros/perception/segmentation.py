# SPDX-License-Identifier: Apache-2.0
"""Find an object's pixels by colour or height, near where it is expected or anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
import itertools
from types import ModuleType
from typing import NamedTuple

import cv2
import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception.frame import Intrinsics, RgbdFrame
from ocrrl_ros.perception.object_model import ColourModel, ObjectModel
from ocrrl_ros.perception.raised_pixels import RaisedConfig, RaisedPixels, Surroundings


@dataclass(frozen=True, kw_only=True)
class SegmentationConfig:
    """How pixels are collected into one object."""

    roi_margin_px: int = field(
        default=30, metadata={'description': 'looked at around the predicted outline, px'})
    search_stride: int = field(
        default=2, metadata={'description': 'pixel step of the search in the whole image'})
    min_area_px: int = field(
        default=40, metadata={'description': 'smallest mask that can be tracked, px'})
    min_part: float = field(
        default=0.04, metadata={'description': 'smallest part kept, share of the largest part'})
    area_ratio: tuple[float, float] = field(
        default=(0.12, 2.0),
        metadata={'description': 'least area of a find over the bounding box seen from its '
                  'narrowest side, greatest over that from its widest'})
    depth_gate_m: float = field(
        default=0.06, metadata={'description': 'depth of a part beyond the radius, m'})
    candidates: int = field(default=3, metadata={'description': 'finds examined per search'})
    raised: RaisedConfig = field(
        default_factory=RaisedConfig, metadata={'description': 'objects without a colour'})

    def __post_init__(self) -> None:
        """Refuse empty search windows and ratios out of order."""
        if self.roi_margin_px < 2:
            raise ConfigError(f'roi_margin_px is {self.roi_margin_px} px; allowed: >= 2 px')
        if not 1 <= self.search_stride <= 8:
            raise ConfigError(f'search_stride is {self.search_stride} px; allowed: 1 .. 8 px')
        if not 0.0 < self.area_ratio[0] < self.area_ratio[1]:
            raise ConfigError(f'area_ratio is {self.area_ratio}; allowed: 0 < low < high')
        if not self.depth_gate_m > 0.0 or self.min_area_px < 10 or self.candidates < 1:
            raise ConfigError(
                f'depth_gate_m is {self.depth_gate_m} m, min_area_px {self.min_area_px} px, '
                f'candidates {self.candidates}; allowed: > 0 m, >= 10 px, >= 1')


@dataclass(frozen=True, kw_only=True)
class Segment:
    """
    Pixels of one object in a window of the image.

    ``camera`` (6,) is ``fx fy cx cy u0 v0`` with the window's first column and row; ``score`` and
    ``depth`` (h, w) float32; ``mask`` (h, w) bool as segmented; ``filled`` the same without holes;
    ``quality`` what the segmentation thinks of it, 0 .. 1, None where it does not say;
    ``ends_above_plane`` whether its edge next to the supporting plane is not the object's.
    """

    camera: np.ndarray
    score: np.ndarray
    depth: np.ndarray
    mask: np.ndarray
    filled: np.ndarray
    quality: float | None = None
    ends_above_plane: bool = False

    @property
    def area_px(self) -> int:
        """Number of pixels in the mask."""
        return int(np.count_nonzero(self.mask))

    def whole_mask(self, shape: tuple[int, int]) -> np.ndarray:
        """Return the mask (H, W) bool in the whole picture."""
        whole = np.zeros(shape, bool)
        left, top = (int(value) for value in self.camera[4:])
        height, width = self.mask.shape
        whole[top:top + height, left:left + width] = self.mask
        return whole

    def centre_ray(self) -> np.ndarray:
        """Return the direction (3,), z = 1, through the middle of the mask's bounding box."""
        rows, columns = np.nonzero(self.mask)
        u = 0.5 * (columns.min() + columns.max()) + self.camera[4]
        v = 0.5 * (rows.min() + rows.max()) + self.camera[5]
        return np.array(
            [(u - self.camera[2]) / self.camera[0], (v - self.camera[3]) / self.camera[1], 1.0])

    @cached_property
    def median_depth_m(self) -> float:
        """Median valid depth in the mask, m; 0 where there is none."""
        return _median_depth(self.depth, self.mask)


class Masked(NamedTuple):
    """
    A window in which the object was looked for.

    ``score`` (h, w) float32, which passes half way between its values inside and outside at the
    object's edge; ``mask`` (h, w) bool; ``quality`` and ``ends_above_plane`` as in `Segment`.
    """

    score: np.ndarray
    mask: np.ndarray
    quality: float | None = None
    ends_above_plane: bool = False


class Segmenter:
    """
    Segmentation of one object by its colour; by depth where it has none.

    :param others: colours of other objects, which an object without one does not have.
    """

    def __init__(
            self, model: ObjectModel, config: SegmentationConfig, kernels: ModuleType,
            others: Sequence[ColourModel] = ()) -> None:
        """Prepare the colour cone."""
        self._model, self._config, self._kernels = model, config, kernels
        self._corners = np.array(list(itertools.product(*model.shape.bounds_m.T)))
        self._raised = RaisedPixels(
            model, config.raised, others, kernels) if model.colour is None else None

    def near(
            self, frame: RgbdFrame, rotation: np.ndarray, centre_m: np.ndarray,
            depth_scale: float, plane: np.ndarray | None = None) -> Segment | None:
        """
        Return the object's pixels near a prediction in the optical frame; None without any.

        :param rotation: (3, 3) predicted rotation.
        :param centre_m: (3,) predicted place of the object's frame.
        :param depth_scale: measured over true depth.
        :param plane: (4,) supporting plane in the optical frame; objects without a colour need it.
        :raises InputError: the object has no colour and there is no plane.
        """
        box = self._outline(frame.intrinsics, rotation, centre_m)
        if box is None:
            return None
        window = self._around(box, frame.intrinsics)
        if window[2] - window[0] <= 8 or window[3] - window[1] <= 8:
            return None
        around = Surroundings(depth_scale, plane, rotation, centre_m)
        found = self._expected(frame, box, window, around)
        depth = _cut(frame.depth_m, window) * np.float32(1.0 / depth_scale)
        keep = self._parts_near(found.mask, depth, window, frame.intrinsics, centre_m)
        return self._segment(frame.intrinsics, window, found, keep, depth)

    def search(
            self, frame: RgbdFrame, depth_scale: float,
            plane: np.ndarray | None = None) -> list[Segment]:
        """
        Return finds in the whole image whose size fits the object, largest first.

        Parameters and errors are those of `near`.
        """
        stride, around = self._config.search_stride, Surroundings(depth_scale, plane)
        whole = (0, 0, frame.intrinsics.width, frame.intrinsics.height)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(
            self._pixels(frame, whole, stride, around).mask.view(np.uint8), connectivity=8)
        order = np.argsort(-stats[1:, cv2.CC_STAT_AREA]) + 1
        if self._raised is None:
            order = order[:self._config.candidates]
        finds: list[Segment] = []
        for label in order:
            if len(finds) == self._config.candidates:
                break
            left, top, width, height, area = stats[label]
            if area * stride * stride < self._config.min_area_px:
                break
            box = stride * np.array([left, top, left + width, top + height])
            window = self._around(box, frame.intrinsics)
            # What is behind an object without a colour may be larger in the window.
            seeds = None if self._raised is None else stride * np.argwhere(labels == label)
            find = self._largest_part(
                frame, self._masked(frame, box, window, around), window, depth_scale, seeds)
            if find is not None and self._fits(find):
                finds.append(find)
        return finds

    def keep(self, frame: RgbdFrame, find: Segment) -> None:
        """Go on from a find of a search in a frame; colour needs to know nothing of it."""

    def forget(self) -> None:
        """Forget what was tracked; colour remembers nothing."""

    def _expected(
            self, frame: RgbdFrame, box: np.ndarray, window: tuple[int, ...],
            around: Surroundings) -> Masked:
        """Look for the object where it is predicted; arguments as of `_masked`."""
        return self._masked(frame, box, window, around)

    def _masked(
            self, frame: RgbdFrame, box: np.ndarray, window: tuple[int, ...],
            around: Surroundings) -> Masked:
        """
        Look for the object in a window.

        :param box: (4,) where it is expected there: left, top, right, bottom in px.
        """
        return self._pixels(frame, window, 1, around)

    def _largest_part(
            self, frame: RgbdFrame, found: Masked, window: tuple[int, ...],
            depth_scale: float, seeds: np.ndarray | None = None) -> Segment | None:
        """
        Return the largest part of what was found in a window.

        :param seeds: (N, 2) rows and columns of the image: the part with most of them instead.
        """
        count, labels, stats, _ = cv2.connectedComponentsWithStats(
            found.mask.view(np.uint8), connectivity=8)
        if count < 2:
            return None
        sizes = stats[1:, cv2.CC_STAT_AREA]
        if seeds is not None:
            rows, columns = (seeds - np.array([window[1], window[0]])).T
            sizes = np.bincount(labels[rows, columns], minlength=count)[1:]
        largest = 1 + int(np.argmax(sizes))
        depth = _cut(frame.depth_m, window) * np.float32(1.0 / depth_scale)
        return self._segment(frame.intrinsics, window, found, labels == largest, depth)

    def _fits(self, find: Segment) -> bool:
        """Say whether the area of a find is possible for the object at the measured depth."""
        depth = find.median_depth_m
        per_m2 = find.camera[0] * find.camera[1] / max(depth, 1e-3) ** 2
        narrow, wide = self._model.shape.view_areas_m2
        low, high = self._config.area_ratio
        if self._raised is not None and not self._is_short(find, depth):
            return False
        return depth > 0.0 and low * narrow * per_m2 <= find.area_px <= high * wide * per_m2

    def _is_short(self, find: Segment, depth: float) -> bool:
        """Say whether a find is no longer than the object; arms and cables are."""
        rows, columns = np.nonzero(find.mask)
        length_m = depth * max(np.ptp(columns) / find.camera[0], np.ptp(rows) / find.camera[1])
        return length_m < 2.0 * self._config.raised.length_ratio * self._model.shape.radius_m

    def _outline(
            self, camera: Intrinsics, rotation: np.ndarray,
            centre_m: np.ndarray) -> np.ndarray | None:
        """Return the box (4,) around the predicted outline, px; None in or behind the camera."""
        corners = self._corners @ rotation.T + centre_m
        if corners[:, 2].min() < 0.05:
            return None
        pixels = camera.project(corners)
        return np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])

    def share_outside(
            self, camera: Intrinsics, rotation: np.ndarray, centre_m: np.ndarray) -> float:
        """Return the share of the box around the outline that lies outside the picture, 0 .. 1."""
        box = self._outline(camera, rotation, centre_m)
        if box is None:
            return 1.0
        size = np.array([camera.width, camera.height])
        inside = np.minimum(box[2:], size) - np.maximum(box[:2], 0.0)
        return 1.0 - float(np.prod(np.maximum(inside, 0.0)) / np.prod(box[2:] - box[:2]))

    def _around(self, box: np.ndarray, camera: Intrinsics) -> tuple[int, int, int, int]:
        """Return columns and rows (u0, v0, u1, v1) to look at for what is in a box (4,)."""
        margin = self._config.roi_margin_px
        return _clipped(*(box[:2] - margin), *(box[2:] + margin), camera)

    def _radius_px(self, camera: Intrinsics, centre_m: np.ndarray) -> float:
        """Return the radius of the object's bounding sphere in the image, px."""
        return self._model.shape.radius_m * camera.fx / float(centre_m[2])

    def _pixels(
            self, frame: RgbdFrame, window: tuple[int, ...], stride: int,
            around: Surroundings) -> Masked:
        """Return which pixels of a window, on a grid, may be the object's."""
        if self._raised is not None:
            return Masked(
                *self._raised.look(frame, window, stride, around), True)
        colour = self._model.colour
        rgb = np.ascontiguousarray(_cut(frame.rgb, window)[::stride, ::stride])
        score = self._kernels.colour_score(rgb, colour.cone)
        return Masked(score, score > colour.min_saturation)

    def _parts_near(
            self, mask: np.ndarray, depth: np.ndarray, window: tuple[int, ...],
            camera: Intrinsics, centre_m: np.ndarray) -> np.ndarray:
        """Keep the parts that a partly hidden object at the predicted place could show."""
        # Labels take longer than all else here, and most of a window is no object.
        first_u, first_v, columns, rows = cv2.boundingRect(mask.view(np.uint8))
        if columns == 0:
            return np.zeros_like(mask)
        part = slice(first_v, first_v + rows), slice(first_u, first_u + columns)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(
            mask[part].view(np.uint8), connectivity=8)
        depth = depth[part]
        u, v = camera.project(centre_m) - np.array(window[:2]) - np.array([first_u, first_v])
        radius = self._radius_px(camera, centre_m)
        gate = self._model.shape.radius_m + self._config.depth_gate_m
        largest = stats[1:, cv2.CC_STAT_AREA].max()
        keep = np.zeros(count, dtype=bool)
        smallest = max(10, self._config.min_part * largest)
        for label in 1 + np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= smallest):
            left, top, width, height, _ = stats[label]
            dx = max(left - u, 0.0, u - left - width)
            dy = max(top - v, 0.0, v - top - height)
            box = (slice(top, top + height), slice(left, left + width))
            measured_m = _median_depth(depth[box], labels[box] == label)
            keep[label] = (
                dx * dx + dy * dy < radius * radius
                and (measured_m == 0.0 or abs(measured_m - centre_m[2]) < gate))
        if keep[1:].all():
            return mask
        kept = np.zeros_like(mask)
        kept[part] = keep.take(labels)
        return kept

    def _segment(
            self, camera: Intrinsics, window: tuple[int, ...], found: Masked,
            mask: np.ndarray, depth: np.ndarray) -> Segment | None:
        """Pack a window, or return None when the mask is too small to be tracked."""
        if np.count_nonzero(mask) < self._config.min_area_px:
            return None
        outlines, _ = cv2.findContours(
            mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        filled = np.zeros(mask.shape, dtype=np.uint8)
        cv2.drawContours(filled, outlines, -1, 1, thickness=cv2.FILLED)
        return Segment(
            camera=np.array([
                camera.fx, camera.fy, camera.cx, camera.cy, float(window[0]), float(window[1])]),
            score=found.score, depth=depth, mask=mask, filled=filled.astype(bool),
            quality=found.quality, ends_above_plane=found.ends_above_plane)


def _clipped(
        left: float, top: float, right: float, bottom: float,
        camera: Intrinsics) -> tuple[int, int, int, int]:
    """Return a window of whole pixels inside the image."""
    return (
        max(int(left), 0), max(int(top), 0),
        min(int(right) + 1, camera.width), min(int(bottom) + 1, camera.height))


def _median_depth(depth: np.ndarray, mask: np.ndarray) -> float:
    """Return the median valid depth (h, w) in a mask, m; 0 where there is none."""
    measured = depth[mask]
    measured = measured[measured > 0.0]
    if not len(measured):
        return 0.0
    # Of `np.median` the search for NaN takes half the time; a comparison has dropped them.
    middle = len(measured) // 2
    if len(measured) % 2:
        return float(np.partition(measured, middle)[middle])
    return float(np.partition(measured, (middle - 1, middle))[middle - 1:middle + 1].mean())


def _cut(image: np.ndarray, window: tuple[int, ...]) -> np.ndarray:
    """Return the view of a window."""
    return image[window[1]:window[3], window[0]:window[2]]
