# SPDX-License-Identifier: Apache-2.0
"""
Model of a Franka Hand that is commanded by an opening of 0 (closed) to 1 (open).

The real hand takes whole move and grasp commands, one at a time, not a stream of widths: drivers
threshold the opening and send *open* or *close*. So does this model, vectorised over N hands:
threshold with hysteresis, a latency until the command takes effect (the latest one wins), then a
width that slews at the driver's speed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.robot import fr3

_TINY_S = 1e-9


@dataclass(frozen=True, kw_only=True)
class GripperConfig:
    """Settings of the hand; the defaults are the driver's and an assumed servo."""

    threshold: float = field(
        default=0.5, metadata={'description': 'opening that separates close from open, 0..1'})
    hysteresis: float = field(
        default=0.1, metadata={'description': 'half width of the band that changes nothing'})
    latency_s: float = field(
        default=0.1, metadata={'description': 'from a changed command to the first motion, s'})
    speed_m_s: float = field(
        default=0.1, metadata={'description': 'rate of the width, m/s'})
    open_width_m: float = field(
        default=fr3.MAX_WIDTH_M, metadata={'description': 'width of the open hand, m'})
    finger_force_n: float = field(
        default=35.0, metadata={'description': (
            'largest force of each finger, N; half of the 70 N continuous grasping force')})
    finger_stiffness: float = field(
        default=3500.0, metadata={'description': (
            'servo stiffness per finger, N/m: full force at 10 mm')})
    finger_damping: float = field(
        default=45.0, metadata={'description': 'servo damping per finger, N s/m'})

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        if not 0.0 < self.threshold - self.hysteresis <= self.threshold + self.hysteresis < 1.0:
            raise ConfigError(
                f'threshold {self.threshold} with hysteresis {self.hysteresis}: the band must '
                'lie within 0..1')
        if self.hysteresis < 0.0:
            raise ConfigError(f'hysteresis is {self.hysteresis}; allowed: >= 0')
        if not 0.0 <= self.latency_s <= 2.0:
            raise ConfigError(f'latency_s is {self.latency_s} s; allowed: 0..2 s')
        if not 0.0 < self.speed_m_s <= 2 * fr3.FINGER_MAX_VELOCITY:
            raise ConfigError(
                f'speed_m_s is {self.speed_m_s} m/s; allowed: 0..{2 * fr3.FINGER_MAX_VELOCITY}')
        if not 0.0 < self.open_width_m <= fr3.MAX_WIDTH_M:
            raise ConfigError(
                f'open_width_m is {self.open_width_m} m; allowed: 0..{fr3.MAX_WIDTH_M} m')
        if not 0.0 < self.finger_force_n <= fr3.FINGER_MAX_FORCE_N:
            raise ConfigError(
                f'finger_force_n is {self.finger_force_n} N; allowed: '
                f'0..{fr3.FINGER_MAX_FORCE_N} N')
        if self.finger_stiffness <= 0.0 or self.finger_damping < 0.0:
            raise ConfigError(
                f'finger_stiffness {self.finger_stiffness} N/m and finger_damping '
                f'{self.finger_damping} N s/m; allowed: > 0 and >= 0')


class GripperModel:
    """N hands: openings in, finger position targets out."""

    def __init__(self, n: int, config: GripperConfig | None = None):
        """Start with n open hands at rest."""
        self.config = config or GripperConfig()
        self._is_open = np.ones(n, dtype=bool)
        self._wanted_open = np.ones(n, dtype=bool)
        self._wait_s = np.zeros(n)
        self._width_m = np.full(n, self.config.open_width_m)
        self._latency_s = np.full(n, self.config.latency_s)
        self._speed_m_s = np.full(n, self.config.speed_m_s)

    @property
    def finger_m(self) -> np.ndarray:
        """Return the current finger position targets (N,) in m."""
        return 0.5 * self._width_m

    @property
    def is_open(self) -> np.ndarray:
        """Return whether the effective command of each hand (N,) is *open*."""
        return self._is_open.copy()

    def reset(self, indices: np.ndarray, openings: np.ndarray) -> None:
        """Put hands at openings (len(indices),) of 0..1, at rest and without a pending command."""
        openings = self._checked(openings)
        self._width_m[indices] = openings * self.config.open_width_m
        self._is_open[indices] = openings >= self.config.threshold
        self._wanted_open[indices] = self._is_open[indices]
        self._wait_s[indices] = 0.0

    def set_closed(self, indices: np.ndarray) -> None:
        """Make *close* the effective command of hands, from the width that they have."""
        self._is_open[indices] = False
        self._wanted_open[indices] = False
        self._wait_s[indices] = 0.0

    def set_dynamics(
            self, indices: np.ndarray, latency_s: np.ndarray, speed_m_s: np.ndarray) -> None:
        """Give hands their own latency and speed (domain randomisation)."""
        self._latency_s[indices] = latency_s
        self._speed_m_s[indices] = speed_m_s

    def command(self, openings: np.ndarray) -> None:
        """
        Take openings (N,) of 0..1; values beyond are clipped.

        :raises InputError: an opening is not finite; the commands stay as they were.
        """
        openings = self._checked(openings)
        high = self.config.threshold + self.config.hysteresis
        low = self.config.threshold - self.config.hysteresis
        wanted = np.where(openings > high, True, np.where(openings < low, False,
                                                          self._wanted_open))
        changed = wanted != self._wanted_open
        self._wait_s = np.where(changed, self._latency_s, self._wait_s)
        self._wanted_open = wanted

    def step(self, dt_s: float, finger_m: np.ndarray | None = None) -> np.ndarray:
        """
        Advance by dt_s and return the finger position targets (N,) in m.

        :param finger_m: measured finger positions (N,). Given, a new motion starts from them, so
            that a hand that squeezes an object opens at once, as the real one does.
        """
        moving_s = np.clip(dt_s - self._wait_s, 0.0, dt_s)
        left_s = self._wait_s - dt_s
        self._wait_s = np.where(left_s > _TINY_S, left_s, 0.0)
        switched = (self._wait_s <= 0.0) & (self._wanted_open != self._is_open)
        self._is_open = np.where(switched, self._wanted_open, self._is_open)
        if finger_m is not None:
            measured = np.clip(2.0 * np.asarray(finger_m), 0.0, self.config.open_width_m)
            self._width_m = np.where(switched, measured, self._width_m)
        goal = np.where(self._is_open, self.config.open_width_m, 0.0)
        # Hands with a pending command go on with the effective one.
        reach = self._speed_m_s * np.where(switched, moving_s, dt_s)
        self._width_m = self._width_m + np.clip(goal - self._width_m, -reach, reach)
        return self.finger_m

    def _checked(self, openings: np.ndarray) -> np.ndarray:
        """Return finite openings clipped to 0..1."""
        openings = np.asarray(openings, dtype=float)
        if not np.isfinite(openings).all():
            raise InputError(f'gripper openings {openings.tolist()} must be finite, 0..1')
        return np.clip(openings, 0.0, 1.0)
