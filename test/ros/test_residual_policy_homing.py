# SPDX-License-Identifier: Apache-2.0
"""The node brings the arm home when an episode starts, and keeps to what its sink demands."""

import contextlib

import numpy as np
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.monitor import status_message
from ocrrl_ros.interfaces.optional import optional
from ocrrl_ros.robot.fr3 import READY_POSITION
from played_arm import Arm, KINEMATICS, PATIENT
from played_cell import Cell
import pytest
from ros_harness import NodeProcess, running
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

MODULE = 'ocrrl_ros.nodes.residual_policy_node'
READY = np.array(READY_POSITION)
AWAY = READY + 0.3
DRIVER = 'other_driver/state'


@contextlib.contextmanager
def arm_beside_node(probe, folder, namespace, **parameters):
    """Give an arm beside a node of its own in a namespace."""
    node = NodeProcess(MODULE, folder / 'log.txt', {
        'residual': 'none', 'realtime_priority': 0, **PATIENT} | parameters,
        ros_arguments=('-r', f'__ns:=/{namespace}'))
    with running(node):
        arm = Arm(probe, node, f'{namespace}/')
        probe.until(lambda: arm.states, what='a first state of the node')
        yield arm


def target(arm):
    """Return the newest joint target, seven numbers."""
    return np.array(arm.targets[-1].position)


def state(arm):
    """Return the node's newest state."""
    return {item.key: item.value for item in arm.states[-1].values}['state']


def test_arm_goes_home_at_the_start_of_an_episode_and_then_follows_the_plan(
        ros, probe, tmp_path):
    with arm_beside_node(probe, tmp_path, 'own', homing='own', **{
            'homing_motion.max_error_rad': 1.0}) as arm:
        arm.rest_at(AWAY)
        arm.plan()
        arm.live(0.4)
        assert not arm.targets
        arm.start()
        arm.live_until(lambda: state(arm) == 'homing', 'the state homing')
        arm.live_until(lambda: arm.targets and np.abs(target(arm) - READY).max() < 1e-3, 'home')
        assert np.abs(np.array(arm.targets[0].position) - AWAY).max() < 0.02
        # The hand belongs to the policy.
        assert not arm.gripper
        arm.live_until(lambda: state(arm) not in ('idle', 'homing'), 'the start of the episode')
        before = arm.commanded()
        arm.plan((0.0, 0.05, 0.0))
        arm.live_until(lambda: arm.commanded()[1] - before[1] > 0.02, 'the plan')
        arm.stop()


def test_the_way_home_is_no_faster_than_the_speed_scale_and_keeps_the_guards(
        ros, probe, tmp_path):
    with arm_beside_node(probe, tmp_path, 'slow', homing='own', speed_scale=0.1) as arm:
        arm.rest_at(AWAY)
        arm.start()
        arm.live_until(lambda: arm.targets and np.abs(target(arm) - READY).max() < 1e-3, 'home')
        q = np.array([message.position for message in arm.targets])
        stamps_s = np.array([conv.from_stamp(message.header.stamp) for message in arm.targets])
        # Of the shaped speed, 0.5 of 2.62 rad/s in the joints that have the farthest to go.
        assert (np.diff(q, axis=0) / np.diff(stamps_s)[:, None]).min() > -0.1 * 0.5 * 2.62 * 1.1
    beyond = READY + [1.5, 0, 0, 0, 0, 0, 0]
    robot = tmp_path / 'narrow.yaml'
    robot.write_text('guard: {workspace_upper_m: [0.85, 0.2, 1.0]}', encoding='utf-8')
    with arm_beside_node(probe, tmp_path, 'narrow', homing='own', robot_file=str(robot)) as arm:
        arm.rest_at(beyond)
        arm.start()
        arm.live_until(lambda: 'workspace box' in arm.states[-1].message, 'a reason in the state')
        assert not arm.targets


@pytest.mark.parametrize('how', ['hold', 'episode end'])
def test_homing_is_stopped_by_the_operator(ros, probe, tmp_path, how):
    with arm_beside_node(probe, tmp_path, f'stop_{len(how)}', homing='own') as arm:
        arm.rest_at(AWAY)
        arm.start()
        arm.live_until(lambda: len(arm.targets) > 20, 'a homing motion')
        if how == 'hold':
            arm.call(Trigger, 'residual_policy/hold')
        else:
            arm.stop()
        arm.live(0.5)
        count, last = len(arm.targets), target(arm)
        arm.live(0.3)
        assert len(arm.targets) == count
        assert np.abs(last - READY).max() > 0.1


def stands_still(arm, duration_s=0.4):
    """Return whether nothing is sent for a while."""
    count = len(arm.targets)
    arm.live(duration_s)
    return len(arm.targets) == count


