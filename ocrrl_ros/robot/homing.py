# SPDX-License-Identifier: Apache-2.0
"""
Bring the arm from wherever it is to its home configuration, along a way that was checked first.

The motion that is checked is the one that is carried out: jerk-limited, joint by joint in the same
time, from rest to rest. A low TCP is first raised straight up, so that open fingers leave what
they stand around; where one way is blocked the other is tried, and where both are the arm stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
import enum
from typing import Protocol

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.command_shaping import CommandShaper
from ocrrl_ros.robot.homing_clearance import ArmClearance
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.robot_config import RobotConfig

#: Takes joint positions (7,) in rad; returns what is in the way there, or None.
IsFree = Callable[[np.ndarray], 'str | None']
_STEP_S = 0.02
# Of slow ways fewer commands are looked at: planning holds up the loop.
_SLOW_STEP_S, _SLOW_SCALE = 0.1, 0.1
_LONGEST_LEG_S = 20.0
_LIFT_ITERATIONS = 100
_AT_REST_RAD_S = 1e-9
_AT_GOAL_RAD = 1e-6


@dataclass(frozen=True, kw_only=True)
class HomingConfig:
    """Settings of the own homing motion."""

    q_home: tuple[float, float, float, float, float, float, float] = field(
        default=fr3.READY_POSITION, metadata={'description': 'home configuration, rad'})
    speed_scale: float = field(
        default=0.3, metadata={'description': 'share of the shaped joint speed, 0 < x <= 1'})
    lift_m: float = field(
        default=0.15, metadata={'description': 'a TCP below that of home is first raised by, m'})
    check_step_rad: float = field(
        default=0.02, metadata={'description': 'most joint motion between two checks, rad'})
    max_error_rad: float = field(
        default=0.3, metadata={'description': (
            'the motion stops when a joint is farther from its command than this, rad')})
    tolerance_rad: float = field(
        default=0.05, metadata={'description': 'every joint is this near home when done, rad'})
    settle_s: float = field(
        default=3.0, metadata={'description': 'longest wait for the arm to arrive, s'})

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        ranges = {
            'lift_m': (0.0, 0.5), 'check_step_rad': (0.001, 0.1), 'max_error_rad': (0.05, 1.0),
            'tolerance_rad': (0.001, 0.2), 'settle_s': (0.0, 60.0)}
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: {low} .. {high}')
        if not 0.0 < self.speed_scale <= 1.0:
            raise ConfigError(f'speed_scale is {self.speed_scale}; allowed: 0 < x <= 1')
        if len(self.q_home) != 7 or not np.isfinite(self.q_home).all():
            raise ConfigError(f'q_home is {self.q_home}; allowed: 7 finite numbers, rad')


@dataclass(frozen=True)
class HomingPlan:
    """
    A checked way home.

    :param waypoints: configurations (n, 7) at which the arm comes to rest; the last one is home.
    :param times_s: (N,) s from the start.
    :param q: (N, 7) rad.
    :param dq: (N, 7) rad/s.
    """

    waypoints: np.ndarray
    times_s: np.ndarray
    q: np.ndarray
    dq: np.ndarray


class HomingPlanner:
    """Finds a way home that keeps limits and guards, as every command, and stays free."""

    def __init__(
            self, robot: RobotConfig | None = None, config: HomingConfig | None = None,
            is_free: IsFree | None = None):
        """
        Prepare for one robot.

        :param is_free: says what is in the way at joint positions; own checks against the arm
            itself and the table, as high as the guard's ``body_height_m``, when None.
        :raises ConfigError: home lies where the arm cannot be commanded, or is not free.
        """
        robot = robot or RobotConfig()
        self.config = config or HomingConfig()
        self._robot, self._limits = robot, robot.limits()
        self._is_free = is_free or ArmClearance(table_z_m=robot.guard.body_height_m)
        self._kinematics = FrankaKinematics(robot.kinematics, self._limits)
        self.speed_scale = self.config.speed_scale
        """Share of the shaped joint speed of the next way, 0 < x <= 1."""
        self.q_home = np.array(self.config.q_home)
        lower, upper = self._limits.box(robot.shaping.goal_speed_rad_s)
        if ((self.q_home < lower) | (self.q_home > upper)).any():
            raise ConfigError(
                f'q_home is {self.q_home.tolist()} rad; allowed: {lower.tolist()} .. '
                f'{upper.tolist()}')
        obstacle = self._is_free(self.q_home)
        if obstacle is not None:
            raise ConfigError(f'q_home is {self.q_home.tolist()} rad, where {obstacle}')
        self._shaper = self.make_shaper()
        try:
            self._shaper.seed(self.q_home)
        except InputError as error:
            raise ConfigError(f'q_home is {self.q_home.tolist()} rad: {error}') from error
        self._home_z_m = self._kinematics.forward(self.q_home)[2]

    def limit_speed(self, scale: float) -> None:
        """Let later ways be no faster than 0 < scale <= 1 of the shaped joint speed."""
        self.speed_scale = min(self.config.speed_scale, scale)

    def make_shaper(self) -> CommandShaper:
        """Return a shaper that moves as the plans are checked, at ``speed_scale`` once set."""
        return CommandShaper(
            self._limits, self._robot.shaping, self._robot.guard, self._kinematics)

    def plan(self, q: np.ndarray) -> HomingPlan:
        """
        Return a way home from rest at joint positions (7,) in rad.

        :raises InputError: every way is blocked, with what blocks each.
        """
        q = np.asarray(q, dtype=float)
        if q.shape != (7,) or not np.isfinite(q).all():
            raise InputError(f'start of homing is {q.tolist()}; allowed: 7 finite numbers')
        obstacle = self._is_free(q)
        if obstacle is not None:
            raise InputError(f'homing cannot start: where the arm is, {obstacle}')
        reasons = []
        for name, waypoints in self._ways(q):
            try:
                return self._checked(q, waypoints)
            except InputError as error:
                reasons.append(f'{name}: {error}')
        raise InputError('no free way home: ' + '; '.join(reasons))

    def _ways(self, q: np.ndarray) -> Iterator[tuple[str, list[np.ndarray]]]:
        """Yield the ways to try, in order."""
        direct = 'directly', [self.q_home]
        pose = self._kinematics.forward(q)
        is_low = pose[2] < self._home_z_m
        if not is_low:
            yield direct
        pose[2] += self.config.lift_m
        lifted, converged = self._kinematics.solve(pose, q, iterations=_LIFT_ITERATIONS)
        if converged and self.config.lift_m > 0.0:
            yield f'raised by {self.config.lift_m} m first', [lifted, self.q_home]
        if is_low:
            yield direct

    def _checked(self, q: np.ndarray, waypoints: list[np.ndarray]) -> HomingPlan:
        """Return the way along the waypoints, or raise InputError where it is blocked."""
        rows = [(q, np.zeros(7))]
        step_s = _STEP_S if self.speed_scale >= _SLOW_SCALE else _SLOW_STEP_S
        for goal in waypoints:
            rows += self._leg(rows[-1][0], goal, step_s)
        positions = np.array([row[0] for row in rows])
        for position in self._spaced(positions):
            obstacle = self._is_free(position)
            if obstacle is not None:
                raise InputError(f'{obstacle} at joints {np.round(position, 3).tolist()} rad')
        return HomingPlan(
            np.array(waypoints), step_s * np.arange(len(rows)), positions,
            np.array([row[1] for row in rows]))

    def _spaced(self, positions: np.ndarray) -> np.ndarray:
        """Return configurations (n, 7) along a way (N, 7), no joint farther apart than set."""
        travel = np.abs(np.diff(positions, axis=0)).max(axis=1)
        along = np.concatenate([[0.0], np.cumsum(travel)])
        at = np.linspace(0.0, along[-1], int(np.ceil(along[-1] / self.config.check_step_rad)) + 1)
        return np.stack([np.interp(at, along, joint) for joint in positions.T], axis=1)

    def _leg(
            self, start: np.ndarray, goal: np.ndarray,
            step_s: float) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the commands, every ``step_s``, from rest at one configuration to another."""
        shaper = self._shaper
        shaper.set_speed_scale(self.speed_scale)
        shaper.seed(start)
        shaper.set_goal(goal)
        rows = []
        for _ in range(round(_LONGEST_LEG_S / (step_s * self.speed_scale))):
            position, velocity, _ = shaper.sample(step_s)
            rows.append((position, velocity))
            if is_at_rest(shaper, goal):
                return rows
            if shaper.refusal or np.abs(velocity).max() < _AT_REST_RAD_S:
                break
        raise InputError(
            f'{shaper.refusal or "the limits"} allow no motion to {np.round(goal, 3).tolist()} '
            f'rad; it ends at {np.round(rows[-1][0], 3).tolist()} rad')


