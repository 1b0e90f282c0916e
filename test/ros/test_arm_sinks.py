# SPDX-License-Identifier: Apache-2.0
"""What each sink puts on its topic, field by field; the receiving end is a plain subscriber."""
from types import SimpleNamespace

from geometry_msgs.msg import PoseStamped
import numpy as np
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.arm_sinks import make_sink, raw, SinkConfig
from ocrrl_ros.interfaces.arm_sinks.fci_check import FCI_PLUGIN, FciCheck, raw_command_refusal
from ocrrl_ros.interfaces.chunk_conversions import trajectory_times
from ocrrl_ros.policy.controller import Command
from ocrrl_ros.robot.command_shaping import CommandShaper
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES, READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
import pytest
import rclpy
from ros_harness import Probe
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

READY = np.array(READY_POSITION)
NAMES = list(ARM_JOINT_NAMES)
KINEMATICS = FrankaKinematics()
NOW_S = 1234.000000567
TICK_S = 0.005


@pytest.fixture(name='probe')
def _probe(ros):
    """Give a receiving node of this test alone."""
    found = Probe()
    yield found
    found.close()


@pytest.fixture(name='sending')
def _sending(probe):
    """Give a maker of sinks on a node of their own, with what arrives."""
    node = rclpy.create_node('sender')

    def make(name, kind, topic, **settings):
        heard = probe.listen(kind, topic, qos.DEEP_RELIABLE)
        sink = make_sink(name, node, SinkConfig(**settings))
        publisher = next(
            found for found in node.publishers if found.topic_name == f'/{topic}')
        probe.until(lambda: publisher.get_subscription_count() == 1
                    and probe.node.count_publishers(topic) == 1, what=f'match on {topic}')
        return sink, heard

    yield make
    node.destroy_node()


class Stream:
    """A shaped motion, sent tick by tick."""

    def __init__(self, sink, goal=0.3, velocity=None):
        self.sink, self.now_s = sink, NOW_S
        self.shaper = CommandShaper()
        self.shaper.seed(READY)
        self.shaper.set_goal(READY + goal, velocity, 0.05)
        self.sent = []

    def run(self, ticks):
        """Send commands."""
        for _ in range(ticks):
            q, dq, _ = self.shaper.sample(TICK_S)
            self.sent.append((self.now_s, q, dq))
            self.sink.send(Command(q, dq, 0.5), self.now_s, self.shaper.preview)
            self.now_s += TICK_S

    def rest(self, ticks, q=None):
        """Let time pass without commands."""
        for _ in range(ticks):
            self.sink.rest(q, self.now_s)
            self.now_s += TICK_S


def received(probe, heard, count):
    """Return the messages once there are that many, and see that no more come."""
    probe.until(lambda: len(heard) >= count, what=f'{count} messages')
    for _ in range(20):
        probe.poll()
    assert len(heard) == count
    return heard


def check_joint_states(messages, sent, velocity=()):
    for message, (now_s, q, _) in zip(messages, sent, strict=True):
        assert conv.from_stamp(message.header.stamp) == pytest.approx(now_s, abs=1e-9)
        assert message.header.frame_id == ''
        assert list(message.name) == NAMES
        np.testing.assert_array_equal(message.position, q)
        assert (list(message.velocity), list(message.effort)) == (list(velocity), [])


@pytest.mark.parametrize('name, topic, settings', [
    ('crisp_joint', 'target_joint', {'rate_hz': 10.0}),
    ('gello_joint', 'gello/joint_states', {}),
    ('gello_joint', 'leader/joint_states', {'gello_topic': 'leader/joint_states'})])
def test_joint_stream_carries_every_command(probe, sending, name, topic, settings):
    sink, heard = sending(name, JointState, topic, **settings)
    stream = Stream(sink)
    stream.run(10)
    check_joint_states(received(probe, heard, 10), stream.sent)


@pytest.mark.parametrize('name, topic, frame, settings', [
    ('crisp_pose', 'target_pose', 'base', {}),
    ('equilibrium_pose', 'cartesian_impedance_example_controller/equilibrium_pose', 'base', {}),
    ('equilibrium_pose', 'cartesian_impedance/pose_desired', 'panda_link0', {
        'equilibrium_pose_topic': 'cartesian_impedance/pose_desired',
        'equilibrium_pose_frame': 'panda_link0'})])
