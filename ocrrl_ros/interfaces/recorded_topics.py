# SPDX-License-Identifier: Apache-2.0
"""What the recorder writes, for a task's objects and the sink that the commands go to."""

from __future__ import annotations

from collections.abc import Iterable

from ocrrl_ros.core.errors import UnknownNameError

_TOPICS = (
    'joint_states:sensor_msgs/msg/JointState',
    'gripper/joint_states:sensor_msgs/msg/JointState',
    'gripper/gripper_position_controller/commands:std_msgs/msg/Float64MultiArray',
    'base_policy/tcp_chunk:trajectory_msgs/msg/MultiDOFJointTrajectory',
    'base_policy/gripper_chunk:trajectory_msgs/msg/JointTrajectory',
    'base_policy/instruction:std_msgs/msg/String',
    'residual_policy/action:sensor_msgs/msg/JointState',
    'residual_policy/state:diagnostic_msgs/msg/DiagnosticStatus',
    'teleop/target_pose:geometry_msgs/msg/PoseStamped',
    'teleop/gripper:std_msgs/msg/Float64MultiArray',
    'objects/status:diagnostic_msgs/msg/DiagnosticArray',
    'camera/camera/color/camera_info:sensor_msgs/msg/CameraInfo',
)
_STATE_TOPICS = (
    'franka/joint_states:sensor_msgs/msg/JointState',
    'current_pose:geometry_msgs/msg/PoseStamped',
)
#: The command topic of each sink (interfaces.arm_sinks), under its default name.
_COMMAND_TOPICS = {
    'crisp_joint': 'target_joint:sensor_msgs/msg/JointState',
    'crisp_pose': 'target_pose:geometry_msgs/msg/PoseStamped',
    'jtc_trajectory': 'fr3_arm_controller/joint_trajectory:trajectory_msgs/msg/JointTrajectory',
    'equilibrium_pose':
        'cartesian_impedance_example_controller/equilibrium_pose:geometry_msgs/msg/PoseStamped',
    'gello_joint': 'gello/joint_states:sensor_msgs/msg/JointState',
    'ptp_async': 'target_joint:sensor_msgs/msg/JointState',
    'float64_commands': 'forward_position_controller/commands:std_msgs/msg/Float64MultiArray',
}


def recorded_topics(object_ids: Iterable[str]) -> tuple[str, ...]:
    """Return the topics recorded whole, as name:package/msg/Type; one per object among them."""
    objects = (
        f'objects/{name}/pose:geometry_msgs/msg/PoseWithCovarianceStamped' for name in object_ids)
    return (*_TOPICS, *objects)


def recorded_fast_topics(sink: str) -> tuple[str, ...]:
    """
    Return the topics that are thinned, the sink's command topic among them.

    :raises UnknownNameError: no such sink.
    """
    if sink not in _COMMAND_TOPICS:
        raise UnknownNameError('sink', sink, _COMMAND_TOPICS, 'argument sink')
    return (*_STATE_TOPICS, _COMMAND_TOPICS[sink])
