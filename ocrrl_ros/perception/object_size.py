# SPDX-License-Identifier: Apache-2.0
"""
How large an object really is, against the size that its file gives.

A part off the shelf is not quite as large as its description. Where a model is 3 % too large its
surface lies in front of the measured one everywhere, which looks as a doubtful pose does and turns
a box by some degrees. Frames say by how much: the outline has an angle, the depth a distance.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core.errors import ConfigError

FARTHEST = 1.5
"""Sizes farther off than so many times those compared are not concluded from one frame."""

FIRST, EVERY = 30, 5


@dataclass(frozen=True, kw_only=True)
class SizeConfig:
    """How far and how fast an object's size may leave that of its file."""

    sigma: float = field(
        default=0.02, metadata={'description': (
            'standard deviation of sizes about those of the files, share; 0: taken as they are')})
    limit: float = field(
        default=0.06, metadata={'description': 'greatest share by which a size differs'})
    ignored: float = field(
        default=0.006, metadata={'description': (
            'share of the difference that is not believed: edges of masks make things look as '
            'much too large')})
    compared: float = field(
        default=0.02, metadata={'description': (
            'sizes so much larger and smaller are compared with the picture, share')})
    frame_sigma: float = field(
        default=0.02, metadata={'description': (
            'least standard deviation of the size that one frame shows, share: errors of mask '
            'and calibration do not average out')})
    frames: int = field(
        default=100, metadata={'description': (
            'about so many frames are remembered, of which one in five counts in the long run')})

    def __post_init__(self) -> None:
        """Refuse shares that are no small ones."""
        for name, least in (('sigma', 0.0), ('limit', 0.0), ('ignored', 0.0), ('compared', 1e-3),
                            ('frame_sigma', 1e-3)):
            value = getattr(self, name)
            if not least <= value <= 0.2:
                raise ConfigError(f'{name} is {value}; allowed: {least:g} .. 0.2')
        if self.frames < 1:
            raise ConfigError(f'frames is {self.frames}; allowed: >= 1')


class ObjectSize:
    """Mean of what frames say about one object's size over that of its file, drawn to 1."""

    def __init__(self, config: SizeConfig):
        """Start with the size of the file."""
        self._config = config
        self._weight = self._sum = 0.0
        self._factor = 1.0
        self._offered = 0

    @property
    def factor(self) -> float:
        """Return the size to go by; that of the file while frames do not clearly differ."""
        config = self._config
        difference = max(abs(self._factor - 1.0) - config.ignored, 0.0)
        return 1.0 + float(np.copysign(min(difference, config.limit), self._factor - 1.0))

    def wants_frame(self) -> bool:
        """
        Say whether the present frame is to be taken, once a frame.

        All of the first ones are, then one in `EVERY`: the size is the same, and time is short.
        """
        self._offered += 1
        is_learned = self._config.sigma > 0.0 and self._config.limit > 0.0
        return is_learned and (self._offered <= FIRST or self._offered % EVERY == 0)

    def update(self, cost_smaller: float, cost: float, cost_larger: float) -> None:
        """
        Take one frame's evidence: twice its negative log likelihoods at three sizes.

        These are the present one and `compared` less and more of it, each at the pose that goes
        with it best. A parabola through them has the most likely size at its foot; where they fall
        to one side without a foot, as robust costs do far from it, the size is on that side.
        """
        config = self._config
        slope = 0.5 * (cost_larger - cost_smaller)
        bend = max(cost_smaller + cost_larger - 2.0 * cost, abs(slope) / FARTHEST)
        if not (np.isfinite(slope) and bend > 0.0):
            return
        seen = self.factor * (1.0 - slope / bend * config.compared)
        information = 0.5 * bend / (config.compared * self.factor) ** 2
        weight = 1.0 / (1.0 / information + config.frame_sigma ** 2)
        most = config.frames / config.frame_sigma ** 2
        kept = min(1.0, max(0.0, most - weight) / self._weight) if self._weight else 0.0
        self._weight = kept * self._weight + weight
        self._sum = kept * self._sum + weight * (seen - 1.0)
        self._factor = 1.0 + self._sum / (self._weight + 1.0 / config.sigma ** 2)