def test_pose_stream_carries_the_tcp_of_every_command(
        probe, sending, name, topic, frame, settings):
    sink, heard = sending(name, PoseStamped, topic, **settings)
    stream = Stream(sink)
    stream.run(10)
    for message, (now_s, q, _) in zip(received(probe, heard, 10), stream.sent, strict=True):
        assert conv.from_stamp(message.header.stamp) == pytest.approx(now_s, abs=1e-9)
        assert message.header.frame_id == frame
        np.testing.assert_array_equal(conv.pose_to_array(message.pose), KINEMATICS.forward(q))


def test_slow_driver_gets_50_targets_a_second_and_the_last_one(probe, sending):
    sink, heard = sending('ptp_async', JointState, 'target_joint')
    stream = Stream(sink)
    stream.run(38)
    stream.rest(10)
    wanted = stream.sent[::4]
    late_s = stream.sent[36][0] + 4 * TICK_S
    messages = received(probe, heard, len(wanted) + 1)
    check_joint_states(messages[:-1], wanted)
    check_joint_states(messages[-1:], [(late_s, *stream.sent[-1][1:])])


def test_slow_driver_cannot_be_fed_faster():
    with pytest.raises(ConfigError, match='rate_hz is 100.0 Hz; allowed with sink ptp_async'):
        make_sink('ptp_async', None, SinkConfig(rate_hz=100.0))


def test_leader_stream_stays_fresh_between_episodes(probe, sending):
    sink, heard = sending('gello_joint', JointState, 'gello/joint_states')
    stream = Stream(sink)
    stream.rest(100)
    assert not heard
    stream.run(10)
    last = stream.sent[-1][1]
    stream.rest(400, last + 0.05)
    stamps = [conv.from_stamp(m.header.stamp) for m in received(probe, heard, 10 + 50)]
    assert np.diff(stamps).max() < 0.1
    for message in heard[10:]:
        np.testing.assert_array_equal(message.position, last)


def test_leader_stream_follows_an_arm_that_somebody_else_has_moved(probe, sending):
    sink, heard = sending('gello_joint', JointState, 'gello/joint_states')
    stream = Stream(sink)
    stream.run(1)
    stream.rest(9, READY + 0.5)
    received(probe, heard, 2)
    np.testing.assert_array_equal(heard[-1].position, READY + 0.5)


def test_leader_stream_falls_silent_where_that_is_asked_for(probe, sending):
    sink, heard = sending(
        'gello_joint', JointState, 'gello/joint_states', gello_keep_alive=False)
    stream = Stream(sink)
    stream.run(3)
    stream.rest(100)
    received(probe, heard, 3)


@pytest.mark.parametrize('velocity', [None, np.full(7, 0.3)], ids=['to rest', 'passing'])
def test_trajectory_lies_on_the_plan_that_is_then_carried_out(probe, sending, velocity):
    sink, heard = sending(
        'jtc_trajectory', JointTrajectory, 'fr3_arm_controller/joint_trajectory')
    stream = Stream(sink, 0.05, velocity)
    stream.run(13)
    messages = received(probe, heard, 4)
    for _ in range(600):
        stream.shaper.sample(TICK_S)
        stream.sent.append((0.0, stream.shaper.q, stream.shaper.dq))
    for i, message in enumerate(messages):
        assert message.joint_names == NAMES
        assert message.header.frame_id == ''
        assert (message.header.stamp.sec, message.header.stamp.nanosec) == (0, 0)
        times = trajectory_times(message)
        np.testing.assert_allclose(times[:3], [0.02, 0.04, 0.06])
        np.testing.assert_allclose(times[3:], 0.1 * np.arange(1, len(times) - 2))
        ahead = [stream.sent[4 * i + round(time_s / TICK_S)] for time_s in times]
        np.testing.assert_allclose(
            [point.positions for point in message.points], [q for _, q, _ in ahead], atol=1e-9)
        np.testing.assert_allclose(
            [point.velocities for point in message.points], [dq for *_, dq in ahead], atol=1e-6)
        assert all(not len(p.accelerations) and not len(p.effort) for p in message.points)
        assert list(message.points[-1].velocities) == [0.0] * 7
    assert np.abs([p.velocities for p in messages[1].points[:3]]).max() > 0.05


def test_trajectory_has_the_points_stamp_and_controller_that_were_set(probe, sending):
    sink, heard = sending(
        'jtc_trajectory', JointTrajectory, 'jtc/joint_trajectory', jtc_controller='jtc',
        jtc_points=5, jtc_step_s=0.01, jtc_ends_at_rest=False, jtc_stamped=True, rate_hz=100.0)
    stream = Stream(sink)
    stream.run(4)
    first, second = received(probe, heard, 2)
    np.testing.assert_allclose(trajectory_times(first), 0.01 * np.arange(1, 6))
    assert conv.from_stamp(second.header.stamp) == pytest.approx(NOW_S + 0.01, abs=1e-9)
    assert np.abs(second.points[-1].velocities).max() > 0.05


