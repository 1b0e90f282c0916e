# SPDX-License-Identifier: Apache-2.0
"""
Timestamped action chunks and their latency-aware interpolation.

Point i of a chunk is meant for ``stamp + i * step``, where the stamp is the time of the
observation that the policy planned from. Whatever the inference latency, sampling at the present
time skips the points that have passed (facts/perception_vla.md section 5.5).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.core.se3 import pose_twist
from ocrrl_ros.policy import kernels
from ocrrl_ros.policy.plan_lead import LeadConfig, limit_lead
from ocrrl_ros.policy.plausible import check_near

_POSE = np.zeros(7)


@dataclasses.dataclass(frozen=True)
class ActionChunk:
    """
    A checked chunk of one robot.

    :param stamp_s: time of the observation in seconds.
    :param step_s: time between points in seconds.
    :param poses: (H, 7) absolute TCP targets in the robot base frame.
    :param grippers: (H,) opening, 0 closed .. 1 open.
    :raises InputError: wrong shapes, numbers that are not finite, non-unit quaternions, targets
        out of any reach.
    """

    stamp_s: float
    step_s: float
    poses: np.ndarray
    grippers: np.ndarray

    def __post_init__(self) -> None:
        """Check every number once, so that the command path never has to."""
        if not (np.isfinite(self.stamp_s) and np.isfinite(self.step_s) and self.step_s > 0):
            raise InputError(
                f'chunk has stamp {self.stamp_s} s and step {self.step_s} s; '
                'both must be finite and the step above 0')
        poses = check_near(self.poses, 'base policy chunk')
        grippers = np.asarray(self.grippers, dtype=float)
        if poses.ndim != 2 or not len(poses) or grippers.shape != poses.shape[:1]:
            raise InputError(
                f'chunk has poses {poses.shape} and grippers {grippers.shape}; '
                'allowed: (H, 7) and (H,) with H >= 1')
        if not np.isfinite(grippers).all() or (np.abs(grippers - 0.5) > 0.501).any():
            raise InputError(
                f'chunk has gripper openings {grippers.tolist()}; allowed: 0 closed .. 1 open')
        object.__setattr__(self, 'poses', poses)
        object.__setattr__(self, 'grippers', np.clip(grippers, 0.0, 1.0))

    @property
    def end_s(self) -> float:
        """Return the time of the last point in seconds."""
        return self.stamp_s + (len(self.poses) - 1) * self.step_s


def interpolate_chunks(
        poses: np.ndarray, grippers: np.ndarray,
        elapsed_steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Sample N chunks, each at its own time.

    Position is interpolated linearly and rotation along the shorter arc; the gripper keeps the
    last point's value (a half-open command is no plan). Times outside the chunk are clamped.

    :param poses: (N, H, 7).
    :param grippers: (N, H).
    :param elapsed_steps: (N, ...) time since each chunk's stamp, in steps; several times per
        chunk are sampled in one call.
    :return: poses (N, ..., 7) and grippers (N, ...).
    """
    elapsed = np.asarray(elapsed_steps, dtype=float)
    between = (1,) * (elapsed.ndim - 1)
    return kernels.interpolate_chunk(
        poses.reshape(len(poses), *between, *poses.shape[1:]),
        grippers.reshape(len(poses), *between, -1), elapsed, _POSE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChunkConfig:
    """When a chunk may still be executed, and how far it may run ahead of the hand."""

    max_chunk_age_s: float = dataclasses.field(
        default=2.0, metadata={'description': 'oldest chunk stamp that is executed, s'})
    lookahead_s: float = dataclasses.field(
        default=0.3, metadata={'description': (
            'second base action in the observation, s ahead; only the value of the observation '
            'layout')})
    lead: LeadConfig = LeadConfig()

    def __post_init__(self) -> None:
        """Refuse times that cannot work."""
        if not self.max_chunk_age_s > 0:
            raise ConfigError(f'max_chunk_age_s is {self.max_chunk_age_s} s; allowed: > 0')
        if not 0 < self.lookahead_s <= 2:
            raise ConfigError(f'lookahead_s is {self.lookahead_s} s; allowed: 0 < x <= 2')


@dataclasses.dataclass(frozen=True)
class ChunkSample:
    """
    The base action at one time.

    :param poses: (2, 7) target now and ``lookahead_s`` later, base frame.
    :param grippers: (2,) opening at the same times.
    :param phase: share of the chunk that has passed, 0 .. 1.
    :param twist: (6,) velocity of the target now, base frame, m/s and rad/s.
    """

    poses: np.ndarray
    grippers: np.ndarray
    phase: float
    twist: np.ndarray

    def behind(
            self, base_T_tcp: np.ndarray, tcp_velocity: np.ndarray, pulled: float,
            config: LeadConfig) -> ChunkSample:
        """Return it no further ahead of the hand (7,), moving at (3,) m/s, than it may be."""
        poses, twists = limit_lead(
            self.poses[None], self.twist[None], base_T_tcp[None], tcp_velocity[None],
            np.array([pulled]), config)
        return dataclasses.replace(self, poses=poses[0], twist=twists[0])


def sample_chunk(
        chunk: ActionChunk, now_s: float, ahead_s: float, lookahead_s: float) -> ChunkSample:
    """Return the base action at ``now_s + ahead_s`` and ``lookahead_s`` later."""
    poses, grippers, twists = plan_ahead(
        chunk.poses[None], chunk.grippers[None],
        np.array([(now_s + ahead_s - chunk.stamp_s) / chunk.step_s]),
        lookahead_s / chunk.step_s, chunk.step_s)
    phase = (now_s - chunk.stamp_s) / (len(chunk.poses) * chunk.step_s)
    return ChunkSample(poses[0], grippers[0], min(max(phase, 0.0), 1.0), twists[0])


def plan_ahead(
        poses: np.ndarray, grippers: np.ndarray, elapsed_steps: np.ndarray,
        lookahead_steps: float, step_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Sample N chunks as the residual and the command path need them.

    :param poses: (N, H, 7).
    :param grippers: (N, H).
    :param elapsed_steps: (N,) time that the command aims at, in steps since the stamp.
    :return: targets (N, 2, 7) at that time and ``lookahead_steps`` later, their openings (N, 2),
        and the targets' twist (N, 6) in the base frame, the feed-forward of the command path.
    """
    times = elapsed_steps[:, None] + np.array([0.0, lookahead_steps, 1.0])
    sampled, openings = interpolate_chunks(poses, grippers, times)
    twists = pose_twist(sampled[:, 0], sampled[:, 2], step_s)
    return sampled[:, :2], openings[:, :2], twists


class ChunkBuffer:
    """Holds the newest chunk of one robot and decides whether it may still be executed."""

    def __init__(self, config: ChunkConfig | None = None):
        """Start empty."""
        self.config = config or ChunkConfig()
        self._chunk: ActionChunk | None = None
        self._not_before_s = -np.inf

    @property
    def chunk(self) -> ActionChunk | None:
        """Return the chunk that is being executed, if any."""
        return self._chunk

    def clear(self, not_before_s: float) -> None:
        """Drop the chunk and refuse any that was stamped before ``not_before_s``."""
        self._chunk = None
        self._not_before_s = not_before_s

    def push(self, chunk: ActionChunk, now_s: float) -> str | None:
        """
        Take a chunk, or return the reason why it was dropped.

        Dropped are chunks of before the episode or instruction began, chunks from the future,
        chunks that are too old to execute and chunks older than the one being executed.
        """
        if chunk.stamp_s < self._not_before_s:
            return (f'chunk of {chunk.stamp_s:.3f} s is older than the episode or instruction '
                    f'({self._not_before_s:.3f} s)')
        if chunk.stamp_s > now_s + chunk.step_s:
            return f'chunk of {chunk.stamp_s:.3f} s is from the future (now {now_s:.3f} s)'
        if self._chunk is not None and chunk.stamp_s < self._chunk.stamp_s:
            return f'chunk of {chunk.stamp_s:.3f} s is older than the active one'
        reason = self._staleness(chunk, now_s)
        if reason is None:
            self._chunk = chunk
        return reason

    def stale_reason(self, now_s: float) -> str | None:
        """Return why no base action exists at ``now_s``, or None when one does."""
        if self._chunk is None:
            return 'no chunk from the base policy yet'
        return self._staleness(self._chunk, now_s)

    def _staleness(self, chunk: ActionChunk, now_s: float) -> str | None:
        """Return why the chunk cannot be executed now."""
        if now_s > chunk.end_s + 1e-9:
            return f'base policy is stale: the chunk ended {now_s - chunk.end_s:.2f} s ago'
        if now_s - chunk.stamp_s > self.config.max_chunk_age_s:
            return (f'base policy is stale: the chunk is {now_s - chunk.stamp_s:.2f} s old, '
                    f'allowed: {self.config.max_chunk_age_s} s')
        return None

    def sample(self, now_s: float, ahead_s: float = 0.0) -> ChunkSample | None:
        """
        Return the base action at ``now_s + ahead_s``, or None when the base is stale now.

        :param ahead_s: how far ahead the command aims, usually one policy tick.
        """
        if self.stale_reason(now_s) is not None:
            return None
        return sample_chunk(self._chunk, now_s, ahead_s, self.config.lookahead_s)
