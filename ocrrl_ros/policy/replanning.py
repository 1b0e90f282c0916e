# SPDX-License-Identifier: Apache-2.0
"""When the base policy plans, and when its plan is delivered."""

from __future__ import annotations

import dataclasses

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.policy.action_chunk import ActionChunk


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReplanConfig:
    """Rhythm of the base policy."""

    period_s: float = dataclasses.field(
        default=0.4, metadata={'description': 'time between plans, s; 8 steps of 20 Hz'})
    latency_s: float = dataclasses.field(
        default=0.0, metadata={
            'description': 'least time from image to chunk, s; stands in for a large VLA'})

    def __post_init__(self) -> None:
        """Refuse rhythms that starve the command path."""
        if not 0.02 <= self.period_s <= 2.0:
            raise ConfigError(f'period_s is {self.period_s} s; allowed: 0.02 .. 2')
        if not 0.0 <= self.latency_s <= 0.5:
            raise ConfigError(f'latency_s is {self.latency_s} s; allowed: 0 .. 0.5')


class Replanner:
    """
    Asks for a plan every ``period_s`` while running and delays its delivery.

    Plans are counted from the episode's start, so that a paired run plans at the same times.
    """

    def __init__(self, config: ReplanConfig | None = None):
        """Start idle."""
        self.config = config or ReplanConfig()
        self._running = False
        self._due_s = float('inf')
        self._not_before_s = float('inf')
        self._pending: ActionChunk | None = None

    def set_running(self, running: bool, now_s: float) -> None:
        """Start or stop planning with the episode; a plan under way is dropped."""
        self._running = running
        self.restart(now_s)

    def restart(self, now_s: float) -> None:
        """Plan at once from images of now on, after a start or a new instruction."""
        self._pending = None
        self._due_s = self._not_before_s = now_s if self._running else float('inf')

    def wants_image(self, now_s: float) -> bool:
        """Return whether a plan is due; where the clock was set back, planning starts anew."""
        if self._running and self._due_s - now_s > self.config.period_s + 1e-9:
            self.restart(now_s)
        return self._running and self._pending is None and now_s >= self._due_s

    def accepts(self, stamp_s: float) -> bool:
        """Return whether an image of this time may be planned from."""
        return stamp_s >= self._not_before_s

    def planned(self, chunk: ActionChunk, now_s: float) -> None:
        """Take a finished plan; the next one is due one period after this one was."""
        self._pending = chunk
        missed = max(0.0, now_s - self._due_s) // self.config.period_s
        self._due_s += (missed + 1) * self.config.period_s

    def take_ready(self, now_s: float) -> ActionChunk | None:
        """Return the plan once its latency has passed."""
        chunk = self._pending
        if chunk is None or now_s < chunk.stamp_s + self.config.latency_s - 1e-9:
            return None
        self._pending = None
        return chunk