def is_at_rest(shaper: CommandShaper, goal: np.ndarray) -> bool:
    """Return whether the command rests at joint positions (7,)."""
    return bool(np.abs(shaper.dq).max() < _AT_REST_RAD_S
                and np.abs(shaper.q - goal).max() < _AT_GOAL_RAD)


class HomingState(enum.Enum):
    """What a homing motion is doing."""

    IDLE = 'idle'
    MOVING = 'moving'
    DONE = 'done'
    FAILED = 'failed'


class HomingMotion(Protocol):
    """What brings the arm home, by commands of its own or through another controller."""

    state: HomingState
    reason: str

    @property
    def is_busy(self) -> bool:
        """Return whether an earlier motion still goes on or brakes."""

    def limit_speed(self, scale: float) -> None:
        """Let later motions be no faster than 0 < scale <= 1 of the shaped joint speed."""

    def start(self, q: np.ndarray, now_s: float) -> bool:
        """Begin from measured joint positions (7,) in rad; return whether the motion begins."""

    def stop(self, reason: str) -> None:
        """End the motion; the state becomes FAILED for this reason."""

    def cut(self, reason: str) -> None:
        """End the motion and command nothing more: the arm does not listen."""

    def tick(
            self, now_s: float, q: np.ndarray | None) -> tuple[np.ndarray, np.ndarray] | None:
        """Return positions and velocities (7,) to command, or None where there are none."""

    def preview(self, dt_s: float, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and velocities (count, 7) that follow the last command every dt_s."""


class JointHoming:
    """Carries out the planner's way with joint commands, tick by tick."""

    def __init__(self, planner: HomingPlanner):
        """Wait for ``start``."""
        self._planner, self._config = planner, planner.config
        self._shaper = planner.make_shaper()
        self._waypoints: list[np.ndarray] = []
        self._last_s = 0.0
        self._arrival_s: float | None = None
        self._is_streaming = self._has_moved = False
        self.state, self.reason = HomingState.IDLE, 'not started'

    def limit_speed(self, scale: float) -> None:
        """Let later motions be no faster; the one under way is carried out as it was checked."""
        self._planner.limit_speed(scale)

    @property
    def is_busy(self) -> bool:
        """Return whether the motion goes on or brakes."""
        return self._is_streaming

    def start(self, q: np.ndarray, now_s: float) -> bool:
        """
        Plan from measured joint positions (7,) in rad; return whether the motion begins.

        It takes some 10 ms, in which nothing moves yet. While an earlier motion still goes on or
        brakes, nothing changes.
        """
        if self._is_streaming:
            return False
        try:
            plan = self._planner.plan(q)
        except InputError as error:
            self.state, self.reason = HomingState.FAILED, str(error)
            return False
        self._shaper.set_speed_scale(self._planner.speed_scale)
        self._shaper.seed(q)
        self._waypoints = list(plan.waypoints)
        self._head_for_waypoint()
        self._last_s, self._arrival_s, self._is_streaming = now_s, None, True
        self.state, self.reason = HomingState.MOVING, 'moving home'
        return True

    def stop(self, reason: str) -> None:
        """Brake within the limits; the reason stays."""
        if self.state is HomingState.MOVING:
            self._shaper.stop()
            self.state, self.reason = HomingState.FAILED, reason

    def cut(self, reason: str) -> None:
        """Command nothing more, no braking either: the arm would jump to what it hears next."""
        if self._is_streaming:
            self.state, self.reason, self._is_streaming = HomingState.FAILED, reason, False

    def tick(
            self, now_s: float, q: np.ndarray | None) -> tuple[np.ndarray, np.ndarray] | None:
        """
        Return the next command, positions and velocities (7,) each, or None at the end.

        :param q: measured joint positions (7,) in rad; None when they are too old to move on.
        """
        if not self._is_streaming:
            return None
        dt_s, self._last_s = max(0.0, now_s - self._last_s), now_s
        q_command, dq_command, _ = self._shaper.sample(dt_s)
        self._has_moved = self._has_moved or not self._shaper.is_at_rest
        if self.state is HomingState.MOVING:
            self._watch(q, q_command)
        if self.state is HomingState.MOVING and is_at_rest(self._shaper, self._waypoints[0]):
            self._arrive(now_s, q)
        elif self.state is HomingState.FAILED and np.abs(dq_command).max() < _AT_REST_RAD_S:
            self._is_streaming = False
        return q_command, dq_command

    def preview(self, dt_s: float, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and velocities (count, 7) that follow the last command every dt_s."""
        return self._shaper.preview(dt_s, count)

    def _head_for_waypoint(self) -> None:
        """Set out for the next waypoint."""
        self._shaper.set_goal(self._waypoints[0])
        self._has_moved = False

    def _watch(self, q: np.ndarray | None, q_command: np.ndarray) -> None:
        """Stop where the arm does not follow, or the command has been refused on the way."""
        is_stuck = self._has_moved and self._shaper.is_at_rest and not is_at_rest(
            self._shaper, self._waypoints[0])
        if self._shaper.refusal or is_stuck:
            self.stop(f'homing stopped: {self._shaper.refusal or "the command rests on the way"}')
            return
        if q is None:
            self.stop('homing stopped: no fresh joint state')
            return
        error = np.abs(np.asarray(q, dtype=float) - q_command)
        if not (error <= self._config.max_error_rad).all():
            joint = int(np.argmax(error))
            self.stop(
                f'homing stopped: joint {joint + 1} is {error[joint]:.3f} rad from its command, '
                f'allowed: {self._config.max_error_rad} rad')

    def _arrive(self, now_s: float, q: np.ndarray) -> None:
        """Go on to the next waypoint; at home wait for the arm to be there too."""
        if len(self._waypoints) > 1:
            self._waypoints.pop(0)
            self._head_for_waypoint()
            return
        if self._arrival_s is None:
            self._arrival_s = now_s
        error = np.abs(q - self._waypoints[0]).max()
        if error <= self._config.tolerance_rad:
            self.state, self.reason, self._is_streaming = HomingState.DONE, 'at home', False
        elif now_s - self._arrival_s >= self._config.settle_s:
            self.stop(
                f'homing ended {error:.3f} rad from home, allowed: '
                f'{self._config.tolerance_rad} rad')
