# SPDX-License-Identifier: Apache-2.0
"""The node `gripper` as a process, with drivers that are topics; wrong inputs and settings."""

import os
import time

from diagnostic_msgs.msg import DiagnosticStatus
import numpy as np
from ocrrl_ros.interfaces import qos
import pytest
from ros_harness import NodeProcess, running, WALL_LIMIT_S
from sensor_msgs.msg import JointState
from std_msgs.msg import Float32, Float64MultiArray
from std_srvs.srv import Trigger

MODULE = 'ocrrl_ros.nodes.gripper_node'
COMMANDS = 'gripper/gripper_position_controller/commands'
PERCENT = 'gripper/gripper_client/target_gripper_width_percent'
CRISP = f'crisp_{COMMANDS}'


@pytest.fixture
def probe(new_probe):
    """Give a node of this test alone: nobody else listens to the driver's topics."""
    return new_probe


def gripper(tmp_path, **parameters):
    """Return a running node."""
    return NodeProcess(MODULE, tmp_path / 'gripper.log', {
        name.replace('__', '.'): value for name, value in parameters.items()})


def wish(probe, values, predicate, what, node):
    """Send a command at 30 Hz until the predicate holds."""
    end_s = time.monotonic() + WALL_LIMIT_S
    while not predicate():
        assert time.monotonic() < end_s, f'no {what}: {node.log}'
        assert node.process.poll() is None, node.log
        probe.publish(COMMANDS, Float64MultiArray(data=values), qos.LATEST)
        probe.poll()
        time.sleep(1.0 / 30.0)


def values_of(states):
    """Return the values of the newest state."""
    return {pair.key: pair.value for pair in states[-1].values} if states else {}


@pytest.mark.parametrize(('driver', 'topic', 'kind'), [
    ('width_percent', PERCENT, Float32), ('crisp', CRISP, Float64MultiArray)])
def test_openings_go_to_the_adapters_topic_in_steps_and_end_with_the_wishes(
        probe, tmp_path, driver, topic, kind):
    sent = probe.listen(kind, topic, qos.DEEP_RELIABLE)
    states = probe.listen(DiagnosticStatus, 'gripper/state', qos.LATCHED)

    def opening(message):
        data = np.atleast_1d(message.data)
        assert data.shape == (1,)
        return float(data[0])

    with running(gripper(
            tmp_path, driver=driver, hand__max_delta=0.2, hand__max_wish_age_s=0.3)) as node:
        wish(probe, [0.25], lambda: len(sent) > 5, 'openings', node)
        assert opening(sent[0]) == pytest.approx(0.25, abs=1e-6)
        wish(probe, [1.0], lambda: opening(sent[-1]) == 1.0, 'open hand', node)
        steps = np.diff([opening(message) for message in sent])
        assert steps.max() == pytest.approx(0.2, abs=1e-6)
        assert values_of(states)['phase'] == 'streaming'
        probe.until(lambda: values_of(states)['wish'] == 'stale', what='a stale wish')
        count = len(sent)
        wish(probe, [0.8], lambda: len(sent) > count, 'a fresh wish', node)
    assert opening(sent[count]) == pytest.approx(0.8, abs=1e-6)
    assert node.process.returncode == 0, node.log
    assert (values_of(states)['driver'], values_of(states)['homed']) == (driver, 'not offered')


def test_crisps_adapter_keeps_its_state_and_others_get_it_from_the_fingers(probe, tmp_path):
    with running(gripper(tmp_path, driver='crisp')):
        probe.until(lambda: probe.node.count_publishers('gripper/state') == 1, what='the node')
        assert probe.node.count_publishers('gripper/joint_states') == 0
    openings = probe.listen(JointState, 'gripper/joint_states', qos.RELIABLE)
    with running(gripper(
            tmp_path, driver='width_percent', finger_topic='left/fingers',
            hand__max_width_m=0.07, hand__open_width_m=0.07)):
        message = JointState(
            name=['left_fr3_finger_joint2', 'left_fr3_finger_joint1'], position=[0.02, 0.015])
        message.header.stamp.sec = 77

        def told():
            probe.publish('left/fingers', message, qos.LATEST)
            return openings

        probe.until(told, what='an opening')
        assert openings[0].position[0] == pytest.approx(0.5)
        assert (openings[0].header.stamp.sec, list(openings[0].name)) == (77, ['gripper'])


