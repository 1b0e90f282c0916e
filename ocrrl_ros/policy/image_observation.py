# SPDX-License-Identifier: Apache-2.0
"""
What a residual sees that looks at the camera's picture instead of at object poses.

The entries are those of the pose layout that tell nothing of objects (proprioception and base
action), in the same order; beside them stands the colour image, shrunk by area mean.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.policy.observation import ObservationLayout

OBSERVATION = 'image'
"""What the description of such a layout says under `observation`."""
_SIZES_PX = (16, 640)


@dataclasses.dataclass(frozen=True)
class ImageLayout(ObservationLayout):
    """
    An observation without objects, and the picture beside it.

    :param width: of the picture that the network takes, px; 4:3.
    :param height: px.
    """

    object_ids: tuple[str, ...] = ()
    symmetries: tuple[str, ...] = ()
    width: int = 64
    height: int = 48

    def __post_init__(self) -> None:
        """Refuse objects, other entries and pictures of another shape than the camera's."""
        if self.object_ids:
            raise ConfigError(f'object_ids are {self.object_ids}; allowed with images: none')
        if self.variant != 'relative':
            raise ConfigError(
                f"observation is {self.variant!r}; allowed with images: 'relative'")
        low, high = _SIZES_PX
        if self.width * 3 != self.height * 4 or not low <= self.width <= high:
            raise ConfigError(
                f'image is {self.width}x{self.height} px; allowed: 4:3, {low} .. {high} px wide')

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Return (H, W, 3)."""
        return (self.height, self.width, 3)

    def describe(self) -> dict[str, Any]:
        """Return the description that a bundle stores and that the hash is taken of."""
        return super().describe() | {
            'observation': OBSERVATION,
            'image': {'channels': 'rgb', 'type': 'uint8', 'width': self.width,
                      'height': self.height, 'shrunk_by': 'area'}}


def sees_images(description: Mapping[str, Any]) -> bool:
    """Return whether a layout's description is that of a residual that sees images."""
    return description.get('observation') == OBSERVATION


def described_image_layout(description: Mapping[str, Any]) -> ImageLayout:
    """
    Return the layout of a description, as far as this program can build it.

    Whether it is the very same must be told by the hash.

    :raises ConfigError: no size, or one that is not allowed.
    """
    image = description.get('image')
    size = [image.get(name) for name in ('width', 'height')] if isinstance(image, Mapping) else []
    if len(size) != 2 or not all(isinstance(value, int) for value in size):
        raise ConfigError(f'image is {image!r}; needed: width and height in px')
    return ImageLayout(width=size[0], height=size[1])


def image_columns(layout: ObservationLayout) -> np.ndarray:
    """Return which entries (D,) of a pose layout an image layout has too, in its order."""
    slices = layout.slices()
    return np.concatenate([
        np.arange(slices[name].start, slices[name].stop) for name in ImageLayout().slices()])
