# SPDX-License-Identifier: Apache-2.0
"""Base policy and tracker as nodes: bad or absent inputs, and what a seed decides."""

import contextlib
import time

from analytic_sam2 import analytic_decoder, analytic_encoder
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PointStamped
import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import image_conversions as images
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.episode_state import to_message, TOPIC
from ocrrl_ros.nodes.pose_estimator_node import PoseEstimatorConfig
from ocrrl_ros.perception.frame import Intrinsics
from ocrrl_ros.perception.pose_estimator import load_tracker_config
from ocrrl_ros.policy.episode_clock import EpisodeState
import pytest
from ros_harness import NodeProcess, running, WALL_LIMIT_S
from std_msgs.msg import String
from tiny_bundles import tiny_base, tiny_sampler
from tiny_sam2_video import save_tiny_model
from trajectory_msgs.msg import MultiDOFJointTrajectory

SIZE = (480, 640)
CAMERA = Intrinsics(fx=615.0, fy=615.0, cx=319.5, cy=239.5, width=SIZE[1], height=SIZE[0])
POSE = np.array([0.4, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0])
FRAME = 'camera_color_optical_frame'
COLOUR = 'camera/camera/color/image_raw'
DEPTH = 'camera/camera/aligned_depth_to_color/image_raw'
EXTRINSICS = 'camera/camera/extrinsics/base_to_color'


class World:
    """Plays camera and arm toward a node in a namespace."""

    def __init__(self, probe, node, namespace):
        self.probe, self.node, self._prefix = probe, node, f'{namespace}/'

    def publish(self, name, message, profile=qos.RELIABLE):
        self.probe.publish(self._prefix + name, message, profile)

    def now_s(self):
        return self.probe.node.get_clock().now().nanoseconds * 1e-9

    def colour(self, back_s=0.0):
        return images.image_message(
            np.zeros((*SIZE, 3), np.uint8), 'rgb8', FRAME, self.now_s() - back_s)

    def see(self, *, back_s=0.0, apart_s=0.0, depth_mm=700, size=SIZE, encoding=None):
        """Publish a frame without anything in it: of the past, not of one time, or wrong."""
        colour = self.colour(back_s)
        depth = images.image_message(
            np.full(size, depth_mm, np.uint16), '16UC1', FRAME,
            conv.from_stamp(colour.header.stamp) + apart_s)
        colour.encoding = encoding or colour.encoding
        camera = 'camera/camera'
        self.publish(f'{camera}/color/camera_info', images.camera_info(
            CAMERA, FRAME, self.now_s()), qos.IMAGE)
        self.publish(f'{camera}/color/image_raw', colour, qos.IMAGE)
        self.publish(DEPTH, depth, qos.IMAGE)

    def until(self, beat, predicate, what):
        """Call ``beat`` at 20 Hz until the predicate holds."""
        end_s = time.monotonic() + WALL_LIMIT_S
        while not predicate():
            assert time.monotonic() < end_s, f'{what} did not come true; log: {self.node.log}'
            assert self.node.process.poll() is None, self.node.log
            beat()
            self.probe.poll()
            time.sleep(0.05)

    def warned(self, *words):
        return any('WARN' in line and all(word in line for word in words)
                   for line in self.node.log.splitlines())

    def start_episode(self, number):
        """Let an episode run."""
        self.publish(TOPIC, to_message(EpisodeState(
            number=number, running=True, task='cube_lift', started_s=self.now_s())), qos.LATCHED)

    def feel(self, opening):
        """Show a picture and the arm's state."""
        self.publish('current_pose', conv.pose_stamped(POSE, 'base', self.now_s()))
        self.publish('camera/camera/color/image_raw', self.colour(), qos.IMAGE)
        self.publish('gripper/joint_states', conv.joint_state(['gripper'], [opening]))


@contextlib.contextmanager
def planning(probe, folder, bundle, namespace):
    """Give the world of a base policy in a namespace."""
    node = NodeProcess('ocrrl_ros.nodes.base_policy_node', folder / 'log.txt', {
        'bundle': str(bundle)}, ros_arguments=('-r', f'__ns:=/{namespace}'))
    with running(node):
        world = World(probe, node, namespace)
        world.chunks = probe.listen(
            MultiDOFJointTrajectory, f'{namespace}/base_policy/tcp_chunk', qos.DEEP_RELIABLE)
        yield world


@pytest.fixture(name='planner')
def _planner(ros, probe, tmp_path):
    """Give the world of a base policy whose episode runs."""
    bundle = tiny_base(tmp_path / 'base', POSE, np.zeros(3))
    with planning(probe, tmp_path, bundle, 'planner') as world:
        world.publish(TOPIC, String(data='{"number": "one"}'), qos.LATCHED)
        world.until(lambda: None, lambda: world.warned(TOPIC, 'number'), 'a warning')
        world.start_episode(1)
        yield world