def test_long_plan_is_ended_at_rest_after_two_seconds(probe, sending):
    sink, heard = sending(
        'jtc_trajectory', JointTrajectory, 'fr3_arm_controller/joint_trajectory')
    stream = Stream(sink, -0.4)
    stream.shaper.set_speed_scale(0.05)
    stream.shaper.set_goal(READY - 0.4)
    stream.run(1)
    message, = received(probe, heard, 1)
    assert trajectory_times(message)[-1] == pytest.approx(2.0)
    assert list(message.points[-1].velocities) == [0.0] * 7
    assert np.abs(message.points[-2].velocities).max() > 0.01


@pytest.mark.parametrize('interface, field', [('position', 1), ('velocity', 2)])
def test_raw_commands_in_simulation(probe, sending, interface, field):
    sink, heard = sending(
        'float64_commands', Float64MultiArray, f'{interface}_controller/commands', robot='sim',
        float64_controller=f'{interface}_controller', float64_interface=interface)
    stream = Stream(sink)
    stream.run(5)
    for message, sent in zip(received(probe, heard, 5), stream.sent, strict=True):
        np.testing.assert_array_equal(message.data, sent[field])
        assert not message.layout.dim and message.layout.data_offset == 0


def test_raw_commands_are_refused_by_name_on_a_real_arm():
    with pytest.raises(ConfigError, match="float64_commands is refused with robot 'fr3'"):
        make_sink('float64_commands', None, SinkConfig())


def component(plugin, field='plugin_name'):
    return SimpleNamespace(name='FrankaHardwareInterface', **{field: plugin})


def controller(name, *claimed):
    return SimpleNamespace(name=name, claimed_interfaces=list(claimed))


@pytest.mark.parametrize('controllers, components, words', [
    ([], [component('mock_components/GenericSystem')], None),
    ([controller('fwd', 'fr3_joint1/position')], [], None),
    ([controller('other', 'fr3_joint1/effort')], [], None),
    ([], [component('mock_components/GenericSystem'), component(FCI_PLUGIN)], 'real FCI'),
    ([], [component(FCI_PLUGIN, 'class_type')], 'real FCI'),
    ([controller('fwd', 'fr3_joint1/effort')], [], "claimed 'fr3_joint1/effort'"),
    ([controller('fwd', 'fr3_joint1/velocity')], [], 'allowed: position interfaces')])
def test_controller_manager_tells_a_real_arm(controllers, components, words):
    reason = raw_command_refusal('fwd', 'position', controllers, components)
    assert reason is None if words is None else words in reason


class Manager:
    """Stand-in for one polled client of the controller manager."""

    def __init__(self, **answer):
        self.answer, self.is_up, self.sent = SimpleNamespace(**answer), False, 0
        self.has_answered = False

    def is_ready(self):
        return self.is_up

    def send(self):
        self.sent += 1

    def take(self):
        return self.answer if self.has_answered else None


def test_real_arm_that_shows_up_late_stops_raw_commands(probe, sending, monkeypatch):
    listed = Manager(controller=[])
    hardware = Manager(component=[component(FCI_PLUGIN)])

    class Check(FciCheck):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self._clients = (listed, hardware)

    monkeypatch.setattr(raw, 'FciCheck', Check)
    sink, heard = sending('float64_commands', Float64MultiArray, 'late/commands', robot='sim',
                          float64_controller='late')
    stream = Stream(sink)
    stream.run(2)
    received(probe, heard, 2)
    listed.is_up = hardware.is_up = True
    stream.run(3)
    listed.has_answered = True
    stream.run(2)
    assert sink.problem is None
    hardware.has_answered = True
    stream.run(2)
    stream.rest(2)
    # The tick in which the manager is asked and those of waiting send nothing.
    received(probe, heard, 2)
    assert 'real FCI' in sink.problem
    assert (listed.sent, hardware.sent) == (1, 1)


def test_unknown_sink_is_named():
    node = SimpleNamespace(get_name=lambda: 'nobody')
    with pytest.raises(UnknownNameError, match='gello_joint'):
        make_sink('teleport', node)


@pytest.mark.parametrize('setting, value', [
    ('rate_hz', -1.0), ('rate_hz', 2000.0), ('jtc_points', 0), ('jtc_step_s', 0.0),
    ('gello_topic', '')])
def test_impossible_setting_is_named(setting, value):
    with pytest.raises(ConfigError, match=setting):
        SinkConfig(**{setting: value})
