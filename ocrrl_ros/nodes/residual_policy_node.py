# SPDX-License-Identifier: Apache-2.0
"""Add the residual to the base policy's action and stream the shaped command to the arm."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import sys
from typing import TypeVar

from geometry_msgs.msg import PoseWithCovarianceStamped
import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.interfaces import episode_state
from ocrrl_ros.interfaces.arm_sinks import make_sink, SinkConfig, SinkName
from ocrrl_ros.interfaces.arming_gate import arming_for_sink, ArmingGate
from ocrrl_ros.interfaces.chunk_conversions import BASE_FRAME
from ocrrl_ros.interfaces.chunk_inbox import ChunkInbox
from ocrrl_ros.interfaces.conversions import (
    from_stamp, has_joints, joint_values, pose_with_covariance_to_arrays)
from ocrrl_ros.interfaces.deadman_inbox import DeadmanInbox
from ocrrl_ros.interfaces.gripper_state import GRIPPER_STATE_TOPIC, opening_from_message
from ocrrl_ros.interfaces.homing_clients import HomingName, make_homing
from ocrrl_ros.interfaces.image_conversions import COLOUR_TOPIC, image_to_rgb
from ocrrl_ros.interfaces.input_warnings import InputWarnings
from ocrrl_ros.interfaces.operator_services import OperatorServices
from ocrrl_ros.interfaces.parameters import declare_config, follow_changes
from ocrrl_ros.interfaces.policy_outputs import PolicyOutputs
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATCHED, LATEST_BEST_EFFORT, RELIABLE
from ocrrl_ros.interfaces.recovery_service import RecoveryService
from ocrrl_ros.interfaces.robot_watch import RobotWatch
from ocrrl_ros.interfaces.spin import loop_node
from ocrrl_ros.interfaces.teleop_inbox import TeleopInbox
from ocrrl_ros.interfaces.tick_loop import LoopConfig, TickLoop
from ocrrl_ros.policy.assembly import build_controller, load_gated_residual
from ocrrl_ros.policy.command_clock import CommandClock
from ocrrl_ros.policy.controller import ControllerConfig, ControllerState
from ocrrl_ros.policy.episode_homing import EpisodeHoming
from ocrrl_ros.policy.episode_start import EpisodeStart
from ocrrl_ros.policy.image_residual import ImageResidualController
from ocrrl_ros.policy.task_spec import load_task_spec
from ocrrl_ros.policy.tick_turns import TickTurns
from ocrrl_ros.robot.arming_config import ArmingConfig
from ocrrl_ros.robot.fault_recovery import RecoveryConfig
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
from ocrrl_ros.robot.homing import HomingConfig
from ocrrl_ros.robot.robot_config import load_robot, RobotConfig
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String

NODE_NAME = 'residual_policy'
Answer = TypeVar('Answer')
_TIME_TOLERANCE_S = 1e-6
#: Parameters that may be set while the node runs.
_LIVE = ('controller.residual_gain', 'speed_scale')


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResidualPolicyConfig:
    """Settings of the residual policy node."""

    task: str = dataclasses.field(
        default='cube_lift', metadata={'description': 'task, a file of config/tasks'})
    residual: str = dataclasses.field(
        default='models/residual_cube_lift',
        metadata={'description': 'folder of the residual bundle; none runs the base alone'})
    enable_residual: bool = dataclasses.field(
        default=True, metadata={'description': 'whether the residual is on at start-up'})
    enable_gate: bool = dataclasses.field(
        default=True, metadata={'description': (
            "whether the gate of the residual's bundle weighs it, where the bundle has one")})
    sink: SinkName = dataclasses.field(
        default='crisp_joint', metadata={'description': 'where commands go, see docs/robot.md'})
    arm_sink: SinkConfig = SinkConfig()
    homing: HomingName = dataclasses.field(
        default='none', metadata={'description': (
            'how the arm goes home when an episode starts, before the base moves it: none, by own '
            'checked commands, or through another controller; see docs/robot.md')})
    homing_motion: HomingConfig = HomingConfig()
    realtime_priority: int = dataclasses.field(
        default=20, metadata={'description': 'SCHED_FIFO priority, 0 for the normal scheduler'})
    speed_scale: float = dataclasses.field(
        default=1.0, metadata={'description': (
            'share of the shaped joint speed, 0 < x <= 1; may be set while the node runs, and '
            'applies from the next policy tick on')})
    robot_file: str = dataclasses.field(
        default='config/robots/fr3.yaml', metadata={'description': (
            'robot whose joint limits, kinematics and shaping apply, absolute or as shipped')})
    joint_state_topic: str = dataclasses.field(
        default='franka/joint_states', metadata={'description': 'measured joint states'})
    robot_state_topic: str = dataclasses.field(
        default='', metadata={'description': (
            'DiagnosticStatus of a driver other than franka_ros2, as fci_arm/state; while it is '
            'not OK the arm is not commanded. Empty: none. FrankaRobotState is always heeded')})
    recovery: RecoveryConfig = RecoveryConfig()
    preflight: bool = dataclasses.field(
        default=False, metadata={'description': (
            'whether an episode is refused while the arm fails the checks of docs/robot.md')})
    arming: ArmingConfig = ArmingConfig()
    controller: ControllerConfig = ControllerConfig()

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        if not 0.0 < self.speed_scale <= 1.0:
            raise ConfigError(f'speed_scale is {self.speed_scale}; allowed: 0 < x <= 1')


class ResidualPolicyNode(Node):
    """Polls every input in the command loop; the logic is ``ResidualController``."""

    def __init__(self, **arguments):
        """Load the residual and subscribe; nothing moves before an episode starts."""
        super().__init__(NODE_NAME, **arguments)
        self.config = declare_config(self, ResidualPolicyConfig, live=_LIVE)
        load_task_spec(self.config.task, f'parameter task of {NODE_NAME}')
        network = gate = None
        if self.config.residual not in ('', 'none'):
            network, gate = load_gated_residual(
                self.config.residual, self.config.task, with_gate=self.config.enable_gate)
        robot = load_robot(self.config.robot_file)
        self.controller = build_controller(
            self.config.task, network, self.config.controller, robot, gate=gate,
            speed_scale=self.config.speed_scale)
        self.controller.set_enabled(self.config.enable_residual)
        self.controller.episode.is_required = True
        follow_changes(self, ResidualPolicyConfig, self._on_settings)
        self._warnings = InputWarnings(self)
        self._sink = make_sink(self.config.sink, self, self.config.arm_sink)
        self._homing = self._make_homing(robot)
        self._gate = ArmingGate(
            self, arming_for_sink(self.config.arming, self.config.sink, self.config.arm_sink),
            robot, self.config.joint_state_topic) if self.config.preflight else None
        self._start = EpisodeStart(
            self.controller, self._homing, None if self._gate is None else self._gate.check)
        self._q: np.ndarray | None = None
        self._is_silent = True
        self._outputs = PolicyOutputs(self)
        self._subscribe()
        self._teleop = TeleopInbox(self, self.controller.takeover)
        self._watch = RobotWatch(
            self, self._sink.topic_name, self.config.robot_state_topic, self.config.recovery)
        self._recovery = RecoveryService(
            self, self.controller, self._watch, self.config.recovery)
        OperatorServices(
            self, self.controller, lambda: self._now_s, self._start.stop_homing,
            lambda: self._recovery.is_running)
        self._first_s: float | None = None
        self._policy_due_s = float('-inf')
        self._command_clock = CommandClock(1.0 / self.config.controller.command_rate_hz)
        self._now_s = 0.0
        self.loop = TickLoop(self, LoopConfig(
            rate_hz=self.config.controller.command_rate_hz,
            realtime_priority=self.config.realtime_priority))
        self._turns = TickTurns(
            self.config.controller.command_rate_hz, (self._take_arm, self._take_others),
            self._begin_policy_tick, self._end_policy_tick, self.loop.share_spent)
        torque_rate = self.controller.arm.follower.torque_rate
        self.loop.monitor.set_source(
            'torque_rate_peak_nm_s', lambda: float(torque_rate.take_peak().max()))

    def _make_homing(self, robot: RobotConfig) -> EpisodeHoming | None:
        """Return what brings the arm home before an episode, None for nothing."""
        config = self.config
        motion = make_homing(
            config.homing, self, robot, config.homing_motion, config.arm_sink.jtc_controller)
        if motion is None:
            return None
        motion.limit_speed(config.speed_scale)
        return EpisodeHoming(
            motion, max_state_age_s=config.controller.max_state_age_s,
            heartbeats=(self.controller.deadman, self.controller.episode))

    def _subscribe(self) -> None:
        """Create the polled subscriptions."""
        self._joints_in = PolledSubscription(
            self, JointState, self.config.joint_state_topic, LATEST_BEST_EFFORT)
        self._gripper_in = PolledSubscription(
            self, JointState, GRIPPER_STATE_TOPIC, LATEST_BEST_EFFORT)
        self._objects_in = {
            object_id: PolledSubscription(
                self, PoseWithCovarianceStamped, f'objects/{object_id}/pose', RELIABLE)
            for object_id in self.controller.layout.object_ids}
        self._sees = isinstance(self.controller, ImageResidualController)
        self._image_in = PolledSubscription(
            self, Image, COLOUR_TOPIC, LATEST_BEST_EFFORT) if self._sees else None
        self._chunks = ChunkInbox(self, self.controller.forward)
        self._instruction_in = PolledSubscription(
            self, String, 'base_policy/instruction', LATCHED)
        self._episode_in = episode_state.EpisodeInbox(self)
        self._deadman = DeadmanInbox(self, self.controller)

    def step(self, now_s: float) -> None:
        """
        One command tick: the command, then inputs and a policy tick when due.

        The command goes first, so that the time a policy tick takes shows in no period.
        """
        self._now_s = now_s
        if self._first_s is None:
            self._first_s = now_s
        dt_s = self._command_clock.step(now_s)
        command = self.controller.command_tick(dt_s)
        self._is_silent = command is None
        if command is not None:
            self._sink.send(command, now_s, self.controller.arm.follower.preview)
            self._outputs.gripper(command.gripper, now_s)
        else:
            self._tick_without_command(now_s, dt_s)
        if self._sink.problem is not None:
            self._fault_of_sink(self._sink.problem)
        # After a pause of this process what has come since is not ahead of the clock.
        self.controller.heed_clock(now_s)
        self._turns.step(now_s)
        self._outputs.state(self.controller)

    def _tick_without_command(self, now_s: float, dt_s: float) -> None:
        """Send what homing commands, or let the sink know that there is nothing to send."""
        command = self._start.command(now_s, dt_s)
        if command is None:
            self._sink.rest(self._q, now_s)
        else:
            self._sink.send(command, now_s, self._homing.motion.preview)

    def _fault_of_sink(self, problem: str) -> None:
        """Make a fault, once, of a sink that may send nothing."""
        if self.controller.state is not ControllerState.FAULT:
            self.controller.fault(problem, is_silent=True)
            self.get_logger().error(problem, throttle_duration_sec=2.0)

    def _policy_is_due(self, now_s: float) -> bool:
        """Return whether the policy's period is over or a new pose has come."""
        # A clock that was set back must not silence the policy until it has caught up.
        period_s = self.config.controller.policy_period_s + _TIME_TOLERANCE_S
        return not self._policy_due_s - period_s <= now_s < self._policy_due_s - _TIME_TOLERANCE_S

    def _begin_policy_tick(self, now_s: float) -> bool:
        """Decide on a target where that is due, and return whether it was."""
        if not self._policy_is_due(now_s):
            return False
        self._policy_due_s = now_s + self.config.controller.policy_period_s
        self._attempt(self.controller.begin_policy_tick, now_s)
        return True

    def _end_policy_tick(self, now_s: float) -> None:
        """Head for the target, and publish the action."""
        action = self._attempt(self.controller.end_policy_tick, now_s)
        if action is not None:
            self._outputs.action(action)

    def _attempt(self, part: Callable[[float], Answer], now_s: float) -> Answer | None:
        """Do a part of a policy tick; a network that answers NaN is a fault."""
        try:
            return part(now_s)
        except InputError as error:
            self.controller.fault(str(error))
            self.get_logger().error(str(error), throttle_duration_sec=2.0)
            return None

    def _take_arm(self, now_s: float) -> None:
        """Hand the arm's newest state to the controller, or refuse it by name."""
        self._warnings.attempt(self._take_joints, now_s, source=self.config.joint_state_topic)

    def _take_others(self, now_s: float) -> None:
        """Hand everything else that has arrived to the controller; refuse what is wrong."""
        for take in (
                self._take_robot, self._take_gripper, self._deadman.take, self._take_episode,
                self._teleop.take, self._take_chunk, self._take_objects):
            self._warnings.attempt(take, now_s)
        self._warnings.attempt(self._take_image, now_s, source=COLOUR_TOPIC)

    def _take_joints(self, now_s: float) -> None:
        """Take the measured joints."""
        message = self._joints_in.take_newest()
        if message is None or not has_joints(message, ARM_JOINT_NAMES):
            return
        stamp_s = from_stamp(message.header.stamp)
        q = joint_values(message, ARM_JOINT_NAMES, 'position', 'joint state')
        self.controller.on_joint_state(
            q, joint_values(message, ARM_JOINT_NAMES, 'velocity', 'joint state'), stamp_s)
        self._q = q
        if self._homing is not None:
            self._homing.on_joint_state(q, stamp_s)
        self.loop.monitor.on_input('joint_states', stamp_s)

    def _take_robot(self, now_s: float) -> None:
        """Look whether the robot takes targets."""
        problem = self._watch.step(now_s)
        if problem is not None:
            self._start.on_robot(problem)
        self._recovery.step(now_s)
        if self._gate is not None and self.controller.state is ControllerState.IDLE:
            self._gate.step(now_s, self.loop.monitor)

    def _take_gripper(self, now_s: float) -> None:
        """Take the gripper's opening."""
        message = self._gripper_in.take_newest()
        if message is not None:
            self.controller.on_gripper(opening_from_message(message))

    def _take_episode(self, now_s: float) -> None:
        """Follow the episode node and the instruction; start as soon as the arm's state allows."""
        for message in self._episode_in.take_changes():
            self._warnings.attempt(self._follow_episode, message)
        if self._episode_in.is_heard:
            self.controller.episode.beat(now_s)
        if self._instruction_in.take_newest() is not None:
            self.controller.on_instruction(now_s)
        self._start.step(now_s, is_silent=self._is_silent)

    def _follow_episode(self, message: String) -> None:
        """Hand the episode's state on."""
        self._start.follow(episode_state.from_message(message), self._first_s)

    def _take_chunk(self, now_s: float) -> None:
        """Take a chunk, or say why it was dropped."""
        chunk = self._chunks.take(now_s)
        if chunk is None:
            return
        self.loop.monitor.on_input('chunk', chunk.stamp_s)
        reason = self.controller.on_chunk(chunk, now_s)
        if reason is not None:
            self._warnings.warn(f'dropped: {reason}')

    def _take_objects(self, now_s: float) -> None:
        """Take the newest pose of each object."""
        for object_id, subscription in self._objects_in.items():
            message = subscription.take_newest()
            if message is not None:
                self._warnings.attempt(
                    self._take_object, object_id, message, now_s,
                    source=f'objects/{object_id}/pose')

    def _take_object(
            self, object_id: str, message: PoseWithCovarianceStamped, now_s: float) -> None:
        """Take the pose of one object, in the base frame alone."""
        if message.header.frame_id != BASE_FRAME:
            raise InputError(
                f'objects/{object_id}/pose is in frame {message.header.frame_id!r}; allowed: '
                f'{BASE_FRAME!r}')
        pose, covariance, stamp_s = pose_with_covariance_to_arrays(message)
        self.controller.on_object_pose(object_id, pose, covariance, stamp_s)
        # A new pose is acted on at once, not at the next tick of the policy's own period.
        self._policy_due_s = now_s
        self.loop.monitor.on_input(f'object_{object_id}', stamp_s)

    def _take_image(self, now_s: float) -> None:
        """Take the newest picture, for a residual that sees the base policy's camera."""
        message = self._image_in.take_newest() if self._sees else None
        if message is not None:
            stamp_s = from_stamp(message.header.stamp)
            self.controller.on_image(image_to_rgb(message, COLOUR_TOPIC), stamp_s)
            self.loop.monitor.on_input('image', stamp_s)

    def _on_settings(self, config: ResidualPolicyConfig) -> None:
        """Apply the parameters that may be set while the node runs."""
        self.config = config
        self.controller.set_residual_gain(config.controller.residual_gain)
        self.controller.set_speed_scale(config.speed_scale)
        if self._homing is not None:
            self._homing.motion.limit_speed(config.speed_scale)


def main(args: list[str] | None = None) -> int:
    """Run the node until Ctrl-C."""
    return loop_node(ResidualPolicyNode, NODE_NAME, args)


if __name__ == '__main__':
    sys.exit(main())
