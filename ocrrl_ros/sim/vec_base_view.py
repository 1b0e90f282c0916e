# SPDX-License-Identifier: Apache-2.0
"""What an image base sees in training: the camera's picture, shifted and tinted by episode."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from ocrrl_ros.sim.vec_base import ImageSource
from ocrrl_ros.sim.vec_config import BaseViewConfig


class VecBaseView:
    """
    Changes the pictures of N environments, each in a way that stays for an episode.

    :param source: returns pictures (M, H, W, 3) uint8 of environments (M,).
    :param rng: a generator of its own, so that worlds and starts are those without changes.
    """

    def __init__(
        self, source: ImageSource, num_envs: int, config: BaseViewConfig,
        rng: np.random.Generator,
    ):
        """Begin with pictures as they are."""
        self._source = source
        self._config = config
        self._rng = rng
        self._shift_px = np.zeros((num_envs, 2))
        self._gain = np.ones((num_envs, 3))

    def start(self, rows: np.ndarray) -> None:
        """Draw the changes of new episodes (M,)."""
        config = self._config
        self._shift_px[rows] = self._rng.uniform(
            -config.shift_px, config.shift_px, (len(rows), 2))
        self._gain[rows] = 1.0 + self._rng.uniform(-config.gain, config.gain, (len(rows), 3))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return pictures (M, H, W, 3) uint8 of environments (M,)."""
        pictures = self._source(rows)
        return np.stack([
            self._changed(picture, row) for picture, row in zip(pictures, rows)])

    def _changed(self, picture: np.ndarray, row: int) -> np.ndarray:
        """Return one picture (H, W, 3) uint8, its edge repeated where nothing was seen."""
        height, width = picture.shape[:2]
        shift = np.column_stack([np.eye(2), self._shift_px[row]])
        moved = cv2.warpAffine(
            picture, shift, (width, height), flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE)
        return np.clip(np.rint(moved * self._gain[row]), 0, 255).astype(np.uint8)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the future pictures depend on."""
        return {'rng': self._rng.bit_generator.state, 'shift_px': self._shift_px.copy(),
                'gain': self._gain.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self._rng.bit_generator.state = state['rng']
        self._shift_px[:], self._gain[:] = state['shift_px'], state['gain']
