# SPDX-License-Identifier: Apache-2.0
"""The simulated arm follows each sink's stream when that controller is chosen, and no other."""
from contextlib import contextmanager

from geometry_msgs.msg import PoseStamped
import numpy as np
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.arm_sinks import make_sink, SinkConfig
from ocrrl_ros.policy.controller import Command
from ocrrl_ros.robot.command_shaping import CommandShaper
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
from ocrrl_ros.robot.kinematics import FrankaKinematics
import pytest
import rclpy
from ros_harness import NodeProcess, Probe, running
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

MODULE = 'ocrrl_ros.nodes.mujoco_bridge_node'
TICK_S = 0.005
NAMES = list(ARM_JOINT_NAMES)
KINEMATICS = FrankaKinematics()
TOPICS = {
    'jtc_trajectory': 'fr3_arm_controller/joint_trajectory',
    'gello_joint': 'gello/joint_states',
    'equilibrium_pose': 'cartesian_impedance_example_controller/equilibrium_pose'}
CONTROLLERS = {
    'jtc_trajectory': 'joint_trajectory', 'gello_joint': 'gello',
    'equilibrium_pose': 'cartesian_impedance_example'}


class Rig:
    """A bridge in lockstep, what it reports, and a node that sends."""

    def __init__(self, probe, process):
        self.probe, self.process = probe, process
        self.joints = probe.listen(JointState, 'franka/joint_states', qos.SENSOR_DATA)
        self.desired = probe.listen(
            JointState, 'franka_robot_state_broadcaster/desired_joint_states', qos.SENSOR_DATA)
        probe.tick_until(lambda: self.joints and self.desired, what='joint states')
        self.node = rclpy.create_node('sender')

    def q(self):
        """Return the measured joints (7,)."""
        return conv.joint_values(self.joints[-1], NAMES)

    def check_hears(self, names):
        """Check that the bridge listens to these streams, to the hand's, and to no others."""
        topics = TOPICS | {'target_joint': 'target_joint'}
        assert names == {
            name for name, topic in topics.items() if self.node.count_subscribers(topic)}
        assert self.node.count_subscribers('gripper/gripper_position_controller/commands') == 1

    def sink(self, name):
        """Return a sink that the bridge hears."""
        sink = make_sink(name, self.node, SinkConfig())
        publisher = next(
            found for found in self.node.publishers if found.topic_name == f'/{TOPICS[name]}')
        self.probe.until(publisher.get_subscription_count, what=f'match on {TOPICS[name]}')
        # The bridge's end may still be on its way to the same conclusion.
        self.probe.tick(0.1)
        return sink

    def stream(self, sink, shaper, duration_s, on_tick=lambda: None):
        """Send a shaped motion tick by tick."""
        for _ in range(round(duration_s / TICK_S)):
            q, dq, _ = shaper.sample(TICK_S)
            sink.send(Command(q, dq, 1.0), self.probe.clock_s, shaper.preview)
            self.probe.tick(TICK_S)
            on_tick()


@contextmanager
def rig(tmp_path, controller):
    """Give a bridge with this arm_controller."""
    probe = Probe()
    found = None
    try:
        with running(NodeProcess(MODULE, tmp_path / 'log.txt', {
                'use_sim_time': True, 'camera': False, 'command_tick_s': TICK_S,
                'arm_controller': controller, 'lockstep_participants': ['probe']})) as process:
            found = Rig(probe, process)
            yield found
    finally:
        if found is not None:
            found.node.destroy_node()
        probe.close()


def shaped(start, offset):
    """Return a shaper on its way by an offset of every joint."""
    shaper = CommandShaper()
    shaper.seed(start)
    shaper.set_goal(start + offset)
    return shaper


@pytest.mark.parametrize('name, atol', [
    ('jtc_trajectory', 0.02), ('gello_joint', 0.02), ('equilibrium_pose', 0.08)])
def test_arm_follows_the_stream_of_its_controller(ros, tmp_path, name, atol):
    with rig(tmp_path, CONTROLLERS[name]) as arm:
        shaper = shaped(arm.q(), np.array([0.2, 0.1, 0.0, 0.1, 0.0, 0.1, 0.0]))
        arm.stream(arm.sink(name), shaper, 2.5)
        wanted = KINEMATICS.forward(shaper.q)
        found = KINEMATICS.forward(arm.q())
        if name != 'equilibrium_pose':
            np.testing.assert_allclose(arm.q(), shaper.q, atol=atol)
            np.testing.assert_allclose(
                conv.joint_values(arm.desired[-1], NAMES), shaper.q, atol=1e-6)
            assert np.linalg.norm(found[:3] - wanted[:3]) < 0.015
        else:
            # 150 N/m against the friction of the joints: centimetres are what it gives.
            assert np.linalg.norm(found[:3] - wanted[:3]) < 0.06
        assert 'refused' not in arm.process.log
        arm.check_hears({name})


