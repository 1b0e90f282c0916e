# SPDX-License-Identifier: Apache-2.0
"""Scripted bases that are wrong on purpose: for benchmarks and controls, never for results."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.policy.base_policy import BaseInputs, BasePolicy, ChunkBatch
from ocrrl_ros.sim.expert import ExpertConfig, ScriptedExpert
from ocrrl_ros.sim.truth import TruthState


@dataclass(frozen=True, kw_only=True)
class StandInConfig:
    """Errors of a base policy that has seen few demonstrations."""

    lateral_m: float = field(
        default=0.018, metadata={'description': 'rms xy error per episode, m'})
    hover_m: float = field(
        default=0.012, metadata={'description': 'rms height error per episode, one-sided, m'})
    per_chunk_m: float = field(
        default=0.003, metadata={'description': 'rms error per axis and chunk, m'})

    def __post_init__(self) -> None:
        """Refuse negative sizes."""
        for name in ('lateral_m', 'hover_m', 'per_chunk_m'):
            if getattr(self, name) < 0.0:
                raise ConfigError(f'{name} is {getattr(self, name)} m; allowed: >= 0 m')


class StandInBase(BasePolicy):
    """The scripted expert, deceived about where the object is."""

    needs_images = False

    def __init__(
            self, n: int, rng: np.random.Generator, config: StandInConfig | None = None,
            expert: ExpertConfig | None = None):
        """
        Draw the first episodes' errors.

        :param n: number of worlds.
        :param rng: the ``base`` stream.
        """
        self._rng = rng
        self._config = config or StandInConfig()
        self._expert = ScriptedExpert(expert)
        self._errors = np.zeros((n, 3))
        self.reset()

    def reset(self, indices: np.ndarray | None = None) -> None:
        """Draw new errors for the given worlds, for all when None."""
        config = self._config
        chosen = np.arange(len(self._errors)) if indices is None else np.asarray(indices)
        errors = self._rng.normal(size=(chosen.size, 3))
        errors[:, :2] *= config.lateral_m / np.sqrt(2.0)
        errors[:, 2] = np.abs(errors[:, 2]) * config.hover_m
        self._errors[chosen] = errors

    def infer(self, inputs: BaseInputs) -> ChunkBatch:
        """
        Return the expert's chunks for objects that are somewhere else.

        :raises InputError: no simulator truth, or another number of worlds.
        """
        truth = inputs.privileged
        rows = np.arange(len(self._errors)) if inputs.rows is None else inputs.rows
        if not isinstance(truth, TruthState) or len(truth) != len(rows):
            raise InputError(
                f'the stand-in base needs simulator truth of {len(rows)} worlds; '
                f'privileged is {type(truth).__name__}')
        noise = self._config.per_chunk_m * self._rng.normal(size=(len(rows), 3))
        poses = truth.object_poses.copy()
        poses[:, 0, :3] += self._errors[rows] + noise
        return self._expert.plan(replace(truth, object_poses=poses))


class RandomBase(BasePolicy):
    """Uniformly random absolute targets in the workspace: the control that must fail."""

    needs_images = False

    def __init__(
            self, rng: np.random.Generator,
            low_m: tuple[float, float, float] = (0.35, -0.20, 0.02),
            high_m: tuple[float, float, float] = (0.65, 0.20, 0.40)):
        """
        Keep the box that targets are drawn from.

        :param rng: the ``base`` stream.
        """
        self._rng = rng
        self._low, self._high = np.asarray(low_m), np.asarray(high_m)

    def infer(self, inputs: BaseInputs) -> ChunkBatch:
        """Return chunks whose points are one random target each, yaw ± 45°, random opening."""
        n = len(inputs)
        position = self._rng.uniform(self._low, self._high, (n, 3))
        spin = np.zeros((n, 3))
        spin[:, 2] = self._rng.uniform(-np.pi / 4, np.pi / 4, n)
        turn = se3.quat_multiply(se3.quat_from_rotvec(spin), np.array([1.0, 0.0, 0.0, 0.0]))
        poses = np.repeat(se3.pose(position, turn)[:, None], self.horizon, axis=1)
        grippers = np.repeat(
            self._rng.integers(0, 2, n).astype(float)[:, None], self.horizon, axis=1)
        return ChunkBatch(poses=poses, grippers=grippers)


class IdleBase(BasePolicy):
    """Holds the pose in which the episode began with an open hand: what a residual does alone."""

    needs_images = False

    def __init__(self) -> None:
        """Start without a pose to hold."""
        self._held: np.ndarray | None = None

    def reset(self, indices: np.ndarray | None = None) -> None:
        """Take the next poses as those to hold; serves whole batches alone."""
        self._held = None

    def infer(self, inputs: BaseInputs) -> ChunkBatch:
        """Return chunks that stay at the first poses (N, 7) seen since the reset."""
        if self._held is None:
            self._held = np.array(inputs.base_T_tcp, dtype=float)
        poses = np.repeat(self._held[:, None], self.horizon, axis=1)
        return ChunkBatch(poses=poses, grippers=np.ones((len(inputs), self.horizon)))
