# SPDX-License-Identifier: Apache-2.0
"""
Check planned joint motions against what arm, hand and TCP may do in space.

Motions are proven without gaps: over an interval every clearance must be larger than what the
joints can use up of it at the largest speeds that they have there, and the TCP slower than its
limit by what it can gain. Where that fails the interval is shortened, down to 1 ms. One look at a
clearance serves for as long as it is large enough, mostly for several plans.

The TCP's speed: where it is largest inside a motion it does not change; from there it falls no
faster than the bounds on the TCP's jerk and acceleration allow. Both follow from those of the
joints and from what turning adds: each pair of joints the product of their speeds times the reach
of the outer one. Where a motion begins and ends the speed itself is looked at.

What is allowed at all is in GuardConfig; what happens to a goal that is not, in command_shaping.py
and docs/safety.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.catch_up import Trajectory
from ocrrl_ros.robot.clearance import arm_arrays, REST_RESERVES
from ocrrl_ros.robot.guard_config import GuardConfig
from ocrrl_ros.robot.guard_kernels import tcp_motion, within
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.proof_kernels import clearances_at, prove, slow_share
from ocrrl_ros.robot.self_collision import BodyModel, PARTS

TCP_SPEED = 'TCP speed'
_REGION, _SINGULARITY, _SPEED = 0, 1, 6
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


@dataclass
class Allowance:
    """
    What may still be spent on proofs: 1 for an interval, 4 for a look at one clearance.

    A proof that has begun a step finishes it, so a little more may be spent.
    """

    left: float


class Verdict(NamedTuple):
    """
    What a proof showed.

    :param is_clear: all of the motion is clear.
    :param violation: what is not; None with is_clear false: the allowance is spent.
    :param path_until_s: up to here the way is clear, a stop from there perhaps not.
    :param step_s: for going on: how long the next interval is best.
    """

    is_clear: bool
    violation: Violation | None
    path_until_s: float
    step_s: float


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
        self._goal_offsets = self._offsets + config.goal_reserve_m
        self._names = [name for _, _, name in planes]
        self._speeds = np.array(max_velocity, dtype=float)
        self._models = [
            BodyModel(kinematics.model, config.body_planes(), part) for part in PARTS]
        self._arm = arm_arrays(config, max_jerk)
        self._bounds = np.array([max_acceleration, max_jerk, (*REST_RESERVES, 0.0)])
        # The last look at each clearance: posture and value.
        self._looks = np.zeros((6, 8))
        self._looks[:, 7] = -np.inf

    def clipped(self, base_T_tcp: np.ndarray) -> np.ndarray:
        """
        Return the target (7,) moved into box, height and planes, the same array where it is.

        By projections onto one half-space after the other, each with the reserve.
        """
        if within(base_T_tcp[:3], self._normals, self._goal_offsets):
            return base_T_tcp
        pose = np.array(base_T_tcp, dtype=float)
        for _ in range(_PROJECTIONS):
            for normal, offset in zip(self._normals, self._goal_offsets):
                pose[:3] += max(offset - normal @ pose[:3], 0.0) * normal
        return pose

    def check(
            self, trajectory: Trajectory, begin_s: float, end_s: float, allowance: Allowance, *,
            is_stopped: bool, resumed_step_s: float | None = None) -> Verdict:
        """
        Prove a part of a trajectory, and the stop from its end where it does not rest there.

        :param allowance: what may be spent; becomes what is left.
        :param resumed_step_s: a former call's verdict says so, which looked at the end.
        """
        is_resumed = resumed_step_s is not None
        out = np.empty(7)
        out[5], out[6] = allowance.left, resumed_step_s if is_resumed else np.inf
        prove(trajectory.table, begin_s, end_s, is_stopped, is_resumed, self._bounds, self._arm,
              self._looks, out)
        status, index, path_until_s, at_s, is_on_stop, allowance.left, step_s = out.tolist()
        violation = None
        if status == 1.0:
            violation = self._violation(
                trajectory, (begin_s, end_s), int(index), end_s if is_on_stop else at_s)
        return Verdict(status == 0.0, violation, path_until_s, step_s)

    @property
    def body_names(self) -> tuple[str, ...]:
        """Return the names of the clearances that ``body_clearances`` gives."""
        return _BODY_NAMES

    def clearances(self, q: np.ndarray) -> np.ndarray:
        """Return the six clearances at q (7,) that motions are proven by."""
        values = np.empty(6)
        clearances_at(np.array(q, dtype=float), self._arm, values)
        return values

    def body_clearances(self, q: np.ndarray) -> dict[str, float]:
        """Return the clearances other than the TCP's at q (7,), by name, from Pinocchio."""
        config = self.config
        singular = np.inf
        if config.min_singular_value > 0.0:
            singular = self._kinematics.least_singular_value(q) - config.min_singular_value
        distances = [
            model.distance(q) - (0.0 if part.links is None else config.self_distance_m)
            for model, part in zip(self._models, PARTS)]
        return dict(zip(_BODY_NAMES, (singular, *distances)))

    def region_clearances(self, q: np.ndarray) -> np.ndarray:
        """Return the TCP's distances (N,) in m to the nearest plane at q (N, 7)."""
        positions = tcp_motion(q, q, _ORIGINS, _TOOL)[..., :3]
        return (positions @ self._normals.T - self._offsets).min(axis=-1)

    def tcp_speeds(self, q: np.ndarray, dq: np.ndarray) -> np.ndarray:
        """Return the TCP's speeds (N,) in m/s at joint positions (N, 7) and velocities (N, 7)."""
        return tcp_motion(q, dq, _ORIGINS, _TOOL)[..., 3]

    def _violation(
            self, trajectory: Trajectory, span_s: tuple[float, float], index: int,
            time_s: float) -> Violation:
        """Return the violation with a number near a time of a trajectory."""
        if index == _SPEED:
            share = slow_share(trajectory.table, *span_s, self._speeds, self._arm)
            return Violation(TCP_SPEED, TCP_SPEED, share)
        q = np.array(trajectory.at_time(time_s)[0])
        if index == _REGION:
            position = tcp_motion(q, q, _ORIGINS, _TOOL)[:3]
            detail = self._names[int((self._normals @ position - self._offsets).argmin())]
        elif index == _SINGULARITY:
            detail = 'singularity'
        else:
            detail = self._models[index - 2].describe(q)
        return Violation(detail.split(' (')[0], detail)
