# SPDX-License-Identifier: Apache-2.0
"""The node `fci_arm` as a process, with a mock robot on loopback."""
from collections import deque
import os
import signal
import time
from types import SimpleNamespace

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
from mock_fci import loopback_address, mock_robot
import mock_fci_wire as wire
import numpy as np
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.arm_sinks import make_sink
from ocrrl_ros.interfaces.conversions import from_stamp, pose_to_array
from ocrrl_ros.nodes.fci_arm_requests import recover_by_action
from ocrrl_ros.nodes.mujoco_bridge_franka import fill_robot_state
from ocrrl_ros.policy.command import Command
from ocrrl_ros.robot.adapters.franka_fci.reading import FciReading
from ocrrl_ros.robot.adapters.franka_fci.state import FciState, RobotMode
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES, READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.bridge_readout import ArmReading
import pytest
from ros_harness import NodeProcess, Probe, processes_of_group, running
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

MODULE = 'ocrrl_ros.nodes.fci_arm_node'
Q = np.array(READY_POSITION)
NEAR = Q + 0.1
BROADCASTER = 'franka_robot_state_broadcaster/'
# Written out a second time: name, type, reliable or not.
FACE = (
    ('joint_states', JointState, True), ('franka/joint_states', JointState, True),
    ('current_pose', PoseStamped, True), ('current_twist', TwistStamped, True),
    (f'{BROADCASTER}current_pose', PoseStamped, False),
    (f'{BROADCASTER}last_desired_pose', PoseStamped, False),
    (f'{BROADCASTER}desired_end_effector_twist', TwistStamped, False),
    (f'{BROADCASTER}measured_joint_states', JointState, False),
    (f'{BROADCASTER}desired_joint_states', JointState, False),
    (f'{BROADCASTER}external_joint_torques', JointState, False),
    (f'{BROADCASTER}external_wrench_in_base_frame', WrenchStamped, False),
    (f'{BROADCASTER}external_wrench_in_stiffness_frame', WrenchStamped, False))


@pytest.fixture
def robot(pylibfranka):
    """Give a mock robot."""
    with mock_robot() as found:
        yield found


@pytest.fixture
def probe(new_probe):
    """Give a node of the test's own that nothing else has published with."""
    return new_probe


def arm(tmp_path, address, **parameters):
    """Return a running node."""
    return NodeProcess(MODULE, tmp_path / 'fci_arm.log', {
        'robot_ip': address, 'reconnect_s': 0.2, **parameters})


def hear_phases(probe):
    """Return a function that waits for a phase on ``~/state`` and returns the status' values."""
    heard = probe.listen(DiagnosticStatus, 'fci_arm/state', qos.LATCHED)

    def wait(phase, mode=None):
        def found():
            for status in heard:
                values = {pair.key: pair.value for pair in status.values}
                if values['phase'] == phase and mode in (None, values['robot_mode']):
                    return status.level, values
        result = probe.until(found, what=f'phase {phase}, heard {heard}')
        heard.clear()
        return result

    return wait


def send(probe, target):
    """Publish one joint target."""
    probe.publish('target_joint', JointState(
        name=list(ARM_JOINT_NAMES), position=list(target)), qos.LATEST)


def streaming(probe, target, predicate, what):
    """Publish a joint target again and again until something is so."""
    turns = iter(range(10 ** 9))

    def found():
        if next(turns) % 50 == 0:
            send(probe, target)
        return predicate()

    return probe.until(found, what=what)


def rest(probe, robot):
    """Wait until the robot has braked by itself; return its joint positions."""
    seen = []

    def found():
        seen.append(robot.status()['q'])
        time.sleep(0.05)
        return robot.status()['q'] == seen[-1]

    probe.until(found, what='rest')
    return np.array(seen[-1])


