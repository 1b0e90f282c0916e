# SPDX-License-Identifier: Apache-2.0
"""
Every node as a process: what it really says, hears, offers and calls is what its policy grants.

Both directions: a name that a node uses and its policy lacks, and one that it grants and no node
uses. Which parameters may be set while a node runs is looked at in the same processes.
"""

import dataclasses
import importlib.util
import os
from pathlib import Path
import time

from analytic_sam2 import analytic_decoder, analytic_encoder
import numpy as np
from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.interfaces.access_config import AccessConfig, PACKAGES
from ocrrl_ros.interfaces.access_policy import policy_text
from ocrrl_ros.interfaces.calibration_recorder import CalibrationRecorder
from ocrrl_ros.interfaces.graph_plan import GraphConfig, parse_arguments, plan_graph
from ocrrl_ros.interfaces.security import enclave_path
from ocrrl_ros.perception.calibration.board import BoardConfig
from ocrrl_ros.perception.calibration.capture import CaptureConfig
from ocrrl_ros.perception.calibration.samples import SampleFolder
from ocrrl_ros.robot.fr3 import READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
from policy_reader import read_policy
import pytest
from rcl_interfaces.srv import DescribeParameters, ListParameters, SetParameters
from rclpy.action import (
    get_action_client_names_and_types_by_node, get_action_server_names_and_types_by_node)
from rclpy.parameter import Parameter
from ros_harness import NodeProcess, Probe, running
from std_msgs.msg import String
from test_residual_policy_image import bright_residual
from tiny_bundles import tiny_base, tiny_residual

BAG = Path(__file__).resolve().parents[1] / 'data' / 'software_camera.bag'
INSTALLED = tuple(name for name in PACKAGES if importlib.util.find_spec(name))
START = FrankaKinematics().forward(np.array(READY_POSITION))
#: Names under which rclpy carries actions; they are looked at as actions.
ACTION = '/_action/'
SETTLE_S = 1.0
#: Parameters that may be set while a node runs, by node; nothing else, on no node.
LIVE = {
    'residual_policy': {'controller.residual_gain', 'speed_scale'},
    'mujoco_bridge': {'sim.seed', 'sim.episode'}}
#: Declared live by rclpy; ours refuse to change it.
CLOCK = 'use_sim_time'


@dataclasses.dataclass(frozen=True)
class Case:
    """A process with parameters, and the configuration that its policy is written for."""

    process: str
    parameters: dict = dataclasses.field(default_factory=dict)
    access: dict = dataclasses.field(default_factory=dict)
    module: str = ''
    arguments: tuple = ()
    bundles: tuple = ()
    packages: tuple = ()


TASK = {'tasks': ('cube_lift',)}
ALONE = TASK | {'preflight': 'none'}
CUBE = {'task': 'cube_lift'}
NO_RESIDUAL = {'residual': 'none'}
CONTROL, FRANKA, MANAGER = 'control_msgs', 'franka_msgs', 'controller_manager_msgs'


def launched(name, *arguments):
    """Return the parameters that launch gives a node of the real robot."""
    config = from_mapping(GraphConfig, parse_arguments([
        'robot:=fr3', 'robot_ip:=127.0.0.77', 'task:=cube_lift', 'residual:=none', *arguments]),
        'test')
    return next(plan.parameters for plan in plan_graph(config) if plan.name == name)