def test_base_that_samples_plans_by_seed_and_number_of_the_episode(ros, probe, tmp_path):
    with planning(probe, tmp_path, tiny_sampler(tmp_path / 'base'), 'sampler') as world:
        def plans():
            return [tuple(point.transforms[0].translation.x for point in chunk.points)
                    for chunk in world.chunks]

        def see_until(predicate, what):
            world.until(lambda: world.feel(1.0), predicate, what)

        world.start_episode(1)
        see_until(plans, 'a plan')
        first = plans()[0]
        world.start_episode(2)
        count = len(plans())
        see_until(lambda: len(plans()) >= count + 3, 'plans of the next episode')
        assert len(set(plans())) == len(plans())
        world.start_episode(1)
        see_until(lambda: plans().count(first) == 2, 'the first plan once more')


def test_base_policy_names_what_it_waits_for_and_survives_bad_messages(planner):
    def see():
        planner.publish('camera/camera/color/image_raw', planner.colour(), qos.IMAGE)

    def move():
        planner.publish('current_pose', conv.pose_stamped(POSE, 'base', planner.now_s()))
        see()

    planner.until(lambda: None, lambda: planner.warned(
        'waiting for', 'color/image_raw', 'current_pose', 'gripper/joint_states'), 'all three')
    planner.until(see, lambda: planner.warned(
        'waiting for current_pose, gripper/joint_states'), 'two of them')
    planner.until(move, lambda: planner.warned('waiting for gripper/joint_states'), 'the last')
    planner.until(lambda: planner.feel(float('nan')), lambda: planner.warned(
        'gripper/joint_states holds positions', 'nan'), 'the refusal of NaN')
    assert not planner.chunks
    planner.until(lambda: planner.feel(1.0), lambda: planner.chunks, 'a chunk')


def test_pose_estimator_names_the_missing_camera_pose_and_survives_a_bad_one(
        ros, probe, tmp_path):
    node = NodeProcess('ocrrl_ros.nodes.pose_estimator_node', tmp_path / 'log.txt',
                       ros_arguments=('-r', '__ns:=/tracker'))
    with running(node):
        world = World(probe, node, 'tracker')
        statuses = probe.listen(DiagnosticArray, 'tracker/objects/status', qos.RELIABLE)

        world.until(world.see, lambda: world.warned('waiting for', EXTRINSICS), 'the missing pose')
        for quaternion in ([1.0, 0.0, 0.0, 0.5], [float('nan'), 0.0, 0.0, 1.0]):
            world.publish(EXTRINSICS, conv.transform_stamped(
                [*POSE[:3], *quaternion], 'base', FRAME), qos.LATCHED)
            word = 'finite' if np.isnan(quaternion[0]) else 'quaternion of norm'
            world.until(
                world.see, lambda: world.warned(EXTRINSICS, word), word)  # noqa: B023
        assert not statuses
        world.publish(EXTRINSICS, conv.transform_stamped(POSE, 'base', FRAME), qos.LATCHED)
        world.until(world.see, lambda: statuses, 'a status of the objects')


def test_pose_estimator_says_what_is_wrong_with_images_and_uses_the_next_good_ones(
        ros, probe, tmp_path):
    node = NodeProcess('ocrrl_ros.nodes.pose_estimator_node', tmp_path / 'log.txt', {
        'base_T_camera': list(POSE)}, ros_arguments=('-r', '__ns:=/looking'))
    with running(node):
        world = World(probe, node, 'looking')
        statuses = probe.listen(DiagnosticArray, 'looking/objects/status', qos.RELIABLE)
        told = probe.listen(DiagnosticArray, '/diagnostics', qos.RELIABLE)

        def diagnosed(*words):
            return any('pose_estimator' in status.name and all(
                word in status.message for word in words)
                for message in told for status in message.status)

        world.until(lambda: None, lambda: world.warned('waiting for', COLOUR, DEPTH), 'no images')
        world.until(lambda: None, lambda: diagnosed('waiting for', COLOUR), 'its diagnosis')
        world.until(lambda: world.see(apart_s=0.04), lambda: world.warned(
            DEPTH, COLOUR, '40 ms apart', 'enable_sync'), 'images of two times')
        for wrong, words in (
                ({'encoding': 'mono16'}, (COLOUR, 'mono16', 'rgb8')),
                ({'size': (240, 320)}, (DEPTH, '320x240', '640x480'))):
            world.until(
                lambda: world.see(**wrong), lambda: world.warned(*words), words)  # noqa: B023
        assert not statuses
        world.until(world.see, lambda: statuses, 'a status of the objects')
        world.until(lambda: world.see(depth_mm=0), lambda: world.warned(
            DEPTH, 'no valid pixel'), 'depth of zero')
        world.until(lambda: world.see(back_s=60.0), lambda: world.warned(
            COLOUR, 'gone back by', 'clock was set'), 'a clock that was set back')
        count = len(statuses)
        world.until(lambda: world.see(back_s=60.0), lambda: len(statuses) > count, 'more of them')
        assert statuses[-1].header.stamp.sec < world.now_s() - 50.0