def test_a_robot_that_stops_on_the_way_home_moves_on_after_resume_alone(ros, probe, tmp_path):
    with arm_beside_node(
            probe, tmp_path, 'reflex', homing='own', robot_state_topic=DRIVER) as arm:
        def tell(level, text):
            arm.publish(DRIVER, status_message('driver', level, text, {}), qos.LATCHED)

        cell = Cell(probe, arm)
        tell(0, 'moving')
        arm.rest_at(AWAY)
        arm.start()
        arm.live_until(lambda: len(arm.targets) > 20, 'a homing motion')
        tell(2, 'stopped: joint_reflex')
        cell.until('fault', DRIVER, 'joint_reflex')
        assert stands_still(arm)
        # Somebody has moved the arm by the time the robot is back.
        elsewhere = READY + 0.2
        arm.targets.clear()
        arm.rest_at(elsewhere)
        answer = cell.call('resume')
        assert not answer.success and 'joint_reflex' in answer.message
        tell(0, 'idle')
        assert stands_still(arm) and state(arm) == 'fault'
        assert cell.call('resume').success
        arm.live_until(lambda: arm.targets, 'a first target')
        assert np.abs(np.array(arm.targets[0].position) - elsewhere).max() < 0.02
        arm.live_until(lambda: np.abs(target(arm) - READY).max() < 1e-3, 'home')


def test_a_second_sender_of_targets_ends_the_way_home(ros, probe, tmp_path):
    with arm_beside_node(probe, tmp_path, 'two_senders', homing='own') as arm:
        cell = Cell(probe, arm)
        arm.rest_at(AWAY)
        arm.start()
        arm.live_until(lambda: len(arm.targets) > 20, 'a homing motion')
        other = probe.node.create_publisher(JointState, 'two_senders/target_joint', qos.LATEST)
        cell.until('fault', '2 publishers on /two_senders/target_joint')
        assert stands_still(arm)
        probe.node.destroy_publisher(other)
        assert stands_still(arm, 1.0) and state(arm) == 'fault'


def test_no_way_home_begins_while_the_driver_is_not_well(ros, probe, tmp_path):
    with arm_beside_node(
            probe, tmp_path, 'unwell', homing='own', robot_state_topic=DRIVER) as arm:
        arm.publish(DRIVER, status_message('driver', 2, 'lost', {}), qos.LATCHED)
        arm.rest_at(AWAY)
        arm.live(0.3)
        arm.start()
        Cell(probe, arm).until('idle', 'cannot start', DRIVER)
        assert stands_still(arm)


def test_homing_that_cannot_start_is_named_in_the_state(ros, probe, tmp_path):
    pose = KINEMATICS.forward(READY)
    pose[:3] = 0.5, 0.0, -0.03
    below, _ = KINEMATICS.solve(pose, READY, iterations=200)
    with arm_beside_node(probe, tmp_path, 'below', homing='own') as arm:
        arm.rest_at(below)
        arm.start()
        arm.live_until(
            lambda: 'homing cannot start' in arm.states[-1].message, 'a reason in the state')
        assert 'table' in arm.states[-1].message
        arm.live(0.3)
        assert not arm.targets


def test_leader_stream_outlives_the_episode(ros, probe, tmp_path):
    with arm_beside_node(probe, tmp_path, 'gello', sink='gello_joint') as arm:
        heard = probe.listen(JointState, 'gello/gello/joint_states', qos.DEEP_RELIABLE)
        arm.live(0.3)
        assert not heard
        arm.start()
        arm.plan()
        arm.live_until(lambda: heard, 'a first target')
        arm.stop()
        arm.live(0.5)
        heard.clear()
        arm.live(0.6)
        ages = [arm.now_s() - conv.from_stamp(message.header.stamp) for message in heard]
        assert len(heard) > 5 and min(ages) < 0.5


def test_raw_commands_need_to_be_told_that_no_real_arm_listens(ros, tmp_path):
    node = NodeProcess(MODULE, tmp_path / 'log.txt', {
        'residual': 'none', 'sink': 'float64_commands'})
    with running(node):
        assert node.wait() == 2
    fatal = [line for line in node.log.splitlines() if 'FATAL' in line]
    assert len(fatal) == 1 and 'float64_commands is refused' in fatal[0]


def test_homing_by_a_controller_names_what_is_not_installed(ros, tmp_path):
    if optional('control_msgs') is not None:
        pytest.skip('control_msgs is installed here')
    node = NodeProcess(MODULE, tmp_path / 'log.txt', {
        'residual': 'none', 'homing': 'follow_joint_trajectory'})
    with running(node):
        assert node.wait() == 1
    assert 'apt install ros-jazzy-control-msgs' in node.log
