# SPDX-License-Identifier: Apache-2.0
"""A model of the pose sensor: what the tracker would report, without rendering anything."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from ocrrl_ros.core.se3 import (
    pose, pose_interpolate, quat_from_rotvec, quat_multiply, quat_normalize)
from ocrrl_ros.sim.pose_model_config import PoseModelConfig

HISTORY = 24
"""Truth samples kept: 0.48 s at 50 Hz, longer than any latency allowed."""


class Visibility(IntEnum):
    """How well the camera sees an object, by task phase."""

    FREE = 0
    """The hand is away."""
    NEAR = 1
    """The hand is around the object and hides part of it."""
    HELD = 2
    """Both fingers touch it."""


@dataclass(frozen=True)
class PoseReports:
    """What arrived since the last call: M poses and L losses, ready for `ObjectPoseBuffer`."""

    rows: np.ndarray
    """Environment of each pose, (M,) int."""
    objects: np.ndarray
    """Object of each pose, (M,) int."""
    poses: np.ndarray
    """base_T_object with error, (M, 7)."""
    stamp_s: np.ndarray
    """Image time of each pose, (M,)."""
    lost_rows: np.ndarray
    """Environment of each closing gate, (L,) int."""
    lost_objects: np.ndarray
    """Object of each closing gate, (L,) int."""


def visibility(
    base_T_tcp: np.ndarray, base_T_object: np.ndarray, finger_contact: np.ndarray,
    near_distance_m: float,
) -> np.ndarray:
    """
    Return the phase (N, K) of each object as `Visibility` values.

    :param base_T_tcp: (N, 7).
    :param base_T_object: (N, K, 7).
    :param finger_contact: (N, K, 2) bool, left and right.
    """
    distance = np.linalg.norm(base_T_object[..., :3] - base_T_tcp[:, None, :3], axis=-1)
    phase = np.where(distance < near_distance_m, Visibility.NEAR, Visibility.FREE)
    return np.where(finger_contact.all(-1), Visibility.HELD, phase)


class PoseModel:
    """
    Reports of a camera and tracker for N environments with K objects each.

    Frames are taken at the camera's rate, seen through per-episode bias, Ornstein-Uhlenbeck
    drift and white noise, and delivered after their latency. Losses are single or in bursts; an
    episode can lack poses from the start or lose them for good. Works at any tick rate.
    Uniform noise and dropout, independent in every report, are those of the published recipe.
    """

    def __init__(
        self, n: int, n_objects: int, config: PoseModelConfig, rng: np.random.Generator,
    ):
        """Allocate state; call `reset` before the first `observe`."""
        self.config = config
        self._rng = rng
        phases = (config.free, config.near, config.held)
        self._white = np.array([[p.white_m] * 3 + [p.white_rad] * 3 for p in phases])
        self._drift_std = np.array([[p.drift_m] * 3 + [p.drift_rad] * 3 for p in phases])
        self._bias_std = np.array([config.bias_m] * 3 + [config.bias_rad] * 3)
        self._starts = np.array([_loss_starts(config, p.invalid_share) for p in phases])
        shape = (n, n_objects)
        self._state: dict[str, np.ndarray] = {
            'bias': np.zeros((*shape, 6)), 'drift': np.zeros((*shape, 6)),
            'lost_until': np.full(shape, -np.inf), 'lost_from': np.full(n, np.inf),
            'hold_until': np.full(n, -np.inf), 'latency': np.zeros(n), 'offset': np.zeros(n),
            'frame': np.zeros(n, np.int64), 'fresh': np.ones(n, bool),
            'times': np.full(HISTORY, -np.inf), 'history': np.zeros((HISTORY, *shape, 7)),
        }

    def reset(self, rows: np.ndarray, now_s: float, horizon_s: float) -> None:
        """
        Draw the sensor of new episodes.

        :param rows: environments (M,) whose episode starts at `now_s`.
        :param horizon_s: longest episode; a loss for good falls uniformly within it.
        """
        config, rng, state = self.config, self._rng, self._state
        count, n_objects = len(rows), state['bias'].shape[1]
        state['bias'][rows] = rng.normal(size=(count, n_objects, 6)) * self._bias_std
        state['drift'][rows] = (
            rng.normal(size=(count, n_objects, 6)) * self._drift_std[Visibility.FREE])
        state['lost_until'][rows] = -np.inf
        state['hold_until'][rows] = -np.inf
        draw = rng.random(count)
        midway = now_s + rng.random(count) * horizon_s
        lost_from = np.where(draw < config.lost_from_start + config.lost_for_good, midway, np.inf)
        state['lost_from'][rows] = np.where(draw < config.lost_from_start, -np.inf, lost_from)
        state['latency'][rows] = rng.uniform(*config.latency_s, count)
        state['offset'][rows] = rng.random(count) / config.frame_rate_hz
        state['frame'][rows] = self._newest_frame(rows, now_s)
        state['fresh'][rows] = True

    def observe(
        self, now_s: float, base_T_object: np.ndarray, phase: np.ndarray,
    ) -> PoseReports:
        """
        Take the truth of this tick and return the reports that arrive by now.

        :param now_s: time of the tick; must not decrease.
        :param base_T_object: true poses (N, K, 7).
        :param phase: `Visibility` of each object, (N, K) int.
        """
        self._remember(now_s, base_T_object)
        state = self._state
        rows = np.arange(len(state['frame']))
        newest = self._newest_frame(rows, now_s)
        news = (newest > state['frame']) & (now_s >= state['hold_until'])
        rows = rows[news]
        stamp = newest[news] / self.config.frame_rate_hz + state['offset'][news]
        frames = newest[news] - state['frame'][news]
        state['frame'][news] = newest[news]
        stalls = self._rng.random(rows.size) < (
            self.config.hold_rate_hz * frames / self.config.frame_rate_hz)
        state['hold_until'][rows[stalls]] = now_s + self._rng.uniform(
            *self.config.hold_s, int(stalls.sum()))
        poses = self._distort(rows, stamp, frames, phase[rows])
        lost = self._losses(rows, stamp, frames, phase[rows])
        row, item = np.nonzero(~lost)
        lost_row, lost_item = np.nonzero(lost)
        return PoseReports(
            rows=rows[row], objects=item, poses=poses[row, item], stamp_s=stamp[row],
            lost_rows=rows[lost_row], lost_objects=lost_item)

    def _newest_frame(self, rows: np.ndarray, now_s: float) -> np.ndarray:
        """Return the index (M,) of the newest frame whose pose has arrived."""
        state, config = self._state, self.config
        delay = state['latency'][rows] + self._rng.random(len(rows)) * config.latency_jitter_s
        elapsed = (now_s - delay - state['offset'][rows]) * config.frame_rate_hz
        return np.floor(elapsed + 1e-9).astype(np.int64)

    def _remember(self, now_s: float, base_T_object: np.ndarray) -> None:
        """Append the truth; a new episode has always been at its first pose."""
        state = self._state
        state['times'][:-1] = state['times'][1:]
        state['times'][-1] = now_s
        state['history'][:-1] = state['history'][1:]
        state['history'][-1] = base_T_object
        state['history'][:, state['fresh']] = base_T_object[state['fresh']]
        state['fresh'][:] = False

    def _truth_at(self, rows: np.ndarray, stamp: np.ndarray) -> np.ndarray:
        """Return the true poses (M, K, 7) at the image stamps (M,)."""
        times, history = self._state['times'], self._state['history']
        after = np.clip(np.searchsorted(times, stamp), 1, HISTORY - 1)
        start, end = times[after - 1], times[after]
        known = np.isfinite(start)
        share = (stamp - np.where(known, start, end - 1.0)) / np.where(known, end - start, 1.0)
        share = np.where(known, np.clip(share, 0.0, 1.0), 1.0)
        return pose_interpolate(history[after - 1, rows], history[after, rows], share[:, None])

    def _distort(
        self, rows: np.ndarray, stamp: np.ndarray, frames: np.ndarray, phase: np.ndarray,
    ) -> np.ndarray:
        """Return the poses (M, K, 7) with bias, drift and noise, all in the base frame."""
        state, config = self._state, self.config
        shape = (*phase.shape, 6)
        decay = np.exp(-frames / (config.frame_rate_hz * config.drift_time_s))[:, None, None]
        kick = self._rng.normal(size=shape) * self._drift_std[phase]
        state['drift'][rows] = state['drift'][rows] * decay + kick * np.sqrt(1.0 - decay ** 2)
        error = state['bias'][rows] + state['drift'][rows]
        error = error + self._rng.normal(size=shape) * self._white[phase]
        truth = self._truth_at(rows, stamp)
        rotation = quat_multiply(quat_from_rotvec(error[..., 3:]), truth[..., 3:])
        found = pose(truth[..., :3] + error[..., :3], rotation)
        return self._spread(found) if config.uniform > 0.0 else found

    def _spread(self, poses: np.ndarray) -> np.ndarray:
        """Return poses (M, K, 7) with uniform noise, equally wide in all numbers of a report."""
        width = self.config.uniform * self._rng.random((len(poses), 1, 1))
        noisy = poses + width * self._rng.uniform(-1.0, 1.0, poses.shape)
        return pose(noisy[..., :3], quat_normalize(noisy[..., 3:]))

    def _losses(
        self, rows: np.ndarray, stamp: np.ndarray, frames: np.ndarray, phase: np.ndarray,
    ) -> np.ndarray:
        """Advance the losses and return which objects (M, K) this frame lacks."""
        state, config = self._state, self.config
        until = state['lost_until'][rows]
        draw = self._rng.random(phase.shape) / frames[:, None]
        single, burst = self._starts[phase, 0], self._starts[phase, 1]
        seen = stamp[:, None] >= until
        length = np.where(
            draw < single, config.single_s,
            self._rng.exponential(config.burst_mean_s, phase.shape))
        starts = seen & (draw < single + burst)
        state['lost_until'][rows] = np.where(starts, stamp[:, None] + length, until)
        lost = starts | ~seen | (stamp >= state['lost_from'][rows])[:, None]
        if config.dropout > 0.0:
            lost |= self._rng.random((rows.size, 1)) < config.dropout
        return lost

    def state_dict(self) -> dict[str, Any]:
        """Return arrays that restore the model; the generator belongs to the caller."""
        return {name: value.copy() for name, value in self._state.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        for name, value in self._state.items():
            value[...] = state[name]


def _loss_starts(config: PoseModelConfig, invalid_share: float) -> tuple[float, float]:
    """
    Return the probabilities per valid frame that a single loss and a burst begin.

    A loss lasts whole frames, so its mean length is that of the rounded-up times.
    """
    rate = config.frame_rate_hz
    odds = invalid_share / (1.0 - invalid_share)
    single_frames = np.ceil(config.single_s * rate)
    burst_frames = 1.0 / (1.0 - np.exp(-1.0 / (rate * config.burst_mean_s)))
    single = (1.0 - config.burst_share) * odds / single_frames
    return single, config.burst_share * odds / burst_frames