def test_fingers_are_not_passed_on_beside_another_publisher(probe, tmp_path):
    other = probe.node.create_publisher(JointState, 'gripper/joint_states', qos.RELIABLE)
    openings = probe.listen(JointState, 'gripper/joint_states', qos.RELIABLE)
    with running(gripper(tmp_path, driver='width_percent')) as node:
        fingers = JointState(
            name=['fr3_finger_joint1', 'fr3_finger_joint2'], position=[0.02, 0.02])
        probe.until(lambda: probe.node.count_publishers('gripper/joint_states') == 2,
                    what='the second publisher')

        def warned():
            probe.publish('franka_gripper/joint_states', fingers, qos.LATEST)
            return 'published by another node' in node.log

        probe.until(warned, what='a warning')
    assert openings == []
    probe.node.destroy_publisher(other)


@pytest.mark.parametrize(('values', 'words'), [
    ([float('nan')], ['opening of nan', '0 closed .. 1 open']), ([1.2], ['opening of 1.2']),
    ([-0.5], ['opening of -0.5']), ([], ['holds 0 values']), ([0.1, 0.2], ['holds 2 values'])])
def test_a_wish_that_cannot_be_used_is_named_and_ignored(probe, tmp_path, values, words):
    sent = probe.listen(Float32, PERCENT, qos.DEEP_RELIABLE)
    with running(gripper(tmp_path, driver='width_percent')) as node:
        wish(probe, values, lambda: COMMANDS in node.log, 'a warning', node)
        line, *_ = [line for line in node.log.splitlines() if COMMANDS in line]
        assert all(word in line for word in words), line
        assert sent == []
        wish(probe, [0.5], lambda: sent, 'a good wish', node)
    assert sent[0].data == pytest.approx(0.5)


def test_fingers_that_cannot_be_used_are_named(probe, tmp_path):
    with running(gripper(tmp_path, driver='width_percent')) as node:
        for names, positions in (
                (['fr3_finger_joint1'], [0.02]),
                (['fr3_finger_joint1', 'fr3_finger_joint2'], [0.02, float('nan')])):
            message = JointState(name=names, position=positions)

            def warned(message=message, names=names):
                probe.publish('franka_gripper/joint_states', message, qos.LATEST)
                return f'holds joints {names}' in node.log

            probe.until(warned, what='a warning')


def test_homing_is_refused_where_the_driver_has_none(probe, tmp_path):
    with running(gripper(tmp_path, driver='crisp')):
        answer = probe.call(Trigger, 'gripper/home')
    assert not answer.success and 'no homing' in answer.message


def refusal(node):
    """Return the one line with which a node that does not start ends."""
    assert node.wait() == 2, node.log
    line, = (line for line in node.log.splitlines() if not line.startswith('[WARN]'))
    return line


@pytest.mark.parametrize(('parameters', 'words'), [
    ({'driver': 'suction'}, ['suction', 'width_percent', 'franka']),
    ({'driver': 'crisp', 'mode': 'half'}, ["'half'", 'proportional']),
    ({'driver': 'crisp', 'names__crisp': COMMANDS}, [COMMANDS, 'remapped']),
    ({'driver': 'crisp', 'hand__close_below': 0.7}, ['close_below 0.7', 'open_above 0.6']),
    ({'driver': 'crisp', 'hand__force': 1.0}, ["'hand.force'", 'hand.force_n'])])
def test_a_wrong_setting_ends_the_node_with_one_line_and_2(tmp_path, ros, parameters, words):
    line = refusal(gripper(tmp_path, **parameters))
    assert all(word in line for word in words), line


@pytest.mark.parametrize(('driver', 'package', 'install'), [
    ('franka', 'franka_msgs', 'colcon build --packages-select franka_msgs'),
    ('gripper_command', 'control_msgs', 'apt-get install ros-jazzy-control-msgs')])
def test_messages_that_are_missing_end_the_node_with_their_install_line(
        tmp_path, ros, monkeypatch, driver, package, install):
    # Before an installed one, in which nothing is to be had.
    (tmp_path / f'{package}.py').write_text('raise ImportError("not here")\n')
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(
        [str(tmp_path), os.environ.get('PYTHONPATH', '')]))
    line = refusal(gripper(tmp_path, driver=driver))
    assert package in line and install in line and f'driver {driver}' in line
