# SPDX-License-Identifier: Apache-2.0
"""What stands in the way of an episode is seen over topics, services and the graph."""
from mock_fci import mock_robot
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.arming_observer import ArmingObserver, installed_types, OptionalTypes
from ocrrl_ros.robot.arming_config import ArmingConfig, FACTS
from ocrrl_ros.robot.crisp_parameters import parameter_mismatches
from ocrrl_ros.robot.robot_config import load_robot
from played_robot import CONTROLLER, controller, PlayedRobot, stand_in_types, wait_for
import pytest
from ros_harness import NodeProcess, Probe, running
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

REAL = ArmingConfig(arm='franka_ros2')
NOTHING = set()


@pytest.fixture
def probe(new_probe):
    """Give a node that nobody has published with."""
    return new_probe


@pytest.fixture
def robot(ros):
    """Give an arm with which all is well."""
    found = PlayedRobot()
    yield found
    found.close()


def observer_of(probe, config=REAL, types=None):
    return ArmingObserver(probe.node, config, types=types or stand_in_types())


def second_publisher(probe, robot):
    """Two nodes publish targets."""
    for node in (probe.node, robot._nodes['gripper']):
        node.create_publisher(JointState, 'target_joint', qos.LATEST)


FAULTS = {
    'kinematics': (lambda probe, robot: robot.pose.__setitem__(0, robot.pose[0] + 0.002),
                   'current_pose is 2.00 mm'),
    'end_effector': (lambda probe, robot: robot.own_pose.__setitem__(2, 0.6), 'Desk'),
    'stamps': (lambda probe, robot: setattr(robot, 'stamp_offset_s', -0.05), 'current_pose -'),
    'controller': (lambda probe, robot: setattr(robot, 'controllers', [
        controller(CONTROLLER, 'inactive'), controller('joint_trajectory_controller')]),
        'joint_trajectory_controller (7 of effort)'),
    'payload': (lambda probe, robot: robot.state.update(ee=0.0), 'knows 0.00 kg'),
    'publishers': (second_publisher, '2 publishers on target_joint (/gripper, /probe)'),
    'gripper': (lambda probe, robot: robot.tell_homed('no'), 'homed: no'),
    'mode': (lambda probe, robot: robot.state.update(robot_mode=4), 'reflex')}


@pytest.mark.parametrize('fact', FAULTS)
def test_a_fault_is_seen_while_all_else_is_well_and_named(probe, robot, fact):
    observer = observer_of(probe)
    wait_for(probe, observer, robot, NOTHING)
    assert observer.values(robot.now_s())['arming'] == 'ok'
    cause, named = FAULTS[fact]
    cause(probe, robot)
    line, = wait_for(probe, observer, robot, {fact})
    assert named in line
    values = observer.values(robot.now_s())
    assert values['arming'] == 'refused' and line in values['arming_refused']


def test_stamps_of_a_clock_that_is_behind_are_seen_too(probe, robot):
    robot.stamp_offset_s = 0.03
    line, = wait_for(probe, observer_of(probe), robot, {'stamps'})
    assert 'current_pose +' in line and 'allowed: +-20 ms' in line


@pytest.mark.parametrize(('parameters', 'named'), [
    ({'nullspace.max_tau': 5.0}, 'nullspace.max_tau is 5, allowed: >= 40'),
    ({'nullspace.damping': 0.5}, 'damping of fr3_joint1'),
    ({'max_delta_tau': 1.0}, 'max_delta_tau is 1'),
    ({'variable_stiffness.enabled': True}, 'variable_stiffness.enabled is True')])
def test_gains_are_read_from_the_controllers_own_parameters(probe, parameters, named):
    robot = PlayedRobot(parameters)
    try:
        line, = wait_for(probe, observer_of(probe), robot, {'gains'})
    finally:
        robot.close()
    assert named in line and CONTROLLER in line


@pytest.mark.parametrize(('target', 'name'), [
    ('target_joint', CONTROLLER), ('target_pose', 'cartesian_impedance_controller')])
def test_a_node_takes_the_file_of_the_controllers_and_is_let_through(ros, target, name):
    path = config_path('controllers', 'crisp_fr3.yaml')
    node = ros.create_node(
        name, cli_args=['--ros-args', '--params-file', str(path)], namespace='arm',
        automatically_declare_parameters_from_overrides=True)
    found = {key: parameter.value for key, parameter in node.get_parameters_by_prefix('').items()}
    node.destroy_node()
    differing, missing = parameter_mismatches(
        found, ArmingConfig(arm='franka_ros2', target=target), load_robot())
    assert differing == []
    assert not [key for key in missing if '.d_' not in key and key not in (
        'stop_commands', 'use_operational_space')], "beside CRISP's own defaults"


def test_a_trajectory_controller_is_asked_for_no_gains_and_its_topic_is_looked_up(probe, robot):
    robot.controllers = [controller('fr3_arm_controller')]
    robot.lose(CONTROLLER)
    config = ArmingConfig(
        arm='franka_ros2', target='fr3_arm_controller/joint_trajectory', checks_gains=False)
    observer = observer_of(probe, config)
    wait_for(probe, observer, robot, NOTHING)
    for node in (probe.node, robot._nodes['gripper']):
        node.create_publisher(JointTrajectory, config.target, qos.RELIABLE)
    line, = wait_for(probe, observer, robot, {'publishers'})
    assert f'2 publishers on {config.target} (/gripper, /probe)' in line


