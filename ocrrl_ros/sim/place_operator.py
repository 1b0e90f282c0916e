# SPDX-License-Identifier: Apache-2.0
"""Scripted operators of the tasks that put something down or push it shut."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.sim.experts import PLACE_RULES
from ocrrl_ros.sim.object_shapes import Drawer
from ocrrl_ros.sim.place_expert import PlaceRule
from ocrrl_ros.sim.scripted_motion import down_with_yaw, nearest_yaw, yaw_of
from ocrrl_ros.sim.tasks import Task
from ocrrl_ros.sim.tasks.close_drawer import CloseDrawer
from ocrrl_ros.sim.teleoperator import OperatorView, ScriptedOperator
from ocrrl_ros.sim.truth import TaskState


def operator_for(task: Task, rng: np.random.Generator, **settings: object) -> ScriptedOperator:
    """
    Return the operator of one episode of a task.

    :param rng: the operator's own generator.
    :param settings: ``tick_s`` and ``config`` of :class:`ScriptedOperator`.
    """
    if isinstance(task, CloseDrawer):
        return PushOperator(task.objects[0].shape, rng, **settings)
    rule = PLACE_RULES.get(type(task))
    if rule is None:
        return ScriptedOperator(rng, **settings)
    return PlaceOperator(rule(task), rng, **settings)


def scene_of(view: OperatorView) -> TaskState:
    """
    Return what the operator sees of the scene.

    :raises InputError: the view shows one object alone.
    """
    if view.scene is None:
        raise InputError('the view shows no scene; this operator needs more than one object')
    return view.scene


class PlaceOperator(ScriptedOperator):
    """
    Grasps, carries, puts down and lets go.

    The task's rule says where an operator without errors would grasp and let go; this one judges
    every object with the errors of ``OperatorConfig``, anew for the grasp and for the place.
    """

    def __init__(self, rule: PlaceRule, rng: np.random.Generator, **settings: object):
        """Keep the rule and start an episode."""
        self._rule = rule
        super().__init__(rng, **settings)

    def _episode(self) -> Iterator[None]:
        """Grasp until something is held, bring it to its place, let go and leave."""
        yield from self._wait(self.config.reaction_s)
        while True:
            yield from self._fetch()
            yield from self._bring()
            self._phase = 'leave'
            yield from self._leave()
            if self._rule.done(scene_of(self._view))[0]:
                break
            self.regrasps += 1
        self._phase = 'hold'
        while True:
            yield

    def _judged(self, gain: float = 1.0) -> TaskState:
        """Return the scene as the operator believes it to be."""
        config, scene = self.config, scene_of(self._view)
        poses = scene.object_poses.copy()
        for index in range(poses.shape[1]):
            noise = self._rng.normal(size=4)
            poses[0, index, :2] += gain * config.lateral_error_m * noise[:2]
            poses[0, index, 2] += gain * config.depth_error_m * noise[2]
            turn = se3.quat_from_rotvec(
                np.array([0.0, 0.0, gain * config.yaw_error_rad * noise[3]]))
            poses[0, index, 3:] = se3.quat_multiply(turn, poses[0, index, 3:])
        return dataclasses.replace(scene, object_poses=poses)

    def _fetch(self) -> Iterator[None]:
        """Grasp and lift, again until the object comes along."""
        config = self.config
        while True:
            aim = self._rule.grasp(self._judged())[0]
            self._phase = 'approach'
            height = self._height(config.hover_height_m, config.hover_spread_m)
            yield from self._move(self._above(aim, height), config.speed_m_s, config.curvature_m)
            self._phase = 'hover'
            yield from self._wait(config.pause_s)
            if self._rng.uniform() < config.correction_share:
                self._phase = 'correct'
                aim = self._rule.grasp(self._judged(config.correction_gain))[0]
                yield from self._move(
                    self._above(aim, 0.5 * config.hover_height_m), config.descent_speed_m_s, 0.0)
            yield from self._grasp(aim)
            if (yield from self._lift()):
                return
            yield from self._release()

    def _bring(self) -> Iterator[None]:
        """Carry to above the place, lower, and open the hand."""
        config = self.config
        self._phase = 'carry'
        scene = self._judged()
        held = se3.pose_multiply(
            se3.pose_inverse(self._view.base_T_tcp), scene_of(self._view).object_poses[0, 0])
        goal = self._rule.goal(scene, held[None])[0]
        above = self._above(goal, self._height(config.carry_height_m, config.hover_spread_m))
        yield from self._move(above, config.speed_m_s, 0.5 * config.curvature_m)
        yield from self._wait(config.pause_s)
        self._phase = 'lower'
        goal = self._rule.goal(self._judged(config.correction_gain), held[None])[0]
        yield from self._move(goal, config.descent_speed_m_s, 0.0)
        yield from self._wait(config.grip_offset_s)
        self._phase = 'open'
        self._gripper = 1.0
        yield from self._wait(config.grip_wait_s, least_s=config.grip_wait_s)

    def _leave(self) -> Iterator[None]:
        """Go back along the approach, then up when the hand is level."""
        back = np.array([0.0, 0.0, -self._height(self.config.lift_height_m, 0.02)])
        goal = np.concatenate([se3.pose_transform(self._target, back), self._target[3:]])
        yield from self._move(goal, self.config.speed_m_s, 0.0)
        yield from self._wait(0.5, least_s=0.5)


class PushOperator(ScriptedOperator):
    """Closes the hand, brings it before the handle and pushes until the drawer is shut."""

    def __init__(self, shape: Drawer, rng: np.random.Generator, **settings: object):
        """Keep the drawer's shape and start an episode."""
        self._shape = shape
        super().__init__(rng, **settings)

    def _episode(self) -> Iterator[None]:
        """Come down before the handle, push, and try again where the drawer stayed open."""
        config = self.config
        yield from self._wait(config.reaction_s)
        self._gripper = 0.0
        while True:
            front, closed = self._judged()
            before = self._at(front, -self._height(config.before_m, config.hover_spread_m))
            self._phase = 'approach'
            height = self._height(config.hover_height_m, config.hover_spread_m)
            yield from self._move(
                self._above(before, height), config.speed_m_s, config.curvature_m)
            yield from self._wait(config.pause_s)
            self._phase = 'descend'
            yield from self._move(before, config.descent_speed_m_s, 0.0)
            yield from self._wait(config.pause_s)
            self._phase = 'push'
            overrun = abs(self._rng.normal(config.overrun_m, 0.5 * config.overrun_m))
            yield from self._move(
                self._at(closed, overrun - self._shape.handle_m), config.speed_m_s, 0.0)
            yield from self._wait(1.0, least_s=1.0)
            if scene_of(self._view).joint_positions[0, 3] < config.shut_m:
                break
            self.regrasps += 1
            yield from self._move(
                self._above(self._at(front, -config.before_m), height), config.speed_m_s, 0.0)
        self._phase = 'hold'
        while True:
            yield

    def _judged(self) -> tuple[np.ndarray, np.ndarray]:
        """Return front and closed front (7,) as the operator believes them to be."""
        config, scene = self.config, scene_of(self._view)
        joints = scene.joint_positions[0].copy()
        noise = self._rng.normal(size=3)
        joints[:2] += config.lateral_error_m * noise[:2]
        joints[2] += config.yaw_error_rad * noise[2]
        return self._shape.pose(joints), self._shape.closed_pose(joints)

    def _at(self, front: np.ndarray, along_m: float) -> np.ndarray:
        """Return base_T_tcp (7,), hand down, at a place on the front's x axis."""
        yaw = nearest_yaw(
            yaw_of(front[None, 3:]), yaw_of(self._target[None, 3:]), np.pi, 0.75 * np.pi)
        position = se3.pose_transform(front, np.array([along_m, 0.0, 0.0]))
        return np.concatenate([position, down_with_yaw(yaw)[0]])
