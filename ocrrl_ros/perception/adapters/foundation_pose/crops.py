# SPDX-License-Identifier: Apache-2.0
"""The pairs of small pictures that the networks compare: rendered and observed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.perception.adapters.foundation_pose.mesh import Mesh
from ocrrl_ros.perception.adapters.foundation_pose.raster_numba import draw
from ocrrl_ros.perception.frame import Intrinsics

SIZE_PX = 160
CHANNELS = 6
# Points farther from the object than this many of its radii are none of it.
_FAR_RADII = 2.0


@dataclass(frozen=True, kw_only=True)
class Observation:
    """
    A frame as crops are cut from it.

    :param rgb: (H, W, 3) float32, 0 .. 255.
    :param points: (H, W, 3) float32 in the camera, m, 0 where there is no depth.
    """

    rgb: np.ndarray
    points: np.ndarray
    camera: Intrinsics


def observe(rgb: np.ndarray, depth_m: np.ndarray, camera: Intrinsics) -> Observation:
    """Turn a picture (H, W, 3) and its depth (H, W) into what crops are cut from."""
    columns = (np.arange(camera.width) - camera.cx) / camera.fx
    rows = (np.arange(camera.height) - camera.cy) / camera.fy
    points = np.stack([depth_m * columns, depth_m * rows[:, None], depth_m], axis=-1)
    return Observation(
        rgb=rgb.astype(np.float32), points=points.astype(np.float32), camera=camera)


class Cropper:
    """
    Cuts and draws pairs for one mesh.

    :param ratio: side of the window in diameters of the object.
    :param near_m: nearer points are invalid.
    """

    def __init__(self, mesh: Mesh, ratio: float, near_m: float):
        """Prepare the mesh about its centre."""
        self._vertices = (mesh.vertices - mesh.centre)
        self._faces = np.ascontiguousarray(mesh.faces, np.int32)
        self._colours = mesh.colours.astype(np.float64)
        self._radius_m = 0.5 * mesh.diameter_m
        self._half_m = ratio * self._radius_m
        self._near_m = near_m

    def pairs(self, seen: Observation, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Return rendered and observed crops, (N, 160, 160, 6) float32 each.

        Three channels of colour, 0 .. 1, and three of points about the hypothesis, in radii of
        the object; 0 where there is nothing.

        :param poses: (N, 7) of the mesh's centre in the camera, in front of it.
        """
        windows = self._windows(seen.camera, poses[:, :3])
        return self._rendered(poses, windows, seen.camera), self._observed(seen, poses, windows)

    def _windows(self, camera: Intrinsics, centres: np.ndarray) -> np.ndarray:
        """Return (N, 3) pixels of the whole picture: scale, and where crop pixel 0, 0 lies."""
        middle = camera.project(centres)
        half = self._half_m * max(camera.fx, camera.fy) / centres[:, 2:]
        scale = 2.0 * half / SIZE_PX
        return np.hstack([scale, middle - half + 0.5 * scale])

    def _rendered(
            self, poses: np.ndarray, windows: np.ndarray, camera: Intrinsics) -> np.ndarray:
        """Draw the mesh at every pose as its window would see it."""
        scale, corner = windows[:, :1], windows[:, 1:]
        cameras = np.hstack([
            np.array([[camera.fx, camera.fy]]) / scale,
            (np.array([[camera.cx, camera.cy]]) - corner) / scale])
        vertices = np.ascontiguousarray(se3.pose_transform(poses[:, None], self._vertices[None]))
        rgb = np.empty((len(poses), SIZE_PX, SIZE_PX, 3), np.float32)
        points = np.empty_like(rgb)
        draw(vertices, self._faces, self._colours, cameras, rgb, points)
        return self._joined(rgb, points, poses)

    def _observed(
            self, seen: Observation, poses: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """Cut the windows out of the frame."""
        rgb = np.empty((len(poses), SIZE_PX, SIZE_PX, 3), np.float32)
        points = np.empty_like(rgb)
        for index, (scale, left, top) in enumerate(windows):
            matrix = np.array([[scale, 0.0, left], [0.0, scale, top]])
            for source, out, how in (
                    (seen.rgb, rgb, cv2.INTER_LINEAR), (seen.points, points, cv2.INTER_NEAREST)):
                out[index] = cv2.warpAffine(
                    source, matrix, (SIZE_PX, SIZE_PX), flags=how | cv2.WARP_INVERSE_MAP,
                    borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        return self._joined(rgb, points, poses)

    def _joined(self, rgb: np.ndarray, points: np.ndarray, poses: np.ndarray) -> np.ndarray:
        """Return colours and normalised points as the networks take them."""
        near = (points - poses[:, None, None, :3].astype(np.float32)) / np.float32(self._radius_m)
        valid = (points[..., 2:] >= self._near_m) & (
            np.abs(near).max(axis=-1, keepdims=True) < _FAR_RADII)
        return np.concatenate([rgb / np.float32(255.0), np.where(valid, near, np.float32(0.0))],
                              axis=-1)