def test_every_state_topic_of_the_arm_arrives_with_names_types_frames_and_qos(
        probe, robot, tmp_path):
    topics = {name: probe.listen(kind, name, qos.SENSOR_DATA) for name, kind, _ in FACE}
    before_s = probe.node.get_clock().now().nanoseconds * 1e-9
    with running(arm(tmp_path, robot.address)) as node:
        probe.until(lambda: all(topics.values()), what='every topic')
        for name, _, reliable in FACE:
            end, = probe.node.get_publishers_info_by_topic(f'/{name}')
            assert (end.qos_profile.reliability.name == 'RELIABLE') == reliable, name
        published = {name for name, _ in probe.node.get_topic_names_and_types()}
    assert node.process.returncode == 0, node.log
    # The hand has a driver of its own.
    assert not {'/franka_gripper/joint_states', '/gripper/joint_states'} & published
    after_s = probe.node.get_clock().now().nanoseconds * 1e-9
    for name in ('joint_states', 'franka/joint_states'):
        message = topics[name][-1]
        assert tuple(message.name) == ARM_JOINT_NAMES
        np.testing.assert_allclose(message.position, Q, atol=1e-6)
        np.testing.assert_allclose(message.effort, FrankaKinematics().gravity(Q), atol=1e-4)
        assert before_s < from_stamp(message.header.stamp) < after_s
    for name in ('current_pose', f'{BROADCASTER}current_pose'):
        assert topics[name][-1].header.frame_id == 'base'
        pose, wanted = pose_to_array(topics[name][-1].pose), FrankaKinematics().forward(Q)
        np.testing.assert_allclose(pose[:3], wanted[:3], atol=1e-6)
        assert abs(pose[3:] @ wanted[3:]) == pytest.approx(1.0)
    assert topics['current_twist'][-1].header.frame_id == 'fr3_hand_tcp'


def test_a_target_moves_the_arm_and_ctrl_c_ends_motion_and_processes(probe, robot, tmp_path):
    joints = probe.listen(JointState, 'franka/joint_states', qos.SENSOR_DATA)
    wait = hear_phases(probe)
    with running(arm(tmp_path, robot.address)) as node:
        level, values = wait('idle')
        assert (level, values['robot_mode'], values['in_motion']) == (
            DiagnosticStatus.OK, 'idle', 'False')
        assert robot.status()['log'] == []
        streaming(probe, NEAR, lambda: joints and np.abs(
            np.array(joints[-1].position) - NEAR).max() < 2e-3, 'the target')
        assert wait('moving', 'move')[0] == DiagnosticStatus.OK
        np.testing.assert_allclose(robot.status()['q'], NEAR, atol=2e-3)
        node.interrupt()
        assert node.wait() == 0, node.log
    assert 'Traceback' not in node.log
    assert 'finish' in robot.status()['log'] and robot.status()['mode'] == wire.IDLE
    assert processes_of_group(node.process.pid) == []


def test_ptp_async_brings_the_arm_to_the_end_of_a_stream_of_commands(probe, robot, tmp_path):
    wait = hear_phases(probe)
    # The mock comes near to a target slowly: time enough to tell the last from the one before.
    with running(arm(tmp_path, robot.address, target_timeout_s=2.0)) as node:
        wait('idle')
        sink = make_sink('ptp_async', probe.node)
        probe.until(lambda: probe.node.count_subscribers('/target_joint'), what='the driver')
        began_s = time.time()
        for share in np.linspace(0.0, 1.0, 201):
            now_s = time.time()
            sink.send(Command(Q + share * (NEAR - Q), np.zeros(7), 1.0), now_s, None)
            time.sleep(0.005)

        def arrived():
            # As the loop does without a command: the last one may have been left out.
            sink.rest(None, time.time())
            return np.abs(np.array(robot.status()['q']) - NEAR).max() < 1e-4
        probe.until(arrived, what='the last command')
    targets = robot.status()['targets']
    # Each at most once, and at most every 20 ms.
    assert 10 < targets <= 50.0 * (now_s - began_s) + 2
    assert 'refused' not in node.log and 'ignored' not in node.log, node.log


def test_a_reflex_is_shown_and_the_service_recovers_and_answers(probe, robot, tmp_path):
    joints = probe.listen(JointState, 'franka/joint_states', qos.SENSOR_DATA)
    wait = hear_phases(probe)
    with running(arm(tmp_path, robot.address)) as node:
        wait('idle')
        answer = probe.call(Trigger, 'fci_arm/error_recovery')
        assert (answer.success, answer.message) == (True, 'nothing to recover from')
        streaming(probe, NEAR, lambda: joints and joints[-1].velocity[0] > 0.05, 'motion')
        wait('moving')
        robot.reflex('joint_reflex')
        level, values = wait('stopped', 'reflex')
        assert (level, values['errors']) == (DiagnosticStatus.WARN, 'joint_reflex')
        streaming(probe, NEAR, lambda: 'call error recovery' in node.log.partition('refused')[0]
                  and 'no target is taken' in node.log, 'the refusal')
        answer = probe.call(Trigger, 'fci_arm/error_recovery')
        assert answer.success and 'cleared' in answer.message
        wait('idle')
        streaming(probe, NEAR, lambda: np.abs(
            np.array(joints[-1].position) - NEAR).max() < 2e-3, 'the target')
        answer = probe.call(Trigger, 'fci_arm/stop')
        assert (answer.success, answer.message) == (True, 'stopped')
        wait('stopped')