CASES = {
    'episode': Case('episode'),
    'base_policy': Case('base_policy', {}, {}, bundles=('bundle',)),
    'residual_policy': Case('residual_policy', CUBE, ALONE, bundles=('residual',)),
    'residual_policy with preflight': Case(
        'residual_policy', CUBE | NO_RESIDUAL | {
            'preflight': True, 'arming.arm': 'franka_ros2'}, TASK),
    'residual_policy with preflight of fci_arm': Case(
        'residual_policy', CUBE | NO_RESIDUAL | {
            'preflight': True, 'arming.arm': 'fci', 'robot_state_topic': 'fci_arm/state',
            'recovery.driver': 'fci_arm'}, TASK | {'preflight': 'fci'}),
    'residual_policy of the real robot': Case(
        'residual_policy', launched('residual_policy'), TASK, packages=(FRANKA, MANAGER)),
    'residual_policy of the real robot by trajectories': Case(
        'residual_policy', launched(
            'residual_policy', 'sink:=jtc_trajectory', 'homing:=follow_joint_trajectory'),
        TASK | {'sink': 'jtc_trajectory', 'homing': 'follow_joint_trajectory'},
        packages=(CONTROL, FRANKA, MANAGER)),
    'residual_policy of the real robot without a real-time PC': Case(
        'residual_policy', launched('residual_policy', 'arm_driver:=fci'),
        TASK | {'preflight': 'fci'}, packages=(FRANKA, MANAGER)),
    'residual_policy with preflight of a simulated arm': Case(
        'residual_policy', CUBE | NO_RESIDUAL | {
            'preflight': True, 'arming.arm': 'sim', 'sink': 'crisp_pose'},
        TASK | {'preflight': 'sim', 'sink': 'crisp_pose'}),
    'residual_policy of two objects by pose': Case(
        'residual_policy', {'task': 'stack_cube', 'residual': 'none', 'sink': 'crisp_pose'},
        {'tasks': ('stack_cube',), 'sink': 'crisp_pose', 'preflight': 'none'}),
    'residual_policy that sees': Case(
        'residual_policy', CUBE, ALONE | {'image_residual': True}, bundles=('image',)),
    'pose_estimator': Case('pose_estimator', CUBE, TASK),
    'pose_estimator on the wrist': Case(
        'pose_estimator', CUBE | {'tcp_T_camera': [0.05, 0.0, -0.05, 0.0, 0.0, 0.0, 1.0]},
        TASK | {'wrist_camera': True}),
    'pose_estimator with prompts': Case(
        'pose_estimator', CUBE | {'mask_backend': 'sam2_onnx'}, TASK | {'prompts': True},
        bundles=('sam2',)),
    'pose_estimator that is told': Case(
        'pose_estimator', CUBE | {
            'pose_backend': 'detections', 'detections.topics': ['cube:=isaac/output']},
        TASK | {'detection_topics': ('isaac/output',)}, module='told_estimator_node'),
    'recorder': Case('recorder', {}, TASK),
    'gripper franka': Case('gripper', {'driver': 'franka'}),
    'gripper gripper_command': Case(
        'gripper', {'driver': 'gripper_command'}, {'gripper': 'gripper_command'}),
    'gripper width_percent': Case(
        'gripper', {'driver': 'width_percent'}, {'gripper': 'width_percent'}),
    'gripper crisp': Case('gripper', {'driver': 'crisp'}, {'gripper': 'crisp'}),
    'camera': Case('camera', {'rosbag_filename': str(BAG)}),
    'camera, depth as it comes': Case(
        'camera', {'rosbag_filename': str(BAG), 'align_depth.enable': False},
        {'aligned_depth': False}),
    'fci_arm': Case('fci_arm', {'robot_ip': '127.0.0.77'}),
    'fci_arm with franka_msgs': Case(
        'fci_arm', launched('fci_arm', 'arm_driver:=fci'), packages=(FRANKA,)),
    'mujoco_bridge': Case('mujoco_bridge', {'sim.task': 'cube_lift'}, TASK),
    'mujoco_bridge in lockstep': Case(
        'mujoco_bridge', {'sim.task': 'cube_lift', 'use_sim_time': True},
        TASK | {'lockstep': True}),
    'episode in lockstep': Case('episode', {'use_sim_time': True}, {'lockstep': True}),
    'composed': Case('composed', {}, TASK, arguments=('episode,recorder',)),
}
SHARING = ('episode', 'recorder')


def settings_of(bundles, folder):
    """Return the parameters that name models written to a folder."""
    found = {}
    for name in bundles:
        if name == 'bundle':
            found['bundle'] = str(tiny_base(folder / name, START, np.zeros(3)))
        elif name == 'residual':
            found['residual'] = str(tiny_residual(folder / name, np.zeros(7)))
        elif name == 'image':
            found['residual'] = str(bright_residual(folder / name))
        else:
            for part, model in (('encoder', analytic_encoder()), ('decoder', analytic_decoder())):
                (folder / f'{part}.onnx').write_bytes(model)
                found[f'sam2.{part}_model'] = str(folder / f'{part}.onnx')
    return found


def needs(process, request):
    """Skip where the library of the hardware is missing."""
    if process in ('camera', 'fci_arm'):
        request.getfixturevalue('rs' if process == 'camera' else 'pylibfranka')


@pytest.fixture
def paths(tmp_path, monkeypatch, request):
    """Let processes find the test's own modules and stand-ins for packages."""
    tests = Path(__file__).resolve().parent
    reason = 'test_msgs is missing: pip install ros-test-msgs==2.0.3'

    def add(case):
        folders = [str(tests), str(tests.parent)]
        if case.process == 'gripper' and case.parameters['driver'] in (
                'franka', 'gripper_command') and 'franka_msgs' not in INSTALLED:
            pytest.importorskip('test_msgs.action', reason=reason)
            from stand_in_actions import write_packages
            write_packages(tmp_path / 'packages')
            folders.insert(0, str(tmp_path / 'packages'))
        if case.packages:
            pytest.importorskip('test_msgs.action', reason=reason)
            request.getfixturevalue('stand_ins')(*(
                name for name in case.packages if name not in INSTALLED))
        monkeypatch.setenv(
            'PYTHONPATH', os.pathsep.join([*folders, os.environ.get('PYTHONPATH', '')]))

    return add


def names(found):
    """Return the names of a list of names and types, without those that carry actions."""
    return {name for name, _ in found if ACTION not in name}


