# SPDX-License-Identifier: Apache-2.0
"""NaN, Inf and 1e30 in every number that a node hears: it survives, names the topic, works on."""

import contextlib
import itertools
import time

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import WrenchStamped
import numpy as np
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import image_conversions as images
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.chunk_conversions import joint_trajectory
from ocrrl_ros.interfaces.episode_state import to_message, TOPIC
from ocrrl_ros.interfaces.recorded_topics import recorded_fast_topics, recorded_topics
from ocrrl_ros.interfaces.recording import message_class
from ocrrl_ros.perception.frame import Intrinsics
from ocrrl_ros.policy.episode_clock import EpisodeState
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES, READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ros_harness import NodeProcess, running, WALL_LIMIT_S
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import JointState
from std_msgs.msg import Float32, Float64MultiArray
from tiny_bundles import tiny_base
from trajectory_msgs.msg import MultiDOFJointTrajectory
from wrong_numbers import places_of_kind, Sweep

READY = np.array(READY_POSITION)
START = FrankaKinematics().forward(READY)
CAMERA_POSE = np.array([0.4, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0])
SIZE = (480, 640)
CAMERA = Intrinsics(fx=615.0, fy=615.0, cx=319.5, cy=239.5, width=SIZE[1], height=SIZE[0])
FRAME = 'camera_color_optical_frame'
INFO = 'camera/camera/color/camera_info'
EXTRINSICS = 'camera/camera/extrinsics/base_to_color'
COMMANDS = 'gripper/gripper_position_controller/commands'


class Stage:
    """A node in a namespace, and everything that is said to it."""

    def __init__(self, probe, node, name, namespace):
        self.probe, self.node, self.name, self.namespace = probe, node, name, namespace
        self._noise = np.random.default_rng(0)

    def now_s(self):
        return self.probe.node.get_clock().now().nanoseconds * 1e-9

    def send(self, topic, message):
        """Publish so that latched and other subscriptions hear it."""
        latched = topic in (EXTRINSICS, TOPIC)
        self.probe.publish(
            f'{self.namespace}/{topic}', message, qos.LATCHED if latched else qos.RELIABLE)

    def beat(self, seconds=0.01):
        """Let the node work."""
        self.probe.poll()
        time.sleep(seconds)

    def until(self, predicate, what, beat=None):
        """Beat until the predicate holds."""
        end_s = time.monotonic() + WALL_LIMIT_S
        while not predicate():
            assert time.monotonic() < end_s, f'{what} did not come true: {self.node.log[-2000:]}'
            assert self.node.process.poll() is None, self.node.log
            (beat or self.beat)()

    def sweep(self, seeds):
        """Return the sweep of what the node hears."""
        return Sweep(self.probe, self.node, self.name, self.namespace, seeds, self.send)

    def see(self, stamp_s=None):
        """Show a new picture of nothing."""
        self.send('camera/camera/color/image_raw', images.image_message(
            np.zeros((*SIZE, 3), np.uint8), 'rgb8', FRAME, stamp_s or self.now_s()))
        self.beat(0.05)

    def see_depth(self, stamp_s):
        """Show new depth of nothing."""
        depth = self._noise.integers(690, 710, SIZE, np.uint16)
        self.send('camera/camera/aligned_depth_to_color/image_raw', images.image_message(
            depth, '16UC1', FRAME, stamp_s))

    def info(self):
        """Return good camera information, distortion included."""
        message = images.camera_info(CAMERA, FRAME, self.now_s())
        message.d = [0.0] * 5
        return message


@contextlib.contextmanager
def staged(probe, tmp_path, name, **parameters):
    """Run a node in a namespace of its own."""
    namespace = f'wrong_{name}'
    node = NodeProcess(f'ocrrl_ros.nodes.{name}_node', tmp_path / 'log.txt', {
        key.replace('__', '.'): value for key, value in parameters.items()},
        ('-r', f'__ns:=/{namespace}'))
    with running(node):
        yield Stage(probe, node, name, namespace)
    assert node.process.returncode == 0 and 'Traceback' not in node.log, node.log


def test_pose_estimator(ros, probe, tmp_path):
    with staged(probe, tmp_path, 'pose_estimator') as stage:
        statuses = probe.listen(
            DiagnosticArray, f'{stage.namespace}/objects/status', qos.RELIABLE)
        sweep = stage.sweep({
            INFO: stage.info,
            EXTRINSICS: lambda: conv.transform_stamped(CAMERA_POSE, 'base', FRAME)})
        assert set(sweep.topics) == {INFO, EXTRINSICS}
        for topic in sweep.topics:
            sweep.run_until_named(topic, lambda: stage.beat(0.02))

        def look():
            stage.send(INFO, stage.info())
            stage.send(EXTRINSICS, conv.transform_stamped(CAMERA_POSE, 'base', FRAME))
            stamp_s = stage.now_s()
            stage.see_depth(stamp_s)
            stage.see(stamp_s)

        stage.until(lambda: statuses, 'a status of the objects', look)


