# SPDX-License-Identifier: Apache-2.0
"""For which configuration of the graph access is granted, and what a node's access is."""

from __future__ import annotations

import dataclasses
from typing import Literal

from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.interfaces.arm_sinks import SinkName
from ocrrl_ros.interfaces.gripper_drivers import DriverName
from ocrrl_ros.policy.task_spec import known_task_specs, load_task_spec

Package = Literal[
    'control_msgs', 'controller_manager_msgs', 'franka_msgs', 'tf2_msgs', 'vision_msgs']
#: Message packages that the wheels lack; a full installation has them.
PACKAGES: tuple[Package, ...] = (
    'control_msgs', 'controller_manager_msgs', 'franka_msgs', 'tf2_msgs', 'vision_msgs')


def _setting(default: object, description: str) -> dataclasses.Field:
    """Return a field with its description."""
    return dataclasses.field(default=default, metadata={'description': description})


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccessConfig:
    """
    What the graph is configured to do, as far as it changes who says what to whom.

    The defaults are those of the nodes and of ``robot:=fr3``, for every task; what they leave out
    is granted to nobody.
    """

    tasks: tuple[str, ...] = _setting((), 'tasks whose objects are granted; none: every one')
    namespace: str = _setting('', 'namespace of every node')
    sink: SinkName = _setting('crisp_joint', 'as the launch argument')
    homing: Literal['none', 'own', 'follow_joint_trajectory'] = _setting(
        'none', 'as the launch argument; moveit needs a policy that is edited by hand')
    gripper: DriverName = _setting('franka', 'driver of the hand, as the launch argument')
    preflight: Literal['none', 'sim', 'franka_ros2', 'fci'] = _setting(
        'franka_ros2', 'arm that residual_policy looks at before an episode, as arming.arm; none '
        'where preflight is off')
    arming_controllers: tuple[str, ...] = _setting(
        (), 'controllers whose parameters are looked at, as arming.controllers')
    image_residual: bool = _setting(False, 'the residual sees the picture instead of poses')
    wrist_camera: bool = _setting(False, 'pose_estimator: tcp_T_camera is set')
    prompts: bool = _setting(False, 'pose_estimator: mask_backend is not colour')
    detection_topics: tuple[str, ...] = _setting(
        (), 'pose_estimator: topics of pose_backend detections')
    aligned_depth: bool = _setting(True, 'camera: align_depth.enable')
    lockstep: bool = _setting(False, 'simulated time, as the launch argument')
    packages: tuple[Package, ...] = _setting(
        PACKAGES, 'message packages that are installed besides those of the wheels')

    def __post_init__(self) -> None:
        """Refuse names that are none."""
        for task in self.tasks:
            if task not in known_task_specs():
                raise UnknownNameError('task', task, known_task_specs(), 'tasks')
        if not all(part.isidentifier() for part in self.namespace.strip('/').split('/') if part):
            raise ConfigError(f'namespace is {self.namespace!r}; allowed: a ROS namespace')

    @property
    def object_ids(self) -> tuple[str, ...]:
        """Return the objects of the tasks."""
        return tuple(sorted({
            name for task in self.tasks or known_task_specs()
            for name in load_task_spec(task).object_ids}))


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeAccess:
    """
    What one node may do; names are relative, absolute or private (``~/``) as ROS has them.

    ``reply`` and ``request`` are services that the node offers and calls, ``execute`` and ``call``
    actions. What every node has (parameters, log, type descriptions) is not repeated here.
    """

    node: str
    publish: frozenset[str] = frozenset()
    subscribe: frozenset[str] = frozenset()
    reply: frozenset[str] = frozenset()
    request: frozenset[str] = frozenset()
    execute: frozenset[str] = frozenset()
    call: frozenset[str] = frozenset()


#: What rclpy gives every node.
COMMON_PUBLISH = frozenset({'/rosout', '/parameter_events'})
COMMON_REPLY = frozenset(f'~/{name}' for name in (
    'describe_parameters', 'get_parameter_types', 'get_parameters', 'list_parameters',
    'set_parameters', 'set_parameters_atomically', 'get_type_description'))
KINDS = ('publish', 'subscribe', 'reply', 'request', 'execute', 'call')


def with_common(access: NodeAccess) -> NodeAccess:
    """Return the access with what every node has."""
    return dataclasses.replace(
        access, publish=access.publish | COMMON_PUBLISH, reply=access.reply | COMMON_REPLY)


def full_name(name: str, node: str, namespace: str) -> str:
    """
    Return an absolute name.

    :param namespace: of the node, with or without slashes.
    """
    prefix = '/' + namespace.strip('/') + '/' if namespace.strip('/') else '/'
    if name.startswith('/'):
        return name
    return prefix + (node + name[1:] if name.startswith('~') else name)
