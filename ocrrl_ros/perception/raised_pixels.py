# SPDX-License-Identifier: Apache-2.0
"""
Pixels of an object whose colour nobody knows: what stands out of the table where it may be.

Depth alone cannot tell an object from the table where they meet, so the mask ends a few
millimetres above it; its edge there is not the object's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import NamedTuple

import cv2
import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.perception.frame import Intrinsics, RgbdFrame
from ocrrl_ros.perception.object_model import ColourModel, ObjectModel

_AROUND = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, kw_only=True)
class RaisedConfig:
    """How an object without a colour is told from the table and from what touches it."""

    min_height_m: float = field(
        default=0.005, metadata={'description': 'what is lower may be the table, m'})
    max_range_m: float = field(
        default=1.5, metadata={'description': 'farthest pixel looked at, m'})
    margin_m: float = field(
        default=0.01, metadata={'description': 'what touches the object is cut off so far '
                                'outside its bounding box at the prediction, m'})
    free_margin_m: float = field(
        default=0.025, metadata={'description': 'the same where nothing touches it, m'})
    min_own_edge: float = field(
        default=0.5, metadata={'description': 'least share of the edge that is no such cut'})
    length_ratio: float = field(
        default=1.2, metadata={'description': 'greatest width and height of a find over the '
                               'diameter of the object'})
    excess: float = field(
        default=-25.0, metadata={'description': 'weight, in the confidence, of the share of the '
                                 'mask outside the rendered object: shape is all that tells it'})
    jump_m: float = field(
        default=0.015, metadata={'description': 'step in depth that parts two things, m'})
    hole_px: float = field(
        default=1.5, metadata={'description': 'pixels without depth this near to one with it are '
                               'taken for the same, px'})

    def __post_init__(self) -> None:
        """Refuse sizes that are not positive."""
        for name, value in vars(self).items():
            if name != 'excess' and not value > 0.0:
                raise ConfigError(f'{name} is {value}; allowed: > 0')
        if self.excess > 0.0:
            raise ConfigError(f'excess is {self.excess}; allowed: <= 0')
        if self.free_margin_m < self.margin_m:
            raise ConfigError(
                f'free_margin_m is {self.free_margin_m} m; allowed: >= margin_m, '
                f'{self.margin_m} m')


class Surroundings(NamedTuple):
    """
    What is known of a frame besides its pictures.

    ``depth_scale`` measured over true depth; ``plane`` (4,) unit normal and offset of the
    supporting plane in the optical frame, None where nobody told; ``rotation`` (3, 3) and
    ``centre_m`` (3,) of the object as predicted there, None in a search.
    """

    depth_scale: float
    plane: np.ndarray | None
    rotation: np.ndarray | None = None
    centre_m: np.ndarray | None = None


class RaisedPixels:
    """
    What stands out of the supporting plane and may be one object.

    :param others: colours of the other objects: a pixel in one of them is not this object's.
    """

    def __init__(
            self, model: ObjectModel, config: RaisedConfig, others: Sequence[ColourModel],
            kernels: ModuleType) -> None:
        """Prepare the bounding box and the colours of the others."""
        self._config, self._kernels, self._others = config, kernels, tuple(others)
        self._name = model.object_id
        self._bounds_m = model.shape.bounds_m

    def look(
            self, frame: RgbdFrame, window: tuple[int, ...], stride: int,
            around: Surroundings) -> tuple[np.ndarray, np.ndarray, float]:
        """
        Return a score (h, w) float32, 0 .. 1, a mask (h, w) bool and a quality of a window.

        The score is the share of the neighbourhood that is in the mask: it passes half way at
        its edge, between pixels. The quality is the share of the edge that is one: elsewhere the
        mask was cut off from what touches it. All is on a grid.

        :param window: columns and rows u0, v0, u1, v1.
        :param stride: grid step, px.
        :raises InputError: the supporting plane is not known.
        """
        if around.plane is None:
            raise InputError(
                f'object {self._name} has no colour and the supporting plane is not given; '
                'allowed: one of them')
        cut = slice(window[1], window[3], stride), slice(window[0], window[2], stride)
        depth = _filled(frame.depth_m[cut], max(self._config.hole_px / stride, 1.0))
        depth *= np.float32(1.0 / around.depth_scale)
        rays = _grid_rays(frame.intrinsics, window, stride)
        height = (rays @ around.plane[:3].astype(np.float32)) * depth + around.plane[3]
        mask = (depth > 0.0) & (depth < self._config.max_range_m)
        mask &= height > self._config.min_height_m
        mask &= ~self._of_others(frame.rgb[cut])
        mask &= ~self._behind_others(depth, mask)
        quality = 1.0
        if around.rotation is not None:
            mask, quality = self._expected(depth, rays, mask, around)
        score = cv2.GaussianBlur(mask.astype(np.float32), (5, 5), 1.0)
        return score, mask, quality

    def _of_others(self, rgb: np.ndarray) -> np.ndarray:
        """Return which pixels (h, w, 3) have the colour of another object."""
        taken = np.zeros(rgb.shape[:2], bool)
        rgb = np.ascontiguousarray(rgb)
        for colour in self._others:
            taken |= self._kernels.colour_score(rgb, colour.cone) > colour.min_saturation
        return taken

    def _expected(
            self, depth: np.ndarray, rays: np.ndarray, standing: np.ndarray,
            around: Surroundings) -> tuple[np.ndarray, float]:
        """
        Return what stands where the object is predicted (h, w), and its quality.

        The prediction of an object that has just begun to move is off, so the cut is wide unless
        something goes on beyond it. Of what is mostly cut edges nothing is the object's: any
        surface would look like it there.
        """
        local = rays * depth[..., None] - around.centre_m.astype(np.float32)
        local = local @ around.rotation.astype(np.float32)
        beyond = np.maximum(self._bounds_m[0] - local, local - self._bounds_m[1]).max(axis=-1)
        for margin_m in (self._config.free_margin_m, self._config.margin_m):
            mask = standing & (beyond < margin_m)
            cut = self._cut_share(depth, mask, standing & ~mask)
            if cut == 0.0:
                break
        if 1.0 - cut < self._config.min_own_edge:
            mask = np.zeros_like(mask)
        return mask, 1.0 - cut

    def _behind_others(self, depth: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """
        Return pixels beside a much nearer one of the mask.

        Without them two things, one before the other, are two parts; the nearer keeps its edge.
        """
        nearest = cv2.erode(np.where(mask, depth, np.float32(1e3)), _AROUND)
        return depth - nearest > self._config.jump_m

    def _cut_share(self, depth: np.ndarray, mask: np.ndarray, beyond: np.ndarray) -> float:
        """Return the share of a mask's edge beyond which the same thing seems to go on."""
        edge = mask & (cv2.erode(mask.astype(np.uint8), _AROUND) == 0)
        nearest = cv2.erode(np.where(beyond, depth, np.float32(1e3)), _AROUND)
        cut = edge & (np.abs(nearest - depth) < self._config.jump_m)
        return float(cut.sum() / max(edge.sum(), 1))


def _filled(depth: np.ndarray, reach_px: float) -> np.ndarray:
    """Return depth (h, w) whose small holes have the value of the nearest pixel with one."""
    empty = depth <= 0.0
    result = np.array(depth)
    if not empty.any() or empty.all():
        return result
    distance, labels = cv2.distanceTransformWithLabels(
        empty.astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    values = np.zeros(labels.max() + 1, np.float32)
    values[labels[~empty]] = depth[~empty]
    fill = empty & (distance <= reach_px)
    result[fill] = values[labels[fill]]
    return result


def _grid_rays(
        camera: Intrinsics, window: tuple[int, ...], stride: int) -> np.ndarray:
    """Return directions (h, w, 3) float32 with z = 1 through the pixels of a window's grid."""
    u = np.arange(window[0], window[2], stride, dtype=np.float32)
    v = np.arange(window[1], window[3], stride, dtype=np.float32)
    rays = np.ones((len(v), len(u), 3), np.float32)
    rays[..., 0] = (u - np.float32(camera.cx)) / np.float32(camera.fx)
    rays[..., 1] = ((v - np.float32(camera.cy)) / np.float32(camera.fy))[:, None]
    return rays
