# SPDX-License-Identifier: Apache-2.0
"""
What residuals that see images are trained to look through: other looks, lights and cameras.

Only the pictures change; the physics, and what the base policy sees, stay those of `sim`. As in
domain randomisation (Tobin et al., IROS 2017, arXiv 1703.06907).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from ocrrl_ros.core.configuration import load_yaml
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.policy.image_observation import ImageLayout
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.vec_config import TICK_S
from ocrrl_ros.sim.world_distribution import CameraRanges, LooksRanges, Range
from ocrrl_ros.sim.world_sampling import DrawLog, drawn_looks, placed_camera


@dataclass(frozen=True, kw_only=True)
class VisualRandomization:
    """Size and age of the pictures and what they are drawn from: config/train/images.yaml."""

    width: int = field(metadata={'description': 'of the picture that the residual sees, px'})
    height: int = field(metadata={'description': 'of that picture, px; 4:3'})
    rendered: int = field(metadata={
        'description': 'how many times larger, in each direction, pictures are rendered'})
    looks_per_process: int = field(metadata={
        'description': 'worlds to look at, drawn by each environment process'})
    delay_s: Range = field(metadata={
        'description': 'age of a picture when it is acted on, uniform, s'})
    view: CameraRanges = field(metadata={'description': 'where the camera stands, its optics'})
    looks: LooksRanges = field(metadata={'description': 'surfaces, lights, object colours'})

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be rendered and ages beyond a tick."""
        self.layout()
        if not 1 <= self.rendered <= 8 or not 1 <= self.looks_per_process <= 64:
            raise ConfigError(
                f'rendered is {self.rendered}, looks_per_process {self.looks_per_process}; '
                'allowed: 1 .. 8, 1 .. 64')
        low, high = self.delay_s
        if not 0.0 <= low <= high < TICK_S:
            raise ConfigError(
                f'delay_s is ({low}, {high}) s; allowed: 0 <= low <= high < {TICK_S}')

    def layout(self) -> ImageLayout:
        """Return the observation layout of a residual that sees such pictures."""
        return ImageLayout(width=self.width, height=self.height)

    def draw(self, domain: Domain, rng: np.random.Generator) -> Domain:
        """Return a world with drawn looks and camera; all else is the given domain's."""
        log = DrawLog(rng)
        return replace(
            domain, looks=drawn_looks(log, self.looks, domain.looks.objects),
            camera=placed_camera(log, domain.camera, self.view))


def load_visual_randomization(path: Path | None = None) -> VisualRandomization:
    """
    Return the settings of a file, config/train/images.yaml when None.

    :raises ConfigError: the file does not fit.
    """
    return load_yaml(VisualRandomization, path or config_path('train', 'images.yaml'))