def test_trajectory_stream_is_carried_out_along_the_plan(ros, tmp_path):
    with rig(tmp_path, 'joint_trajectory') as arm:
        shaper = shaped(arm.q(), np.array([0.3, 0.2, -0.2, 0.2, 0.2, 0.2, 0.3]))
        plan = shaper.preview(0.001, 1300)[0]
        errors, moved = [], []

        def compare():
            # A report may be older or newer than the command, but is not beside the way.
            at = 5 * (len(moved) + 1)
            desired = conv.joint_values(arm.desired[-1], NAMES)
            errors.append(np.abs(plan[max(at - 20, 0):at + 10] - desired).max(axis=1).min())
            moved.append(desired)

        arm.stream(arm.sink('jtc_trajectory'), shaper, 1.2, compare)
        assert np.ptp(moved, axis=0).min() > 0.15
        assert max(errors) < 0.002


def test_stream_that_ends_is_braked_as_it_was_planned(ros, tmp_path):
    with rig(tmp_path, 'joint_trajectory') as arm:
        start = arm.q()
        shaper = shaped(start, 0.3)
        arm.stream(arm.sink('jtc_trajectory'), shaper, 0.2)
        assert np.abs(shaper.dq).max() > 0.3
        arm.probe.tick(2.5)
        # Nobody sends any more: the last message leads to where the plan rests.
        desired = arm.desired[-1]
        np.testing.assert_allclose(conv.joint_values(desired, NAMES), start + 0.3, atol=2e-3)
        np.testing.assert_array_equal(desired.velocity, 0.0)


@pytest.mark.parametrize('controller, heard', [
    ('crisp', {'target_joint'}), ('any', {'target_joint', 'jtc_trajectory'})])
def test_crisp_and_trajectories_are_heard_unless_one_is_chosen(ros, tmp_path, controller, heard):
    with rig(tmp_path, controller) as arm:
        arm.check_hears(heard)


def test_silent_leader_ends_the_controller_until_a_reset(ros, tmp_path):
    with rig(tmp_path, 'gello') as arm:
        sink = arm.sink('gello_joint')
        arm.stream(sink, shaped(arm.q(), 0.1), 0.3)
        arm.probe.tick(0.45)
        assert 'has ended' not in arm.process.log
        arm.probe.tick_until(lambda: 'has ended' in arm.process.log, 0.5, 'the watchdog')
        held = conv.joint_values(arm.desired[-1], NAMES)
        arm.stream(sink, shaped(held, 0.1), 0.3)
        np.testing.assert_array_equal(conv.joint_values(arm.desired[-1], NAMES), held)
        assert arm.probe.call(Trigger, 'mujoco_bridge/sim/reset', ticking=True).success
        arm.probe.tick(0.1)
        again = shaped(arm.q(), 0.1)
        arm.stream(sink, again, 0.5)
        np.testing.assert_allclose(
            conv.joint_values(arm.desired[-1], NAMES), again.q, atol=0.03)


def test_leader_with_an_old_stamp_moves_nothing(ros, tmp_path):
    with rig(tmp_path, 'gello') as arm:
        arm.probe.tick(1.0)
        start = conv.joint_values(arm.desired[-1], NAMES)
        arm.probe.publish('gello/joint_states', conv.joint_state(
            NAMES, start + 0.1, stamp_s=arm.probe.clock_s - 0.6), qos.LATEST)
        arm.probe.tick_until(lambda: 'stamp is 0.6' in arm.process.log, 0.5, 'a refusal')
        arm.probe.tick(0.2)
        np.testing.assert_array_equal(conv.joint_values(arm.desired[-1], NAMES), start)


@pytest.mark.parametrize('controller, topic, message, profile', [
    ('gello', 'gello/joint_states', JointState(), qos.LATEST),
    ('cartesian_impedance_example', TOPICS['equilibrium_pose'], PoseStamped(), qos.RELIABLE)])
def test_second_publisher_is_ignored_on_every_topic(
        ros, tmp_path, controller, topic, message, profile):
    with rig(tmp_path, controller) as arm:
        arm.node.create_publisher(type(message), topic, profile)
        arm.probe.until(lambda: arm.probe.node.count_publishers(topic) == 1)
        arm.probe.publish(topic, message, profile)
        arm.probe.tick_until(lambda: 'SAFETY WARNING' in arm.process.log, what='a warning')


def test_unknown_controller_ends_the_bridge_with_one_line(ros, tmp_path):
    with running(NodeProcess(MODULE, tmp_path / 'log.txt', {
            'arm_controller': 'polymetis', 'camera': False})) as process:
        assert process.wait() == 2
    assert 'polymetis' in process.log and 'Traceback' not in process.log
