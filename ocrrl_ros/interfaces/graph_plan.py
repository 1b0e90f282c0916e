# SPDX-License-Identifier: Apache-2.0
"""
Which processes make up the graph, with which parameters: the one source for stack and launch.

Pure data in, pure data out; ``launch/`` and the ``stack`` executable only start what is planned
here, so that both bring up the same graph.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Literal

from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.core.resources import bundle_path, default_base, default_residual
from ocrrl_ros.interfaces.recorded_topics import recorded_fast_topics, recorded_topics
from ocrrl_ros.policy.task_spec import known_task_specs, load_task_spec
from ocrrl_ros.robot.arming_config import ArmingConfig, JTC_CONTROLLER, TARGET_OF_SINK

#: Sub-systems, one launch file each.
SUBSYSTEMS = {
    'robot': ('mujoco_bridge', 'fci_arm', 'gripper'), 'perception': ('camera', 'pose_estimator'),
    'policy': ('episode', 'base_policy', 'residual_policy', 'recorder')}
#: Participants of lockstep: every node that takes part in a tick's outcome.
LOCKSTEP_NODES = ('pose_estimator', 'base_policy', 'residual_policy', 'episode')
#: Lifecycle nodes: their start is expensive or dangerous.
MANAGED_NODES = ('fci_arm', 'camera', 'base_policy', 'pose_estimator')
#: Nodes that can share a process; the bridge's physics wants one of its own.
COMPOSABLE = ('episode', 'pose_estimator', 'base_policy', 'residual_policy', 'recorder')
_FR3_GAIN = 0.0
_SIM_LATENCY_S = 0.14
#: The bridge alone publishes the arm's state as fast as the robot, 1 kHz and 500 Hz. Nobody in
#: this graph reads it faster than it sends commands, and on a laptop the camera needs the time.
_PRIORITIES_BELOW = 5
_POSE_RATE_HZ = 100.0

#: Simulated controllers that listen to a sink and to nothing else.
_ARM_CONTROLLERS = {
    'gello_joint': 'gello', 'equilibrium_pose': 'cartesian_impedance_example'}


#: Sinks that send joint targets on target_joint, which fci_arm takes.
_SINKS_OF_FCI = ('crisp_joint', 'ptp_async')


@dataclasses.dataclass(frozen=True, kw_only=True)
class GraphConfig:
    """The launch arguments that people rely on (design.md section 3)."""

    robot: Literal['sim', 'fr3'] = dataclasses.field(
        default='sim', metadata={'description': (
            'sim runs mujoco_bridge; fr3 is the real arm, see arm_driver and camera')})
    arm_driver: Literal['franka_ros2', 'fci'] = dataclasses.field(
        default='franka_ros2', metadata={'description': (
            'with robot:=fr3: franka_ros2 expects it to run, with CRISP; fci starts the node '
            'fci_arm, which needs no real-time PC')})
    camera: Literal['realsense2_camera', 'realsense'] = dataclasses.field(
        default='realsense2_camera', metadata={'description': (
            'with robot:=fr3: realsense2_camera expects that driver to run; realsense starts the '
            'node camera')})
    gripper: Literal['franka', 'gripper_command', 'width_percent', 'crisp', 'none'] = (
        dataclasses.field(default='franka', metadata={'description': (
            'with robot:=fr3: driver of the hand that the node gripper commands; none: something '
            'else listens to gripper/gripper_position_controller/commands, such as the adapter '
            'of CRISP')}))
    robot_ip: str = dataclasses.field(
        default='', metadata={'description': (
            'address of the FR3; robot:=fr3 asks for it, arm_driver:=fci uses it')})
    task: str = dataclasses.field(
        default='cube_lift', metadata={'description': 'task, a file of config/tasks'})
    vla: str = dataclasses.field(
        default='', metadata={'description': (
            'base bundle folder; empty: that of the domain, which is base_sim for sim alone')})
    residual: str = dataclasses.field(
        default='', metadata={'description': 'residual bundle folder; empty: that of the task'})
    domain: str = dataclasses.field(
        default='proxy', metadata={'description': 'simulated world: sim, proxy or a YAML file'})
    namespace: str = dataclasses.field(
        default='', metadata={'description': 'namespace of every node'})
    record: bool = dataclasses.field(
        default=False, metadata={'description': 'write one MCAP per episode'})
    record_dir: str = dataclasses.field(
        default='out/episodes', metadata={'description': 'folder of recorded episodes'})
    enable_residual: bool = dataclasses.field(
        default=True, metadata={'description': 'whether the residual is on at start-up'})
    params_file: str = dataclasses.field(
        default='', metadata={'description': 'ROS parameter file applied last'})
    sink: str = dataclasses.field(
        default='crisp_joint', metadata={'description': (
            'where commands go: crisp_joint, crisp_pose or another of docs/robot.md')})
    homing: Literal['none', 'own', 'follow_joint_trajectory', 'moveit'] = dataclasses.field(
        default='none', metadata={'description': (
            'how the arm goes home when an episode starts; follow_joint_trajectory and moveit '
            'need sink:=jtc_trajectory on the real arm, see docs/robot.md')})
    command_rate_hz: float = dataclasses.field(
        default=200.0, metadata={'description': 'rate of streamed commands, Hz'})
    realtime_priority: int = dataclasses.field(
        default=20, metadata={'description': 'SCHED_FIFO priority of real-time loops, 0: none'})
    latency_s: float = dataclasses.field(
        default=_SIM_LATENCY_S, metadata={
            'description': 'least image-to-chunk time of the embedded base in simulation, s'})
    lockstep: bool = dataclasses.field(
        default=False, metadata={'description': 'simulated time, one tick at a time'})
    view: bool = dataclasses.field(
        default=False, metadata={'description': 'open the viewer of the simulator'})
    compose: str = dataclasses.field(
        default='', metadata={
            'description': 'nodes that share a process, as a,b; empty: one process per node'})

    def __post_init__(self) -> None:
        """Refuse contradictions by name."""
        if self.task not in known_task_specs():
            raise UnknownNameError('task', self.task, known_task_specs(), 'argument task')
        if self.robot == 'fr3' and not self.robot_ip:
            raise ConfigError('robot is fr3 but robot_ip is empty; give robot_ip:=<address>')
        if self.camera == 'realsense' and self.robot != 'fr3':
            raise ConfigError('camera is realsense; allowed with robot:=fr3 only')
        if self.arm_driver == 'fci' and self.robot != 'fr3':
            raise ConfigError('arm_driver is fci; allowed with robot:=fr3 only')
        if self.arm_driver == 'fci' and self.sink not in _SINKS_OF_FCI:
            raise ConfigError(
                f'sink is {self.sink!r}; allowed with arm_driver:=fci: '
                f'{", ".join(_SINKS_OF_FCI)}')
        self._check_homing()
        if self.gripper not in ('franka', 'none') and self.robot != 'fr3':
            raise ConfigError(f'gripper is {self.gripper}; allowed with robot:=fr3 only')
        if self.robot == 'fr3' and self.lockstep:
            raise ConfigError('lockstep is true; allowed with robot:=sim only')
        if self.compose and 'recorder' in composed_names(self.compose) and not self.record:
            raise ConfigError('compose names the recorder but record is false')

    def _check_homing(self) -> None:
        """Refuse a way home through a controller that the sink's own keeps from the arm."""
        # The simulated arm takes trajectories beside CRISP's targets; real controllers do not
        # share the arm, and nobody here switches them in the middle of an episode's start.
        shares = self.robot == 'sim' and self.sink not in _ARM_CONTROLLERS
        if self.homing in ('none', 'own') or shares or self.sink == 'jtc_trajectory':
            return
        raise ConfigError(
            f'homing is {self.homing} and sink {self.sink}; that way home needs a joint '
            'trajectory controller active, the sink another, and nothing here switches them; '
            'allowed: homing:=none, homing:=own, or sink:=jtc_trajectory')


