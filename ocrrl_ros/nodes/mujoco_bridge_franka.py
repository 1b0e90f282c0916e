# SPDX-License-Identifier: Apache-2.0
"""
Interfaces whose message packages the PyPI wheels lack: franka_msgs and control_msgs.

On a full ROS 2 installation they appear by themselves; elsewhere the bridge works without. An
action needs an executor: it runs in a thread of its own, beside the physics loop.
"""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
from typing import Any

from builtin_interfaces.msg import Time
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.interfaces.chunk_conversions import trajectory_positions, trajectory_times
from ocrrl_ros.interfaces.conversions import (
    fill_pose, fill_twist, fill_wrench, from_stamp)
from ocrrl_ros.interfaces.optional import optional
from ocrrl_ros.interfaces.parameters import keep_clock
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES, BASE_FRAME, MAX_WIDTH_M, TCP_FRAME
from ocrrl_ros.sim.bridge_commands import ArmCommander, JointTrajectoryPlan
from ocrrl_ros.sim.bridge_hand import HandGoal, HandMotion
from ocrrl_ros.sim.bridge_readout import ArmReading
from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node

_FEEDBACK_S = 1.0 / 30.0
_CONTROLLERS = ('joint_trajectory_controller', 'fr3_arm_controller')


def fill_robot_state(message: Any, reading: ArmReading, stamp: Time) -> Any:
    """Write what the simulation knows into a franka_msgs/FrankaRobotState."""
    message.header.stamp, message.header.frame_id = stamp, BASE_FRAME
    state = reading.state
    for joints, values in (
            (message.measured_joint_state, (state.q, state.dq, reading.effort)),
            (message.desired_joint_state, (reading.q_desired, reading.dq_desired,
                                           reading.effort)),
            (message.tau_ext_hat_filtered, (np.zeros(7), np.zeros(7), state.tau_external))):
        joints.header.stamp, joints.name = stamp, list(ARM_JOINT_NAMES)
        joints.position, joints.velocity, joints.effort = (list(v) for v in values)
    for name, pose in (('o_t_ee', reading.base_T_tcp), ('o_t_ee_d', reading.desired_base_T_tcp),
                       ('o_t_ee_c', reading.desired_base_T_tcp)):
        field = getattr(message, name)
        field.header.stamp, field.header.frame_id = stamp, BASE_FRAME
        fill_pose(field.pose, pose)
    for name, wrench, frame in (
            ('o_f_ext_hat_k', reading.wrench_base, BASE_FRAME),
            ('k_f_ext_hat_k', reading.wrench_tcp, TCP_FRAME)):
        field = getattr(message, name)
        field.header.stamp, field.header.frame_id = stamp, frame
        fill_wrench(field.wrench, wrench)
    fill_twist(message.o_dp_ee_d.twist, reading.desired_twist)
    message.time = from_stamp(stamp)
    message.control_command_success_rate = reading.success_rate
    message.robot_mode = int(reading.robot_mode)
    for name in reading.errors:
        setattr(message.current_errors, name, True)
    return message


class HandActions:
    """
    Goals of ``franka_gripper/{move,grasp,homing,gripper_action}``, one after another.

    :param command: takes an opening, 0 closed .. 1 open.
    :param width: returns the measured width in m.
    :param now: returns physics time in s.
    :param sleep: waits between two looks, in wall time.
    """

    def __init__(
            self, command: Callable[[float], None], width: Callable[[], float],
            now: Callable[[], float], sleep: Callable[[float], None] = time.sleep):
        """Keep the hand's functions."""
        self._command, self._width, self._now, self._sleep = command, width, now, sleep

    def run(self, handle: Any, goal: HandGoal, feedback: Callable[[float], Any]) -> Any:
        """Carry out a goal, sending feedback; return a HandResult or None when cancelled."""
        self._command(goal.opening)
        motion = HandMotion(goal, self._now())
        while True:
            if handle.is_cancel_requested:
                handle.canceled()
                return None
            width_m = self._width()
            handle.publish_feedback(feedback(width_m))
            result = motion.update(width_m, self._now())
            if result is not None:
                (handle.succeed if result.success else handle.abort)()
                return result
            self._sleep(_FEEDBACK_S)

    def franka(self, kind: Any, make_goal: Callable[[Any], HandGoal]) -> Callable[[Any], Any]:
        """Return the execute callback of a franka_msgs action (result: success, error)."""
        def execute(handle: Any) -> Any:
            def feedback(width_m: float) -> Any:
                message = kind.Feedback()
                if hasattr(message, 'current_width'):
                    message.current_width = width_m
                return message

            outcome = kind.Result()
            try:
                result = self.run(handle, make_goal(handle.request), feedback)
            except InputError as error:
                handle.abort()
                outcome.success, outcome.error = False, str(error)
                return outcome
            if result is not None:
                outcome.success, outcome.error = result.success, result.error
            return outcome

        return execute

    def gripper_command(self, kind: Any) -> Callable[[Any], Any]:
        """Return the execute callback of control_msgs/GripperCommand (position per finger)."""
        def execute(handle: Any) -> Any:
            def feedback(width_m: float) -> Any:
                return kind.Feedback(position=width_m, effort=0.0)

            wanted_m = 2.0 * handle.request.command.position
            closing = wanted_m < self._width()
            try:
                goal = HandGoal(
                    width_m=wanted_m, is_grasp=closing, epsilon_inner_m=MAX_WIDTH_M,
                    epsilon_outer_m=MAX_WIDTH_M)
                result = self.run(handle, goal, feedback)
            except InputError:
                handle.abort()
                result = None
            reached = result is not None and result.success
            return kind.Result(position=self._width(), effort=0.0, reached_goal=reached)

        return execute


