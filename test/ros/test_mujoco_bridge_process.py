# SPDX-License-Identifier: Apache-2.0
"""The bridge's processes: starting wrongly, ending at any moment, real time, namespaces."""
import os
from pathlib import Path
import signal

from geometry_msgs.msg import TransformStamped
import numpy as np
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import image_conversions as images
from ocrrl_ros.interfaces import qos
from ocrrl_ros.perception.frame import depth_to_metres
from ocrrl_ros.sim.domain import load_domain
import pytest
from ros_harness import NodeProcess, Probe, processes_of_group, running
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Float64
from std_srvs.srv import Trigger

MODULE = 'ocrrl_ros.nodes.mujoco_bridge_node'
SMALL = {'camera': False, 'realtime_priority': 0}
OPTICAL = 'camera_color_optical_frame'


def shared_files():
    """Return what lies in shared memory and is not a system library's."""
    return {name for name in os.listdir('/dev/shm') if 'ocrrl' in name or 'psm_' in name}


@pytest.mark.parametrize('parameters, told', [
    ({'sim.task': 'juggle'}, "unknown task 'juggle'"),
    ({'sim.domain': 'mars'}, "unknown domain 'mars'"),
    ({'rates.crisp_hz': -5.0}, 'rates.crisp_hz is -5.0 Hz; allowed: 0 .. 1000 Hz'),
    ({'sim.taks': 'cube_lift'}, "unknown parameter 'sim.taks'"),
    ({'realtime_priority': 'high'}, "realtime_priority is 'high'"),
])
def test_wrong_setting_ends_with_code_2_and_one_message(ros_domain, tmp_path, parameters, told):
    node = NodeProcess(MODULE, tmp_path / 'log.txt', {**SMALL, **parameters})
    with running(node):
        assert node.wait() == 2
    assert told in node.log
    assert 'Traceback' not in node.log


def test_renderer_without_gl_ends_with_code_1_and_says_what_to_install(
        ros_domain, tmp_path, monkeypatch):
    monkeypatch.setenv('MUJOCO_GL', 'glfw')
    monkeypatch.delenv('DISPLAY', raising=False)
    monkeypatch.delenv('WAYLAND_DISPLAY', raising=False)
    node = NodeProcess(MODULE, tmp_path / 'log.txt', {'realtime_priority': 0})
    with running(node):
        assert node.wait() == 1
    assert 'apt-get install' in node.log
    assert 'Traceback' not in node.log


def test_viewer_without_display_is_refused_before_anything_moves(
        ros_domain, tmp_path, monkeypatch):
    monkeypatch.delenv('DISPLAY', raising=False)
    monkeypatch.delenv('WAYLAND_DISPLAY', raising=False)
    node = NodeProcess(MODULE, tmp_path / 'log.txt', {**SMALL, 'view': True})
    with running(node):
        assert node.wait() == 2
    assert 'DISPLAY' in node.log
    assert 'physics at' not in node.log


def test_interrupt_during_the_start_leaves_nothing(probe, tmp_path):
    node = NodeProcess(MODULE, tmp_path / 'log.txt', {'realtime_priority': 0})
    with running(node):
        probe.until(lambda: len(processes_of_group(node.process.pid)) > 1, what='a renderer')
        assert node.stop() == 0
        probe.until(lambda: not processes_of_group(node.process.pid), 5.0, 'an empty group')
    assert 'Traceback' not in node.log


def test_real_time_run_reports_its_factor_and_ends_cleanly(probe, tmp_path):
    node = NodeProcess(MODULE, tmp_path / 'log.txt', SMALL)
    with running(node):
        factors = probe.listen(Float64, 'mujoco_bridge/real_time_factor', qos.RELIABLE)
        states = probe.listen(JointState, 'franka/joint_states', qos.SENSOR_DATA)
        probe.until(lambda: len(factors) >= 2 and states, what='two factors')
        stamps = np.array([conv.from_stamp(message.header.stamp) for message in states])
        assert all(0.0 < message.data < 1.2 for message in factors)
        # Stamps follow physics steps, not the scheduler: whole milliseconds apart, save
        # where a machine that is too slow has lost 0.1 s.
        steps = np.diff(stamps) / 1e-3
        steps = steps[steps < 90.0]
        np.testing.assert_allclose(steps, np.round(steps), atol=0.02)
        # The first ones repeat the oldest measurement, until the observation delay is over.
        assert (steps[5:] > 0.5).all()
        assert node.stop() == 0
    assert 'Traceback' not in node.log
    assert not processes_of_group(node.process.pid)


def test_namespace_moves_every_topic_and_service(probe, tmp_path):
    node = NodeProcess(MODULE, tmp_path / 'log.txt', SMALL, ('-r', '__ns:=/left'))
    with running(node):
        states = probe.listen(JointState, '/left/franka/joint_states', qos.SENSOR_DATA)
        probe.until(lambda: states, what='states below /left')
        response = probe.call(Trigger, '/left/mujoco_bridge/sim/reset')
        assert response.success
        names = {name for name, _ in probe.node.get_topic_names_and_types()}
        assert {f'/left/{spec.name}' for spec in qos.ARM_TOPICS} <= names


