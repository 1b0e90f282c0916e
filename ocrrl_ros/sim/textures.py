# SPDX-License-Identifier: Apache-2.0
"""Procedural surface patterns, the same on every machine."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.sim.domain import SurfaceLook

SIZE_PX = 256
_SEED = 20261120


def _smooth_noise(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Return (SIZE_PX, SIZE_PX) noise in 0..1 that tiles, with the given number of cells."""
    phase = rng.uniform(0.0, 2 * np.pi, (rows + 1, columns + 1))
    weight = rng.normal(size=(rows + 1, columns + 1))
    angle = np.linspace(0.0, 2 * np.pi, SIZE_PX, endpoint=False)
    image = np.zeros((SIZE_PX, SIZE_PX))
    for i in range(rows + 1):
        for j in range(columns + 1):
            image += weight[i, j] * np.cos(
                i * angle[:, None] + j * angle[None, :] + phase[i, j])
    return (image - image.min()) / (image.max() - image.min())


def pattern_mix(pattern: str) -> np.ndarray:
    """Return how much of the second colour each pixel takes, (SIZE_PX, SIZE_PX) in 0..1."""
    rng = np.random.default_rng(_SEED)
    if pattern == 'checker':
        half = np.arange(SIZE_PX) < SIZE_PX // 2
        return (half[:, None] ^ half[None, :]).astype(float)
    if pattern == 'wood':
        bend = _smooth_noise(rng, 1, 3)
        rows = np.arange(SIZE_PX)[:, None] / SIZE_PX
        grain = 0.5 + 0.5 * np.sin(2 * np.pi * (9 * rows + 1.5 * bend))
        planks = np.floor(4 * rows) % 2
        return np.clip(0.55 * grain + 0.25 * planks + 0.2 * _smooth_noise(rng, 24, 2), 0.0, 1.0)
    if pattern == 'speckle':
        return _smooth_noise(rng, 12, 12) * (rng.random((SIZE_PX, SIZE_PX)) < 0.5)
    return np.zeros((SIZE_PX, SIZE_PX))


def texture_rgb(look: SurfaceLook) -> np.ndarray:
    """Return the pattern of a surface as (SIZE_PX, SIZE_PX, 3) uint8."""
    mix = pattern_mix(look.pattern)[..., None]
    colour = (1.0 - mix) * np.asarray(look.rgb) + mix * np.asarray(look.rgb2)
    return np.rint(255.0 * colour).astype(np.uint8)