def follow_trajectory(
        kind: Any, commander: ArmCommander, now: Callable[[], float],
        sleep: Callable[[float], None] = time.sleep) -> Callable[[Any], Any]:
    """Return the execute callback of control_msgs/FollowJointTrajectory."""
    def execute(handle: Any) -> Any:
        outcome = kind.Result()
        trajectory = handle.request.trajectory
        try:
            plan = JointTrajectoryPlan(trajectory_times(trajectory), trajectory_positions(
                trajectory, list(ARM_JOINT_NAMES), 'follow_joint_trajectory'))
        except InputError as error:
            handle.abort()
            outcome.error_code, outcome.error_string = -1, str(error)
            return outcome
        commander.on_trajectory(plan, now())
        end_s = now() + float(plan.times_s[-1])
        while now() < end_s:
            if handle.is_cancel_requested:
                commander.hold(commander.q_desired)
                handle.canceled()
                return outcome
            sleep(_FEEDBACK_S)
        handle.succeed()
        return outcome

    return execute


def recover(kind: Any, commander: ArmCommander) -> Callable[[Any], Any]:
    """Return the execute callback of franka_msgs/ErrorRecovery: there is nothing to recover."""
    def execute(handle: Any) -> Any:
        commander.hold(commander.q_desired)
        handle.succeed()
        return kind.Result()

    return execute


class OptionalInterfaces:
    """The actions of this module that the installed packages allow, on their own node."""

    def __init__(
            self, hand: HandActions, commander: ArmCommander, now: Callable[[], float], *,
            context: Context, namespace: str, takes_trajectories: bool = True):
        """
        Create what can be created; ``names`` lists it.

        :param takes_trajectories: whether follow_joint_trajectory may move the arm.
        """
        self._takes_trajectories = takes_trajectories
        self.names: list[str] = []
        franka, control = optional('franka_msgs.action'), optional('control_msgs.action')
        self._executor: MultiThreadedExecutor | None = None
        if franka is None and control is None:
            return
        # Cancel requests must get through while a goal is carried out: several threads.
        self._executor = MultiThreadedExecutor(num_threads=4, context=context)
        self._group = ReentrantCallbackGroup()
        self._node = Node('mujoco_bridge_actions', context=context, namespace=namespace)
        keep_clock(self._node)
        self._servers: list[ActionServer] = []
        if franka is not None:
            self._add_franka(franka, hand, commander)
        if control is not None:
            self._add_control(control, hand, commander, now)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the executor, then its threads."""
        if self._executor is not None:
            self._executor.shutdown(timeout_sec=1.0)
            self._thread.join(1.0)
            self._node.destroy_node()

    def _add_franka(self, franka: Any, hand: HandActions, commander: ArmCommander) -> None:
        """Create the actions of franka_msgs."""
        self._serve(franka.Move, 'franka_gripper/move', hand.franka(
            franka.Move, lambda goal: HandGoal(width_m=goal.width)))
        self._serve(franka.Homing, 'franka_gripper/homing', hand.franka(
            franka.Homing, lambda goal: HandGoal(width_m=MAX_WIDTH_M)))
        self._serve(franka.Grasp, 'franka_gripper/grasp', hand.franka(
            franka.Grasp, lambda goal: HandGoal(
                width_m=goal.width, is_grasp=True, epsilon_inner_m=goal.epsilon.inner,
                epsilon_outer_m=goal.epsilon.outer)))
        self._serve(franka.ErrorRecovery, 'action_server/error_recovery', recover(
            franka.ErrorRecovery, commander))

    def _add_control(
            self, control: Any, hand: HandActions, commander: ArmCommander,
            now: Callable[[], float]) -> None:
        """Create the actions of control_msgs."""
        self._serve(control.GripperCommand, 'franka_gripper/gripper_action',
                    hand.gripper_command(control.GripperCommand))
        kind = control.FollowJointTrajectory
        for name in _CONTROLLERS if self._takes_trajectories else ():
            self._serve(kind, f'{name}/follow_joint_trajectory',
                        follow_trajectory(kind, commander, now))

    def _serve(self, kind: Any, name: str, execute: Callable[[Any], Any]) -> None:
        """Create one action server."""
        self._servers.append(ActionServer(
            self._node, kind, name, execute, callback_group=self._group,
            cancel_callback=lambda _: CancelResponse.ACCEPT))
        self.names.append(name)
