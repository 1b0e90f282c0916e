# SPDX-License-Identifier: Apache-2.0
"""A picture sheet of the frames in which the tracker was worst."""
import heapq
import itertools
from pathlib import Path

import cv2
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import OcrrlError
from ocrrl_ros.evaluation.tracker_sequences import TrueFrame
from ocrrl_ros.perception.estimate import ObjectEstimate
from ocrrl_ros.perception.frame import Intrinsics

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
            self, badness: float, truth: TrueFrame, estimate: ObjectEstimate,
            base_T_camera: np.ndarray, camera: Intrinsics, half_m: np.ndarray,
            caption: str) -> None:
        """Keep a frame if it is among the worst; every 5th frame is looked at."""
        number = next(self._order)
        if number % 5 or (len(self._kept) == self._capacity and badness <= self._kept[0][0]):
            return
        text = f'{caption} c {estimate.confidence:.2f} {estimate.state.value}'
        tile = _draw(truth, estimate.base_T_object, base_T_camera, camera, half_m, text)
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
        truth: TrueFrame, seen_pose: np.ndarray, base_T_camera: np.ndarray, camera: Intrinsics,
        half_m: np.ndarray, text: str) -> np.ndarray:
    """Return a square cut around the true object with both outlines."""
    image = truth.frame.rgb.copy()
    camera_T_base = se3.pose_inverse(base_T_camera)
    for pose, colour in ((truth.true_pose, TRUE_RGB), (seen_pose, SEEN_RGB)):
        _outline(image, se3.pose_multiply(camera_T_base, pose), camera, half_m, colour)
    u, v = camera.project(se3.pose_transform(camera_T_base, truth.true_pose[:3]))
    left = int(np.clip(u - CUT_PX // 2, 0, camera.width - CUT_PX))
    top = int(np.clip(v - CUT_PX // 2, 0, camera.height - CUT_PX))
    tile = cv2.resize(
        image[top:top + CUT_PX, left:left + CUT_PX], (TILE_PX, TILE_PX),
        interpolation=cv2.INTER_NEAREST)
    cv2.putText(tile, text, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1)
    return tile


def _outline(
        image: np.ndarray, camera_T_object: np.ndarray, camera: Intrinsics, half_m: np.ndarray,
        colour: tuple[int, int, int]) -> None:
    """Draw the edges of a box."""
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=3))) * half_m
    points = se3.pose_transform(camera_T_object, corners)
    if points[:, 2].min() < 0.05:
        return
    pixels = np.round(camera.project(points) * 8.0).astype(int)
    for first, second in itertools.combinations(range(8), 2):
        if bin(first ^ second).count('1') == 1:
            cv2.line(
                image, tuple(pixels[first].tolist()), tuple(pixels[second].tolist()), colour, 1,
                cv2.LINE_AA, 3)
