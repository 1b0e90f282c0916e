# SPDX-License-Identifier: Apache-2.0
"""
Who may say what to whom: the one table that the policies of SROS2 are made from.

A row for each node, with what it publishes, hears, offers and calls; test/ros/test_access.py
compares each with the live node, in both directions.
"""

from __future__ import annotations

from collections.abc import Callable

from ocrrl_ros.interfaces import episode_state
from ocrrl_ros.interfaces.access_config import AccessConfig, COMMON_REPLY, NodeAccess
from ocrrl_ros.interfaces.arm_sinks import SinkConfig
from ocrrl_ros.interfaces.arming_gate import arming_for_sink
from ocrrl_ros.interfaces.graph_plan import COMPOSABLE, LOCKSTEP_NODES, MANAGED_NODES
from ocrrl_ros.interfaces.gripper_drivers import DriverNames
from ocrrl_ros.interfaces.gripper_state import GRIPPER_COMMAND_TOPIC, GRIPPER_STATE_TOPIC
from ocrrl_ros.interfaces.image_conversions import COLOUR_TOPIC
from ocrrl_ros.interfaces.lockstep import CLOCK_TOPIC, DONE_TOPIC
from ocrrl_ros.interfaces.monitor import DIAGNOSTICS_TOPIC
from ocrrl_ros.interfaces.qos import ARM_TOPICS, CAMERA_TOPICS, TopicSpec
from ocrrl_ros.interfaces.recorded_topics import recorded_fast_topics, recorded_topics
from ocrrl_ros.robot.arming_config import ArmingConfig

_CAMERA_INFO = 'camera/camera/color/camera_info'
_ALIGNED = 'camera/camera/aligned_depth_to_color'
_EXTRINSICS = 'camera/camera/extrinsics/base_to_color'
_INSTRUCTION = 'base_policy/instruction'
_JOINTS = 'franka/joint_states'
_ROBOT_STATE = 'franka_robot_state_broadcaster/robot_state'
_OWN_POSE = 'franka_robot_state_broadcaster/current_pose'
_RECOVERY = 'action_server/error_recovery'
#: What the nodes of the command ros2 are called; a pattern, as DDS takes them.
_ROS2CLI = '_ros2cli*'
#: People try with that command, too; its nodes have what rclpy gives every node.
_CLI_REPLY = frozenset(f'/{_ROS2CLI}{name[1:]}' for name in COMMON_REPLY)
_TELEOP = ('teleop/target_pose', 'teleop/gripper')
#: What rclpy gives a lifecycle node; its topic tells of each transition.
_LIFECYCLE = ('change_state', 'get_state', 'get_available_states', 'get_available_transitions',
              'get_transition_graph')
_TRANSITIONS = 'transition_event'
#: Topics of the arm's face that the hand and robot_state_publisher have, not the arm's driver.
_NOT_THE_ARM = ('robot_description', 'franka_gripper/joint_states', GRIPPER_STATE_TOPIC)
_EPISODE = tuple(f'episode/{name}' for name in ('start', 'stop', 'mark_success', 'mark_failure'))
_SWITCHES = tuple(f'residual_policy/{name}' for name in (
    'set_enabled', 'hold', 'recover', 'resume'))


def _names(specs: tuple[TopicSpec, ...], direction: str) -> frozenset[str]:
    """Return the topics of one direction."""
    return frozenset(spec.name for spec in specs if spec.direction == direction)


def _poses(config: AccessConfig) -> frozenset[str]:
    """Return the topics of the objects' poses."""
    return frozenset(f'objects/{name}/pose' for name in config.object_ids)


def _where(condition: bool, *names: str) -> frozenset[str]:
    """Return the names where the condition holds."""
    return frozenset(names) if condition else frozenset()


def _episode(config: AccessConfig) -> tuple[NodeAccess, ...]:
    return (NodeAccess(
        node='episode', publish=frozenset({episode_state.TOPIC, _INSTRUCTION}),
        subscribe=frozenset({'episode/instruction'}), reply=frozenset(_EPISODE)),)


