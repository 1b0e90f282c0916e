# SPDX-License-Identifier: Apache-2.0
"""
A correction that swings to and fro from tick to tick: told by its reversals, and smoothed.

A reversal is a change of direction after a swing of some size, as in counting the load cycles of
a material. So a correction that changes its sign counts, and so does one that swings about an
offset; slow turns and the small unrest of a pose sensor do not. Where an axis reverses more often
than ordinary corrections do, its low-passed value takes the place of the correction: the swing
goes, the offset that may be of use stays.
"""

from __future__ import annotations

from collections import deque
import dataclasses

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.policy.composition import ACTION_SIZE


@dataclasses.dataclass(frozen=True, kw_only=True)
class OscillationConfig:
    """When a correction counts as oscillating and how it is smoothed."""

    window_s: float = dataclasses.field(
        default=0.5, metadata={'description': 'time over which reversals are counted, s'})
    swing: float = dataclasses.field(
        default=0.4, metadata={'description': (
            'size of a swing that counts, in actions (1 is the bound: 0.4 are 8 mm)')})
    ordinary_reversals: int = dataclasses.field(
        default=6, metadata={'description': 'reversals of an axis in the window that are let be'})
    full_reversals: int = dataclasses.field(
        default=8, metadata={'description': 'reversals from which only the mean is left'})
    mean_s: float = dataclasses.field(
        default=0.25, metadata={'description': 'time constant of the low-pass, s'})
    fall_s: float = dataclasses.field(
        default=0.2, metadata={'description': 'time in which full smoothing sets in, s'})
    rise_s: float = dataclasses.field(
        default=1.0, metadata={'description': 'time in which it ceases, s'})

    def __post_init__(self) -> None:
        """Refuse numbers that cannot work."""
        for name, low, high in (
                ('window_s', 0.1, 5.0), ('swing', 0.02, 2.0), ('mean_s', 0.02, 5.0),
                ('fall_s', 0.02, 10.0), ('rise_s', 0.02, 60.0)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f'{name} is {value}; allowed: {low} .. {high}')
        if not 1 <= self.ordinary_reversals < self.full_reversals:
            raise ConfigError(
                f'ordinary_reversals is {self.ordinary_reversals} and full_reversals '
                f'{self.full_reversals}; allowed: 1 <= ordinary_reversals < full_reversals')


class ReversalCounter:
    """
    Counts the reversals of one signal.

    :param swing: how far it must turn back for a reversal.
    :param most: no more than this many are remembered.
    """

    def __init__(self, swing: float, most: int):
        """Start at rest at zero."""
        self._swing = swing
        self._times_s: deque[float] = deque(maxlen=most)
        self._extreme = 0.0
        self._rises = True

    def update(self, value: float, now_s: float) -> None:
        """Take the signal of now."""
        ahead = value - self._extreme if self._rises else self._extreme - value
        if ahead >= 0.0:
            self._extreme = value
        elif ahead < -self._swing:
            self._extreme, self._rises = value, not self._rises
            self._times_s.append(now_s)

    def count(self, since_s: float) -> int:
        """Return how many reversals there were after ``since_s``; earlier ones are forgotten."""
        while self._times_s and self._times_s[0] <= since_s:
            self._times_s.popleft()
        return len(self._times_s)


class OscillationDamper:
    """Smooths each axis of a residual action by how much it oscillates; for one robot."""

    def __init__(self, config: OscillationConfig | None = None):
        """Start as for a new episode."""
        self.config = config or OscillationConfig()
        self.reset()

    def reset(self) -> None:
        """Start a new episode: nothing is smoothed."""
        config = self.config
        self._counters = [ReversalCounter(config.swing, config.full_reversals)
                          for _ in range(ACTION_SIZE)]
        self._mean = np.zeros(ACTION_SIZE)
        self.share = np.zeros(ACTION_SIZE)

    def damp(
            self, action: np.ndarray, acting: float, now_s: float, step_s: float) -> np.ndarray:
        """
        Return the action (7,) with what oscillates smoothed; the same array while nothing does.

        :param action: (7,) of the residual network in [-1, 1].
        :param acting: share of it that acts; swings are those of the product.
        :param now_s: time of the tick.
        :param step_s: time since the last one.
        """
        config = self.config
        self._mean += (1.0 - np.exp(-step_s / config.mean_s)) * (action - self._mean)
        since_s = now_s - config.window_s
        wanted = [0.0] * ACTION_SIZE
        for axis, (counter, value) in enumerate(zip(self._counters, action.tolist())):
            counter.update(acting * value, now_s)
            beyond = counter.count(since_s) - config.ordinary_reversals
            if beyond > 0:
                wanted[axis] = beyond / (config.full_reversals - config.ordinary_reversals)
        if not any(wanted) and not self.share.any():
            return action
        self.share = np.clip(
            wanted, self.share - step_s / config.rise_s, self.share + step_s / config.fall_s)
        return action + self.share * (self._mean - action)
