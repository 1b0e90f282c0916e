# SPDX-License-Identifier: Apache-2.0
"""The shipped policy is that of the table, and the table grants nobody more than it should."""

from pathlib import Path

from ocrrl_ros.cli.main import run
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.interfaces import access
from ocrrl_ros.interfaces.access import PROCESSES
from ocrrl_ros.interfaces.access_config import AccessConfig
from ocrrl_ros.interfaces.access_policy import policy_text
from ocrrl_ros.interfaces.graph_plan import SUBSYSTEMS
from policy_reader import read_policy
import pytest

POLICY = read_policy(policy_text(AccessConfig()))
NODES = {name: kinds for nodes in POLICY.values() for name, kinds in nodes.items()}
#: What programs of others publish: franka_ros2, CRISP, realsense2_camera, our calibration.
OTHERS = {
    '/camera/camera/extrinsics/base_to_color', '/franka_robot_state_broadcaster/current_pose'}
OFFERED_BY_OTHERS = {
    '/joint_impedance_controller/list_parameters', '/joint_impedance_controller/get_parameters',
    *(f'/controller_manager/{name}' for name in (
        'list_controllers', 'switch_controller', 'list_hardware_components',
        'set_hardware_component_state'))}


def who(kind, name):
    """Return the nodes to which something is granted."""
    return {node for node, kinds in NODES.items() if name in kinds[kind]}


def test_shipped_policy_is_what_the_command_writes(tmp_path, capsys):
    assert run(['security', 'policy', '--out', str(tmp_path / 'policy.xml')]) == 0
    shipped = config_path('sros2', 'policy.xml').read_text(encoding='utf-8')
    assert (tmp_path / 'policy.xml').read_text(encoding='utf-8') == shipped, (
        'run: ocrrl security policy --out config/sros2/policy.xml')
    assert '/ocrrl/residual_policy' in capsys.readouterr().out


def test_every_executable_that_launch_starts_has_an_enclave():
    started = {name for names in SUBSYSTEMS.values() for name in names} | {'composed'}
    assert started <= set(PROCESSES)
    assert set(POLICY) == {f'/ocrrl/{name}' for name in PROCESSES}


def test_every_executable_is_known_to_the_table():
    nodes = Path(access.__file__).parents[1] / 'nodes'
    executables = {path.stem.removesuffix('_node') for path in nodes.glob('*_node.py')}
    assert executables - {'stack'} <= set(PROCESSES)


@pytest.mark.parametrize(('kind', 'name', 'nodes'), [
    ('publish', '/target_joint', {'residual_policy'}),
    ('publish', '/target_pose', set()),
    ('publish', '/gripper/gripper_position_controller/commands', {'residual_policy'}),
    ('publish', '/operator/deadman', {'operator'}),
    ('publish', '/teleop/target_pose', {'teleop'}), ('publish', '/teleop/gripper', {'teleop'}),
    ('publish', '/episode/state', {'episode'}),
    ('publish', '/base_policy/instruction', {'episode'}),
    ('request', '/residual_policy/set_parameters', {'operator'}),
    ('request', '/residual_policy/resume', {'operator'}),
    ('request', '/fci_arm/error_recovery', {'operator'}),
    ('request', '/mujoco_bridge/sim/reset', set()),
    ('publish', '/mujoco_bridge/sim/push', set()),
    ('subscribe', '/mujoco_bridge/sim/objects/cube/pose', set()),
    ('call', '/franka_gripper/grasp', {'gripper'})])
def test_power_belongs_to_one(kind, name, nodes):
    assert who(kind, name) == nodes


def test_only_parameters_of_the_residual_policy_are_set_by_anybody():
    asked = {name for kinds in NODES.values() for name in kinds['request']
             if name.endswith('/set_parameters')}
    assert {name.split('/')[1] for name in asked} == {'residual_policy'}


def test_whatever_is_asked_for_or_heard_by_our_nodes_has_a_source():
    offered = {name for kinds in NODES.values() for name in kinds['reply']}
    said = {name for kinds in NODES.values() for name in kinds['publish']}
    acted = {name for kinds in NODES.values() for name in kinds['execute']}
    for node, kinds in NODES.items():
        assert kinds['request'] - OFFERED_BY_OTHERS <= offered, node
        assert kinds['call'] <= acted, node
        lacking = kinds['subscribe'] - said - OTHERS
        # Inputs that nobody in this graph uses: other controllers, bases that plan joints.
        assert lacking <= {
            '/base_policy/joint_chunk', '/mujoco_bridge/sim/push', '/target_pose',
            '/target_wrench', '/target_stiffness', '/joint_trajectory_controller/joint_trajectory',
            '/fr3_arm_controller/joint_trajectory'}, (node, lacking)


def test_namespace_moves_names_and_enclaves_but_no_absolute_name():
    moved = read_policy(policy_text(AccessConfig(namespace='/cell/left/')))
    kinds = moved['/ocrrl/cell/left/residual_policy']['residual_policy']
    assert '/cell/left/target_joint' in kinds['publish']
    assert '/cell/left/residual_policy/set_parameters' in kinds['reply']
    assert {'/diagnostics', '/rosout'} <= kinds['publish']


def test_one_task_grants_its_own_objects_only():
    policy = read_policy(policy_text(AccessConfig(tasks=('stand_cup',))))
    kinds = policy['/ocrrl/residual_policy']['residual_policy']
    assert {name for name in kinds['subscribe'] if 'objects/' in name} == {'/objects/cup/pose'}


def test_a_way_home_by_an_action_is_granted_where_it_is_asked_for():
    name = '/fr3_arm_controller/follow_joint_trajectory'
    assert who('call', name) == set()
    policy = read_policy(policy_text(AccessConfig(homing='follow_joint_trajectory')))
    assert name in policy['/ocrrl/residual_policy']['residual_policy']['call']


def test_processes_that_share_get_what_their_nodes_get():
    shared = POLICY['/ocrrl/composed']
    for node, kinds in shared.items():
        assert kinds == POLICY[f'/ocrrl/{node}'][node]
    assert set(shared) == {
        'episode', 'pose_estimator', 'base_policy', 'residual_policy', 'recorder'}


@pytest.mark.parametrize(('settings', 'error'), [
    ({'tasks': ('fly',)}, UnknownNameError), ({'namespace': '../x'}, ConfigError),
    ({'namespace': 'a b'}, ConfigError), ({'namespace': '<x>'}, ConfigError)])
def test_settings_that_name_nothing_are_refused(settings, error):
    with pytest.raises(error):
        AccessConfig(**settings)