@dataclasses.dataclass(frozen=True)
class NodePlan:
    """One node: executable and parameters by dotted name."""

    name: str
    parameters: dict[str, Any]


def composed_names(text: str) -> tuple[str, ...]:
    """
    Return the nodes of ``a,b``.

    :raises ConfigError: a name is unknown or given twice, or there are fewer than two.
    """
    names = tuple(name.strip() for name in text.split(','))
    for name in names:
        if name not in COMPOSABLE:
            raise UnknownNameError('node', name, COMPOSABLE, 'nodes that share a process')
    if len(names) < 2 or len(set(names)) != len(names):
        raise ConfigError(f'compose is {text!r}; two or more different nodes are expected')
    return names


def group_processes(plans: list[NodePlan], compose: str) -> list[tuple[NodePlan, ...]]:
    """Return the nodes of each process; the shared one stands where its first node stood."""
    shared = composed_names(compose) if compose else ()
    together = tuple(plan for plan in plans if plan.name in shared)
    groups: list[tuple[NodePlan, ...]] = []
    for plan in plans:
        if plan.name not in shared:
            groups.append((plan,))
        elif plan is together[0]:
            groups.append(together)
    return groups


def process_executable(group: tuple[NodePlan, ...]) -> str:
    """Return the executable that runs the nodes of one process."""
    return group[0].name if len(group) == 1 else 'composed'


