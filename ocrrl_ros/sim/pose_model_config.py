# SPDX-License-Identifier: Apache-2.0
"""Settings of the pose sensor model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ocrrl_ros.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class VisibilityConfig:
    """Error and loss of the tracker in one phase; sources in config/pose_model.yaml."""

    white_m: float = field(
        default=0.001, metadata={'description': 'white noise per frame and axis, m (std)'})
    white_rad: float = field(
        default=0.01, metadata={'description': 'white noise per frame and axis, rad (std)'})
    drift_m: float = field(
        default=0.0015, metadata={'description': 'slow drift per axis, m (std)'})
    drift_rad: float = field(
        default=0.015, metadata={'description': 'slow drift per axis, rad (std)'})
    invalid_share: float = field(
        default=0.1, metadata={'description': 'share of the time without a valid pose'})

    def __post_init__(self) -> None:
        """Refuse what is no error model."""
        for name in ('white_m', 'white_rad', 'drift_m', 'drift_rad'):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: 0 to 1')
        if not 0.0 <= self.invalid_share < 0.9:
            raise ConfigError(f'invalid_share is {self.invalid_share}; allowed: [0, 0.9)')


@dataclass(frozen=True, kw_only=True)
class PoseModelConfig:
    """Parameters of the pose sensor; the file config/pose_model.yaml cites their sources."""

    frame_rate_hz: float = field(default=30.0, metadata={'description': 'camera frames per s'})
    latency_s: tuple[float, float] = field(
        default=(0.05, 0.09), metadata={'description': 'image stamp to pose, per episode, s'})
    latency_jitter_s: float = field(
        default=0.015, metadata={'description': 'largest extra latency of a frame, s'})
    bias_m: float = field(
        default=0.003, metadata={'description': 'constant error per episode and axis, m (std)'})
    bias_rad: float = field(
        default=0.026, metadata={'description': 'constant error per episode, axis, rad (std)'})
    drift_time_s: float = field(
        default=1.5, metadata={'description': 'correlation time of the drift, s'})
    free: VisibilityConfig = field(default_factory=VisibilityConfig)
    near: VisibilityConfig = field(default_factory=VisibilityConfig)
    held: VisibilityConfig = field(default_factory=VisibilityConfig)
    single_s: float = field(default=0.05, metadata={'description': 'length of a single loss, s'})
    burst_mean_s: float = field(default=0.2, metadata={'description': 'mean burst length, s'})
    burst_share: float = field(
        default=0.5, metadata={'description': 'share of the invalid time that is in bursts'})
    hold_rate_hz: float = field(default=0.2, metadata={'description': 'stalls per s'})
    hold_s: tuple[float, float] = field(
        default=(0.02, 0.15), metadata={'description': 'length of a stall without news, s'})
    lost_from_start: float = field(
        default=0.1, metadata={'description': 'share of episodes without any pose'})
    lost_for_good: float = field(
        default=0.1, metadata={'description': 'share of episodes that lose the poses midway'})
    uniform: float = field(default=0.0, metadata={'description': (
        "largest half width of uniform noise on each of a pose's seven numbers, m and 1; the half "
        'width itself is uniform anew in every report, which makes uniform / 3 rms')})
    dropout: float = field(default=0.0, metadata={'description': (
        'probability that a report lacks all objects, whatever the one before did')})
    near_distance_m: float = field(
        default=0.1, metadata={'description': 'TCP distance below which a hand is near, m'})

    def __post_init__(self) -> None:
        """Refuse values without meaning, naming the range."""
        for name in ('burst_share', 'lost_from_start', 'lost_for_good', 'uniform', 'dropout'):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: 0 to 1')
        if self.lost_from_start + self.lost_for_good > 1.0:
            raise ConfigError('lost_from_start + lost_for_good exceeds 1')
        for name in ('frame_rate_hz', 'drift_time_s', 'single_s', 'burst_mean_s'):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: > 0')
        low, high = self.latency_s
        if not 0.0 <= low <= high <= 0.3:
            raise ConfigError(f'latency_s is {self.latency_s} s; allowed: 0 <= low <= high <= 0.3')

    def without_permanent_loss(self) -> PoseModelConfig:
        """Return the same sensor in episodes that never lose an object for good."""
        return replace(self, lost_from_start=0.0, lost_for_good=0.0)

    def always_lost(self) -> PoseModelConfig:
        """Return a sensor that never reports anything."""
        return replace(self, lost_from_start=1.0, lost_for_good=0.0)
