# SPDX-License-Identifier: Apache-2.0
"""
Let the force of a holding arm fade: bring its target to where the arm is.

A target that the arm cannot reach presses, for as long as the controller holds it. Once a hold
has come to rest, the target is brought to the measured joints in rounds; each is one shaped motion
and a pause in which the arm settles. In stiff contact one round takes the force away; in softer
contact the arm gives way a little and further rounds follow. An arm that sags or is pulled
follows its target down as far as the target went: then there is nothing to fade, and the rounds
end. So a free arm drifts by at most once the deviation that it had, and not at all below the least
deviation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.robot.command_shaping import CommandShaper


@dataclass(frozen=True, kw_only=True)
class HoldConfig:
    """How a hold gives way."""

    settle_s: float = field(
        default=0.3, metadata={'description': 'rest before the arm counts as settled, s'})
    bleed_s: float = field(
        default=0.7, metadata={'description': (
            'time in which one round brings the target to the arm, s')})
    least_deviation_rad: float = field(
        default=0.01, metadata={'description': (
            'deviation of a joint from its target that is left alone: friction and sag, rad')})
    rounds: int = field(default=6, metadata={'description': 'most rounds of one hold; 0: none'})
    following_share: float = field(
        default=0.7, metadata={'description': (
            'a deviation that a round leaves above this share of what it was shows an arm that '
            'follows its target: the rounds end')})

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        ranges = {
            'settle_s': (0.05, 5.0), 'bleed_s': (0.1, 10.0), 'least_deviation_rad': (0.002, 0.2),
            'rounds': (0, 20), 'following_share': (0.1, 0.95)}
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: {low} .. {high}')


class HoldBleed:
    """The rounds of one hold; ``begin`` starts the next hold."""

    def __init__(self, config: HoldConfig):
        """Start with nothing to do."""
        self.config = config
        self.rounds = config.rounds
        self._rest_since_s: float | None = None
        self._last_rad = np.inf

    def begin(self) -> None:
        """Start a hold."""
        self.rounds, self._rest_since_s, self._last_rad = 0, None, np.inf

    def update(self, shaper: CommandShaper, q: np.ndarray, now_s: float) -> bool:
        """
        Start the next round when it is due, and return whether one was started.

        :param q: measured joint positions (7,) of now, rad.
        """
        if self.rounds >= self.config.rounds:
            return False
        if not shaper.is_at_rest:
            self._rest_since_s = None
            return False
        if self._rest_since_s is None:
            self._rest_since_s = now_s
        if now_s - self._rest_since_s < self.config.settle_s:
            return False
        deviation = float(np.abs(shaper.q - q).max())
        if deviation < self.config.least_deviation_rad or (
                deviation > self.config.following_share * self._last_rad):
            self.rounds = self.config.rounds
            return False
        self._last_rad, self._rest_since_s = deviation, None
        self.rounds += 1
        shaper.set_goal(q, None, self.config.bleed_s)
        return True
