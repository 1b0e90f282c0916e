# SPDX-License-Identifier: Apache-2.0
"""
Deployment logic of the residual policy: inputs with stamps in, shaped joint commands out.

One robot, no ROS, no clock: the node, the offline evaluation and the tests call the same object
with their own ``now_s``. Whatever goes wrong with an input, the arm decelerates within its limits
and holds, and the state names the cause.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError, UnknownNameError
from ocrrl_ros.policy.action_chunk import ActionChunk, ChunkBuffer, ChunkSample
from ocrrl_ros.policy.action_hold import ActionHold
from ocrrl_ros.policy.arm_commander import ArmCommander
from ocrrl_ros.policy.blend import ResidualBlend
from ocrrl_ros.policy.clock_watch import ClockWatch
from ocrrl_ros.policy.command import Command, PolicyAction
from ocrrl_ros.policy.composition import ACTION_SIZE, compose, ResidualBounds
from ocrrl_ros.policy.controller_config import ControllerConfig
from ocrrl_ros.policy.gate import ResidualGate
from ocrrl_ros.policy.heartbeat import Heartbeat
from ocrrl_ros.policy.object_poses import LOST, ObjectPoseBuffer, ObjectView
from ocrrl_ros.policy.observation import ObservationLayout, observe_one
from ocrrl_ros.policy.plan_lead import pull
from ocrrl_ros.policy.plausible import check_near, check_planned_joints
from ocrrl_ros.policy.residual import checked_action, Residual
from ocrrl_ros.policy.state_machine import ControllerState, StateMachine
from ocrrl_ros.policy.takeover import Takeover
from ocrrl_ros.policy.target_follower import TargetFollower
from ocrrl_ros.robot.kinematics import FrankaKinematics

__all__ = ['Command', 'ControllerConfig', 'ControllerState', 'PolicyAction', 'ResidualController']


class ResidualController:
    """
    Composes base and residual every policy tick and streams the shaped command.

    :param layout: observation layout that the residual was trained for.
    :param residual: network of that layout, or None to run the base policy alone.
    :param gate: weighs the residual, or None to let all of it act.
    :param blend: takes the residual back out of its depth; None: one that knows no training.
    """

    def __init__(
            self, layout: ObservationLayout, kinematics: FrankaKinematics,
            follower: TargetFollower, residual: Residual | None = None,
            config: ControllerConfig | None = None, gate: ResidualGate | None = None,
            blend: ResidualBlend | None = None):
        """Start idle, without a command; a residual of another layout is a ConfigError."""
        if residual is not None and residual.layout != layout:
            raise ConfigError(
                f'the residual was trained for observation layout {residual.layout.sha256[:12]}; '
                f'allowed here: {layout.sha256[:12]} ({layout.variant})')
        self.config = config or ControllerConfig()
        self.layout = layout
        self.machine = StateMachine()
        self.takeover = Takeover(self.config.max_takeover_age_s)
        self.enabled = residual is not None
        self.chunks = ChunkBuffer(self.config.chunk)
        self._kinematics = kinematics
        self.arm = ArmCommander(follower, self.config.max_state_age_s)
        self._residual = residual
        self._gate = gate
        self._blend = blend or ResidualBlend(self.config.blend, layout.symmetries)
        self._hold = ActionHold() if residual and residual.acts_per == 'chunk' else None
        self._objects = ObjectPoseBuffer(1, len(layout.object_ids), self.config.object_poses)
        self._opening = self._command_opening = 1.0
        self.deadman = Heartbeat.of_deadman(
            self.config.max_deadman_age_s, is_required=self.config.require_deadman)
        self.episode = Heartbeat.of_episode(self.config.max_episode_age_s)
        self._clock = ClockWatch(self.config.object_poses.max_pose_age_s)
        self._in_episode, self._pulled = False, 0.0
        self._decision: tuple[PolicyAction, np.ndarray] | None = None

    @property
    def state(self) -> ControllerState:
        """Return what the controller is doing."""
        return self.machine.state

    @property
    def reason(self) -> str:
        """Return why it does so."""
        return self.machine.reason

    # Inputs -----------------------------------------------------------------------------------

    def on_joint_state(self, q: np.ndarray, dq: np.ndarray, stamp_s: float) -> None:
        """Take measured joint positions and velocities; see ``ArmCommander``."""
        self._clock.check('joint state', stamp_s)
        self.arm.on_joint_state(q, dq, stamp_s)

    def on_gripper(self, opening: float) -> None:
        """Take the measured opening, 0 closed .. 1 open; drop a number that is not finite."""
        if np.isfinite(opening):
            self._opening = float(np.clip(opening, 0.0, 1.0))

    def on_object_pose(
            self, object_id: str, base_T_object: np.ndarray, covariance: np.ndarray,
            stamp_s: float) -> None:
        """
        Take a pose, or the news that the object is lost now (covariance[0] = -1).

        :raises UnknownNameError: the layout has no such object.
        :raises InputError: the pose is not finite, no rotation or out of any reach, or its stamp
            lies ahead of the clock; it would count as fresh for as long as that.
        """
        if object_id not in self.layout.object_ids:
            raise UnknownNameError('object', object_id, self.layout.object_ids)
        index = self.layout.object_ids.index(object_id)
        if not np.isfinite(covariance).all():
            raise InputError(f'object {object_id} has a covariance that is not finite')
        if np.ravel(covariance)[0] == LOST:
            self._objects.mark_lost(0, index)
            return
        pose = check_near(base_T_object, f'object {object_id}')
        self._clock.check(f'object {object_id}', stamp_s)
        self._objects.update(0, index, pose, stamp_s)
        self._blend.on_object_pose(index, pose, covariance)

    def on_chunk(self, chunk: ActionChunk, now_s: float) -> str | None:
        """Take a chunk of the base policy; return why it was dropped, or None."""
        return self.chunks.push(chunk, now_s)

    def on_deadman(self, pressed: bool, now_s: float, problem: str = '') -> None:
        """Take the operator's dead-man switch; letting go, or a problem of it, latches a hold."""
        if pressed and not problem:
            self.deadman.beat(now_s)
            return
        self.deadman.forget(problem)
        if self.deadman.is_required and (
                self._in_episode or self.state is ControllerState.HOMING):
            self.hold(f'dead-man switch {problem or "released"}')

    def on_robot(self, problem: str) -> None:
        """
        Take why the robot cannot be commanded, or an empty string.

        An arm that does not listen is not talked to: whatever it would find when it listens
        again, it would jump to.
        """
        self.arm.robot_problem = problem
        if problem and (self._in_episode or self.state is ControllerState.HOMING):
            self.fault(problem, is_silent=True)

    # Operator ---------------------------------------------------------------------------------

    def forward(self, q: np.ndarray) -> np.ndarray:
        """Return base_T_tcp (7,) of joints (7,) that a base plans; refuse those beyond limits."""
        return self._kinematics.forward(
            check_planned_joints(q, self.arm.follower.shaper.limits))

    def start_episode(self, now_s: float) -> None:
        """
        Start moving on chunks that are planned from now on.

        :raises InputError: the robot cannot be commanded, `resume` is due, there is no fresh joint
            state to start from, or it is outside the invariant set of the command shaping;
            nothing has changed then.
        """
        if self.machine.is_latched or self.state is ControllerState.FAULT:
            raise InputError(f'cannot start: {self.reason}; call residual_policy/resume')
        self.arm.start(now_s)
        self._forget(now_s)
        self._command_opening = self._opening
        self._in_episode = True
        self.machine.end('another episode')
        self.machine.start('waiting for the base policy')

    def _forget(self, now_s: float) -> None:
        """Drop whatever counts by its time."""
        self._clock.start(now_s)
        self.chunks.clear(not_before_s=now_s)
        self._objects.reset(slice(None), now_s)
        self._pulled, self._decision = 0.0, None
        for part in (self._gate, self._hold, self._blend):
            if part is not None:
                part.reset()
        self.takeover.clear()

    def reset(self) -> None:
        """Forget holds, faults and time: the arm is another one, as in a new simulated world."""
        self._in_episode, self._decision = False, None
        self._clock.start(-np.inf)
        self.arm.forget_state('no joint state has arrived yet')
        self.machine = StateMachine()
        self.arm.robot_problem = ''

    def refuse_start(self, reason: str) -> None:
        """Stay idle although an episode runs, and say why."""
        self.machine.refuse(reason)

    def stop_episode(self) -> None:
        """Decelerate, hold, and ignore chunks until the next start."""
        self._in_episode = False
        self._halt()
        self.machine.end('episode ended')

    def on_instruction(self, now_s: float) -> None:
        """Drop the plan that was made for the last instruction."""
        self.chunks.clear(not_before_s=now_s)

    def set_enabled(self, enabled: bool) -> None:
        """Switch the residual; off means the exact base action."""
        self.enabled = bool(enabled) and self._residual is not None

    def set_residual_gain(self, gain: float) -> None:
        """Scale the residual by 0 <= gain <= 1 from the next policy tick on, or ConfigError."""
        self.config = dataclasses.replace(self.config, residual_gain=gain)

    def set_speed_scale(self, scale: float) -> None:
        """
        Scale the joint speed by 0 < scale <= 1 from the next policy tick on.

        The plan under way goes on until then; the next one brakes within the limits.

        :raises InputError: the scale is outside that range.
        """
        self.arm.follower.shaper.set_speed_scale(scale)

    def hold(self, reason: str) -> None:
        """Decelerate and hold until ``resume``."""
        self._halt()
        self.machine.latch(reason)

    def fault(self, reason: str, *, is_silent: bool = False) -> None:
        """
        Decelerate, and command nothing else until ``resume``.

        :param is_silent: send nothing at all: the robot does not listen.
        """
        self._halt()
        if is_silent:
            self.arm.silence()
        self.machine.fault(reason)

    def resume(self, now_s: float) -> None:
        """
        Leave a latched hold or a fault; the base policy must plan anew first.

        After a fault the command starts anew from where the arm is measured.

        :raises InputError: the cause of the fault is still there, or the arm's state does not
            allow a start; nothing has changed then.
        """
        if self._in_episode and self.state is ControllerState.FAULT:
            self.arm.start(now_s)
        elif self.arm.robot_problem:
            raise InputError(f'cannot resume: {self.arm.robot_problem}')
        if self.machine.resume(in_episode=self._in_episode):
            self.chunks.clear(not_before_s=now_s)
            self.takeover.clear()

    # Ticks ------------------------------------------------------------------------------------

    def policy_tick(self, now_s: float) -> PolicyAction | None:
        """Compose base and residual, or take a person's target, on fresh state; or hold."""
        self.begin_policy_tick(now_s)
        return self.end_policy_tick(now_s)

    def begin_policy_tick(self, now_s: float) -> None:
        """Decide on a target; for loops whose period is shorter than a whole policy tick takes."""
        self._decision = self._decide(now_s)

    def end_policy_tick(self, now_s: float) -> PolicyAction | None:
        """Head for what was decided, unless a hold, a fault or an end has come in between."""
        decision, self._decision = self._decision, None
        return None if decision is None else self._pursue(*decision, now_s)

    def _decide(self, now_s: float) -> tuple[PolicyAction, np.ndarray] | None:
        """Return what to head for and its velocity (6,), or hold and return None."""
        if not self._may_move(now_s):
            return None
        target = self.takeover.target(now_s)
        if target is not None:
            return self._take_over(target, now_s)
        if self.state is ControllerState.TAKEOVER:
            # What the base had planned before is of another place.
            self.chunks.clear(not_before_s=now_s)
            self.takeover.clear()
        problem = self.chunks.stale_reason(now_s)
        if problem is not None:
            self._wait(problem, now_s)
            return None
        hand, lead = self.arm.hand(self._kinematics), self.config.chunk.lead
        sample = self.chunks.sample(now_s, self.config.aim_ahead_s).behind(
            *hand, self._pulled, lead)
        action, gain, weight = self._residual_action(sample, hand, now_s)
        bounds = self._residual.bounds if self._residual is not None else ResidualBounds()
        poses, openings = compose(
            sample.poses[:1], sample.grippers[:1], action[None], bounds, np.array([gain * weight]))
        self._pulled = float(pull(sample.poses[:1], poses, lead)[0])
        return PolicyAction(
            now_s, sample.poses[0], float(sample.grippers[0]), action, gain, poses[0],
            float(openings[0]), weight=weight, blend=self._blend.factors), sample.twist

    def _may_move(self, now_s: float) -> bool:
        """Return whether something may move the arm now; hold, latch or start anew where not."""
        self.heed_clock(now_s)
        if self.state is ControllerState.FAULT:
            self.arm.give_way(now_s)
            return False
        if not self._in_episode:
            return False
        problem = ''
        if not self.machine.is_latched:
            problem = self.arm.stale_reason(now_s)
            if not problem and (problem := self.deadman.problem(now_s)):
                self.hold(problem)
            problem = problem or self.episode.problem(now_s)
        if problem or self.machine.is_latched:
            self._wait(problem, now_s)
            return False
        lost = self.arm.lost(now_s)
        if lost:
            self.fault(lost)
        return not lost

    def heed_clock(self, now_s: float) -> None:
        """Note the time; wait for every input anew where the clock was set back."""
        if back_s := self._clock.went_back(now_s):
            self._forget(now_s)
            self.arm.forget_state(f'the clock went back by {back_s:.2f} s')
            self.deadman.set_back(now_s)
            self.episode.set_back(now_s)

    def _wait(self, problem: str, now_s: float) -> None:
        """Brake, once, and let the force of the hold fade."""
        if not self.machine.is_latched:
            self._halt()
            self.machine.hold(problem)
        self.arm.give_way(now_s)

    def _halt(self) -> None:
        """Decelerate, whatever was decided."""
        self._decision = None
        self.arm.halt()

    def _take_over(self, target: np.ndarray, now_s: float) -> tuple[PolicyAction, np.ndarray]:
        """Follow a person's target (7,)."""
        opening = self.takeover.opening(self._command_opening)
        return PolicyAction(
            now_s, target, opening, np.zeros(ACTION_SIZE), 0.0, target, opening,
            is_takeover=True), np.zeros(6)

    def _pursue(self, action: PolicyAction, twist: np.ndarray, now_s: float) -> PolicyAction:
        """Head for a target, with its velocity (6,), and say who does and whether IK converged."""
        # The plan begins with the next command. As in training, the command that acts one period
        # before the target's time is the one that reaches it.
        late_s = now_s - action.stamp_s + 1.0 / self.config.command_rate_hz
        converged = self.arm.aim(
            action.command_pose, twist, max(self.config.aim_ahead_s - late_s, 0.0))
        refusal = self.arm.follower.refusal
        state = ControllerState.RUNNING_RESIDUAL if action.gain > 0.0 else (
            ControllerState.TAKEOVER if action.is_takeover else ControllerState.RUNNING_BASE)
        self.machine.run(state, f'target refused: {refusal}' if refusal else 'executing')
        self._command_opening = action.command_gripper
        return action if converged else dataclasses.replace(action, ik_converged=False)

    def command_tick(self, dt_s: float) -> Command | None:
        """
        Advance the shaped command by ``dt_s``; None before the first episode.

        After a fault this goes on: it streams the deceleration, then the hold. Once an episode
        has ended and the arm is at rest it falls silent, so that whoever moves the arm next
        (homing, a reset of the simulator) is not pulled back; the controller holds by itself.
        """
        found = self.arm.tick(dt_s, ends_at_rest=not self._in_episode)
        if found is None:
            return None
        q, dq, is_restart = found
        return Command(q, dq, self._command_opening, is_restart)

    def _residual_action(
            self, sample: ChunkSample, hand: tuple[np.ndarray, np.ndarray],
            now_s: float) -> tuple[np.ndarray, float, float]:
        """Return action (7,), gain and weight; the first two zero while it is off."""
        view, gain = self._view(now_s)
        if not self.enabled or self._residual is None:
            return np.zeros(7), 0.0, 1.0
        observation = observe_one(self.layout, *hand, self._opening, view, sample, gain)
        action = self._answer(observation)
        weight = 1.0 if self._gate is None else float(self._gate.weight(observation, now_s)[0])
        gain *= self.config.residual_gain
        action, left = self._blend.apply(action, gain * weight, observation, now_s)
        return action, gain, weight * left

    def _view(self, now_s: float) -> tuple[ObjectView, float]:
        """Return the objects as they may be used now and the gain that losses leave."""
        return self._objects.query(now_s), float(self._objects.gain()[0])

    def _answer(self, observation: np.ndarray) -> np.ndarray:
        """Return the network's action (7,) for an observation (1, D)."""
        action = self._residual.act(observation) if self._hold is None else self._hold.act(
            self._residual.act, observation, self.chunks.chunk.stamp_s)
        return checked_action(action)
