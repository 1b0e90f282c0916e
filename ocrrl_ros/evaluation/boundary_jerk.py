# SPDX-License-Identifier: Apache-2.0
"""
Peak joint jerk where one chunk takes over from another: the shaped command against none.

Episodes run with the base alone and the controller that the node runs. Beside it, moving nothing,
a direct publisher gets the same chunks at the same moments: in every command tick it interpolates
the newest chunk at the present time and sends the joints that inverse kinematics finds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import ConfigError, OcrrlError
from ocrrl_ros.evaluation.evaluate import EvaluateConfig, rollout_settings
from ocrrl_ros.evaluation.perturbations.hook import EpisodeHook
from ocrrl_ros.evaluation.policies import load_policies
from ocrrl_ros.evaluation.rollout_factory import build_rollout
from ocrrl_ros.policy.action_chunk import ActionChunk, interpolate_chunks
from ocrrl_ros.policy.controller import Command, ResidualController
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.arm_state import ArmState
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.seeding import episode_rngs
from ocrrl_ros.sim.tasks import get_task

RATIO_GOAL = 20.0
#: FR3's limit of every joint, rad/s^3.
JERK_LIMIT_RAD_S3 = 5000.0
#: A third difference spans so many commands.
_SPAN = 4


@dataclass(frozen=True, kw_only=True)
class BoundaryJerkConfig:
    """Which episodes give the chunks, and around which moments jerk counts."""

    task: str = field(default='cube_lift', metadata={'description': 'task name'})
    domain: str = field(default='sim', metadata={'description': 'sim, proxy or a domain file'})
    base: str = field(default='expert', metadata={
        'description': "where the chunks come from: expert, or a base bundle's folder"})
    episodes: int = field(default=3, metadata={'description': 'episodes'})
    seed: int = field(default=10_000, metadata={'description': 'evaluation seed'})
    rate_hz: float = field(default=200.0, metadata={'description': 'rate of both streams, Hz'})
    window_s: float = field(default=0.1, metadata={
        'description': 'how long after the arrival of a chunk jerk counts, s'})

    def __post_init__(self) -> None:
        """Refuse what gives no boundary."""
        if self.episodes < 1:
            raise ConfigError(f'episodes is {self.episodes}; allowed: >= 1')
        if self.rate_hz not in (200.0, 500.0, 1000.0):
            raise ConfigError(f'rate_hz is {self.rate_hz} Hz; allowed: 200, 500, 1000')
        if not 0.0 < self.window_s <= 0.4:
            raise ConfigError(f'window_s is {self.window_s} s; allowed: 0 < x <= 0.4')


class DirectPublisher:
    """Sends what the newest chunk says at this moment, unshaped."""

    def __init__(self, kinematics: FrankaKinematics, q: np.ndarray):
        """Begin with the arm's joints (7,) in rad."""
        self._kinematics = kinematics
        self._q = np.array(q, dtype=float)
        self._chunk: ActionChunk | None = None

    def take(self, chunk: ActionChunk) -> None:
        """Switch to a chunk that has arrived."""
        self._chunk = chunk

    def target(self, now_s: float) -> np.ndarray | None:
        """Return the joints (7,) in rad to send now; None before the first chunk."""
        chunk = self._chunk
        if chunk is None:
            return None
        poses, _ = interpolate_chunks(
            chunk.poses[None], chunk.grippers[None],
            np.array([(now_s - chunk.stamp_s) / chunk.step_s]))
        self._q, _ = self._kinematics.solve(poses[0], self._q)
        return self._q


class TwoStreams(EpisodeHook):
    """Notes the shaped command of every tick, and beside it what is published directly."""

    def __init__(self, kinematics: FrankaKinematics):
        """Wait for the first joint state."""
        self._kinematics = kinematics
        self._direct: DirectPublisher | None = None
        self._now_s = 0.0
        self._shaped: list[np.ndarray] = []
        self._sent: list[np.ndarray] = []
        self.boundaries: list[int] = []
        """Ticks in which a chunk took over from another."""
        self._chunks = 0

    @property
    def shaped(self) -> np.ndarray:
        """Return the shaped joints (T, 7) in rad; NaN where nothing was sent or all began anew."""
        return np.array(self._shaped)

    @property
    def direct(self) -> np.ndarray:
        """Return the joints (T, 7) in rad of the direct publisher; NaN before its first chunk."""
        return np.array(self._sent)

    def take_state(self, controller: ResidualController, arm: ArmState, now_s: float) -> None:
        """Let the direct publisher begin where the arm is."""
        super().take_state(controller, arm, now_s)
        if self._direct is None:
            self._direct = DirectPublisher(self._kinematics, arm.q)

    def step_s(self, dt_s: float, now_s: float) -> float:
        """Keep the time of the command that follows."""
        self._now_s = now_s
        return dt_s

    def on_command(self, command: Command | None) -> None:
        """Note both streams' joints of this tick."""
        nothing = np.full(7, np.nan)
        if command is not None and command.is_restart:
            # What is before a new beginning and what is after it are no one motion.
            self._shaped[-1:] = [nothing] * len(self._shaped[-1:])
        self._shaped.append(nothing if command is None else np.array(command.q))
        target = self._direct.target(self._now_s)
        self._sent.append(nothing if target is None else np.array(target))

    def take_chunk(
            self, controller: ResidualController, chunk: ActionChunk | None,
            now_s: float) -> None:
        """Give both the same chunk; the next command is the first that knows of it."""
        super().take_chunk(controller, chunk, now_s)
        if chunk is None:
            return
        self._direct.take(chunk)
        if self._chunks:
            self.boundaries.append(len(self._shaped))
        self._chunks += 1