def test_two_publishers_are_ignored_and_named(probe, robot, tmp_path):
    wait = hear_phases(probe)
    second = Probe('elsewhere')
    try:
        with running(arm(tmp_path, robot.address)) as node:
            wait('idle')
            other = second.node.create_publisher(JointState, '/target_joint', qos.LATEST)
            probe.until(lambda: probe.node.count_publishers('/target_joint') == 1)
            streaming(probe, NEAR, lambda: '2 publishers on /target_joint' in node.log,
                      'the warning')
            assert 'move' not in robot.status()['log']
            second.node.destroy_publisher(other)
            streaming(probe, NEAR, lambda: 'move' in robot.status()['log'], 'a motion')
    finally:
        second.close()


@pytest.mark.parametrize(('message', 'words'), [
    (JointState(position=(Q + 0.5).tolist()), 'max_target_distance_rad'),
    (JointState(position=[0.0] * 6), '7 finite numbers'),
    (JointState(name=list(reversed(ARM_JOINT_NAMES)), position=list(Q)), 'by index')])
def test_targets_that_cannot_be_used_are_named_and_move_nothing(
        probe, robot, tmp_path, message, words):
    wait = hear_phases(probe)
    with running(arm(tmp_path, robot.address)) as node:
        wait('idle')
        probe.publish('target_joint', message, qos.LATEST)
        probe.until(lambda: words in node.log, what='the refusal')
    assert robot.status()['log'] == []


def test_diagnostics_have_packets_and_a_robot_that_comes_back_is_found(
        probe, robot, tmp_path):
    statuses = probe.listen(DiagnosticArray, '/diagnostics', qos.DEEP_RELIABLE)
    wait = hear_phases(probe)

    def diagnosed(fits):
        def found():
            while statuses:
                for status in statuses.pop(0).status:
                    values = {pair.key: pair.value for pair in status.values}
                    if status.name == 'fci_arm' and fits(status, values):
                        return values
        return probe.until(found, what='a diagnosis')

    with running(arm(tmp_path, robot.address)):
        wait('idle')
        robot.set(drop_states=0.3)
        diagnosed(lambda status, values: float(values.get('states_share', 1)) < 0.9)
        robot.kill()
        assert wait('lost', 'unknown')[0] == DiagnosticStatus.WARN
        values = diagnosed(lambda status, values: 'lost' in status.message)
        assert values['connections_lost'] == '1'
        with mock_robot(robot.address):
            wait('idle')
            values = diagnosed(lambda status, values: values['phase'] == 'idle')
    assert values['robot_mode'] == 'idle' and float(values['ee_offset_mm']) < 0.1


def test_a_killed_node_leaves_no_motion_and_its_successor_moves_the_arm(probe, robot, tmp_path):
    joints = probe.listen(JointState, 'franka/joint_states', qos.SENSOR_DATA)
    wait = hear_phases(probe)
    with running(arm(tmp_path, robot.address)) as node:
        wait('idle')
        streaming(probe, NEAR, lambda: joints and joints[-1].velocity[0] > 0.05, 'motion')
        os.kill(node.process.pid, signal.SIGKILL)
        assert node.wait() == -signal.SIGKILL
        # The process that holds the connection goes with it, and the robot ends its motion.
        probe.until(lambda: processes_of_group(node.process.pid) == [], what='all processes gone')
        probe.until(lambda: robot.status()['mode'] == wire.IDLE, what='the end of the motion')
    at = rest(probe, robot)
    joints.clear()
    (tmp_path / 'second').mkdir()
    with running(arm(tmp_path / 'second', robot.address)) as node:
        wait('idle')
        probe.until(lambda: joints, what='joint states of the successor')
        np.testing.assert_allclose(joints[-1].position, at, atol=1e-4)
        streaming(probe, NEAR, lambda: np.abs(
            np.array(joints[-1].position) - NEAR).max() < 2e-3, 'the target')
    assert node.process.returncode == 0, node.log


def test_another_end_effector_in_desk_is_warned_of(probe, robot, tmp_path):
    statuses = probe.listen(DiagnosticArray, '/diagnostics', qos.DEEP_RELIABLE)
    flange = np.eye(4)
    flange[:3, 3] = FrankaKinematics().frame_pose(Q, 'fr3_link8')[:3]
    robot.set(fields={'O_T_EE': flange.T.ravel().tolist()})
    with running(arm(tmp_path, robot.address)):
        probe.until(lambda: any(
            '103 mm from fr3_hand_tcp' in status.message
            for array in statuses for status in array.status), what='the warning')


