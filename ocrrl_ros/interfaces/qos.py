# SPDX-License-Identifier: Apache-2.0
"""
Qualities of service and the topic list of the FR3 face, as data.

The list follows franka_ros2 v3.4.0 (broadcaster topics are best effort, depth 1) and CRISP 2.3
(targets and current pose reliable); test/ros/test_mujoco_bridge_face.py writes the rows out a
second time and compares the live graph of `mujoco_bridge` with those.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from rclpy.qos import (
    DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy)


def _profile(
        depth: int, reliability: ReliabilityPolicy,
        durability: DurabilityPolicy = DurabilityPolicy.VOLATILE) -> QoSProfile:
    """Return a keep-last profile."""
    return QoSProfile(
        depth=depth, history=HistoryPolicy.KEEP_LAST, reliability=reliability,
        durability=durability)


#: Subscriptions that want every message: match reliable and best-effort publishers.
SENSOR_DATA = _profile(5, ReliabilityPolicy.BEST_EFFORT)
#: Broadcaster topics of franka_ros2, and subscriptions to a state or image of which only the
#: newest counts: taking it costs one conversion, not one per message that waits.
LATEST_BEST_EFFORT = _profile(1, ReliabilityPolicy.BEST_EFFORT)
#: Targets: only the newest counts (CRISP's ``QoS(1)``).
LATEST = _profile(1, ReliabilityPolicy.RELIABLE)
#: Reliable streams and events.
RELIABLE = _profile(10, ReliabilityPolicy.RELIABLE)
#: Facts that late joiners need: instruction, state, robot description, camera pose.
LATCHED = _profile(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
#: Images as realsense2_camera publishes them; two frames are enough for a live stream.
IMAGE = _profile(2, ReliabilityPolicy.RELIABLE)
#: What a recorder keeps in full: matches every publisher, and half a second of 100 Hz waits.
RECORDED = _profile(50, ReliabilityPolicy.BEST_EFFORT)
#: An image subscriber that wants every frame; best effort would lose its fragments.
IMAGE_STREAM = _profile(10, ReliabilityPolicy.RELIABLE)
#: A receiver that must not lose a message (benchmarks, tests).
DEEP_RELIABLE = _profile(100, ReliabilityPolicy.RELIABLE)
#: The same for latched facts that may change twice before they are looked at.
DEEP_LATCHED = _profile(100, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TopicSpec:
    """One topic of the arm's face: relative name, type, direction seen from the arm, QoS."""

    name: str
    type_name: str
    direction: Literal['publisher', 'subscription']
    qos: QoSProfile
    rate_hz: float = 0.0


def _published(name: str, type_name: str, qos: QoSProfile, rate_hz: float = 0.0) -> TopicSpec:
    """Return the row of a topic that the arm publishes."""
    return TopicSpec(
        name=name, type_name=type_name, direction='publisher', qos=qos, rate_hz=rate_hz)


def _accepted(name: str, type_name: str, qos: QoSProfile = LATEST) -> TopicSpec:
    """Return the row of a topic that the arm listens to."""
    return TopicSpec(name=name, type_name=type_name, direction='subscription', qos=qos)


_JOINTS = 'sensor_msgs/msg/JointState'
_POSE = 'geometry_msgs/msg/PoseStamped'
_TWIST = 'geometry_msgs/msg/TwistStamped'
_WRENCH = 'geometry_msgs/msg/WrenchStamped'
_TRAJECTORY = 'trajectory_msgs/msg/JointTrajectory'
_ARRAY = 'std_msgs/msg/Float64MultiArray'
_BROADCASTER = 'franka_robot_state_broadcaster'

#: Tier A and the B rows that CRISP users rely on, standard messages only.
ARM_TOPICS: tuple[TopicSpec, ...] = (
    _published('joint_states', _JOINTS, RELIABLE, 30.0),
    _published('franka/joint_states', _JOINTS, RELIABLE, 1000.0),
    _published(f'{_BROADCASTER}/current_pose', _POSE, LATEST_BEST_EFFORT, 1000.0),
    _published(f'{_BROADCASTER}/last_desired_pose', _POSE, LATEST_BEST_EFFORT, 1000.0),
    _published(f'{_BROADCASTER}/desired_end_effector_twist', _TWIST, LATEST_BEST_EFFORT, 1000.0),
    _published(f'{_BROADCASTER}/measured_joint_states', _JOINTS, LATEST_BEST_EFFORT, 1000.0),
    _published(f'{_BROADCASTER}/desired_joint_states', _JOINTS, LATEST_BEST_EFFORT, 1000.0),
    _published(f'{_BROADCASTER}/external_joint_torques', _JOINTS, LATEST_BEST_EFFORT, 1000.0),
    _published(
        f'{_BROADCASTER}/external_wrench_in_base_frame', _WRENCH, LATEST_BEST_EFFORT, 1000.0),
    _published(
        f'{_BROADCASTER}/external_wrench_in_stiffness_frame', _WRENCH, LATEST_BEST_EFFORT,
        1000.0),
    _published('current_pose', _POSE, RELIABLE, 500.0),
    _published('current_twist', _TWIST, RELIABLE, 500.0),
    _accepted('target_pose', _POSE),
    _accepted('target_joint', _JOINTS),
    _accepted('target_wrench', _WRENCH),
    _accepted('target_stiffness', _ARRAY),
    _accepted('joint_trajectory_controller/joint_trajectory', _TRAJECTORY, RELIABLE),
    _accepted('fr3_arm_controller/joint_trajectory', _TRAJECTORY, RELIABLE),
    _published('franka_gripper/joint_states', _JOINTS, LATEST, 15.0),
    _published('gripper/joint_states', _JOINTS, RELIABLE, 50.0),
    _accepted('gripper/gripper_position_controller/commands', _ARRAY),
    _published('robot_description', 'std_msgs/msg/String', LATCHED),
)

#: Tier B targets, which the simulated arm takes only when its arm_controller is of that kind.
CHOSEN_ARM_TOPICS: tuple[TopicSpec, ...] = (
    _accepted('gello/joint_states', _JOINTS),
    _accepted('cartesian_impedance_example_controller/equilibrium_pose', _POSE, RELIABLE),
)

#: The camera's face (realsense2_camera 4.55+, default names).
CAMERA_TOPICS: tuple[TopicSpec, ...] = (
    _published('camera/camera/color/image_raw', 'sensor_msgs/msg/Image', IMAGE, 30.0),
    _published(
        'camera/camera/color/image_raw/compressed', 'sensor_msgs/msg/CompressedImage', IMAGE,
        30.0),
    _published('camera/camera/color/camera_info', 'sensor_msgs/msg/CameraInfo', IMAGE, 30.0),
    _published(
        'camera/camera/aligned_depth_to_color/image_raw', 'sensor_msgs/msg/Image', IMAGE, 30.0),
    _published(
        'camera/camera/aligned_depth_to_color/camera_info', 'sensor_msgs/msg/CameraInfo', IMAGE,
        30.0),
    _published(
        'camera/camera/extrinsics/base_to_color', 'geometry_msgs/msg/TransformStamped', LATCHED),
)


def topic(name: str) -> TopicSpec:
    """
    Return the row of a topic by its relative name.

    :raises KeyError: the face has no such topic.
    """
    return _BY_NAME[name]


_BY_NAME = {spec.name: spec for spec in (
    *ARM_TOPICS, *CHOSEN_ARM_TOPICS, *CAMERA_TOPICS)}