def test_gains_that_are_changed_while_we_look_are_seen(probe, robot):
    observer = observer_of(probe)
    wait_for(probe, observer, robot, NOTHING)
    robot._nodes[CONTROLLER].set_parameters([_parameter('nullspace.stiffness', 4.0)])
    line, = wait_for(probe, observer, robot, {'gains'})
    assert 'nullspace.stiffness' in line


def _parameter(name, value):
    from rclpy.parameter import Parameter
    return Parameter(name, value=value)


def test_an_arm_that_falls_silent_is_unknown_again(probe, robot):
    observer = observer_of(probe)
    wait_for(probe, observer, robot, NOTHING)
    robot.is_silent = True
    lines = wait_for(probe, observer, robot, {
        'kinematics', 'end_effector', 'stamps', 'payload', 'mode'})
    assert 's old, allowed: 0.5 s' in lines[0]


def test_a_node_that_goes_takes_what_it_said_along(probe, robot):
    observer = observer_of(probe)
    wait_for(probe, observer, robot, NOTHING)
    robot.lose('gripper')
    robot.lose(CONTROLLER)
    gains, gripper = wait_for(probe, observer, robot, {'gripper', 'gains'})
    assert 'gripper/state' in gripper and f'there is no service {CONTROLLER}' in gains


def test_a_controller_manager_that_does_not_answer_holds_nothing_up(probe, robot):
    observer = observer_of(probe)
    wait_for(probe, observer, robot, NOTHING)
    robot.is_manager_deaf = True
    line, = wait_for(probe, observer, robot, {'controller'})
    assert 'controller_manager/list_controllers has not answered within 2 s' in line
    robot.is_manager_deaf = False
    wait_for(probe, observer, robot, NOTHING)


def test_packages_that_are_not_installed_are_named_and_may_be_skipped(probe, robot):
    types = OptionalTypes(robot_state=None, list_controllers=None)
    lines = wait_for(
        probe, observer_of(probe, types=types), robot, {'controller', 'payload', 'mode'})
    assert 'controller_manager_msgs is not installed' in lines[0]
    assert 'franka_msgs is not installed' in lines[1]
    config = ArmingConfig(arm='franka_ros2', skip=('controller', 'payload', 'mode'))
    observer = observer_of(probe, config, types)
    wait_for(probe, observer, robot, NOTHING)
    skipped = observer.values(robot.now_s())['arming_skipped']
    assert all(f'{fact}: could not be checked' in skipped for fact in config.skip)


def test_with_nobody_there_everything_is_unknown_and_nothing_waits(probe):
    lines = wait_for(probe, observer_of(probe, types=installed_types()), None, set(FACTS) - {
        'publishers'})
    assert all('could not be checked' in line for line in lines)


def test_a_simulated_arm_passes_and_a_second_publisher_is_seen(probe, tmp_path):
    log = tmp_path / 'bridge.log'
    observer = observer_of(probe, ArmingConfig())
    with running(NodeProcess('ocrrl_ros.nodes.mujoco_bridge_node', log, {'camera': False})):
        wait_for(probe, observer, None, NOTHING)
        found = observer.observation(probe.node.get_clock().now().nanoseconds * 1e-9)
        assert set(found.offsets_s) == {'franka/joint_states', 'current_pose'}
        other = Probe(namespace='other')
        probe.node.create_publisher(JointState, 'target_joint', qos.LATEST)
        publisher = other.node.create_publisher(JointState, '/target_joint', qos.LATEST)
        line, = wait_for(probe, observer, None, {'publishers'})
        assert '/other/probe, /probe' in line
        other.node.destroy_publisher(publisher)
        wait_for(probe, observer, None, NOTHING)
        other.close()
    wait_for(probe, observer, None, {'kinematics', 'stamps'})


def test_fci_arm_tells_masses_end_effector_and_phase(probe, pylibfranka, robot, tmp_path):
    robot.is_silent = True
    config = ArmingConfig(arm='fci')
    observer = observer_of(probe, config)
    with mock_robot(fields={'m_ee': [0.73]}) as mock:
        with running(NodeProcess('ocrrl_ros.nodes.fci_arm_node', tmp_path / 'fci.log', {
                'robot_ip': mock.address})):
            wait_for(probe, observer, robot, NOTHING)
            mock.set(fields={'m_ee': [0.0]})
            line, = wait_for(probe, observer, robot, {'payload'})
            assert 'knows 0.00 kg of end effector' in line


def test_one_call_looks_at_one_source_and_no_source_too_often(probe):
    looks = []

    class Source:
        period_s = 0.1

        def __init__(self, name):
            self.name = name

        def look(self, now_s):
            looks.append((self.name, now_s))

    observer = observer_of(probe)
    observer._sources = [Source(name) for name in 'abc']
    observer._due_s = [float('-inf')] * 3
    for tick in range(200):
        before = len(looks)
        observer.step(tick * 0.005)
        assert len(looks) - before <= 1
    times = {name: [at for other, at in looks if other == name] for name in 'abc'}
    assert all(9 <= len(found) <= 10 for found in times.values())
    observer.step(-1000.0)
    assert looks[-1][1] == -1000.0, 'a clock that was set back stops nothing'