def process_arguments(group: tuple[NodePlan, ...]) -> list[str]:
    """Return what follows the executable: parameters, and the names of nodes that share."""
    if len(group) == 1:
        plan, = group
        flags = [('-p', text) for text in _parameter_texts(plan)]
        return ['--ros-args', *(word for flag in flags for word in flag)]
    return [
        ','.join(plan.name for plan in group),
        *(f'{plan.name}:{text}' for plan in group for text in _parameter_texts(plan)),
        '--ros-args']


def _parameter_texts(plan: NodePlan) -> list[str]:
    return [f'{name}:={parameter_text(value)}' for name, value in plan.parameters.items()]


def parameter_text(value: Any) -> str:
    """Return a parameter value as the YAML that ROS parses on a command line."""
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, (list, tuple)):
        return '[' + ', '.join(parameter_text(item) for item in value) + ']'
    return json.dumps(value)


def plan_graph(config: GraphConfig) -> list[NodePlan]:
    """
    Return the processes of the graph in the order of their start.

    :raises BundleError: a bundle is nowhere to be found.
    """
    simulated = config.robot == 'sim'
    common = {'use_sim_time': True} if config.lockstep else {}
    # On the real robot a driver of the arm and one of the camera play the bridge's part.
    plans = [_bridge(config)] if simulated else []
    if config.arm_driver == 'fci':
        plans.append(NodePlan('fci_arm', {'robot_ip': config.robot_ip}))
    if not simulated and config.gripper != 'none':
        plans.append(NodePlan('gripper', {'driver': config.gripper}))
    if config.camera == 'realsense':
        plans.append(NodePlan('camera', {}))
    plans += [
        NodePlan('episode', {'task': config.task}),
        NodePlan('pose_estimator', {'task': config.task}),
        NodePlan('base_policy', {
            'bundle': _base_bundle(config), 'replan.latency_s': config.latency_s * simulated}),
        NodePlan('residual_policy', _residual(config)),
    ]
    if config.record:
        plans.append(_recorder(config))
    return [NodePlan(plan.name, common | plan.parameters) for plan in plans]


def _base_bundle(config: GraphConfig) -> str:
    """Return the absolute folder of the base bundle."""
    if config.vla:
        return str(bundle_path(config.vla))
    return default_base(config.domain if config.robot == 'sim' else None)


def _residual_bundle(config: GraphConfig) -> str:
    """Return the absolute folder of the residual bundle, or what asks for none."""
    if config.residual == 'none':
        return config.residual
    if config.residual:
        return str(bundle_path(config.residual))
    return default_residual(config.task)


def _below(priority: int) -> int:
    """
    Return the priority of what stands for the robot, which has a processor of its own in reality.

    Below the command loop and the threads of its middleware, that is: at the same priority the
    loop waits for a physics step whenever both processors are busy with such threads.
    """
    return max(priority - _PRIORITIES_BELOW, 1) if priority else 0


