# SPDX-License-Identifier: Apache-2.0
"""
Check planned joint motions against what arm, hand and TCP may do in space.

A motion counts only as a whole, braking to rest included, and is looked at without gaps: coarsely
where there is room, closely where there is little. What is allowed at all is in GuardConfig; what
happens to a goal that is not, in command_shaping.py and docs/safety.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.clearance import (
    BODY_REACH_M, Clearance, Clearances, SINGULAR_VALUE_PER_RAD, TCP_REACH_M)
from ocrrl_ros.robot.guard_config import GuardConfig
from ocrrl_ros.robot.guard_kernels import tcp_motion
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.sampled_motion import fine_states, Leg, SampledMotion
from ocrrl_ros.robot.self_collision import BodyModel, Part, PARTS

TCP_SPEED = 'TCP speed'
#: No motion is let so near a limit that less than this time is left.
_LEAST_STEP_S = 0.001
# What a motion must leave where it ends, m: enough to begin the next one.
_REST_RESERVE_M = 0.0005
_REST_RESERVE_SINGULAR = 0.0005
_PROJECTIONS = 20
_BODY_NAMES = (
    'singularity', 'distance to base and shoulder', 'distance to upper arm',
    'distance to forearm', 'planes of the body')
_ORIGINS = np.array([
    (*origin.xyz, np.cos(origin.roll), np.sin(origin.roll)) for origin in fr3.JOINT_ORIGINS])
_TOOL = np.array([0.0, 0.0, fr3.FLANGE_Z_M + fr3.TCP_Z_M, 0.0])


class Violation(NamedTuple):
    """
    Why a motion is refused.

    :param guard: its name.
    :param detail: the guard with what is near, for people.
    :param speed_share: for the TCP's speed: share of the joint speed limits that would do there.
    """

    guard: str
    detail: str
    speed_share: float = 1.0


class CartesianGuard:
    """Guards of one arm; not shared between threads."""

    def __init__(
            self, config: GuardConfig, kinematics: FrankaKinematics, max_velocity: np.ndarray,
            max_acceleration: np.ndarray, max_jerk: np.ndarray):
        """
        Prepare the checks.

        :param max_velocity: largest joint speed (7,) in rad/s of every motion.
        :param max_acceleration: (7,) in rad/s^2.
        :param max_jerk: (7,) in rad/s^3.
        """
        self.config = config
        self._kinematics = kinematics
        planes = config.planes()
        self._normals = np.array([normal for normal, _, _ in planes])
        self._offsets = np.array([offset for _, offset, _ in planes])
        self._names = [name for _, _, name in planes]
        self._speeds = max_velocity
        self._reach = np.array(TCP_REACH_M)
        self._linear = float(self._reach @ max_acceleration)
        self._linear_jerk = float(self._reach @ max_jerk)
        self._clearances = Clearances((
            Clearance(
                self._region_clearance, self._describe_region, TCP_REACH_M, _REST_RESERVE_M),
            Clearance(
                self._singular_clearance, lambda q: 'singularity', SINGULAR_VALUE_PER_RAD,
                _REST_RESERVE_SINGULAR),
            *map(self._body_clearance, PARTS)), max_acceleration)

    def _body_clearance(self, part: Part) -> Clearance:
        """Return the clearance of one part of the bodies."""
        model = BodyModel(self._kinematics.model, self.config.body_planes(), part)
        least = 0.0 if part.links is None else self.config.self_distance_m
        moving = (0.0,) * part.first_joint + BODY_REACH_M[part.first_joint:]
        return Clearance(
            lambda q: model.distance(q) - least, model.describe, moving, _REST_RESERVE_M)

    def clipped(self, base_T_tcp: np.ndarray) -> np.ndarray:
        """
        Return the target (7,) moved into box, height and planes, the same array where it is.

        By projections onto one half-space after the other, each with the reserve.
        """
        offsets = self._offsets + self.config.goal_reserve_m
        if (self._normals @ base_T_tcp[:3] >= offsets).all():
            return base_T_tcp
        pose = np.array(base_T_tcp, dtype=float)
        for _ in range(_PROJECTIONS):
            for normal, offset in zip(self._normals, offsets):
                pose[:3] += max(offset - normal @ pose[:3], 0.0) * normal
        return pose

    def violation(self, legs: list[Leg]) -> Violation | None:
        """Return why a motion is not allowed, or None; its last leg ends at rest."""
        path = SampledMotion(legs)
        found = self._speed_violation(path)
        if found is not None:
            return found
        for clearance, index in self._clearances.unclear(path):
            found = self._clearance_violation(clearance, path, index)
            if found is not None:
                return found
        return None

    @property
    def body_names(self) -> tuple[str, ...]:
        """Return the names of the clearances that ``body_clearances`` gives."""
        return _BODY_NAMES

    def body_clearances(self, q: np.ndarray) -> dict[str, float]:
        """Return what is left of the clearances other than the TCP's at q (7,), by name."""
        return {
            name: part.look(q) for name, part in zip(_BODY_NAMES, self._clearances.parts[1:])}

    def region_clearances(self, q: np.ndarray) -> np.ndarray:
        """Return the TCP's distances (N,) in m to the nearest plane at q (N, 7)."""
        positions = tcp_motion(q, q, _ORIGINS, _TOOL)[..., :3]
        return (positions @ self._normals.T - self._offsets).min(axis=-1)

    def tcp_speeds(self, q: np.ndarray, dq: np.ndarray) -> np.ndarray:
        """Return the TCP's speeds (N,) in m/s at joint positions (N, 7) and velocities (N, 7)."""
        return tcp_motion(q, dq, _ORIGINS, _TOOL)[..., 3]

    def _speed_violation(self, path: SampledMotion) -> Violation | None:
        """Return the violation where the TCP is or may become too fast, or None."""
        limit = self.config.tcp_speed_m_s
        speed = tcp_motion(path.q, path.dq, _ORIGINS, _TOOL)[:, 3]
        close = speed + self._growth(path.dq, float(path.half_step_s.max())) > limit
        for index in close.nonzero()[0] if close.any() else ():
            q, dq, half_step_s = fine_states(path.around(int(index)))
            speed = tcp_motion(q, dq, _ORIGINS, _TOOL)[:, 3]
            fastest = int(speed.argmax())
            if speed[fastest] + self._growth(dq, half_step_s) > limit:
                used = float((np.abs(dq[fastest]) / self._speeds).max())
                return Violation(TCP_SPEED, TCP_SPEED, used * limit / float(speed[fastest]))
        return None

    def _growth(self, dq: np.ndarray, half_step_s: float) -> float:
        """
        Return by how much the TCP's speed can exceed that of the nearest of evenly spaced samples.

        Where it is largest between samples it does not change; from there it falls no faster than
        the bounds on the TCP's jerk and acceleration allow. Both follow from those of the joints
        and from what turning adds: each pair of joints the product of their speeds times the
        reach of the outer one.

        :param dq: velocities (N, 7) of the samples.
        """
        joint_speeds = np.abs(dq).max(axis=0)
        turning, speed = float(joint_speeds.sum()), float(self._reach @ joint_speeds)
        # Joint speeds between samples are higher by less than a half of these.
        turning, speed = 1.5 * turning + 0.5, speed + 0.5 * self._linear * half_step_s
        acceleration = self._linear + turning * speed
        jerk = self._linear_jerk + 3.0 * turning * acceleration + turning ** 2 * speed
        build_up_s = min(acceleration / jerk, half_step_s)
        return (0.5 * jerk * build_up_s ** 2
                + acceleration * (half_step_s - build_up_s))

    def _clearance_violation(
            self, clearance: Clearance, path: SampledMotion, index: int) -> Violation | None:
        """Look closely at the surroundings of a sample; return what is violated there, or None."""
        trajectory, time_s, end_s = path.around(index)
        while time_s < end_s:
            state = trajectory.at_time(time_s)
            q = np.array(state[0])
            step_s = self._clearances.free_time_s(clearance, q, np.array(state[1]))
            if step_s < _LEAST_STEP_S:
                return self._named(clearance, q)
            time_s += step_s
        if index == path.size - 1 and clearance.look(path.q[index]) < clearance.rest_reserve:
            return self._named(clearance, path.q[index])
        return None

    @staticmethod
    def _named(clearance: Clearance, q: np.ndarray) -> Violation:
        """Return the violation of a clearance near q (7,)."""
        detail = clearance.describe(q)
        return Violation(detail.split(' (')[0], detail)

    def _singular_clearance(self, q: np.ndarray) -> float:
        """Return how far the least singular value is above its limit, infinity without one."""
        least = self.config.min_singular_value
        return self._kinematics.least_singular_value(q) - least if least > 0.0 else np.inf

    def _region_distances(self, q: np.ndarray) -> np.ndarray:
        """Return the TCP's distance in m to every plane, negative outside."""
        return self._normals @ tcp_motion(q, q, _ORIGINS, _TOOL)[:3] - self._offsets

    def _region_clearance(self, q: np.ndarray) -> float:
        """Return the TCP's distance in m to the nearest plane, negative outside."""
        return float(self._region_distances(q).min())

    def _describe_region(self, q: np.ndarray) -> str:
        """Name the plane that the TCP is nearest to."""
        return self._names[int(self._region_distances(q).argmin())]