def used(node, name, namespace):
    """Return what a node really has, by kind."""
    return {
        'publish': names(node.get_publisher_names_and_types_by_node(name, namespace)),
        'subscribe': names(node.get_subscriber_names_and_types_by_node(name, namespace)),
        'reply': names(node.get_service_names_and_types_by_node(name, namespace)),
        'request': names(node.get_client_names_and_types_by_node(name, namespace)),
        'execute': names(get_action_server_names_and_types_by_node(node, name, namespace)),
        'call': names(get_action_client_names_and_types_by_node(node, name, namespace))}


def differences(probe, granted, namespace):
    """Return one line for each name that is used and not granted, or granted and not used."""
    here = {name for name, place in probe.node.get_node_names_and_namespaces()
            if place == namespace}
    found = [f'{name}: no policy' for name in sorted(here - granted.keys())]
    found += [f'{name}: no such node' for name in sorted(granted.keys() - here)]
    for name in sorted(here & granted.keys()):
        has = used(probe.node, name, namespace)
        for kind, allowed in granted[name].items():
            found += [f'{name} may not {kind} {item}' for item in sorted(has[kind] - allowed)]
            found += [f'{name} does not {kind} {item}' for item in sorted(allowed - has[kind])]
    return found


def policy_of(case, namespace):
    """Return what is granted to each node of the case's process."""
    text = policy_text(AccessConfig(
        namespace=namespace, packages=(*{*INSTALLED, *case.packages},), **case.access))
    granted = read_policy(text)[enclave_path(case.process, namespace)]
    return {name: granted[name] for name in SHARING} if case.arguments else granted


def start(case, namespace, folder):
    """Return the running process of a case."""
    return NodeProcess(
        case.module or f'ocrrl_ros.nodes.{case.process}_node', folder / 'log.txt',
        case.parameters | settings_of(case.bundles, folder), ('-r', f'__ns:=/{namespace}'),
        case.arguments)


@pytest.fixture
def watcher(ros):
    found = Probe()
    yield found
    found.close()


def settled(probe, node, granted, namespace):
    """Wait until nothing differs, then for a while, and return what differs at last."""
    end_s = time.monotonic() + 40.0
    while differences(probe, granted, namespace) and time.monotonic() < end_s:
        assert node.process.poll() is None, node.log
        time.sleep(0.1)
    # What is created or discovered later than the last that was waited for.
    time.sleep(SETTLE_S)
    return differences(probe, granted, namespace)


def live_parameters(probe, name):
    """Return the parameters of a node that are not read-only, the clock's aside."""
    listed = probe.call(ListParameters, f'{name}/list_parameters', ListParameters.Request())
    known = list(listed.result.names)
    assert CLOCK in known
    answer = probe.call(
        DescribeParameters, f'{name}/describe_parameters',
        DescribeParameters.Request(names=known))
    return {item.name for item in answer.descriptors if not item.read_only} - {CLOCK}


def check_parameters(probe, granted, namespace):
    """Nothing but what LIVE lists can be set over the network, the clock's source neither."""
    for name in granted:
        if name == 'mujoco_bridge_renderer':
            continue  # it has the services, and nobody answers them
        path = f'/{namespace}/{name}'
        assert live_parameters(probe, path) == LIVE.get(name, set()), name
        answer = probe.call(SetParameters, f'{path}/set_parameters', SetParameters.Request(
            parameters=[Parameter(CLOCK, value=True).to_parameter_msg()]))
        result, = answer.results
        assert not result.successful and 'life of the node' in result.reason


@pytest.mark.parametrize('name', CASES)
def test_node_uses_what_its_policy_grants_and_nothing_else(
        watcher, paths, tmp_path, request, name):
    case = CASES[name]
    needs(case.process, request)
    paths(case)
    namespace = f'access_{list(CASES).index(name)}'
    granted = policy_of(case, namespace)
    with running(start(case, namespace, tmp_path)) as node:
        assert settled(watcher, node, granted, f'/{namespace}') == [], node.log
        if not case.parameters.get(CLOCK):
            check_parameters(watcher, granted, namespace)


def test_calibration_uses_what_its_policy_grants_and_nothing_else(ros, watcher, tmp_path):
    namespace = 'access_calibration'
    node = ros.create_node('calibrate_camera', namespace=namespace)
    try:
        CalibrationRecorder(
            node, SampleFolder(tmp_path), 'fixed', BoardConfig(), CaptureConfig(),
            'camera/camera', 'franka/joint_states')
        granted = policy_of(Case('calibrate_camera'), namespace)
        watcher.until(
            lambda: not differences(watcher, granted, f'/{namespace}'), what='no difference')
    finally:
        node.destroy_node()


def test_the_comparison_finds_a_name_too_many_and_one_too_few(ros, watcher):
    namespace = 'access_compared'
    node = ros.create_node('calibrate_camera', namespace=namespace)
    try:
        granted = policy_of(Case('calibrate_camera'), namespace)
        node.create_publisher(String, 'whispers', 1)
        wanted = {
            f'calibrate_camera may not publish /{namespace}/whispers',
            f'calibrate_camera does not subscribe /{namespace}/franka/joint_states'}
        watcher.until(
            lambda: wanted <= set(differences(watcher, granted, f'/{namespace}')),
            what='both differences')
    finally:
        node.destroy_node()
