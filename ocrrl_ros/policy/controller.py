# SPDX-License-Identifier: Apache-2.0
"""
Deployment logic of the residual policy: inputs with stamps in, shaped joint commands out.

One robot, no ROS, no clock: the node, the offline evaluation and the tests call the same object
with their own ``now_s``. Whatever goes wrong with an input, the arm decelerates within its limits
and holds, and the state names the cause.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Protocol

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError, UnknownNameError
from ocrrl_ros.core.se3 import check_pose
from ocrrl_ros.policy.action_chunk import ActionChunk, ChunkBuffer, ChunkSample
from ocrrl_ros.policy.action_hold import ActionHold, ResidualRate
from ocrrl_ros.policy.blend import ResidualBlend
from ocrrl_ros.policy.command import Command, PolicyAction
from ocrrl_ros.policy.composition import compose, ResidualBounds
from ocrrl_ros.policy.controller_config import ControllerConfig
from ocrrl_ros.policy.gate import ResidualGate
from ocrrl_ros.policy.object_poses import ObjectPoseBuffer, ObjectView
from ocrrl_ros.policy.observation import (
    build_observation,
    ObservationInputs,
    ObservationLayout,
)
from ocrrl_ros.policy.target_follower import TargetFollower
from ocrrl_ros.robot.kinematics import FrankaKinematics

__all__ = [
    'Command', 'ControllerConfig', 'ControllerState', 'PolicyAction', 'ResidualController']

LOST = -1.0
_AT_REST_RAD_S = 1e-9


class ControllerState(enum.Enum):
    """What the controller is doing."""

    IDLE = 'idle'
    RUNNING = 'running'
    HOLDING = 'holding'
    LATCHED = 'latched'


class Residual(Protocol):
    """What the controller needs of a residual network."""

    bounds: ResidualBounds
    layout: ObservationLayout
    acts_per: ResidualRate

    def act(self, observation: np.ndarray) -> np.ndarray:
        """Return actions (N, 7) in [-1, 1]."""


class ResidualController:
    """
    Composes base and residual every policy tick and streams the shaped command.

    :param layout: observation layout that the residual was trained for.
    :param residual: network of that layout, or None to run the base policy alone.
    :param gate: weighs the residual, or None to let all of it act.
    :param blend: takes the residual back where it is out of its depth; one that knows nothing of
        the residual's training if None.
    """

    def __init__(
            self, layout: ObservationLayout, kinematics: FrankaKinematics,
            follower: TargetFollower, residual: Residual | None = None,
            config: ControllerConfig | None = None, gate: ResidualGate | None = None,
            blend: ResidualBlend | None = None):
        """
        Start idle: no command exists before the first episode.

        :raises ConfigError: the residual was trained for another layout.
        """
        if residual is not None and residual.layout != layout:
            raise ConfigError(
                f'the residual was trained for observation layout {residual.layout.sha256[:12]}; '
                f'allowed here: {layout.sha256[:12]} ({layout.variant})')
        self.config = config or ControllerConfig()
        self.layout = layout
        self.state = ControllerState.IDLE
        self.reason = 'no episode yet'
        self.start_refused = False
        self.enabled = residual is not None
        self.residual_gain = self.config.residual_gain
        self.chunks = ChunkBuffer(self.config.chunk)
        self._kinematics = kinematics
        self._follower = follower
        self._residual = residual
        self._gate = gate
        self._blend = blend or ResidualBlend(self.config.blend, layout.symmetries)
        once_a_chunk = residual is not None and residual.acts_per == 'chunk'
        self._hold = ActionHold() if once_a_chunk else None
        self._objects = ObjectPoseBuffer(1, len(layout.object_ids), self.config.object_poses)
        self._q = np.zeros(7)
        self._dq = np.zeros(7)
        self._opening = 1.0
        self._command_opening = 1.0
        self._state_stamp_s = -np.inf
        self._deadman_s = -np.inf
        self._in_episode = False
        self._seeded = False
        self._moving = False
        self._is_restart = False
        self.reseeds = 0

    # Inputs -----------------------------------------------------------------------------------

    def on_joint_state(self, q: np.ndarray, dq: np.ndarray, stamp_s: float) -> None:
        """
        Take measured joint positions (7,) in rad and velocities (7,) in rad/s.

        :raises InputError: wrong shape or a number that is not finite; the last state stays.
        """
        q, dq = np.asarray(q, dtype=float), np.asarray(dq, dtype=float)
        if q.shape != (7,) or dq.shape != (7,) or not np.isfinite([q, dq]).all():
            raise InputError(
                f'joint state has position {q.tolist()} and velocity {dq.tolist()}; '
                'allowed: 7 finite numbers each')
        self._q, self._dq, self._state_stamp_s = q, dq, stamp_s

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
        :raises InputError: the pose is not finite or its quaternion is no rotation.
        """
        if object_id not in self.layout.object_ids:
            raise UnknownNameError('object', object_id, self.layout.object_ids)
        index = self.layout.object_ids.index(object_id)
        if np.ravel(covariance)[0] == LOST:
            self._objects.mark_lost(0, index)
            return
        pose = check_pose(base_T_object, f'object {object_id}')
        self._objects.update(0, index, pose, stamp_s)
        self._blend.on_object_pose(index, pose, covariance)

    def on_chunk(self, chunk: ActionChunk, now_s: float) -> str | None:
        """Take a chunk of the base policy; return why it was dropped, or None."""
        return self.chunks.push(chunk, now_s)

    def on_deadman(self, pressed: bool, now_s: float) -> None:
        """Take the operator's dead-man switch; letting go latches a hold."""
        if pressed:
            self._deadman_s = now_s
        elif self.config.require_deadman and self.state in (
                ControllerState.RUNNING, ControllerState.HOLDING):
            self.hold('dead-man switch released')

    # Operator ---------------------------------------------------------------------------------

    def forward(self, q: np.ndarray) -> np.ndarray:
        """Return base_T_tcp (7,) of joint positions (7,) in rad, for bases that plan joints."""
        return self._kinematics.forward(q)

    def start_episode(self, now_s: float) -> None:
        """
        Start moving on chunks that are planned from now on.

        :raises InputError: no fresh joint state to start from, or one outside the invariant set
            of the command shaping; nothing has changed then.
        """
        self._seed(now_s)
        self.chunks.clear(not_before_s=now_s)
        self._objects.reset(slice(None), now_s)
        for part in (self._gate, self._hold, self._blend):
            if part is not None:
                part.reset()
        self._command_opening = self._opening
        self._in_episode, self._seeded, self._moving = True, True, False
        self._enter(ControllerState.RUNNING, 'waiting for the base policy')

    def reseed(self, now_s: float) -> None:
        """
        Let the command start anew from the measured state, after something else moved the arm.

        For whoever knows of a fault, of guiding or of a user stop that is over.

        :raises InputError: as for ``start_episode``.
        """
        self._seed(now_s)
        self.reseeds += 1

    def _seed(self, now_s: float) -> None:
        """Start the command from a fresh measured state."""
        age = now_s - self._state_stamp_s
        if not np.isfinite(age):
            raise InputError('cannot start: no joint state has arrived yet')
        if age > self.config.max_state_age_s:
            raise InputError(
                f'cannot start: the newest joint state is {age:.3f} s old, '
                f'allowed: {self.config.max_state_age_s} s')
        self._follower.seed(self._q, self._dq)
        self._is_restart = True

    def refuse_start(self, reason: str) -> None:
        """Stay idle although an episode runs, and say why."""
        self._enter(ControllerState.IDLE, reason)
        self.start_refused = True

    def stop_episode(self) -> None:
        """Decelerate, hold, and ignore chunks until the next start."""
        self._in_episode = False
        self._halt()
        self._enter(ControllerState.IDLE, 'episode ended')

    def on_instruction(self, now_s: float) -> None:
        """Drop the plan that was made for the last instruction."""
        self.chunks.clear(not_before_s=now_s)

    def set_enabled(self, enabled: bool) -> None:
        """Switch the residual; off means the exact base action."""
        self.enabled = bool(enabled) and self._residual is not None

    def set_residual_gain(self, gain: float) -> None:
        """
        Scale the residual by 0 <= gain <= 1 from the next policy tick on.

        :raises ConfigError: the gain is outside that range.
        """
        self.config = dataclasses.replace(self.config, residual_gain=gain)
        self.residual_gain = gain

    def set_speed_scale(self, scale: float) -> None:
        """
        Scale the joint speed by 0 < scale <= 1 from the next policy tick on.

        The plan under way goes on until then; the next one brakes within the limits.

        :raises InputError: the scale is outside that range.
        """
        self._follower.shaper.set_speed_scale(scale)

    def hold(self, reason: str) -> None:
        """Decelerate and hold until ``resume``."""
        self._halt()
        self._enter(ControllerState.LATCHED, reason)

    def resume(self, now_s: float) -> None:
        """Leave a latched hold; the base policy must plan anew first."""
        if self.state is ControllerState.LATCHED and not self._in_episode:
            self._enter(ControllerState.IDLE, 'resumed: an episode may start')
        elif self.state is ControllerState.LATCHED:
            self.chunks.clear(not_before_s=now_s)
            self._enter(ControllerState.RUNNING, 'waiting for the base policy')

    # Ticks ------------------------------------------------------------------------------------

    def policy_tick(self, now_s: float) -> PolicyAction | None:
        """Compose base and residual on fresh state, or hold and return None."""
        if self.state is ControllerState.IDLE:
            return None
        problem = None if self.state is ControllerState.LATCHED else self._problem(now_s)
        if problem is not None and self.state is not ControllerState.LATCHED:
            self._halt()
            self._enter(ControllerState.HOLDING, problem)
        if problem is not None or self.state is ControllerState.LATCHED:
            self._give_way(now_s)
            return None
        if not self._is_followed(now_s):
            return None
        self._enter(ControllerState.RUNNING, 'executing')
        ahead = self.config.aim_ahead_s
        sample = self.chunks.sample(now_s, ahead)
        action, gain, weight = self._residual_action(sample, now_s)
        bounds = self._residual.bounds if self._residual is not None else ResidualBounds()
        poses, openings = compose(
            sample.poses[:1], sample.grippers[:1], action[None], bounds,
            np.array([gain * weight]))
        # The plan begins with the next command. As in training, the command that acts one period
        # before the target's time is the one that reaches it.
        duration_s = max(ahead - 1.0 / self.config.command_rate_hz, 0.0)
        converged = self._follower.aim(poses[0], sample.twist, duration_s)
        if self._follower.refusal:
            self._enter(ControllerState.RUNNING, f'target refused: {self._follower.refusal}')
        self._command_opening = float(openings[0])
        self._moving = True
        return PolicyAction(
            now_s, sample.poses[0], float(sample.grippers[0]), action, gain, poses[0],
            self._command_opening, converged, weight, self._blend.factors)

    def command_tick(self, dt_s: float) -> Command | None:
        """
        Advance the shaped command by ``dt_s``; None before the first episode.

        After a fault this goes on: it streams the deceleration, then the hold. Once an episode
        has ended and the arm is at rest it falls silent, so that whoever moves the arm next
        (homing, a reset of the simulator) is not pulled back; the controller holds by itself.
        """
        if not self._seeded:
            return None
        q, dq = self._follower.sample(dt_s)
        self._follower.note_state(q, self._q, self._dq, dt_s)
        if self.state is ControllerState.IDLE and np.abs(dq).max() < _AT_REST_RAD_S:
            self._seeded = False
        is_restart, self._is_restart = self._is_restart, False
        return Command(q, dq, self._command_opening, is_restart)

    @property
    def torque_rate_nm_s(self) -> np.ndarray | None:
        """Return the torque rate (7,) that the last command asks of the impedance controller."""
        predictor = self._follower.torque_rate
        return None if predictor is None else predictor.rate

    def take_peak_torque_rate(self) -> np.ndarray | None:
        """Return the largest predicted torque rate (7,) in Nm/s since the last call."""
        predictor = self._follower.torque_rate
        return None if predictor is None else predictor.take_peak()

    def _is_followed(self, now_s: float) -> bool:
        """Return whether the arm follows or the command could start anew from it, else latch."""
        lost = self._follower.lost(self._q)
        if not lost:
            return True
        try:
            self.reseed(now_s)
        except InputError as error:
            self.hold(f'{lost}; {error}')
            return False
        return True

    def _give_way(self, now_s: float) -> None:
        """Let the force of a hold fade, while it is known where the arm is."""
        if self._seeded and now_s - self._state_stamp_s <= self.config.max_state_age_s:
            self._follower.give_way(self._q, now_s)

    def _problem(self, now_s: float) -> str | None:
        """Return why the arm may not move now; a lost dead-man switch also latches."""
        age = now_s - self._state_stamp_s
        if age > self.config.max_state_age_s:
            return f'joint state is {age:.3f} s old, allowed: {self.config.max_state_age_s} s'
        silence = now_s - self._deadman_s
        if self.config.require_deadman and silence > self.config.max_deadman_age_s:
            self.hold(f'dead-man switch silent for {silence:.2f} s')
            return self.reason
        return self.chunks.stale_reason(now_s)

    def _residual_action(
            self, sample: ChunkSample, now_s: float) -> tuple[np.ndarray, float, float]:
        """Return action (7,), gain and weight; the first two zero while it is off."""
        view, gain = self._view(now_s)
        if not self.enabled or self._residual is None:
            return np.zeros(7), 0.0, 1.0
        jacobian = self._kinematics.jacobian(self._q)
        observation = build_observation(self.layout, ObservationInputs(
            base_T_tcp=self._kinematics.forward(self._q)[None],
            tcp_velocity=(jacobian[:3] @ self._dq)[None],
            opening=np.array([self._opening]),
            objects=view,
            targets=sample.poses[None],
            target_openings=sample.grippers[None],
            phase=np.array([sample.phase]),
            gain=np.array([gain])))
        action = self._answer(observation)
        weight = 1.0 if self._gate is None else float(self._gate.weight(observation, now_s)[0])
        gain *= self.residual_gain
        action, left = self._blend.apply(action, gain * weight, observation, now_s)
        return action, gain, weight * left

    def _view(self, now_s: float) -> tuple[ObjectView, float]:
        """Return the objects as they may be used now and the gain that losses leave."""
        return self._objects.query(now_s), float(self._objects.gain()[0])

    def _answer(self, observation: np.ndarray) -> np.ndarray:
        """Return the network's action (7,) for an observation (1, D)."""
        action = self._residual.act(observation) if self._hold is None else self._hold.act(
            self._residual.act, observation, self.chunks.chunk.stamp_s)
        action = action[0].astype(float)
        if not np.isfinite(action).all():
            raise InputError(f'residual network returned {action.tolist()}')
        return action

    def _halt(self) -> None:
        """Decelerate once; a second call must not restart the deceleration."""
        if self._moving:
            self._follower.stop()
            self._moving = False

    def _enter(self, state: ControllerState, reason: str) -> None:
        """Remember the state and its cause."""
        self.state, self.reason, self.start_refused = state, reason, False