@pytest.mark.parametrize(('parameters', 'missing'), [
    ({'pose_backend': 'foundation_pose'}, 'refine_model'),
    ({'mask_backend': 'sam2_onnx'}, 'encoder_model'),
    ({'mask_backend': 'sam2_video'}, 'model')])
def test_pose_estimator_without_the_networks_that_it_is_to_use_says_which(
        ros, tmp_path, parameters, missing):
    node = NodeProcess(
        'ocrrl_ros.nodes.pose_estimator_node', tmp_path / 'log.txt', parameters)
    with running(node):
        assert node.wait() == 2
    assert f'{missing} is not given' in node.log


def sam2_settings(backend, folder):
    """Return parameters of a node that uses SAM 2, with models written to a folder."""
    if backend == 'sam2_video':
        for package in ('torch', 'transformers'):
            pytest.importorskip(package, reason=f'{package} is missing: make setup TRAIN=1')
        return {'sam2_video.model': str(save_tiny_model(folder))}
    for name, model in (('encoder', analytic_encoder()), ('decoder', analytic_decoder())):
        (folder / f'{name}.onnx').write_bytes(model)
    return {f'sam2.{name}_model': str(folder / f'{name}.onnx') for name in ('encoder', 'decoder')}


@pytest.mark.parametrize('backend', ['sam2_onnx', 'sam2_video'])
def test_pose_estimator_with_sam2_takes_prompts_and_refuses_what_is_no_pixel(
        ros, probe, tmp_path, backend):
    node = NodeProcess('ocrrl_ros.nodes.pose_estimator_node', tmp_path / 'log.txt', {
        'mask_backend': backend, **sam2_settings(backend, tmp_path)},
        ros_arguments=('-r', '__ns:=/prompted'))
    with running(node):
        world = World(probe, node, 'prompted')

        def point():
            message = PointStamped()
            message.point.x = float('nan')
            world.publish('objects/cube/prompt', message)

        world.until(point, lambda: world.warned('pixel is [nan', 'two finite numbers'), 'NaN')


def test_pose_estimator_with_a_wrist_camera_waits_for_the_hand(ros, probe, tmp_path):
    node = NodeProcess('ocrrl_ros.nodes.pose_estimator_node', tmp_path / 'log.txt', {
        'tcp_T_camera': [0.05, 0.0, -0.05, 0.0, 0.0, 0.0, 1.0]},
        ros_arguments=('-r', '__ns:=/wrist'))
    with running(node):
        world = World(probe, node, 'wrist')
        statuses = probe.listen(DiagnosticArray, 'wrist/objects/status', qos.RELIABLE)

        def see():
            world.see()
            return world.now_s()

        def see_and_move():
            before_s = see()
            for stamp_s in (before_s - 0.02, before_s - 0.01, before_s, before_s + 0.01):
                world.publish('current_pose', conv.pose_stamped(POSE, 'base', stamp_s))

        world.until(see, lambda: world.warned('no poses on current_pose'), 'the missing hand')
        assert not statuses
        world.until(see_and_move, lambda: statuses, 'a status of the objects')


def test_pose_estimator_that_still_compiles_ends_with_ctrl_c(
        ros, probe, tmp_path, monkeypatch):
    # As on a machine that has never compiled: for a minute it has no poses to publish yet.
    monkeypatch.setenv('NUMBA_CACHE_DIR', str(tmp_path / 'cache'))
    node = NodeProcess('ocrrl_ros.nodes.pose_estimator_node', tmp_path / 'log.txt',
                       ros_arguments=('-r', '__ns:=/compiling'))
    with running(node):
        world = World(probe, node, 'compiling')
        world.until(lambda: None, lambda: ('pose_estimator', '/compiling') in
                    probe.node.get_node_names_and_namespaces(), 'the node')
        node.interrupt()
        assert node.wait() == 0, node.log
        assert not list(tmp_path.glob('cache/**/pose_kernels_numba.accumulate*'))


def test_how_far_poses_are_moved_on_is_a_parameter():
    assert PoseEstimatorConfig().tracker() == load_tracker_config()
    assert PoseEstimatorConfig(max_lead_s=0.07).tracker().motion.max_lead_s == 0.07
    with pytest.raises(ConfigError, match='max_lead_s is 0.5 s; allowed: 0 .. max_step_s'):
        PoseEstimatorConfig(max_lead_s=0.5).tracker()


def test_a_camera_is_fixed_or_on_the_wrist():
    with pytest.raises(ConfigError, match='base_T_camera and tcp_T_camera are both given'):
        PoseEstimatorConfig(base_T_camera=tuple(POSE), tcp_T_camera=tuple(POSE))
    with pytest.raises(ConfigError, match='tcp_T_camera'):
        PoseEstimatorConfig(tcp_T_camera=(0.0,) * 7)
