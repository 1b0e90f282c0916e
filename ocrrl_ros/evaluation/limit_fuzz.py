# SPDX-License-Identifier: Apache-2.0
"""
Random life of one command path: chunks, residuals, holds, resumes, new starts, new speeds.

One episode in eight looks like a task: shipped settings, calm motions in the workspace, a residual
that changes little from tick to tick. Nothing in the others does. Half of those have the shipped
settings, the rest random shares of the limits and narrow guards, which the targets keep running
into.
"""

from __future__ import annotations

from collections import Counter
import contextlib
import time

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.core.se3 import pose, pose_multiply, quat_from_rotvec
from ocrrl_ros.evaluation.limit_watch import Stream
from ocrrl_ros.policy.composition import ResidualBounds
from ocrrl_ros.policy.target_follower import TargetFollower
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.command_shaping import CommandShaper, ShapingConfig
from ocrrl_ros.robot.guard_config import GuardConfig
from ocrrl_ros.robot.hold_bleed import HoldBleed, HoldConfig
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.limits import JointLimits

TICK_S = 0.001
POLICY_TICKS = 20
_CHUNK_TICKS = 400
_CALM_EVERY = 8
# Where calm motions lead, m, and how much of a residual is new in each policy tick.
_CALM_REGION = ((0.35, -0.15, 0.05), (0.55, 0.15, 0.4))
_CALM_SPEED_M_S = 0.3
_CALM_NEWS = 0.05
_READY = np.array(fr3.READY_POSITION)
_START_TRIES = 200
_NO_EVENT = 0.05
_BOUNDS = ResidualBounds().scale()[:6]


