# SPDX-License-Identifier: Apache-2.0
"""The noise test (protocol section 7): named errors in place of those of the pose sensor."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import get_args, Literal

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.evaluation.pose_sources import PoseReading, PoseSource, World
from ocrrl_ros.sim.pose_model_config import PoseModelConfig, VisibilityConfig

NoiseName = Literal['none', 'test', 'bias_0', 'bias_3', 'bias_5', 'bias_10', 'paper']
NOISY_POSES = ('truth', 'modelled')
RAD_PER_M = np.deg2rad(500.0)
"""Turn that comes with a bias: 1.5 degrees for 3 mm, as in the noise test."""


@dataclass(frozen=True, kw_only=True)
class PoseNoise:
    """Errors of reported poses, in the base frame; per axis."""

    white_m: float = field(
        default=0.0, metadata={'description': 'white noise of every report, m (std)'})
    white_rad: float = field(
        default=0.0, metadata={'description': 'white noise of every report, rad (std)'})
    bias_m: float = field(
        default=0.0, metadata={'description': 'constant error of an episode, m (std)'})
    bias_rad: float = field(
        default=0.0, metadata={'description': 'constant error of an episode, rad (std)'})
    uniform: float = field(default=0.0, metadata={'description': (
        "largest half width of uniform noise on each of the pose's seven numbers, m and 1; the "
        'half width itself is uniform anew in every report, which makes uniform / 3 rms')})


def bias(size_m: float) -> PoseNoise:
    """Return a constant error of an episode alone."""
    return PoseNoise(bias_m=size_m, bias_rad=RAD_PER_M * size_m)


_NOISES = {
    'test': PoseNoise(white_m=0.010, white_rad=np.deg2rad(5.0), bias_m=0.003,
                      bias_rad=np.deg2rad(1.5)),
    'bias_0': bias(0.0), 'bias_3': bias(0.003), 'bias_5': bias(0.005), 'bias_10': bias(0.010),
    'paper': PoseNoise(uniform=0.005),
}


def named_noise(name: NoiseName) -> PoseNoise | None:
    """Return the errors that a name stands for; None leaves the pose sensor as it is."""
    return _NOISES.get(name)


def check_noise(name: str, poses: str) -> None:
    """Raise ConfigError where a noise is unknown or the pose source has none that is modelled."""
    if name not in get_args(NoiseName):
        raise ConfigError(
            f'pose_noise is {name!r}; allowed: {", ".join(get_args(NoiseName))}')
    if name != 'none' and poses not in NOISY_POSES:
        raise ConfigError(f'pose_noise is {name!r} with poses {poses!r}; allowed with: '
                          f'{", ".join(NOISY_POSES)}')


def without_errors(config: PoseModelConfig) -> PoseModelConfig:
    """Return the same rates, latencies and losses, with poses that are exact."""
    def exact(phase: VisibilityConfig) -> VisibilityConfig:
        return replace(phase, white_m=0.0, white_rad=0.0, drift_m=0.0, drift_rad=0.0)
    return replace(config, bias_m=0.0, bias_rad=0.0, free=exact(config.free),
                   near=exact(config.near), held=exact(config.held))


class NoisyPoses(PoseSource):
    """Another source's poses with a named noise; what is lost there is lost here."""

    def __init__(self, source: PoseSource, noise: PoseNoise, object_ids: tuple[str, ...]):
        """Disturb a source of exact poses."""
        self.period_s = source.period_s
        self._source = source
        self._noise = noise
        self._ids = object_ids
        self._rng = np.random.default_rng(0)
        self._bias: dict[str, np.ndarray] = {}

    def reset(self, world: World, rng: np.random.Generator) -> None:
        """Draw the episode's bias; latencies and losses stay those without the noise."""
        # A stream of its own, so that the source draws what it would draw alone.
        self._rng = rng.spawn(1)[0]
        noise = self._noise
        size = np.repeat([noise.bias_m, noise.bias_rad], 3)
        self._bias = {name: size * self._rng.normal(size=6) for name in self._ids}
        self._source.reset(world, rng)

    def poll(self, world: World) -> list[PoseReading]:
        """Return what the source reports, disturbed."""
        return [self._disturbed(reading) for reading in self._source.poll(world)]

    def _disturbed(self, reading: PoseReading) -> PoseReading:
        """Return a report with noise; one that says the object is lost stays as it is."""
        if reading.covariance[0] < 0.0:
            return reading
        noise = self._noise
        white = np.repeat([noise.white_m, noise.white_rad], 3) * self._rng.normal(size=6)
        width = noise.uniform * self._rng.uniform()
        flat = width * self._rng.uniform(-1.0, 1.0, 7)
        error = self._bias[reading.object_id] + white
        turn = se3.quat_from_rotvec(error[3:])
        rotation = se3.quat_multiply(turn, reading.base_T_object[3:]) + flat[3:]
        position = reading.base_T_object[:3] + error[:3] + flat[:3]
        return replace(reading, base_T_object=np.concatenate(
            [position, rotation / np.linalg.norm(rotation)]))