def boundary_peaks(
        joints: np.ndarray, boundaries: list[int], rate_hz: float, window_s: float) -> np.ndarray:
    """
    Return the largest jerk of any joint around each boundary, rad/s^3.

    Third differences count that have a command of the window in them.

    :param joints: (T, 7) commands in rad, NaN where there is none.
    :param boundaries: index of the first command after each.
    :return: (B,); NaN where no four commands lie around a boundary.
    """
    peaks = np.full(len(boundaries), np.nan)
    window = round(window_s * rate_hz)
    for index, boundary in enumerate(boundaries):
        around = joints[max(0, boundary - _SPAN + 1):boundary + window]
        jerk = np.abs(np.diff(around, 3, axis=0)) * rate_hz ** 3
        if np.isfinite(jerk).any():
            peaks[index] = np.nanmax(jerk)
    return peaks


def bench_boundary_jerk(
        config: BoundaryJerkConfig, progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """
    Run the episodes and compare both streams.

    :param progress: called with the number of episodes done.
    :return: peaks in rad/s^3, over all boundaries and their medians, and the verdict.
    :raises OcrrlError: no chunk took over from another.
    """
    settings = rollout_settings(EvaluateConfig(
        task=config.task, domain=config.domain, policy='base', poses='truth', base=config.base,
        episodes=config.episodes, seed=config.seed))
    settings = replace(
        settings, rollout=replace(settings.rollout, command_period_s=1.0 / config.rate_hz))
    bundles = load_policies(get_task(config.task), settings.base, None)
    rollout, kinematics = build_rollout(settings, bundles), FrankaKinematics()
    shaped, direct = [], []
    try:
        for episode in range(config.episodes):
            streams = TwoStreams(kinematics)
            rollout.run(episode, episode_rngs(
                config.task, load_domain(config.domain).name, config.seed, episode),
                hook=streams)
            for found, joints in ((shaped, streams.shaped), (direct, streams.direct)):
                found.append(boundary_peaks(
                    joints, streams.boundaries, config.rate_hz, config.window_s))
            if progress is not None:
                progress(episode + 1)
    finally:
        rollout.close()
    return {
        'task': config.task, 'domain': config.domain, 'base_sha256': bundles.base_sha256,
        'episodes': config.episodes, 'seed': config.seed, 'rate_hz': config.rate_hz,
        'window_s': config.window_s,
        **compare_peaks(np.concatenate(shaped), np.concatenate(direct))}


def compare_peaks(shaped: np.ndarray, direct: np.ndarray) -> dict[str, Any]:
    """
    Judge the peaks of two streams around the same boundaries, (B,) each, rad/s^3.

    :raises OcrrlError: there is no boundary at which both were moving.
    """
    both = np.isfinite(shaped) & np.isfinite(direct)
    if not both.any():
        raise OcrrlError('no chunk took over from another; give more episodes')
    shaped, direct = shaped[both], direct[both]
    ratio = float(direct.max() / shaped.max()) if shaped.max() > 0.0 else float('inf')
    return {
        'boundaries': int(both.sum()),
        'shaped_peak_rad_s3': float(shaped.max()), 'direct_peak_rad_s3': float(direct.max()),
        'shaped_median_rad_s3': float(np.median(shaped)),
        'direct_median_rad_s3': float(np.median(direct)), 'ratio': ratio,
        'goals': {'ratio': RATIO_GOAL, 'shaped_peak_rad_s3': JERK_LIMIT_RAD_S3},
        'is_inside_limit': bool(shaped.max() <= JERK_LIMIT_RAD_S3),
        'passed': bool(ratio >= RATIO_GOAL and shaped.max() <= JERK_LIMIT_RAD_S3)}