def test_ctrl_c_ends_a_node_whose_robot_says_nothing(probe, robot, tmp_path):
    robot.set(silent=True)
    with running(arm(tmp_path, robot.address, connect_timeout_s=60.0)) as node:
        probe.until(lambda: robot.status()['connections'], what='a connection')
        node.interrupt()
        assert node.wait() == 0, node.log
    assert processes_of_group(node.process.pid) == []


@pytest.mark.parametrize(('parameters', 'words'), [
    ({'robot_ip': ''}, ['robot_ip is empty']),
    ({'command_rate_hz': 200.0}, ['command_rate_hz', '1 .. 50']),
    ({'rates.crisp_hz': 2000.0}, ['rates.crisp_hz', '0 .. 1000'])])
def test_a_wrong_parameter_ends_the_node_with_one_line_and_2(
        pylibfranka, tmp_path, parameters, words):
    node = arm(tmp_path, loopback_address(), **parameters)
    assert node.wait() == 2, node.log
    line, = (line for line in node.log.splitlines() if not line.startswith('[WARN]'))
    assert all(word in line for word in words), line


def test_a_missing_library_ends_the_node_with_its_install_line_and_2(tmp_path, monkeypatch):
    (tmp_path / 'pylibfranka.py').write_text('raise ImportError("not for this Python")\n')
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(
        [str(tmp_path), os.environ.get('PYTHONPATH', '')]))
    node = arm(tmp_path, loopback_address())
    assert node.wait() == 2, node.log
    assert 'pip install pylibfranka==0.21.3' in node.log


def test_robot_state_says_mode_errors_and_success_rate_of_the_robot():
    zeros, joints = np.zeros(7), {name: JointState() for name in (
        'measured_joint_state', 'desired_joint_state', 'tau_ext_hat_filtered')}
    state = FciState(
        received_s=0.0, robot_time_s=0.0, mode=RobotMode.REFLEX, success_rate=0.875, q=Q,
        dq=zeros + 0.1, tau=zeros + 2, q_desired=Q + 0.1, dq_desired=zeros,
        tau_external=zeros + 3, base_T_ee=np.eye(4), base_T_ee_desired=np.eye(4),
        twist_desired=np.arange(6.0), wrench_base=np.arange(6.0) + 10,
        wrench_stiffness=np.arange(6.0) + 20, errors=('joint_reflex',))
    reading = FciReading(state, FrankaKinematics())
    message = SimpleNamespace(
        header=JointState().header, current_errors=SimpleNamespace(), o_t_ee=PoseStamped(),
        o_t_ee_d=PoseStamped(), o_t_ee_c=PoseStamped(), o_f_ext_hat_k=WrenchStamped(),
        k_f_ext_hat_k=WrenchStamped(), o_dp_ee_d=TwistStamped(), **joints)
    fill_robot_state(message, reading, Time(sec=3))
    assert (message.robot_mode, message.control_command_success_rate) == (4, 0.875)
    assert message.current_errors.joint_reflex
    assert list(message.measured_joint_state.effort) == [2.0] * 7
    assert list(message.tau_ext_hat_filtered.effort) == [3.0] * 7
    assert message.o_f_ext_hat_k.wrench.force.x == 10.0
    assert message.k_f_ext_hat_k.wrench.force.x == 20.0
    assert message.o_dp_ee_d.twist.linear.y == 1.0
    simulated = ArmReading(SimpleNamespace(q=Q, dq=state.dq), FrankaKinematics(), Q + 0.1, zeros)
    np.testing.assert_allclose(reading.local_twist, simulated.local_twist)
    np.testing.assert_allclose(reading.desired_base_T_tcp, simulated.desired_base_T_tcp)


@pytest.mark.parametrize(('replies', 'state'), [
    ([True], 'succeeded'), ([False], 'aborted'), ([], 'aborted')])
def test_the_recovery_action_ends_as_the_robot_says_and_never_waits_for_ever(replies, state):
    asked, ends = deque(replies), []
    handle = SimpleNamespace(
        succeed=lambda: ends.append('succeeded'), abort=lambda: ends.append('aborted'))
    kind = SimpleNamespace(Result=dict)

    def ask(reply):
        if asked:
            reply(asked.popleft(), '')

    assert recover_by_action(kind, ask, limit_s=0.01)(handle) == {}
    assert ends == [state]
