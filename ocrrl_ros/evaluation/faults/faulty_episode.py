# SPDX-License-Identifier: Apache-2.0
"""An episode in which something fails for a while, and what the controller makes of it."""
from collections.abc import Callable
import dataclasses
import re
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.evaluation.faults.channel import (
    ChunkReading, FaultyChannel, garbled, JointReading)
from ocrrl_ros.evaluation.faults.command_watch import CommandWatch
from ocrrl_ros.evaluation.faults.frozen_view import FrozenView
from ocrrl_ros.evaluation.faults.plan import FaultPlan
from ocrrl_ros.evaluation.faults.record import FaultRecord
from ocrrl_ros.evaluation.faults.settings import FaultConfig, STALLS_S
from ocrrl_ros.evaluation.perturbations.hook import EpisodeHook
from ocrrl_ros.evaluation.pose_sources import PoseReading, World
from ocrrl_ros.policy.action_chunk import ActionChunk
from ocrrl_ros.policy.command_clock import CommandClock
from ocrrl_ros.policy.controller import (
    Command, ControllerState, PolicyAction, ResidualController)
from ocrrl_ros.sim.arm_state import ArmState
from ocrrl_ros.sim.world import SimWorld

_NUMBER = re.compile(r'[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\b(?:nan|inf)\b)')
_LIST = re.compile(r'\[[^]]*\]')
_CLOCKS = {'clock_forward': 1.0, 'clock_back': -1.0}
_FROZEN = ('frozen_camera', 'frozen_stamps')


def without_numbers(text: str) -> str:
    """Return a text by which two messages of one cause are the same."""
    return _NUMBER.sub('#', _LIST.sub('[#]', text))


