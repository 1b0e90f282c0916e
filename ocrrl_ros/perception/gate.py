# SPDX-License-Identifier: Apache-2.0
"""Hysteresis between 'this pose may be used' and 'this pose may not'."""

from __future__ import annotations

from dataclasses import dataclass, field

from ocrrl_ros.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """When an estimate starts and stops to be valid."""

    enter: float = field(
        default=0.7, metadata={'description': 'confidence that opens the gate, 0..1'})
    leave: float = field(
        default=0.4, metadata={'description': 'confidence below which the gate closes, 0..1'})
    enter_frames: int = field(
        default=3, metadata={'description': 'frames in a row above enter before it opens'})

    def __post_init__(self) -> None:
        """Refuse thresholds out of order."""
        if not 0.0 <= self.leave < self.enter <= 1.0:
            raise ConfigError(
                f'leave is {self.leave} and enter is {self.enter}; '
                'allowed: 0 <= leave < enter <= 1')
        if self.enter_frames < 1:
            raise ConfigError(f'enter_frames is {self.enter_frames}; allowed: >= 1')


class ConfidenceGate:
    """Opens after several confident frames, closes at the first doubtful one."""

    def __init__(self, config: GateConfig) -> None:
        """Start closed."""
        self._config = config
        self._streak = 0
        self.is_open = False

    @property
    def leave(self) -> float:
        """Confidence below which the gate closes."""
        return self._config.leave

    def update(self, confidence: float) -> bool:
        """
        Take the confidence of one frame; return True when this frame closed the gate.

        A value that is not a number closes the gate like a confidence of 0.
        """
        was_open = self.is_open
        if not confidence >= self._config.leave:
            self.is_open = False
        self._streak = self._streak + 1 if confidence >= self._config.enter else 0
        if self._streak >= self._config.enter_frames:
            self.is_open = True
        return was_open and not self.is_open

    def reset(self) -> None:
        """Close the gate and forget the frames seen."""
        self._streak = 0
        self.is_open = False