def _pose_estimator(config: AccessConfig) -> tuple[NodeAccess, ...]:
    prompts = (f'objects/{name}/prompt' for name in config.object_ids)
    return (NodeAccess(
        node='pose_estimator',
        publish=_poses(config) | {'objects/status'} | _where(
            'vision_msgs' in config.packages, 'objects/detections'),
        subscribe=frozenset({
            COLOUR_TOPIC, _CAMERA_INFO, f'{_ALIGNED}/image_raw', _EXTRINSICS,
            episode_state.TOPIC, *config.detection_topics}) | _where(
                config.wrist_camera, 'current_pose') | _where(config.prompts, *prompts)),)


def _base_policy(config: AccessConfig) -> tuple[NodeAccess, ...]:
    return (NodeAccess(
        node='base_policy',
        publish=frozenset({'base_policy/tcp_chunk', 'base_policy/gripper_chunk'}),
        subscribe=frozenset({
            COLOUR_TOPIC, 'current_pose', GRIPPER_STATE_TOPIC, _INSTRUCTION,
            episode_state.TOPIC})),)


def _residual_policy(config: AccessConfig) -> tuple[NodeAccess, ...]:
    has_franka = 'franka_msgs' in config.packages
    heard, asked = _preflight(config)
    return (NodeAccess(
        node='residual_policy',
        publish=frozenset({
            recorded_fast_topics(config.sink)[-1].split(':')[0], GRIPPER_COMMAND_TOPIC,
            *(f'residual_policy/{name}' for name in ('action', 'state', 'arrows'))}),
        subscribe=(_where(True, COLOUR_TOPIC) if config.image_residual else _poses(config)) | {
            _JOINTS, GRIPPER_STATE_TOPIC, _INSTRUCTION, episode_state.TOPIC,
            'operator/deadman', *_TELEOP,
            *(f'base_policy/{name}_chunk' for name in ('tcp', 'joint', 'gripper'))} | _where(
                has_franka, _ROBOT_STATE) | heard,
        reply=frozenset(_SWITCHES), request=asked,
        call=_where(has_franka and config.preflight != 'fci', _RECOVERY) | _where(
            config.homing == 'follow_joint_trajectory',
            f'{SinkConfig().jtc_controller}/follow_joint_trajectory')),)


def _preflight(config: AccessConfig) -> tuple[frozenset[str], frozenset[str]]:
    """Return what is heard and asked to know whether the arm may move, and to recover it."""
    arm = config.preflight
    manager = ('list_controllers', 'switch_controller', 'list_hardware_components',
               'set_hardware_component_state')
    asked = frozenset({'fci_arm/error_recovery'}) if arm == 'fci' else _where(
        'controller_manager_msgs' in config.packages,
        *(f'controller_manager/{name}' for name in manager))
    if arm == 'none':
        return frozenset(), asked
    heard = _where(True, 'current_pose') | _where(
        arm == 'fci', DIAGNOSTICS_TOPIC, 'fci_arm/state') | _where(
        arm == 'franka_ros2', _OWN_POSE) | _where(arm != 'sim', 'gripper/state')
    if arm == 'franka_ros2':
        checks = arming_for_sink(
            ArmingConfig(arm=arm, controllers=config.arming_controllers), config.sink,
            SinkConfig())
        if checks.checks_gains:
            asked |= {f'{name}/{kind}_parameters' for name in checks.allowed_controllers
                      for kind in ('list', 'get')}
    return heard, asked


def _recorder(config: AccessConfig) -> tuple[NodeAccess, ...]:
    listed = (*recorded_topics(config.object_ids), *recorded_fast_topics(config.sink))
    return (NodeAccess(
        node='recorder', subscribe=frozenset({
            *(entry.split(':')[0] for entry in listed), COLOUR_TOPIC, episode_state.TOPIC})),)