def _bridge(config: GraphConfig) -> NodePlan:
    """Return the simulated robot."""
    parameters: dict[str, Any] = {
        'sim.task': config.task, 'sim.domain': config.domain, 'view': config.view,
        'realtime_priority': _below(config.realtime_priority),
        'rates.franka_joint_states_hz': config.command_rate_hz, 'rates.crisp_hz': _POSE_RATE_HZ}
    if config.sink in _ARM_CONTROLLERS:
        parameters['arm_controller'] = _ARM_CONTROLLERS[config.sink]
    if config.lockstep:
        # A recorder that takes part misses nothing.
        parameters['lockstep_participants'] = [
            *LOCKSTEP_NODES, *(['recorder'] if config.record else [])]
    return NodePlan('mujoco_bridge', parameters)


def _recorder(config: GraphConfig) -> NodePlan:
    """Return the recorder, with the topics of this task and this sink."""
    return NodePlan('recorder', {
        'folder': config.record_dir,
        'topics': list(recorded_topics(load_task_spec(config.task).object_ids)),
        'fast_topics': list(recorded_fast_topics(config.sink))})


def _residual(config: GraphConfig) -> dict[str, Any]:
    """Return the residual policy's parameters; on the real arm it starts slow and at gain 0."""
    parameters = {
        'task': config.task,
        'residual': _residual_bundle(config),
        'enable_residual': config.enable_residual, 'sink': config.sink,
        'arm_sink.robot': config.robot, 'realtime_priority': config.realtime_priority,
        'controller.command_rate_hz': config.command_rate_hz}
    if config.robot == 'fr3':
        parameters |= {
            'controller.require_deadman': True, 'controller.residual_gain': _FR3_GAIN,
            'speed_scale': 0.1, 'preflight': True, 'arming.arm': config.arm_driver}
        if config.gripper == 'none':
            # Nobody publishes gripper/state then.
            parameters['arming.skip'] = ['gripper']
        controller = _watched_controller(config)
        if controller:
            parameters['recovery.controller'] = controller
    if config.homing != 'none':
        parameters['homing'] = config.homing
    if config.robot == 'sim':
        parameters['recovery.driver'] = 'none'
    if config.arm_driver == 'fci':
        parameters |= {'robot_state_topic': 'fci_arm/state', 'recovery.driver': 'fci_arm'}
    return parameters


def _watched_controller(config: GraphConfig) -> str:
    """Return the controller that moves the real arm, or '' where only the operator knows it."""
    if config.arm_driver != 'franka_ros2':
        return ''
    if config.sink == 'jtc_trajectory':
        return JTC_CONTROLLER
    if config.sink in TARGET_OF_SINK:
        return ArmingConfig(target=TARGET_OF_SINK[config.sink]).allowed_controllers[0]
    return ''


def parse_arguments(arguments: list[str]) -> dict[str, Any]:
    """
    Return the mapping of ``name:=value`` arguments, as launch takes them.

    :raises ConfigError: an argument is not of that form, or a value does not fit.
    """
    fields = {field.name: field for field in dataclasses.fields(GraphConfig)}
    values: dict[str, Any] = {}
    for argument in arguments:
        name, separator, text = argument.partition(':=')
        if not separator:
            raise ConfigError(f'argument {argument!r} is not of the form name:=value')
        if name not in fields:
            raise UnknownNameError('argument', name, fields, 'command line')
        values[name] = _parse(name, text, fields[name].default)
    return values


def _parse(name: str, text: str, default: Any) -> Any:
    """Convert one argument to the type of its default."""
    if isinstance(default, bool):
        if text.lower() not in ('true', 'false'):
            raise ConfigError(f'{name} is {text!r}; allowed: true, false')
        return text.lower() == 'true'
    if isinstance(default, (int, float)):
        try:
            return type(default)(text)
        except ValueError as error:
            raise ConfigError(f'{name} is {text!r}; a number is expected') from error
    return text
