# SPDX-License-Identifier: Apache-2.0
"""
A scripted teleoperator with human-like imprecision, for demonstrations of grasp-and-lift tasks.

The model, each part drawn anew per episode from the operator's own generator:

- *Looking*: the operator judges the object's place with a lateral, depth and yaw error, at the
  start, sometimes again from the hover point (then with ``correction_gain`` of the error), and
  after every failed grasp.
- *Moving*: minimum-jerk strokes (Flash and Hogan, J. Neurosci. 1985) of log-normal speed, bent
  sideways and upwards, with a smooth tremor on top.
- *Hesitating*: a reaction time, pauses at the hover point, now and then a pause on the way down.
- *Gripping*: the command to close comes somewhat before or after the hand has arrived.
- *Recovering*: fingers that close on nothing, or an object left on the table, lead to a regrasp.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.core.se3 import (
    pose_interpolate, quat_angle, quat_from_rotvec, quat_multiply, quat_rotate)
from ocrrl_ros.sim.operator_config import OperatorConfig
from ocrrl_ros.sim.scripted_motion import DOWN
from ocrrl_ros.sim.truth import TaskState


@dataclass(frozen=True)
class OperatorView:
    """
    What the operator sees at one tick.

    :param base_T_tcp: (7,) measured TCP pose.
    :param opening: measured gripper opening, 0 closed .. 1 open.
    :param base_T_object: (7,) where the object is; the operator adds the errors.
    :param scene: all objects, for tasks of more than one or with joints.
    """

    base_T_tcp: np.ndarray
    opening: float
    base_T_object: np.ndarray
    scene: TaskState | None = None


@dataclass(frozen=True)
class OperatorCommand:
    """
    Where the operator wants the hand to be one tick later.

    :param base_T_tcp: (7,) absolute TCP target.
    :param gripper: 1 open or 0 closed.
    :param phase: what the operator is doing, for logs.
    """

    base_T_tcp: np.ndarray
    gripper: float
    phase: str


class ScriptedOperator:
    """One operator during one episode; the same generator gives the same demonstration."""

    def __init__(
            self, rng: np.random.Generator, *, tick_s: float = 0.05,
            config: OperatorConfig | None = None):
        """
        Start an episode.

        :param rng: the operator's own generator.
        :param tick_s: time between two calls of ``act``.
        """
        self.config = config or OperatorConfig()
        self.regrasps = 0
        self._rng = rng
        self._tick_s = tick_s
        self._tremor = np.zeros((2, 3))
        self._view: OperatorView | None = None
        self._target = np.zeros(7)
        self._gripper = 1.0
        self._phase = 'react'
        self._script = self._episode()

    def act(self, view: OperatorView) -> OperatorCommand:
        """
        Return the target for one tick after this view.

        :raises InputError: the view holds a number that is not finite.
        """
        values = np.concatenate([view.base_T_tcp, [view.opening], view.base_T_object])
        if not np.isfinite(values).all():
            raise InputError(f'the operator was shown {values.tolist()}; all must be finite')
        if self._view is None:
            self._target = np.array(view.base_T_tcp, dtype=float)
        self._view = view
        next(self._script)
        pose = self._target.copy()
        pose[:3] += self._shake()
        return OperatorCommand(pose, self._gripper, self._phase)

    def _shake(self) -> np.ndarray:
        """Advance the tremor by one tick: white noise through two equal low-pass stages."""
        keep = np.exp(-self._tick_s / self.config.tremor_tau_s)
        gain = np.sqrt((1.0 - keep**2)**3 / (1.0 + keep**2))
        stage = keep * self._tremor[0] + gain * self._rng.normal(size=3)
        self._tremor = np.stack([stage, keep * self._tremor[1] + stage])
        return self.config.tremor_m * self._tremor[1]

    def _episode(self) -> Iterator[None]:
        """Approach, grasp and lift until the object is up; then hold it."""
        config = self.config
        yield from self._wait(config.reaction_s)
        while True:
            aim = self._look(1.0)
            error = aim[:3] - self._view.base_T_object[:3]
            hover = self._above(aim, self._height(config.hover_height_m, config.hover_spread_m))
            self._phase = 'approach'
            yield from self._move(hover, config.speed_m_s, config.curvature_m)
            self._phase = 'hover'
            yield from self._wait(config.pause_s)
            if self._rng.uniform() < config.correction_share:
                self._phase = 'correct'
                aim[:3] -= (1.0 - config.correction_gain) * error
                yield from self._move(
                    self._above(aim, 0.5 * config.hover_height_m), config.descent_speed_m_s, 0.0)
            yield from self._grasp(aim)
            if (yield from self._lift()):
                break
            yield from self._release()
        self._phase = 'hold'
        while True:
            yield

    def _grasp(self, aim: np.ndarray) -> Iterator[None]:
        """Go down, sometimes pausing half way, and close more or less in time."""
        config = self.config
        self._phase = 'descend'
        if self._rng.uniform() < config.descent_pause_share:
            half = 0.5 * (self._target[2] - aim[2])
            yield from self._move(self._above(aim, half), config.descent_speed_m_s, 0.0)
            yield from self._wait(config.pause_s)
        offset_s = self._rng.normal(0.03, config.grip_offset_s)
        yield from self._move(aim, config.descent_speed_m_s, 0.0, close_at_s=min(offset_s, 0.0))
        yield from self._wait(0.0, exactly_s=max(offset_s, 0.0))
        self._phase = 'close'
        self._gripper = 0.0
        yield from self._wait(config.grip_wait_s, least_s=0.6 * config.grip_wait_s)

    def _lift(self) -> Iterator[None]:
        """Raise the hand when something is in it; return whether the object came along."""
        config = self.config
        if self._view.opening < config.empty_opening:
            return False
        self._phase = 'lift'
        height = self._height(config.lift_height_m, 0.02)
        yield from self._move(
            self._above(self._target, height), config.speed_m_s, 0.3 * config.curvature_m)
        gap = np.linalg.norm(self._view.base_T_object[:3] - self._view.base_T_tcp[:3])
        return bool(gap < 0.05)

    def _release(self) -> Iterator[None]:
        """Open and rise before the next try."""
        self.regrasps += 1
        self._phase = 'release'
        self._gripper = 1.0
        yield from self._wait(self.config.pause_s, least_s=0.3)
        lowest = 0.5 * self.config.hover_height_m
        rise = max(lowest, self.config.hover_height_m - self._target[2])
        yield from self._move(self._above(self._target, rise), self.config.speed_m_s, 0.0)

    def _look(self, gain: float) -> np.ndarray:
        """Return the grasp pose (7,) that the operator believes in."""
        config = self.config
        seen = np.array(self._view.base_T_object, dtype=float)
        noise = self._rng.normal(size=4)
        seen[:2] += gain * config.lateral_error_m * noise[:2]
        seen[2] += gain * config.depth_error_m * noise[2]
        yaw = nearest_grasp_yaw(seen[3:], self._view.base_T_tcp[3:])
        yaw += gain * config.yaw_error_rad * noise[3]
        seen[3:] = quat_multiply(quat_from_rotvec(np.array([0.0, 0.0, yaw])), DOWN)
        return seen

    def _height(self, mean: float, spread: float) -> float:
        """Draw a height that is never less than half of its mean."""
        return float(max(0.5 * mean, self._rng.normal(mean, spread)))

    @staticmethod
    def _above(aim: np.ndarray, height: float) -> np.ndarray:
        """Return the pose moved up."""
        return aim + np.array([0.0, 0.0, height, 0.0, 0.0, 0.0, 0.0])

    def _wait(
            self, mean_s: float, *, least_s: float = 0.0,
            exactly_s: float | None = None) -> Iterator[None]:
        """Stay for an exponential time (capped at three means) above ``least_s``."""
        drawn = exactly_s
        if drawn is None:
            drawn = least_s + min(self._rng.exponential(mean_s - least_s), 3.0 * mean_s) \
                if mean_s > least_s else least_s
        for _ in range(int(round(drawn / self._tick_s))):
            yield

    def _move(
            self, goal: np.ndarray, speed_m_s: float, bend_m: float, *,
            close_at_s: float = 0.0) -> Iterator[None]:
        """Follow a minimum-jerk stroke; close the gripper ``-close_at_s`` before its end."""
        start = self._target.copy()
        path = goal[:3] - start[:3]
        speed = speed_m_s * np.exp(self._rng.normal(0.0, self.config.speed_spread))
        side = np.cross(path, [0.0, 0.0, 1.0])
        side /= max(np.linalg.norm(side), 1e-9)
        bend = self._rng.normal(0.0, bend_m) * side
        bend[2] += abs(self._rng.normal(0.0, bend_m))
        seconds = max(
            np.linalg.norm(path) / speed,
            float(quat_angle(start[3:], goal[3:])) / self.config.turn_speed_rad_s,
            self.config.shortest_stroke_s)
        ticks = int(np.ceil(seconds / self._tick_s))
        for tick in range(1, ticks + 1):
            share = tick / ticks
            smooth = share**3 * (10.0 - 15.0 * share + 6.0 * share**2)
            self._target = pose_interpolate(start, goal, smooth)
            self._target[:3] += np.sin(np.pi * smooth) * bend
            if (ticks - tick) * self._tick_s < -close_at_s - 1e-9:
                self._gripper = 0.0
            yield


def nearest_grasp_yaw(object_quat: np.ndarray, tcp_quat: np.ndarray) -> float:
    """
    Return the hand yaw in rad that fits two opposite faces of a box with the least turn.

    :param object_quat: (4,) orientation of the box, scalar last.
    :param tcp_quat: (4,) present orientation of the hand.
    """
    faces = quat_rotate(object_quat, np.eye(3))
    level = faces[np.argsort(np.abs(faces[:, 2]))[0]]
    hand = quat_rotate(tcp_quat, np.array([1.0, 0.0, 0.0]))
    turn = np.arctan2(level[1], level[0]) - np.arctan2(hand[1], hand[0])
    turn = (turn + 0.25 * np.pi) % (0.5 * np.pi) - 0.25 * np.pi
    return float(np.arctan2(hand[1], hand[0]) + turn)