def _gripper(config: AccessConfig) -> tuple[NodeAccess, ...]:
    names, driver = DriverNames(), config.gripper
    is_franka, is_crisp = driver == 'franka', driver == 'crisp'
    streamed = _where(is_crisp, names.crisp) | _where(
        driver == 'width_percent', names.width_percent)
    return (NodeAccess(
        node='gripper',
        publish=streamed | {'gripper/state'} | _where(not is_crisp, GRIPPER_STATE_TOPIC),
        subscribe=frozenset({
            GRIPPER_COMMAND_TOPIC,
            GRIPPER_STATE_TOPIC if is_crisp else 'franka_gripper/joint_states'}),
        reply=frozenset({'gripper/home'}),
        request=_where(is_franka, f'{names.franka}/stop'),
        call=_where(is_franka, *(f'{names.franka}/{n}' for n in ('move', 'grasp', 'homing')))
        | _where(driver == 'gripper_command', names.gripper_command)),)


def _camera(config: AccessConfig) -> tuple[NodeAccess, ...]:
    depth = (f'{_ALIGNED}/image_raw', f'{_ALIGNED}/camera_info') if config.aligned_depth else (
        'camera/camera/depth/image_rect_raw', 'camera/camera/depth/camera_info')
    return (NodeAccess(node='camera', publish=frozenset({
        COLOUR_TOPIC, f'{COLOUR_TOPIC}/compressed', _CAMERA_INFO, *depth})),)


def _fci_arm(config: AccessConfig) -> tuple[NodeAccess, ...]:
    has_franka = 'franka_msgs' in config.packages
    arm = NodeAccess(
        node='fci_arm',
        publish=_names(ARM_TOPICS, 'publisher') - frozenset(_NOT_THE_ARM) | {'~/state'} | _where(
            has_franka, _ROBOT_STATE),
        subscribe=frozenset({'target_joint'}),
        reply=frozenset({'~/error_recovery', '~/stop'}))
    actions = NodeAccess(node='fci_arm_actions', execute=frozenset({_RECOVERY}))
    return (arm, actions) if has_franka else (arm,)


def _mujoco_bridge(config: AccessConfig) -> tuple[NodeAccess, ...]:
    has_franka, has_control = (
        name in config.packages for name in ('franka_msgs', 'control_msgs'))
    has_tf = 'tf2_msgs' in config.packages
    truth = (f'~/sim/objects/{name}/pose' for name in config.object_ids)
    bridge = NodeAccess(
        node='mujoco_bridge',
        publish=_names(ARM_TOPICS, 'publisher') - {'robot_description'} | {
            '~/real_time_factor', '~/sim/task_state', *truth} | _where(
                config.lockstep, CLOCK_TOPIC) | _where(has_franka, _ROBOT_STATE),
        subscribe=_names(ARM_TOPICS, 'subscription') | {'~/sim/push'} | _where(
            config.lockstep, DONE_TOPIC),
        reply=frozenset({'~/sim/reset', 'franka_gripper/stop'}))
    description = NodeAccess(
        node='robot_state_publisher',
        publish=frozenset({'robot_description'}) | _where(has_tf, '/tf', '/tf_static'))
    renderer = NodeAccess(
        node='mujoco_bridge_renderer',
        publish=_names(CAMERA_TOPICS, 'publisher') | _where(has_tf, '/tf_static'))
    hand = tuple(f'franka_gripper/{name}' for name in ('move', 'homing', 'grasp'))
    moves = tuple(f'{name}/follow_joint_trajectory' for name in (
        'joint_trajectory_controller', 'fr3_arm_controller'))
    actions = NodeAccess(
        node='mujoco_bridge_actions',
        execute=_where(has_franka, *hand, _RECOVERY) | _where(
            has_control, 'franka_gripper/gripper_action', *moves))
    rest = (actions,) if actions.execute else ()
    return (bridge, description, renderer, *rest)


