# SPDX-License-Identifier: Apache-2.0
"""Situations that no residual was trained in, made on purpose: what the blend is measured in."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args, Literal

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.evaluation.pose_noise import PoseNoise
from ocrrl_ros.evaluation.pose_sources import PoseReading, PoseSource, World
from ocrrl_ros.policy.image_residual import ImageResidualNetwork
from ocrrl_ros.policy.residual import ResidualNetwork

StressName = Literal[
    'none', 'told_noise', 'told_place', 'wrong_place', 'tilted', 'oscillating']
POSE_STRESSES = ('told_noise', 'told_place', 'wrong_place', 'tilted')
WRONG_PLACE_M = np.array([0.0, 0.3, 0.0])
TOLD_PLACE = np.diag([0.1 ** 2] * 3 + [0.0] * 3).ravel()
TILT_RAD = np.array([0.6, 0.0, 0.0])
SWING = 0.6
ANSWERS_PER_SWING = 6
"""Of 50 answers a second: the swing has about 8 Hz."""


def check_stress(name: str, policy: str, pose_noise: str) -> None:
    """Raise ConfigError where a stress is unknown or has nothing to act on."""
    if name not in get_args(StressName):
        raise ConfigError(f'stress is {name!r}; allowed: {", ".join(get_args(StressName))}')
    if name == 'oscillating' and policy != 'residual':
        raise ConfigError(f"stress is {name!r} with policy {policy!r}; allowed with: 'residual'")
    if name == 'told_noise' and pose_noise == 'none':
        raise ConfigError(f'stress is {name!r} without a pose_noise; name one')


class StressedPoses(PoseSource):
    """Another source's poses, wrong or with a covariance, the same way in every episode."""

    def __init__(self, source: PoseSource, stress: StressName, noise: PoseNoise | None = None):
        """
        Change what a source reports.

        :param noise: what `told_noise` tells; the source has put it on the poses.
        """
        self.period_s = source.period_s
        self._source = source
        self._stress = stress
        self._covariance = None if noise is None else told_covariance(noise)

    def reset(self, world: World, rng: np.random.Generator) -> None:
        """Start an episode of the source."""
        self._source.reset(world, rng)

    def poll(self, world: World) -> list[PoseReading]:
        """Return what the source reports, changed; news of a loss stays as it is."""
        return [reading if reading.covariance[0] < 0.0 else self._changed(reading)
                for reading in self._source.poll(world)]

    def _changed(self, reading: PoseReading) -> PoseReading:
        """Return one changed reading."""
        pose = reading.base_T_object.copy()
        if self._stress == 'told_noise':
            return replace(reading, covariance=self._covariance)
        if self._stress in ('told_place', 'wrong_place'):
            pose[:3] += WRONG_PLACE_M
        if self._stress == 'told_place':
            reading = replace(reading, covariance=TOLD_PLACE)
        if self._stress == 'tilted':
            pose[3:] = se3.quat_multiply(se3.quat_from_rotvec(TILT_RAD), pose[3:])
        return replace(reading, base_T_object=pose)


def told_covariance(noise: PoseNoise) -> np.ndarray:
    """Return the covariance (36,) of a noise, of which uniform parts are left out."""
    return np.diag(np.repeat(
        [noise.white_m ** 2 + noise.bias_m ** 2, noise.white_rad ** 2 + noise.bias_rad ** 2],
        3)).ravel()


class OscillatingResidual(ResidualNetwork):
    """A residual on whose answers, all but the gripper's, a swing is put."""

    def __init__(self, residual: ResidualNetwork):
        """
        Stand in for a residual.

        :raises ConfigError: it sees images.
        """
        if isinstance(residual, ImageResidualNetwork):
            raise ConfigError("stress is 'oscillating' with a residual that sees images; "
                              'allowed with: one that sees object poses')
        self.bounds, self.layout = residual.bounds, residual.layout
        self.acts_per, self.spread = residual.acts_per, residual.spread
        self._network = residual.act
        self._answers = 0

    def act(self, observation: np.ndarray) -> np.ndarray:
        """Return actions (N, 7) in [-1, 1]."""
        action = self._network(observation)
        self._answers += 1
        action[:, :6] += SWING * np.sin(2.0 * np.pi * self._answers / ANSWERS_PER_SWING)
        return np.clip(action, -1.0, 1.0)