def test_base_policy(ros, probe, tmp_path):
    bundle = tiny_base(tmp_path / 'base', CAMERA_POSE, np.zeros(3))
    with staged(probe, tmp_path, 'base_policy', bundle=str(bundle)) as stage:
        chunks = probe.listen(
            MultiDOFJointTrajectory, f'{stage.namespace}/base_policy/tcp_chunk',
            qos.DEEP_RELIABLE)
        seeds = {
            'current_pose': lambda: conv.pose_stamped(CAMERA_POSE, 'base', stage.now_s()),
            'gripper/joint_states': lambda: conv.joint_state(['gripper'], [1.0])}
        sweep = stage.sweep(seeds)
        assert set(sweep.topics) == set(seeds)
        stage.send(TOPIC, to_message(EpisodeState(
            number=1, running=True, task='cube_lift', started_s=stage.now_s())))
        beats = itertools.count()

        def beat():
            if next(beats) % 10 == 0:
                stage.see()
            stage.beat()

        for topic in sweep.topics:
            sweep.run_until_named(topic, beat)

        def feel():
            for topic, seed in seeds.items():
                stage.send(topic, seed())
            stage.see()

        count = len(chunks)
        stage.until(lambda: len(chunks) > count, 'a chunk of good inputs', feel)
        numbers = [conv_values(point.transforms[0]) for chunk in chunks for point in chunk.points]
        assert np.isfinite(numbers).all() and np.abs(numbers).max() < 2.0


def conv_values(transform):
    """Return the numbers of a transform."""
    t, r = transform.translation, transform.rotation
    return [t.x, t.y, t.z, r.x, r.y, r.z, r.w]


def test_episode_hears_no_numbers(ros, probe, tmp_path):
    with staged(probe, tmp_path, 'episode') as stage:
        stage.until(lambda: ('episode/instruction', 'std_msgs/msg/String') in Sweep.heard(
            probe, 'episode', stage.namespace), 'its inputs')
        assert not stage.sweep({}).topics


def test_gripper(ros, probe, tmp_path):
    topic = 'gripper/gripper_client/target_gripper_width_percent'
    with staged(probe, tmp_path, 'gripper', driver='width_percent') as stage:
        sent = probe.listen(Float32, f'{stage.namespace}/{topic}', qos.DEEP_RELIABLE)
        fingers = 'franka_gripper/joint_states'
        seeds = {
            COMMANDS: lambda: Float64MultiArray(data=[0.5]),
            fingers: lambda: JointState(
                name=['fr3_finger_joint1', 'fr3_finger_joint2'], position=[0.02, 0.02])}
        sweep = stage.sweep(seeds)
        assert set(sweep.topics) == set(seeds)
        for name in sweep.topics:
            sweep.run_until_named(name, stage.beat)

        def wish():
            for name, seed in seeds.items():
                stage.send(name, seed())
            stage.beat(0.03)

        stage.until(lambda: sent and abs(sent[-1].data - 0.5) < 1e-6, 'the wished width', wish)
        assert all(0.0 <= message.data <= 1.0 for message in sent)


def test_mujoco_bridge(ros, probe, tmp_path):
    with staged(probe, tmp_path, 'mujoco_bridge', realtime_priority=0) as stage:
        states = probe.listen(
            JointState, f'{stage.namespace}/franka/joint_states', qos.SENSOR_DATA)
        probe.until(lambda: states, 120.0, 'joint states')
        rest = np.array(states[-1].position[:7])

        def trajectory():
            return joint_trajectory(list(ARM_JOINT_NAMES), np.tile(rest, (2, 1)), 0.05, 0.0)

        def wrench():
            return conv.wrench_stamped(np.zeros(6), 'base', stage.now_s())

        def push():
            message = WrenchStamped()
            message.header.frame_id = 'cube'
            return message

        sweep = stage.sweep({
            'target_joint': lambda: conv.joint_state(ARM_JOINT_NAMES, rest, np.zeros(7)),
            'target_pose': lambda: conv.pose_stamped(START, 'base', stage.now_s()),
            'target_wrench': wrench,
            'target_stiffness': lambda: Float64MultiArray(data=[500.0] * 3 + [20.0] * 3),
            COMMANDS: lambda: Float64MultiArray(data=[0.5]),
            'joint_trajectory_controller/joint_trajectory': trajectory,
            'fr3_arm_controller/joint_trajectory': trajectory,
            'mujoco_bridge/sim/push': push})
        assert {'target_joint', 'target_pose', COMMANDS} <= set(sweep.topics)
        for topic in sweep.topics:
            sweep.run_until_named(topic, lambda: stage.beat(0.02))
        q = np.array([message.position[:7] for message in states])
        assert np.isfinite(q).all()
        assert np.abs(q - rest).max() < 0.1

        def aim():
            stage.send('target_joint', conv.joint_state(
                ARM_JOINT_NAMES, rest + 0.05, np.zeros(7)))
            stage.beat(0.02)

        stage.until(lambda: np.abs(
            np.array(states[-1].position[:7]) - rest - 0.05).max() < 0.03, 'a good target', aim)