def _operator(config: AccessConfig) -> tuple[NodeAccess, ...]:
    """Return what people and their tools may do: start, stop and look, but send no targets."""
    seen = (COLOUR_TOPIC, f'{COLOUR_TOPIC}/compressed', _CAMERA_INFO, 'joint_states',
            'current_pose', GRIPPER_STATE_TOPIC, 'gripper/state', 'fci_arm/state',
            episode_state.TOPIC, _INSTRUCTION, 'objects/status', '/rosout', DIAGNOSTICS_TOPIC,
            *(f'residual_policy/{name}' for name in ('action', 'state', 'arrows')))
    parameters = ('get_parameters', 'list_parameters', 'describe_parameters', 'set_parameters')
    return (NodeAccess(
        node='operator',
        publish=frozenset({'operator/deadman', 'episode/instruction'}) | _where(
            config.prompts, *(f'objects/{name}/prompt' for name in config.object_ids)),
        subscribe=_poses(config) | frozenset(seen) | {
            f'{name}/{_TRANSITIONS}' for name in MANAGED_NODES},
        reply=_CLI_REPLY,
        request=frozenset({
            *_EPISODE, *_SWITCHES, 'gripper/home', 'fci_arm/error_recovery', 'fci_arm/stop',
            *(f'{name}/{service}' for name in MANAGED_NODES for service in _LIFECYCLE),
            *(f'residual_policy/{name}' for name in parameters)})),)


def _teleop(config: AccessConfig) -> tuple[NodeAccess, ...]:
    """Return what the device of a person who takes over may do: it moves arm and hand."""
    return (NodeAccess(
        node='teleop', publish=frozenset(_TELEOP),
        subscribe=frozenset({
            'joint_states', 'current_pose', GRIPPER_STATE_TOPIC, 'residual_policy/state'}),
        reply=_CLI_REPLY),)


def _calibrate_camera(config: AccessConfig) -> tuple[NodeAccess, ...]:
    return (NodeAccess(
        node='calibrate_camera',
        subscribe=frozenset({COLOUR_TOPIC, _CAMERA_INFO, _JOINTS})),)


_ROWS: dict[str, Callable[[AccessConfig], tuple[NodeAccess, ...]]] = {
    'mujoco_bridge': _mujoco_bridge, 'fci_arm': _fci_arm, 'gripper': _gripper,
    'camera': _camera, 'episode': _episode, 'pose_estimator': _pose_estimator,
    'base_policy': _base_policy, 'residual_policy': _residual_policy, 'recorder': _recorder,
    'operator': _operator, 'teleop': _teleop, 'calibrate_camera': _calibrate_camera}
#: Processes with an enclave of their own; composed is that of nodes that share one.
PROCESSES = (*_ROWS, 'composed')
#: Nodes that report the periods of a loop.
_WITHOUT_DIAGNOSTICS = (
    'robot_state_publisher', 'mujoco_bridge_actions', 'fci_arm_actions', 'operator',
    'teleop', 'calibrate_camera')
#: Nodes to which nobody hands the arguments of the process, use_sim_time among them.
_ON_WALL_TIME = ('robot_state_publisher', 'operator', 'teleop', 'calibrate_camera')


def process_access(process: str, config: AccessConfig) -> tuple[NodeAccess, ...]:
    """
    Return the access of each node of a process, without what every node has.

    :param process: one of ``PROCESSES``.
    """
    if process == 'composed':
        return tuple(row for name in COMPOSABLE for row in process_access(name, config))
    return tuple(_complete(row, config) for row in _ROWS[process](config))


def _complete(row: NodeAccess, config: AccessConfig) -> NodeAccess:
    """Return a row with diagnostics, lifecycle and, in lockstep, the clock and its answers."""
    is_managed = row.node in MANAGED_NODES
    is_answering = config.lockstep and row.node in (*LOCKSTEP_NODES, 'recorder')
    publish = row.publish | _where(is_answering, DONE_TOPIC) | _where(
        row.node not in _WITHOUT_DIAGNOSTICS, DIAGNOSTICS_TOPIC) | _where(
        is_managed, f'~/{_TRANSITIONS}')
    hears_clock = config.lockstep and row.node not in _ON_WALL_TIME
    return NodeAccess(
        node=row.node, publish=publish, subscribe=row.subscribe | _where(hears_clock, CLOCK_TOPIC),
        reply=row.reply | _where(is_managed, *(f'~/{name}' for name in _LIFECYCLE)),
        request=row.request, execute=row.execute, call=row.call)
