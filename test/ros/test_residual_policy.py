# SPDX-License-Identifier: Apache-2.0
"""The residual policy node streams, refuses and holds as promised; real process, real DDS."""

import time

from diagnostic_msgs.msg import DiagnosticStatus
import numpy as np
from ocrrl_ros.core.se3 import pose
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.chunk_conversions import chunk_to_messages
from ocrrl_ros.interfaces.episode_state import to_message, TOPIC
from ocrrl_ros.policy.action_chunk import ActionChunk
from ocrrl_ros.policy.episode_clock import EpisodeState
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES, READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
import pytest
from ros_harness import NodeProcess, running
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool, Trigger
from tiny_bundles import tiny_residual

MODULE = 'ocrrl_ros.nodes.residual_policy_node'
READY = np.array(READY_POSITION)
KINEMATICS = FrankaKinematics()
START = KINEMATICS.forward(READY)


class Arm:
    """Plays arm, episode and base policy toward the node, on wall time."""

    def __init__(self, probe):
        """Listen to what the node sends."""
        self.probe = probe
        self.targets = probe.listen(JointState, 'target_joint', qos.DEEP_RELIABLE)
        self.states = probe.listen(DiagnosticStatus, 'residual_policy/state', qos.LATCHED)
        self.actions = probe.listen(
            JointState, 'residual_policy/action', qos.DEEP_RELIABLE)
        self.gripper = probe.listen(
            Float64MultiArray, 'gripper/gripper_position_controller/commands',
            qos.DEEP_RELIABLE)
        self.number = 0

    def now_s(self):
        """Return ROS time."""
        return self.probe.node.get_clock().now().nanoseconds * 1e-9

    def live(self, duration_s, *, respond=True):
        """Report joints at 200 Hz for a while; the arm follows its targets perfectly."""
        end_s = time.monotonic() + duration_s
        while time.monotonic() < end_s:
            self.probe.poll()
            q = self.targets[-1].position if self.targets else READY
            if respond:
                self.probe.publish('franka/joint_states', conv.joint_state(
                    ARM_JOINT_NAMES, q, np.zeros(7), stamp_s=self.now_s()), qos.RELIABLE)
            time.sleep(0.005)

    def start(self):
        """Start the next episode."""
        self.number += 1
        self.live(0.2)
        self._episode(True)
        self.live(0.1)

    def stop(self):
        """End the episode."""
        self._episode(False)
        self.live(0.3)

    def _episode(self, running_now):
        """Publish the episode's state."""
        self.probe.publish(TOPIC, to_message(EpisodeState(
            number=self.number, running=running_now, task='cube_lift')), qos.LATCHED)

    def plan(self, offset=(0.0, 0.05, 0.0), edit=None):
        """Publish a chunk of now, changed by ``edit(tcp, gripper)``."""
        first = KINEMATICS.forward(
            np.array(self.targets[-1].position) if self.targets else READY)
        share = np.linspace(0.0, 1.0, 16)[:, None]
        poses = pose(first[:3] + share * np.array(offset), np.tile(START[3:], (16, 1)))
        tcp, gripper = chunk_to_messages(
            ActionChunk(self.now_s(), 0.05, poses, np.ones(16)))
        if edit is not None:
            edit(tcp, gripper)
        self.probe.publish('base_policy/gripper_chunk', gripper, qos.LATEST)
        self.probe.publish('base_policy/tcp_chunk', tcp, qos.LATEST)

    def see_cube(self):
        """Publish a cube of now on the table."""
        self.probe.publish('objects/cube/pose', conv.pose_with_covariance(
            np.array([0.5, 0.0, 0.02, 0.0, 0.0, 0.0, 1.0]), np.zeros(36), 'base', self.now_s()),
            qos.RELIABLE)

    def speed(self):
        """Return the largest commanded joint speed of the newest target, rad/s."""
        before, now = self.targets[-2:]
        interval_s = conv.from_stamp(now.header.stamp) - conv.from_stamp(before.header.stamp)
        return np.abs(np.subtract(now.position, before.position)).max() / interval_s


@pytest.fixture(scope='module')
def arm(ros, probe, tmp_path_factory):
    """Give the arm beside a running node whose residual shifts by 20 mm along x."""
    folder = tmp_path_factory.mktemp('residual')
    bundle = tiny_residual(folder / 'bundle', np.array([1.0, 0, 0, 0, 0, 0, 0]))
    node = NodeProcess(MODULE, folder / 'log.txt', {
        'residual': str(bundle), 'realtime_priority': 0})
    with running(node):
        found = Arm(probe)
        probe.until(lambda: found.states, what='a first state of the node')
        yield found


