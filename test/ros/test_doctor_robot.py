# SPDX-License-Identifier: Apache-2.0
"""`ocrrl doctor --robot` as a process: with nothing running, with the bridge, a mock robot."""
from dataclasses import replace
import json
import os
import subprocess
import sys

from mock_fci import mock_robot
from ocrrl_ros.cli.robot_doctor import RobotDoctor
from ocrrl_ros.robot.arming_config import FACTS
import pytest
from ros_harness import NodeProcess, running

HOST = (
    'DDS', 'real time', 'locked memory', 'kernel', 'limits', 'CPU governor', 'network buffers',
    'clock')
BRIDGE = 'ocrrl_ros.nodes.mujoco_bridge_node'


def doctor(*options, json_file=None, domain=None):
    """Run the command; return exit code, what it wrote and its JSON."""
    environment = {**os.environ, 'COLUMNS': '400'}
    if domain is not None:
        environment['ROS_DOMAIN_ID'] = str(domain)
    more = () if json_file is None else ('--json', str(json_file))
    done = subprocess.run(
        [sys.executable, '-m', 'ocrrl_ros.cli.main', 'doctor', *options, *more],
        capture_output=True, text=True, check=False, timeout=120, env=environment)
    result = json.loads(json_file.read_text()) if json_file and json_file.exists() else None
    return done.returncode, done.stdout + done.stderr, result


@pytest.fixture
def empty_domain(ros_domain):
    """Give a domain without anybody, also while tests of this session run nodes."""
    return 11 + (ros_domain - 11 + 45) % 90


def states_of(result):
    return {check['name']: check['state'] for check in result['checks']}


def test_a_controller_that_is_not_crisps_is_checked_without_gains_by_its_topic():
    checks = replace(
        RobotDoctor(target='fr3_arm_controller/joint_trajectory').arming(), arm='franka_ros2')
    assert checks.allowed_controllers == ('fr3_arm_controller',)
    assert set(FACTS) - set(checks.required) == {'gains'}
    assert set(replace(RobotDoctor().arming(), arm='franka_ros2').required) == set(FACTS)


def test_with_nothing_running_every_line_says_what_is_missing(empty_domain, tmp_path):
    code, text, result = doctor(
        '--robot', '--timeout-s', '4', json_file=tmp_path / 'a.json', domain=empty_domain)
    assert code == 1, text
    states = states_of(result)
    assert tuple(states) == ('arm', *FACTS, *HOST)
    lacking = ['arm', *(fact for fact in FACTS if fact != 'publishers')]
    assert [name for name in ('arm', *FACTS) if states[name] == 'unknown'] == lacking
    assert set(lacking) <= set(result['could_not_be_checked'])
    checks = {check['name']: check for check in result['checks']}
    assert 'franka/joint_states' in checks['kinematics']['detail']
    assert f'ROS domain {empty_domain}' in checks['arm']['detail']
    assert all(checks[name]['remedy'] for name in lacking)
    assert 'could not be checked: arm, kinematics' in text
    assert 'the franka_ros2 arm may not start an episode' in text


def test_the_simulated_arm_is_known_by_its_node_and_may_start(ros, tmp_path):
    with running(NodeProcess(BRIDGE, tmp_path / 'log', {'camera': False}, (
            '-r', '__ns:=/cell'))):
        code, text, result = doctor(
            '--robot', '--namespace', 'cell', '--timeout-s', '60',
            json_file=tmp_path / 'a.json')
    assert code == 0, text
    assert result['arm'] == 'sim' and result['found_node'] == 'mujoco_bridge'
    states = states_of(result)
    assert [fact for fact in FACTS if states[fact] == 'ok'] == [
        'kinematics', 'stamps', 'publishers']
    assert all(states[fact] in ('ok', 'not needed') for fact in FACTS)


def test_a_simulated_arm_is_no_real_one_and_what_may_stay_unknown_is_listed(ros, tmp_path):
    with running(NodeProcess(BRIDGE, tmp_path / 'log', {'camera': False})):
        code, text, result = doctor(
            '--robot', '--arm', 'franka_ros2', '--skip', 'gripper', 'mode', '--timeout-s', '6',
            json_file=tmp_path / 'a.json')
    assert code == 1, text
    states = states_of(result)
    assert states['gripper'] == states['mode'] == 'skipped'
    assert states['end_effector'] == 'ok' and states['gains'] == 'unknown'
    assert {'gripper', 'mode', 'gains'} <= set(result['could_not_be_checked'])


def test_the_control_box_is_tried_where_no_driver_holds_it(
        ros, pylibfranka, empty_domain, tmp_path):
    with mock_robot() as robot:
        code, text, result = doctor(
            '--robot', '--arm', 'fci', '--robot-ip', robot.address, '--timeout-s', '3',
            json_file=tmp_path / 'a.json', domain=empty_domain)
        assert robot.status()['log'] == []
    assert code == 1, text
    states = states_of(result)
    assert states['FCI'] == 'ok' and states['controller'] == states['gains'] == 'not needed'
    assert states['mode'] == 'unknown'


@pytest.mark.parametrize(('options', 'named'), [
    (('--robot', '--arm', 'ur5'), 'ur5'), (('--robot', '--skip', 'luck'), 'luck'),
    (('--robot', '--timeout-s', '0.1'), 'timeout_s is 0.1'),
    (('--namespace', 'cell'), 'without --robot'),
    (('--robot', '--namespace', 'a cell', '--timeout-s', '3'), 'namespace'),
    (('--robot', '--robot-file', 'none.yaml'), 'none.yaml')])
def test_wrong_usage_is_two_and_names_the_value(options, named):
    code, text, _ = doctor(*options)
    assert code == 2, text
    assert named in text and 'Traceback' not in text