class FaultyEpisode(EpisodeHook):
    """
    Stands between an episode and its controller as the node's inputs and clock would.

    A message that the controller refuses is dropped, and a network that answers NaN is a fault,
    as in the node.

    :param period_s: time between commands.
    :param rng: draws what happens to which message.
    """

    def __init__(
            self, plan: FaultPlan, sizes: FaultConfig, period_s: float,
            rng: np.random.Generator):
        """Prepare a channel per topic; nothing fails yet."""
        self._plan = plan
        self._sizes = sizes
        self._period_s = period_s
        self._command_clock = CommandClock(period_s)
        joints, opening, poses, chunks = rng.spawn(4)
        self._joints = FaultyChannel(plan, sizes, joints, _garble_joints)
        self._openings = FaultyChannel(plan, sizes, opening, lambda _, wrong, __: wrong)
        self._poses = FaultyChannel(plan, sizes, poses, _garble_pose)
        self._chunks = FaultyChannel(plan, sizes, chunks, _garble_chunk)
        self._picture: FrozenView | None = None
        self._states: dict[str, None] = {}
        self._refusals: dict[str, None] = {}
        self._refused = 0
        self._recovered_s: float | None = None
        self._now_s = 0.0

    def begin(self, controller: ResidualController) -> None:
        """Watch the controller's commands."""
        self._controller = controller
        self._watch = CommandWatch(controller.arm.follower.shaper, self._period_s)

    def record(self) -> FaultRecord:
        """Return what happened, at the end of the episode."""
        machine, plan = self._controller.machine, self._plan
        return FaultRecord(
            name=plan.name, begin_s=plan.begin_s, lasts_s=plan.lasts_s,
            met=self._now_s >= plan.begin_s, commands=self._watch.commands,
            violations=self._watch.violations(), states=tuple(self._states),
            refusals=tuple(self._refusals), refused=self._refused,
            recovery_s=None if self._recovered_s is None else self._recovered_s - plan.end_s,
            is_stopped=machine.is_latched or machine.state is ControllerState.FAULT)

    # What fails -------------------------------------------------------------------------------

    def clock(self, now_s: float) -> float:
        """Set the clock while that is the fault."""
        sign = _CLOCKS.get(self._plan.name, 0.0) if self._plan.acts(now_s) else 0.0
        return now_s + sign * self._sizes.clock_s

    def step_s(self, dt_s: float, now_s: float) -> float:
        """Return what the node's own clock makes of the tick."""
        return self._command_clock.step(self.clock(now_s))

    def stalls_base(self, now_s: float) -> bool:
        """Let the base hang."""
        return self._plan.name in STALLS_S and self._plan.acts(now_s)

    def scene(self, world: World) -> World:
        """Return the world, or the picture that stands still."""
        if self._plan.name not in _FROZEN or not self._plan.acts(world.time_s):
            return world
        if self._picture is None:
            self._picture = FrozenView(world)
        return self._picture

    def image_s(self, now_s: float) -> float:
        """Return the stamp of a picture, which a repeated message keeps."""
        is_old = self._plan.name == 'frozen_stamps' and self._plan.acts(now_s)
        return min(now_s, self._plan.begin_s) if is_old else now_s

    # What arrives -----------------------------------------------------------------------------

    def take_state(self, controller: ResidualController, arm: ArmState, now_s: float) -> None:
        """Deliver joints and opening."""
        for joints in self._joints.deliver([JointReading(arm.q, arm.dq, arm.stamp_s)], now_s):
            self._attempt(controller.on_joint_state, joints.q, joints.dq, joints.stamp_s)
        for opening in self._openings.deliver([arm.opening], now_s):
            self._attempt(_on_opening, controller, opening)

    def take_poses(
            self, controller: ResidualController, readings: list[PoseReading],
            now_s: float) -> list[PoseReading]:
        """Deliver poses; those that were refused were not taken."""
        sent = [dataclasses.replace(reading, stamp_s=self.image_s(reading.stamp_s))
                for reading in readings]
        return [reading for reading in self._poses.deliver(sent, now_s) if self._attempt(
            controller.on_object_pose, reading.object_id, reading.base_T_object,
            reading.covariance, reading.stamp_s)]

    def take_chunk(
            self, controller: ResidualController, chunk: ActionChunk | None,
            now_s: float) -> None:
        """Deliver a chunk as numbers, which are checked as they arrive."""
        sent = [] if chunk is None else [
            ChunkReading(chunk.stamp_s, chunk.step_s, chunk.poses, chunk.grippers)]
        for reading in self._chunks.deliver(sent, now_s):
            self._attempt(self._on_chunk, controller, reading, self.clock(now_s))

    def take_picture(
            self, controller: ResidualController, picture: np.ndarray, stamp_s: float) -> None:
        """Deliver a picture; pictures are not lost one by one, they freeze."""
        self._attempt(controller.on_image, picture, self.image_s(stamp_s))

    def _on_chunk(
            self, controller: ResidualController, reading: ChunkReading, now_s: float) -> None:
        """Check a chunk and hand it over; raise why it was dropped."""
        reason = controller.on_chunk(ActionChunk(**vars(reading)), now_s)
        if reason is not None:
            raise InputError(f'dropped: {reason}')

    def _attempt(self, take: Callable[..., Any], *arguments: Any) -> bool:
        """Hand a message over; note why it was refused, and return whether it was taken."""
        try:
            take(*arguments)
        except (InputError, ConfigError) as error:
            self._refused += 1
            self._refusals.setdefault(without_numbers(str(error)))
            return False
        return True

    # What comes of it -------------------------------------------------------------------------

    def policy_tick(
            self, controller: ResidualController, now_s: float) -> PolicyAction | None:
        """Let the controller tick by its own clock."""
        try:
            return controller.policy_tick(self.clock(now_s))
        except InputError as error:
            controller.fault(str(error))
            return None

    def on_command(self, command: Command | None) -> None:
        """Judge the command while the shaper still stands at it."""
        self._watch.add(command)

    def before_steps(
            self, world: SimWorld, command: Command | None, action: PolicyAction | None) -> None:
        """Note what is shown, and when the arm moves again."""
        self._now_s, machine = world.time_s, self._controller.machine
        if self._now_s < self._plan.begin_s:
            return
        self._states.setdefault(f'{machine.state.value}: {without_numbers(machine.reason)}')
        is_over = self._now_s >= self._plan.end_s - 1e-9
        if is_over and self._recovered_s is None and machine.state.is_running and (
                machine.reason == 'executing'):
            self._recovered_s = self._now_s


def _on_opening(controller: ResidualController, opening: float) -> None:
    """Take an opening as the node does, which refuses what is not finite."""
    if not np.isfinite(opening):
        raise InputError(f'opening is {opening}; allowed: finite')
    controller.on_gripper(opening)


def _garble_joints(
        reading: JointReading, wrong: float, rng: np.random.Generator) -> JointReading:
    """Garble one of the positions and velocities."""
    both = garbled(np.concatenate([reading.q, reading.dq]), wrong, rng)
    return JointReading(both[:7], both[7:], reading.stamp_s)


def _garble_pose(reading: PoseReading, wrong: float, rng: np.random.Generator) -> PoseReading:
    """Garble one number of the pose."""
    return dataclasses.replace(
        reading, base_T_object=garbled(reading.base_T_object, wrong, rng))


def _garble_chunk(
        reading: ChunkReading, wrong: float, rng: np.random.Generator) -> ChunkReading:
    """Garble one number of a target pose, or an opening in one of eight."""
    if rng.random() < 0.125:
        return dataclasses.replace(reading, grippers=garbled(reading.grippers, wrong, rng))
    return dataclasses.replace(reading, poses=garbled(reading.poses, wrong, rng))