def test_kill_leaves_neither_renderer_nor_shared_memory(probe, tmp_path):
    before = shared_files()
    node = NodeProcess(MODULE, tmp_path / 'log.txt', {'realtime_priority': 0})
    with running(node):
        probe.until(lambda: 'physics at' in node.log, what='a running renderer')
        assert len(processes_of_group(node.process.pid)) == 2
        os.kill(node.process.pid, signal.SIGKILL)
        node.wait()
        probe.until(lambda: not processes_of_group(node.process.pid), 10.0, 'an empty group')
    assert shared_files() <= before


def test_death_of_the_renderer_ends_the_bridge_with_its_reason(probe, tmp_path):
    node = NodeProcess(MODULE, tmp_path / 'log.txt', {'realtime_priority': 0})
    with running(node):
        probe.until(lambda: 'physics at' in node.log, what='a running renderer')
        renderer, = set(processes_of_group(node.process.pid)) - {node.process.pid}
        os.kill(renderer, signal.SIGKILL)
        assert node.wait() == 1
    assert 'renderer process has ended with exit code -9' in node.log


@pytest.fixture(scope='module')
def camera(ros, tmp_path_factory):
    """Give what a lockstep bridge's camera publishes in a third of a second."""
    found = Probe()
    log: Path = tmp_path_factory.mktemp('camera') / 'log.txt'
    node = NodeProcess(MODULE, log, {
        'use_sim_time': True, 'command_tick_s': 0.005, 'lockstep_participants': ['probe']})
    color, depth = 'camera/camera/color', 'camera/camera/aligned_depth_to_color'
    heard = {
        'rgb': found.listen(Image, f'{color}/image_raw', qos.DEEP_RELIABLE),
        'depth': found.listen(Image, f'{depth}/image_raw', qos.DEEP_RELIABLE),
        'info': found.listen(CameraInfo, f'{color}/camera_info', qos.DEEP_RELIABLE),
        'depth_info': found.listen(CameraInfo, f'{depth}/camera_info', qos.DEEP_RELIABLE),
        'pose': found.listen(
            TransformStamped, 'camera/camera/extrinsics/base_to_color', qos.LATCHED),
    }
    with running(node):
        found.until(lambda: heard['pose'], what='the camera')
        found.tick(0.1)
        for name in ('rgb', 'depth', 'info', 'depth_info'):
            heard[name].clear()
        heard['arrived'] = []
        for _ in range(60):
            found.tick()
            heard['arrived'] += [found.clock_s] * (len(heard['rgb']) - len(heard['arrived']))
        found.until(lambda: len(heard['depth']) == len(heard['rgb']), what='equal counts')
        heard['ends'] = {
            spec.name: found.node.get_publishers_info_by_topic(f'/{spec.name}')
            for spec in qos.CAMERA_TOPICS}
        yield heard
    found.close()


@pytest.mark.parametrize('spec', qos.CAMERA_TOPICS, ids=lambda spec: spec.name)
def test_camera_topic_has_the_name_type_and_quality_of_realsense(camera, spec):
    end, = camera['ends'][spec.name]
    assert end.topic_type == spec.type_name
    assert end.qos_profile.reliability == spec.qos.reliability


def test_images_have_the_encodings_sizes_and_frame_of_realsense(camera):
    for name, encoding in (('rgb', 'rgb8'), ('depth', '16UC1')):
        message = camera[name][-1]
        assert (message.encoding, message.width, message.height) == (encoding, 640, 480)
        assert message.header.frame_id == OPTICAL


def test_every_frame_arrives_at_30_hz_with_one_stamp_for_colour_and_depth(camera):
    stamps = [conv.from_stamp(message.header.stamp) for message in camera['rgb']]
    assert len(stamps) == pytest.approx(0.3 * 30, abs=1)
    np.testing.assert_allclose(np.diff(stamps), 1 / 30, atol=6e-3)
    for name in ('depth', 'info', 'depth_info'):
        assert [message.header.stamp for message in camera[name]][:len(stamps)] == [
            message.header.stamp for message in camera['rgb']]


def test_stamp_is_the_exposure_and_the_image_comes_the_domains_delay_later(camera):
    delay_s = load_domain('sim').camera.delay_s
    stamps = np.array([conv.from_stamp(message.header.stamp) for message in camera['rgb']])
    late_s = np.array(camera['arrived'][:len(stamps)]) - stamps
    assert (late_s >= delay_s - 1e-6).all()
    assert np.median(late_s) <= delay_s + 0.0151


def test_camera_info_and_pose_are_what_software_is_told(camera):
    domain = load_domain('sim')
    told = images.camera_info_to_intrinsics(camera['info'][-1])
    assert told == domain.camera.told_intrinsics()
    pose = camera['pose'][-1]
    assert (pose.header.frame_id, pose.child_frame_id) == ('base', OPTICAL)
    np.testing.assert_allclose(
        conv.transform_to_array(pose), domain.camera.told_pose(), atol=1e-9)


def test_picture_shows_a_red_cube_and_depth_of_a_table(camera):
    rgb = images.image_to_rgb(camera['rgb'][-1]).astype(int)
    red = (rgb[..., 0] > 90) & (rgb[..., 0] > 2 * rgb[..., 1]) & (rgb[..., 0] > 2 * rgb[..., 2])
    assert 200 < red.sum() < 20000
    depth = depth_to_metres(images.image_to_array(camera['depth'][-1], 'depth'))
    assert 0.4 < np.median(depth[red & (depth > 0)]) < 1.2
    assert (depth > 0).mean() > 0.5
