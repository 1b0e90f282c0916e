# SPDX-License-Identifier: Apache-2.0
"""Constant-velocity filter of one object's pose in a fixed frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception.rotation import rotation_exp, rotation_log


@dataclass(frozen=True, kw_only=True)
class MotionConfig:
    """How fast an object may change its velocity, and what is left unmodelled."""

    acceleration_m_s2: float = field(
        default=3.0, metadata={'description': 'standard deviation of acceleration, m/s^2'})
    acceleration_rad_s2: float = field(
        default=15.0, metadata={'description': 'same of angular acceleration, rad/s^2'})
    start_speed_m_s: float = field(
        default=0.15, metadata={'description': 'standard deviation of speed at first sight, m/s'})
    start_speed_rad_s: float = field(
        default=1.0, metadata={'description': 'same of the turning rate, rad/s'})
    damping_s: float = field(
        default=0.5, metadata={'description': 'time after which an unseen motion has faded, s'})
    max_step_s: float = field(
        default=0.2, metadata={'description': 'longest gap that is predicted across, s'})
    max_lead_s: float = field(
        default=0.0, metadata={'description': (
            'poses are moved on by the time since their image, at most by this, s; 0: as seen')})
    still_speed_m_s: float = field(
        default=0.03, metadata={'description': (
            'speed of which a lead believes half, m/s: slower ones are mostly noise')})
    still_speed_rad_s: float = field(
        default=0.4, metadata={'description': 'same of the turning rate, rad/s'})

    def __post_init__(self) -> None:
        """Refuse values that are not positive, and leads that are longer than any prediction."""
        for name, value in vars(self).items():
            if name != 'max_lead_s' and not value > 0.0:
                raise ConfigError(f'{name} is {value}; allowed: > 0')
        if not 0.0 <= self.max_lead_s <= self.max_step_s:
            raise ConfigError(
                f'max_lead_s is {self.max_lead_s} s; allowed: 0 .. max_step_s, {self.max_step_s}')


class MotionFilter:
    """
    Pose (rotation matrix, translation) and velocity with their 12 x 12 covariance.

    Errors are a translation (m) and a rotation vector (rad) in the fixed frame, then their rates.
    The pose measurement already holds the prediction as its prior (see `Prior` in
    `sdf_tracker.py`), so `correct` takes a posterior, not a measurement.
    """

    def __init__(self, config: MotionConfig) -> None:
        """Start without a pose."""
        self._config = config
        self._rate = np.zeros(6)
        self._covariance = np.zeros((12, 12))
        self._stamp_s = 0.0
        self.rotation = np.eye(3)
        self.translation = np.zeros(3)

    @property
    def pose_covariance(self) -> np.ndarray:
        """Covariance (6, 6) of translation and rotation."""
        return self._covariance[:6, :6]

    @property
    def rate(self) -> np.ndarray:
        """Linear and angular velocity (6,), m/s and rad/s."""
        return self._rate

    def start(
            self, rotation: np.ndarray, translation: np.ndarray, covariance: np.ndarray,
            stamp_s: float) -> None:
        """Begin at a pose (covariance (6, 6)) with zero velocity."""
        config = self._config
        self.rotation, self.translation, self._stamp_s = rotation, translation, stamp_s
        self._rate = np.zeros(6)
        self._covariance = np.zeros((12, 12))
        self._covariance[:6, :6] = covariance
        self._covariance[6:, 6:] = np.diag(
            [config.start_speed_m_s ** 2] * 3 + [config.start_speed_rad_s ** 2] * 3)

    def predict(self, stamp_s: float) -> None:
        """Move the state to a later time; the same or an earlier one changes nothing."""
        config = self._config
        step = min(max(stamp_s - self._stamp_s, 0.0), config.max_step_s)
        self._stamp_s = max(stamp_s, self._stamp_s)
        if step == 0.0:
            return
        moved = step * self._rate
        self.translation = self.translation + moved[:3]
        self.rotation = rotation_exp(moved[3:]) @ self.rotation
        self._rate = self._rate * np.exp(-step / config.damping_s)
        self._covariance = self._spread(step)

    def lead(self, now_s: float) -> tuple[np.ndarray, np.ndarray]:
        """
        Return how far the pose has moved since its image, without moving the state.

        Rates are shrunk by v^2 / (v^2 + still^2), as a Wiener filter does that knows the noise:
        what rests stays where it was seen.

        :param now_s: time of use; at most ``max_lead_s`` after the image counts.
        :return: displacement (6,), a translation (m) and a rotation vector (rad) in the fixed
            frame, and what it adds to the pose's covariance (6, 6).
        """
        step = min(max(now_s - self._stamp_s, 0.0), self._config.max_lead_s)
        if step == 0.0:
            return np.zeros(6), np.zeros((6, 6))
        moved = step * np.concatenate([
            _believed(self._rate[:3], self._config.still_speed_m_s),
            _believed(self._rate[3:], self._config.still_speed_rad_s)])
        return moved, self._spread(step)[:6, :6] - self.pose_covariance

    def _spread(self, step_s: float) -> np.ndarray:
        """Return the covariance (12, 12) of the state after a step, s."""
        config = self._config
        transition = np.eye(12)
        transition[:6, 6:] = step_s * np.eye(6)
        acceleration = np.array(
            [config.acceleration_m_s2] * 3 + [config.acceleration_rad_s2] * 3)
        push = np.concatenate(
            [np.diag(0.5 * step_s * step_s * acceleration), np.diag(step_s * acceleration)])
        return transition @ self._covariance @ transition.T + push @ push.T

    def correct(
            self, rotation: np.ndarray, translation: np.ndarray,
            covariance: np.ndarray) -> np.ndarray:
        """Take the posterior pose and covariance (6, 6) of now; return the step made (6,)."""
        step = np.concatenate(
            [translation - self.translation, rotation_log(rotation @ self.rotation.T)])
        prior = self._covariance[:6, :6].copy()
        cross = self._covariance[6:, :6].copy()
        gain = np.linalg.solve(prior, cross.T).T
        self._rate = self._rate + gain @ step
        self._covariance[6:, 6:] -= gain @ (prior - covariance) @ gain.T
        self._covariance[6:, :6] = gain @ covariance
        self._covariance[:6, 6:] = self._covariance[6:, :6].T
        self._covariance[:6, :6] = covariance
        self.rotation, self.translation = rotation, translation
        return step


def _believed(rate: np.ndarray, still: float) -> np.ndarray:
    """Return a rate (3,), shrunk where it is about as small as that of things at rest."""
    square = float(rate @ rate)
    return rate * (square / (square + still * still))