class FuzzEpisode:
    """One command path and what happens to it; the seed decides everything."""

    def __init__(self, seed: int, number: int):
        """Draw settings and build the path."""
        self._rng = rng = np.random.default_rng([seed, number])
        self.image: fr3.SystemImage = '5.9' if (number // _CALM_EVERY + number) % 2 else '5.8'
        self.is_calm = number % _CALM_EVERY == 0
        self.is_shipped = self.is_calm or rng.random() < 0.5
        limits = JointLimits.for_image(self.image)
        self.kinematics = FrankaKinematics(limits=limits)
        is_drawn = not self.is_shipped
        self.shaper = self._shaper(limits, is_drawn=is_drawn)
        while not self.shaper.is_seeded:
            self.shaper = self._shaper(limits, is_drawn=is_drawn)
        self._follower = TargetFollower(
            self.kinematics, self.shaper, bleed=HoldBleed(HoldConfig(settle_s=0.05)))
        self.streams: list[Stream] = []
        self.events: Counter[str] = Counter()
        self.times_ns: dict[str, list[int]] = {'sample': [], 'target': [], 'joint goal': []}
        self._rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._held_at: np.ndarray | None = None
        self._held_ticks = 0
        self._residual_is_on = True
        self._residual = np.zeros(6)
        self._drives_joints = False
        self._target = self._velocity = np.zeros(0)

    def run(self, ticks: int) -> None:
        """Live for so many commands."""
        self._start()
        for tick in range(ticks):
            if tick % _CHUNK_TICKS == 0:
                self._new_chunk()
            if tick % POLICY_TICKS == 0:
                self._policy_tick(tick)
            begin_ns = time.thread_time_ns()
            row = self.shaper.sample(TICK_S)
            self.times_ns['sample'].append(time.thread_time_ns() - begin_ns)
            self._rows.append(row)
        self._end_stream()

    def _shaper(self, limits: JointLimits, *, is_drawn: bool) -> CommandShaper:
        """Return a shaper that rests in the ready posture, unseeded where a guard forbids that."""
        config, guard = ShapingConfig(), GuardConfig()
        if is_drawn:
            config, guard = self._draw_shaping(), self._draw_guard()
        shaper = CommandShaper(limits, config, guard, self.kinematics)
        with contextlib.suppress(InputError):
            shaper.seed(_READY)
        return shaper

    def _draw_shaping(self) -> ShapingConfig:
        """Draw shares of the limits."""
        rng = self._rng
        return ShapingConfig(
            velocity_fraction=rng.uniform(0.05, 1.0), acceleration_fraction=rng.uniform(0.1, 1.0),
            jerk_fraction=rng.uniform(0.1, 1.0))

    def _draw_guard(self) -> GuardConfig:
        """Draw guards that are in the way."""
        rng = self._rng
        angle = rng.uniform(-np.pi, np.pi)
        wall = (0.45 - 0.35 * np.cos(angle), -0.35 * np.sin(angle), 0.4,
                np.cos(angle), np.sin(angle), rng.normal(0.0, 0.3))
        return GuardConfig(
            tcp_speed_m_s=rng.uniform(0.1, 1.0),
            workspace_lower_m=(rng.uniform(0.2, 0.3), rng.uniform(-0.4, -0.1), 0.1),
            workspace_upper_m=(rng.uniform(0.45, 0.7), rng.uniform(0.1, 0.4), 0.7),
            minimum_height_m=rng.uniform(0.0, 0.35), body_height_m=rng.uniform(-0.1, 0.3),
            keep_out_planes=(wall,) if rng.random() < 0.5 else (),
            min_singular_value=rng.uniform(0.0, 0.1), self_distance_m=rng.uniform(0.0, 0.04))

    # Starts -----------------------------------------------------------------------------------

    def _start(self) -> None:
        """Start from a random state of the invariant set; what lies outside is refused."""
        limits, rng = self.shaper.limits, self._rng
        for _ in range(0 if self.is_calm else _START_TRIES):
            q = _READY + rng.normal(0.0, 0.4, 7)
            if rng.random() < 0.5:
                q = rng.uniform(limits.position_lower, limits.position_upper)
            dq = rng.uniform(-1.0, 1.0, 7) * self.shaper.max_velocity * rng.random()
            try:
                if rng.random() < 0.5:
                    self.shaper.restore(
                        q, dq, rng.uniform(-1.0, 1.0, 7) * self.shaper.max_acceleration)
                else:
                    self._follower.seed(q, dq)
            except InputError:
                self.events['refused starts'] += 1
                continue
            break
        self.events['starts'] += 1
        self._begin_stream()

    def _begin_stream(self) -> None:
        """Record anew from the shaper's state."""
        self._rows = [(self.shaper.q, self.shaper.dq, self.shaper.ddq)]

    def _end_stream(self) -> None:
        """Keep what was recorded."""
        q, dq, ddq = (np.array(column) for column in zip(*self._rows))
        self.streams.append(Stream(TICK_S, q, dq, ddq))

    # What happens -----------------------------------------------------------------------------

    def _new_chunk(self) -> None:
        """Begin a straight motion near the command, or a time of joint goals."""
        if self.is_calm:
            self._new_calm_chunk()
            return
        rng = self._rng
        self._drives_joints = rng.random() < 0.25
        start = self.kinematics.forward(self.shaper.q)
        start[:3] += rng.normal(0.0, 0.01, 3)
        self._target = start
        speed = rng.choice([0.0, 0.1, 0.3, 0.8])
        self._velocity = np.concatenate(
            [rng.normal(0.0, 1.0, 3) * speed, rng.normal(0.0, 1.0, 3) * 2.0 * speed])
        if rng.random() < 0.1:
            self._target[:3] = rng.uniform((-0.5, -1.0, -0.5), (1.2, 1.0, 1.4))

    def _new_calm_chunk(self) -> None:
        """Go on from the target toward a place in the workspace, upright."""
        if not self._target.size:
            self._target = self.kinematics.forward(self.shaper.q)
        way = self._rng.uniform(*_CALM_REGION) - self._target[:3]
        duration_s = max(_CHUNK_TICKS * TICK_S, np.linalg.norm(way) / _CALM_SPEED_M_S)
        self._velocity = np.concatenate([way / duration_s, np.zeros(3)])

    def _policy_tick(self, tick: int) -> None:
        """Draw an event, or go on with what there is."""
        rng = self._rng
        event = rng.random()
        if self.is_calm:
            event = max(event, _NO_EVENT)
        if self._held_at is not None:
            self._held(tick)
        elif event < 0.01:
            self.events['holds'] += 1
            self._follower.stop()
            self._held_at = self.shaper.q + rng.normal(0.0, 0.02, 7)
            self._held_ticks = tick + int(rng.integers(200, 1500))
        elif event < 0.014:
            self._reseed()
        elif event < 0.03:
            self.shaper.set_speed_scale(rng.uniform(0.05, 1.0))
            self.events['speed scales'] += 1
        elif event < _NO_EVENT:
            self._residual_is_on = not self._residual_is_on
            self.events['residual switches'] += 1
        elif self._drives_joints:
            self._joint_goal()
        else:
            self._aim()

    def _held(self, tick: int) -> None:
        """Let a hold give way to an arm that stands somewhere else; resume when it is over."""
        if tick >= self._held_ticks:
            self.events['resumes'] += 1
            self._held_at = None
        elif self._follower.give_way(self._held_at, tick * TICK_S):
            self.events['bleeds'] += 1

    def _reseed(self) -> None:
        """Start anew from an arm that is somewhere near the command."""
        rng, shaper = self._rng, self.shaper
        q, dq = shaper.q + rng.normal(0.0, 0.05, 7), shaper.dq + rng.normal(0.0, 0.05, 7)
        try:
            self._follower.seed(q, dq)
        except InputError:
            self.events['refused re-seeds'] += 1
            return
        self.events['re-seeds'] += 1
        self._end_stream()
        self._begin_stream()

    def _aim(self) -> None:
        """Head for the next target of the chunk, residual included."""
        rng, step_s = self._rng, POLICY_TICKS * TICK_S
        self._target = pose_multiply(self._target, pose(
            np.zeros(3), quat_from_rotvec(self._velocity[3:] * step_s)))
        self._target[:3] += self._velocity[:3] * step_s
        target, twist = self._target, self._velocity * (
            1.0 if self.is_calm else rng.choice([0.0, 1.0, 1.5]))
        if self._residual_is_on:
            news = _CALM_NEWS if self.is_calm else 1.0
            self._residual = (1.0 - news) * self._residual + news * rng.uniform(-1.0, 1.0, 6)
            offset = self._residual * _BOUNDS
            target = pose_multiply(target, pose(offset[:3], quat_from_rotvec(offset[3:])))
        begin_ns = time.thread_time_ns()
        self._follower.aim(target, twist, step_s)
        self.times_ns['target'].append(time.thread_time_ns() - begin_ns)
        self.events['targets'] += 1

    def _joint_goal(self) -> None:
        """Head for joint positions near or far, in the limits or not."""
        rng = self._rng
        q = self.shaper.q + rng.normal(0.0, rng.choice([0.02, 0.3, 2.0]), 7)
        dq = None if rng.random() < 0.5 else rng.normal(0.0, rng.choice([0.1, 1.0, 4.0]), 7)
        begin_ns = time.thread_time_ns()
        self.shaper.set_goal(q, dq, rng.choice([0.0, 0.02, 0.2]))
        self.times_ns['joint goal'].append(time.thread_time_ns() - begin_ns)
        self.events['joint goals'] += 1