def filled(kind):
    """Return a message of a type with two numbers in every sequence of numbers."""
    message = message_class(kind)()
    for name, field in message.get_fields_and_field_types().items():
        if field in ('sequence<double>', 'sequence<float>'):
            setattr(message, name, [0.0, 0.0])
    return message


def test_recorder(ros, probe, tmp_path):
    with staged(probe, tmp_path, 'recorder', folder=str(tmp_path / 'bags')) as stage:
        kinds = dict(text.split(':') for text in (
            *recorded_topics(['cube']), *recorded_fast_topics('crisp_joint')))
        sweep = stage.sweep({
            topic: lambda kind=kind: filled(kind) for topic, kind in kinds.items()
            if places_of_kind(kind)})
        assert {'joint_states', 'objects/cube/pose', 'target_joint'} <= set(sweep.topics)
        stage.send(TOPIC, to_message(EpisodeState(
            number=1, running=True, task='cube_lift', started_s=stage.now_s())))
        stage.until(lambda: list(tmp_path.glob('bags/*')), 'a bag')
        for topic in sweep.topics:
            sweep.topics[topic] = sweep.topics[topic][:2]
            sweep.run(topic, stage.beat)
        stage.send(TOPIC, to_message(EpisodeState(
            number=1, running=False, task='cube_lift', ended_s=stage.now_s())))
        stage.until(lambda: list(tmp_path.glob('bags/*/episode.json')), 'the finished bag')
    with AnyReader([next(tmp_path.glob('bags/*'))]) as reader:
        topics = {connection.topic for connection, _, _ in reader.messages()}
    assert f'/{stage.namespace}/joint_states' in topics


def test_camera_info_that_cannot_be_used_is_named_and_the_next_good_one_is_used(
        ros, probe, tmp_path):
    with staged(probe, tmp_path, 'pose_estimator', base_T_camera=CAMERA_POSE.tolist()) as stage:
        statuses = probe.listen(
            DiagnosticArray, f'{stage.namespace}/objects/status', qos.RELIABLE)

        def look(info):
            stamp_s = stage.now_s()
            stage.send(INFO, info)
            stage.see_depth(stamp_s)
            stage.see(stamp_s)

        probe.until(lambda: probe.node.count_publishers(
            f'{stage.namespace}/objects/status'), 240.0, 'the node')
        without, small = stage.info(), stage.info()
        without.k = [0.0] * 9
        small.width, small.height = 320, 240
        for info, words in ((without, 'focal lengths 0.0, 0.0'), (small, '320x240')):
            stage.until(lambda words=words: any(
                'WARN' in line and INFO in line and words in line
                for line in stage.node.log.splitlines()), words, lambda info=info: look(info))
        assert not statuses
        stage.until(lambda: statuses, 'a status of the objects', lambda: look(stage.info()))


def test_a_frozen_camera_is_named_and_tracked_again_when_it_moves(ros, probe, tmp_path):
    with staged(probe, tmp_path, 'pose_estimator', base_T_camera=CAMERA_POSE.tolist()) as stage:
        statuses = probe.listen(
            DiagnosticArray, f'{stage.namespace}/objects/status', qos.RELIABLE)

        def look(seed=None):
            stamp_s = stage.now_s()
            stage.send(INFO, stage.info())
            if seed is not None:
                stage._noise = np.random.default_rng(seed)
            stage.see_depth(stamp_s)
            stage.see(stamp_s)

        stage.until(lambda: statuses, 'a status of the objects', look)
        stage.until(lambda: 'it has frozen' in stage.node.log, 'the frozen camera',
                    lambda: look(7))
        count = len(statuses)
        stage.until(lambda: len(statuses) > count, 'a status of a new picture', look)
