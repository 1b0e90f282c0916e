# SPDX-License-Identifier: Apache-2.0
"""The bridge's processes: starting wrongly, ending at any moment, real time, namespaces."""
import os
from pathlib import Path
import signal
import time

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TransformStamped
import numpy as np
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import image_conversions as images
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.parameters import parameter_names
from ocrrl_ros.perception.frame import depth_to_metres
from ocrrl_ros.sim.bridge_config import BridgeConfig
from ocrrl_ros.sim.domain import load_domain
import pytest
from rcl_interfaces.srv import GetParameters
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
        reports = probe.listen(DiagnosticArray, '/diagnostics', qos.RELIABLE)
        probe.until(lambda: reports, what='diagnostics')
        now_s = probe.node.get_clock().now().nanoseconds * 1e-9
        assert conv.from_stamp(reports[-1].header.stamp) == pytest.approx(now_s, abs=60.0)
        assert node.stop() == 0
    assert 'Traceback' not in node.log
    assert not processes_of_group(node.process.pid)


def test_time_that_a_stopped_process_has_lost_is_reported(probe, tmp_path):
    node = NodeProcess(MODULE, tmp_path / 'log.txt', SMALL)
    with running(node):
        reports = probe.listen(DiagnosticArray, '/diagnostics', qos.RELIABLE)

        def lost_s():
            return [float(item.value) for message in reports for item in message.status[0].values
                    if item.key == 'lost_s']

        probe.until(lost_s, what='diagnostics')
        before_s = lost_s()[-1]
        os.kill(node.process.pid, signal.SIGSTOP)
        time.sleep(1.0)
        os.kill(node.process.pid, signal.SIGCONT)
        probe.until(lambda: lost_s()[-1] >= before_s + 0.5, what='half a second lost')


def test_settings_file_reaches_the_bridge_in_any_namespace_and_no_other_node(ros, tmp_path):
    path = config_path('nodes', 'mujoco_bridge.yaml')
    given = {}
    for name, namespace in (('mujoco_bridge', ''), ('mujoco_bridge', 'left'), ('recorder', '')):
        node = ros.create_node(
            name, namespace=namespace, cli_args=['--ros-args', '--params-file', str(path)])
        given[name, namespace] = {
            key: value.value for key, value in node._parameter_overrides.items()}
        node.destroy_node()
    defaults = {name: default for name, default, _ in parameter_names(BridgeConfig)}
    found = given['mujoco_bridge', '']
    assert found and found == {name: defaults[name] for name in found}
    assert given['mujoco_bridge', 'left'] == found
    assert given['recorder', ''] == {}


def test_changed_settings_file_is_read_by_the_node(ros_domain, tmp_path):
    text = config_path('nodes', 'mujoco_bridge.yaml').read_text(encoding='utf-8')
    path = tmp_path / 'my_bridge.yaml'
    path.write_text(text.replace('task_hz: 20.0', 'task_hz: 5000.0'), encoding='utf-8')
    node = NodeProcess(
        MODULE, tmp_path / 'log.txt', SMALL, ('-r', '__ns:=/left', '--params-file', str(path)))
    with running(node):
        assert node.wait() == 2
    assert 'rates.task_hz is 5000.0 Hz; allowed: 0 .. 1000 Hz' in node.log


def test_namespace_moves_every_topic_and_service(probe, tmp_path):
    node = NodeProcess(MODULE, tmp_path / 'log.txt', SMALL, ('-r', '__ns:=/left'))
    with running(node):
        states = probe.listen(JointState, '/left/franka/joint_states', qos.SENSOR_DATA)
        probe.until(lambda: states, what='states below /left')
        response = probe.call(Trigger, '/left/mujoco_bridge/sim/reset')
        assert response.success
        names = {name for name, _ in probe.node.get_topic_names_and_types()}
        assert {f'/left/{spec.name}' for spec in qos.ARM_TOPICS} <= names
        description = probe.call(
            GetParameters, '/left/robot_state_publisher/get_parameters',
            GetParameters.Request(names=['robot_description']))
        assert '<robot' in description.values[0].string_value


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
        streams = [heard[name] for name in ('rgb', 'depth', 'info', 'depth_info')]

        def is_complete():
            newest = [str(stream[-1].header.stamp) for stream in streams if stream]
            return len(newest) == len(streams) and len(set(newest)) == 1

        found.tick(0.1)
        found.until(is_complete, what='all four messages of one exposure')
        for stream in streams:
            stream.clear()
        heard['arrived'] = []
        for _ in range(60):
            found.tick()
            heard['arrived'] += [found.clock_s] * (len(heard['rgb']) - len(heard['arrived']))
        found.until(is_complete, what='all four messages of the last exposure')
        yield heard
    found.close()


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