@pytest.fixture(name='episode')
def _episode(arm):
    """Give a running episode and end it afterwards."""
    arm.start()
    arm.probe.call(SetBool, 'residual_policy/set_enabled', SetBool.Request(data=False))
    yield arm
    arm.stop()


def test_nothing_moves_before_an_episode_starts(arm):
    arm.plan()
    arm.live(0.3)
    assert not arm.targets and not arm.gripper


def test_commands_follow_the_plan_and_the_node_is_the_only_publisher(episode):
    before = KINEMATICS.forward(np.array(episode.targets[-1].position))[1]
    episode.plan((0.0, 0.05, 0.0))
    episode.live(0.6)
    moved = KINEMATICS.forward(np.array(episode.targets[-1].position))[1] - before
    assert 0.02 < moved < 0.05
    assert episode.probe.node.count_publishers('target_joint') == 1
    assert list(episode.targets[-1].name) == list(ARM_JOINT_NAMES)


def test_enabling_the_residual_shifts_the_command_by_its_bound(episode):
    episode.probe.call(SetBool, 'residual_policy/set_enabled', SetBool.Request(data=True))
    episode.see_cube()
    episode.plan((0.0, 0.0, 0.0))
    episode.live(0.45)
    action = conv.named_vector_to_dict(episode.actions[-1])
    assert action['residual.x'] == 1.0
    shift = np.hypot(action['command.x'] - action['base.x'],
                     action['command.y'] - action['base.y'])
    assert np.isclose(shift, 0.02, atol=1e-6)


def test_silent_base_policy_stops_the_arm_and_is_named(episode):
    episode.plan()
    episode.live(1.3)
    assert episode.speed() < 1e-6
    assert 'stale' in episode.states[-1].message


def test_silent_arm_stops_the_motion_and_is_named(episode):
    episode.plan()
    episode.live(0.2)
    episode.live(0.5, respond=False)
    assert episode.speed() < 1e-6
    assert 'joint state' in episode.states[-1].message


def _nan(tcp, gripper):
    tcp.points[3].transforms[0].translation.x = float('nan')


def _not_unit(tcp, gripper):
    tcp.points[3].transforms[0].rotation.w = 0.5


def _wrong_joint(tcp, gripper):
    tcp.joint_names = ['panda_hand']


def _wrong_frame(tcp, gripper):
    tcp.header.frame_id = 'world'


def _old(tcp, gripper):
    tcp.header.stamp.sec -= 60
    gripper.header.stamp.sec -= 60


@pytest.mark.parametrize('edit', [_nan, _not_unit, _wrong_joint, _wrong_frame, _old])
def test_bad_chunks_cause_no_motion(episode, edit):
    before = np.array(episode.targets[-1].position)
    episode.plan((0.0, 0.05, 0.0), edit)
    episode.live(0.3)
    assert np.allclose(episode.targets[-1].position, before, atol=1e-9)


def test_hold_stops_and_resume_waits_for_a_new_plan(episode):
    episode.plan()
    episode.live(0.2)
    episode.probe.call(Trigger, 'residual_policy/hold')
    episode.plan()
    episode.live(0.4)
    assert episode.speed() < 1e-6
    assert episode.states[-1].message.startswith('hold')
    episode.probe.call(Trigger, 'residual_policy/resume')
    episode.plan()
    episode.live(0.2)
    assert episode.speed() > 1e-3


@pytest.mark.parametrize(('parameters', 'code', 'words'), [
    ({'task': 'juggle'}, 2, ['juggle', 'cube_lift']),
    ({'sink': 'teleport'}, 2, ['teleport', 'crisp_joint']),
    ({'controller.command_rate_hz': 5.0}, 2, ['command_rate_hz', '20.0']),
    ({'controller.command_rate': 200.0}, 2, ['controller.command_rate']),
    ({'residual': 'models/nowhere'}, 2, ['models/nowhere'])])
def test_wrong_settings_end_the_node_with_one_clear_line(
        ros, tmp_path, parameters, code, words):
    node = NodeProcess(MODULE, tmp_path / 'log.txt', parameters)
    with running(node):
        assert node.wait() == code
    fatal = [line for line in node.log.splitlines() if 'FATAL' in line]
    assert len(fatal) == 1 and 'Traceback' not in node.log
    assert all(word in fatal[0] for word in words)


def test_altered_bundle_is_refused_by_name(ros, tmp_path):
    bundle = tiny_residual(tmp_path / 'bundle', np.zeros(7))
    network = bundle / 'policy.onnx'
    network.write_bytes(network.read_bytes()[:-10])
    node = NodeProcess(MODULE, tmp_path / 'log.txt', {'residual': str(bundle)})
    with running(node):
        assert node.wait() == 1
    assert 'truncated or altered' in node.log
