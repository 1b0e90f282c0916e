# SPDX-License-Identifier: Apache-2.0
"""A picture sheet of the frames in which the tracker was worst."""
import heapq
import itertools
from pathlib import Path

import cv2
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import OcrrlError
from ocrrl_ros.perception.estimate import ObjectEstimate
from ocrrl_ros.perception.frame import Intrinsics, RgbdFrame
from ocrrl_ros.perception.sdf import entry
from ocrrl_ros.perception.surfaces import Surfaces

CUT_PX, TILE_PX, COLUMNS = 120, 300, 6
TRUE_RGB, SEEN_RGB = (0, 255, 0), (80, 160, 255)


class WorstFrames:
    """
    Keeps the worst frames offered, and draws true (green) and estimated (blue) outlines.

    :param capacity: how many frames to keep.
    """

    def __init__(self, capacity: int = 24):
        """Start empty."""
        self._capacity = capacity
        self._order = itertools.count()
        self._kept: list[tuple[float, int, np.ndarray]] = []

    def offer(
            self, badness: float, frame: RgbdFrame, true_pose: np.ndarray,
            estimate: ObjectEstimate, base_T_camera: np.ndarray, camera: Intrinsics,
            shape: Surfaces, caption: str) -> None:
        """Keep a frame if it is among the worst; every 5th frame is looked at."""
        number = next(self._order)
        if number % 5 or (len(self._kept) == self._capacity and badness <= self._kept[0][0]):
            return
        text = f'{caption} c {estimate.confidence:.2f} {estimate.state.value}'
        tile = _draw(
            frame, true_pose, estimate.base_T_object, base_T_camera, camera, shape, text)
        push = heapq.heappush if len(self._kept) < self._capacity else heapq.heapreplace
        push(self._kept, (badness, number, tile))

    def save(self, path: Path) -> None:
        """
        Write the sheet, worst first, as PNG.

        :raises OcrrlError: the file cannot be written.
        """
        tiles = [tile for _, _, tile in sorted(self._kept, key=lambda item: -item[0])]
        while not tiles or len(tiles) % COLUMNS:
            tiles.append(np.zeros((TILE_PX, TILE_PX, 3), dtype=np.uint8))
        sheet = np.vstack([
            np.hstack(tiles[at:at + COLUMNS]) for at in range(0, len(tiles), COLUMNS)])
        path.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(path), np.ascontiguousarray(sheet[..., ::-1])):
            raise OcrrlError(f'cannot write {path}')


def _draw(
        frame: RgbdFrame, true_pose: np.ndarray, seen_pose: np.ndarray, base_T_camera: np.ndarray,
        camera: Intrinsics, shape: Surfaces, text: str) -> np.ndarray:
    """Return a square cut around the true object with both outlines."""
    image = frame.rgb.copy()
    camera_T_base = se3.pose_inverse(base_T_camera)
    at = se3.pose_transform(camera_T_base, true_pose[:3])
    u, v = camera.project(at)
    size = int(max(CUT_PX, 2.2 * shape.reach * camera.fx / max(at[2], 0.1)))
    size = min(size, camera.width, camera.height)
    left = int(np.clip(u - size // 2, 0, camera.width - size))
    top = int(np.clip(v - size // 2, 0, camera.height - size))
    cut = np.ascontiguousarray(image[top:top + size, left:left + size])
    columns, rows = np.meshgrid(left + np.arange(size), top + np.arange(size))
    rays = camera.rays(np.stack([columns, rows], axis=-1)).reshape(-1, 3)
    for pose, colour in ((true_pose, TRUE_RGB), (seen_pose, SEEN_RGB)):
        _outline(cut, se3.pose_multiply(camera_T_base, pose), rays, shape, colour)
    tile = cv2.resize(cut, (TILE_PX, TILE_PX), interpolation=cv2.INTER_NEAREST)
    cv2.putText(tile, text, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1)
    return tile


def _outline(
        image: np.ndarray, camera_T_object: np.ndarray, rays: np.ndarray, shape: Surfaces,
        colour: tuple[int, int, int]) -> None:
    """Draw the silhouette of a shape that lies in front of the camera."""
    if camera_T_object[2] < 0.05:
        return
    rotation = se3.quat_to_matrix(camera_T_object[3:])
    inside = np.isfinite(entry(-(camera_T_object[:3] @ rotation), rays @ rotation, shape))
    outlines, _ = cv2.findContours(
        inside.reshape(image.shape[:2]).astype(np.uint8), cv2.RETR_EXTERNAL,
        cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, outlines, -1, colour, 1)
