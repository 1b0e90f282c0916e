# SPDX-License-Identifier: Apache-2.0
"""State topics of the simulated FR3: names, types, QoS and rates of the real one."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
import numpy as np
from ocrrl_ros.interfaces.conversions import fill_pose, fill_twist, fill_wrench, to_stamp
from ocrrl_ros.interfaces.optional import optional
from ocrrl_ros.interfaces.qos import RELIABLE, topic
from ocrrl_ros.nodes.mujoco_bridge_description import LinkTransforms
from ocrrl_ros.nodes.mujoco_bridge_franka import fill_robot_state
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES, BASE_FRAME, FINGER_JOINT_NAMES, TCP_FRAME
from ocrrl_ros.sim.bridge_config import BridgeRates
from ocrrl_ros.sim.bridge_readout import ArmReading
from ocrrl_ros.sim.bridge_timing import Schedule
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState

_BROADCASTER = 'franka_robot_state_broadcaster/'
_ARM = list(ARM_JOINT_NAMES)
_FINGERS = list(FINGER_JOINT_NAMES)
_NO_FINGERS = np.zeros(2)


@dataclass
class _Channel:
    """One topic: its message is filled in place and sent when it is due and heard."""

    publisher: Publisher
    message: object
    schedule: Schedule
    fill: Callable[[ArmReading], object]
    shows_contact: bool = False
    is_heard: bool = True


class _Joints:
    """A joint-state message whose arrays are written in place."""

    def __init__(self, names: list[str], frame_id: str = ''):
        """Allocate the message."""
        self.message = JointState(name=names)
        self.message.header.frame_id = frame_id
        for field in ('position', 'velocity', 'effort'):
            setattr(self.message, field, array('d', bytes(8 * len(names))))
        self._views = [
            np.frombuffer(getattr(self.message, field))
            for field in ('position', 'velocity', 'effort')]

    def fill(self, *values: np.ndarray) -> None:
        """Write positions, velocities and efforts."""
        for view, numbers in zip(self._views, values):
            view[:] = numbers


class StateTopics:
    """Every state topic of the arm and the hand, and /tf where it can be had."""

    def __init__(
            self, node: Node, rates: BridgeRates, step_s: float,
            transforms: LinkTransforms | None = None, *, with_hand: bool = True):
        """
        Create the publishers.

        :param step_s: time between calls of ``publish``.
        :param transforms: publisher of /tf, sent at the rate of ``joint_states``.
        :param with_hand: also the fingers in ``joint_states``, and the hand's own topics.
        """
        self._node = node
        self._step_s = step_s
        self._stamp = Time()
        self._channels: list[_Channel] = []
        self._next_check = 0
        self._add_merged_joints(rates, with_hand)
        self._add_joint_topics(rates)
        self._add_pose_topics(rates)
        if with_hand:
            self._add_hand_topics(rates)
        self._add_robot_state(rates)
        if transforms is not None:
            self._channels.append(_Channel(
                transforms.publisher, transforms.message,
                Schedule(rates.joint_states_hz, step_s),
                lambda reading: transforms.fill(reading, self._stamp)))

    def publish(self, step: int, stamp_s: float, make_reading: Callable[[], ArmReading]) -> None:
        """
        Send what is due in this step.

        :param make_reading: called at most once, when something has to be sent.
        """
        reading: ArmReading | None = None
        for channel in self._channels:
            if not channel.schedule.is_due(step) or not channel.is_heard:
                continue
            if reading is None:
                reading = make_reading()
                stamp = to_stamp(stamp_s)
                self._stamp.sec, self._stamp.nanosec = stamp.sec, stamp.nanosec
            channel.fill(reading)
            channel.publisher.publish(channel.message)
        self._check_one()

    @property
    def shows_contact(self) -> bool:
        """Return whether somebody listens to a topic that needs external torques."""
        return any(channel.shows_contact and channel.is_heard for channel in self._channels)

    def _check_one(self) -> None:
        """Look whether one channel has subscribers: all are checked within some 20 steps."""
        channel = self._channels[self._next_check]
        channel.is_heard = channel.publisher.get_subscription_count() > 0
        self._next_check = (self._next_check + 1) % len(self._channels)

    def _add(
            self, name: str, rate_hz: float, message: object,
            fill: Callable[[ArmReading], object], profile: QoSProfile | None = None) -> None:
        """Create one publisher of the topic list, or of another topic with its profile."""
        message.header.stamp = self._stamp
        publisher = self._node.create_publisher(
            type(message), name, profile or topic(name).qos)
        self._channels.append(
            _Channel(publisher, message, Schedule(rate_hz, self._step_s), fill,
                     shows_contact='external' in name or 'robot_state' == name.split('/')[-1]))

    def _add_joints(
            self, name: str, rate_hz: float, names: list[str],
            values: Callable[[ArmReading], tuple[np.ndarray, ...]]) -> None:
        """Create one joint-state publisher."""
        joints = _Joints(names, BASE_FRAME if name.startswith(_BROADCASTER) else '')
        self._add(name, rate_hz, joints.message, lambda reading: joints.fill(*values(reading)))

    def _add_merged_joints(self, rates: BridgeRates, with_hand: bool) -> None:
        """Create ``joint_states``, of arm and fingers where the hand is known."""
        if not with_hand:
            self._add_joints('joint_states', rates.joint_states_hz, _ARM, lambda r: (
                r.state.q, r.state.dq, r.effort))
            return
        self._add_joints('joint_states', rates.joint_states_hz, _ARM + _FINGERS, lambda r: (
            np.concatenate([r.state.q, r.finger_positions]),
            np.concatenate([r.state.dq, r.state.finger_velocities]),
            np.concatenate([r.effort, _NO_FINGERS])))

    def _add_joint_topics(self, rates: BridgeRates) -> None:
        """Create the joint-state topics of the arm."""
        zeros = np.zeros(7)
        self._add_joints('franka/joint_states', rates.franka_joint_states_hz, _ARM, lambda r: (
            r.state.q, r.state.dq, r.effort))
        hz = rates.broadcaster_hz
        self._add_joints(f'{_BROADCASTER}measured_joint_states', hz, _ARM, lambda r: (
            r.state.q, r.state.dq, r.effort))
        self._add_joints(f'{_BROADCASTER}desired_joint_states', hz, _ARM, lambda r: (
            r.q_desired, r.dq_desired, r.effort))
        self._add_joints(f'{_BROADCASTER}external_joint_torques', hz, _ARM, lambda r: (
            zeros, zeros, r.state.tau_external))

    def _add_pose_topics(self, rates: BridgeRates) -> None:
        """Create the pose, twist and wrench topics."""
        def add(name: str, rate_hz: float, message: object, frame: str,
                fill: Callable[[ArmReading], object]) -> None:
            message.header.frame_id = frame
            self._add(name, rate_hz, message, fill)

        hz = rates.broadcaster_hz
        measured = ((f'{_BROADCASTER}current_pose', hz), ('current_pose', rates.crisp_hz))
        for name, rate_hz in measured:
            pose = PoseStamped()
            add(name, rate_hz, pose, BASE_FRAME,
                lambda r, p=pose: fill_pose(p.pose, r.base_T_tcp))
        last = PoseStamped()
        add(f'{_BROADCASTER}last_desired_pose', hz, last, BASE_FRAME,
            lambda r: fill_pose(last.pose, r.desired_base_T_tcp))
        wanted, local = TwistStamped(), TwistStamped()
        add(f'{_BROADCASTER}desired_end_effector_twist', hz, wanted, BASE_FRAME,
            lambda r: fill_twist(wanted.twist, r.desired_twist))
        add('current_twist', rates.crisp_hz, local, TCP_FRAME,
            lambda r: fill_twist(local.twist, r.local_twist))
        in_base, in_tcp = WrenchStamped(), WrenchStamped()
        add(f'{_BROADCASTER}external_wrench_in_base_frame', hz, in_base, BASE_FRAME,
            lambda r: fill_wrench(in_base.wrench, r.wrench_base))
        add(f'{_BROADCASTER}external_wrench_in_stiffness_frame', hz, in_tcp, TCP_FRAME,
            lambda r: fill_wrench(in_tcp.wrench, r.wrench_tcp))

    def _add_robot_state(self, rates: BridgeRates) -> None:
        """Create the broadcaster's robot_state where franka_msgs is installed."""
        franka = optional('franka_msgs.msg')
        if franka is not None:
            message = franka.FrankaRobotState()
            self._add(
                f'{_BROADCASTER}robot_state', rates.robot_state_hz, message,
                lambda r: fill_robot_state(message, r, self._stamp), RELIABLE)

    def _add_hand_topics(self, rates: BridgeRates) -> None:
        """Create the hand's topics: driver (two fingers) and CRISP adapter (opening)."""
        def fingers(reading: ArmReading) -> tuple[np.ndarray, ...]:
            half = np.full(2, 0.5 * reading.finger_positions.sum())
            return half, _NO_FINGERS, _NO_FINGERS

        self._add_joints(
            'franka_gripper/joint_states', rates.franka_gripper_hz, _FINGERS, fingers)
        self._add_joints('gripper/joint_states', rates.gripper_hz, ['gripper'], lambda r: (
            np.array([r.state.opening]), np.zeros(1), np.zeros(1)))
