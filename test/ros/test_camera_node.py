# SPDX-License-Identifier: Apache-2.0
"""The node `camera` as a process, playing recordings of a software camera."""
import os
from pathlib import Path
import signal

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
import numpy as np
from ocrrl_ros.interfaces import image_conversions as images
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.conversions import from_stamp
from ocrrl_ros.interfaces.rgbd_inbox import RgbdInbox
import pytest
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from ros_harness import NodeProcess, Probe, processes_of_group, running
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from software_camera import (
    CARD_RGB, FAR_M, FOCAL_PX, FPS, HEIGHT, NEAR_M, WIDTH, write_recording)
from software_camera_node import PLUG

MODULE = 'ocrrl_ros.nodes.camera_node'
BAG = Path(__file__).resolve().parents[1] / 'data' / 'software_camera.bag'
OPTICAL = 'camera_color_optical_frame'
COLOR = 'camera/camera/color/image_raw'
COLOR_INFO = 'camera/camera/color/camera_info'
DEPTH = 'camera/camera/aligned_depth_to_color/image_raw'
DEPTH_INFO = 'camera/camera/aligned_depth_to_color/camera_info'
TOPICS = {COLOR: Image, COLOR_INFO: CameraInfo, DEPTH: Image, DEPTH_INFO: CameraInfo}


@pytest.fixture
def heard(ros, rs):
    """Return a function that makes a probe of a namespace, and what it hears."""
    probes = []

    def listen(namespace=''):
        probes.append(Probe(namespace))
        return probes[-1], {name: probes[-1].listen(kind, name, qos.DEEP_RELIABLE)
                            for name, kind in TOPICS.items()}

    yield listen
    for probe in probes:
        probe.close()


def camera(tmp_path, namespace='', **parameters):
    """Return a running node; it plays the old .bag unless it is told otherwise."""
    return NodeProcess(
        MODULE, tmp_path / f'camera{namespace}.log', {'rosbag_filename': str(BAG), **parameters},
        ('-r', f'__ns:=/{namespace}') if namespace else ())


def diagnosis(probe, wanted):
    """Wait for a diagnosis of the node that fits; return (status, values)."""
    statuses = probe.listen(DiagnosticArray, '/diagnostics', qos.DEEP_RELIABLE)

    def found():
        while statuses:
            for status in statuses.pop(0).status:
                if status.name == 'camera' and wanted(status):
                    return status

    status = probe.until(found, what='a diagnosis')
    return status, {pair.key: pair.value for pair in status.values}


def test_a_bag_comes_out_with_the_names_encodings_frames_and_qos_of_realsense2_camera(
        heard, tmp_path):
    probe, topics = heard()
    with running(camera(tmp_path)) as node:
        probe.until(lambda: all(len(got) >= 20 for got in topics.values()), what='frames')
        ends = {name: probe.node.get_publishers_info_by_topic(f'/{name}')[0] for name in TOPICS}
    assert node.process.returncode == 0, node.log
    for end in ends.values():
        assert end.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        assert end.qos_profile.durability == DurabilityPolicy.VOLATILE
        assert (end.node_name, end.node_namespace) == ('camera', '/')
    for name, encoding in ((COLOR, 'rgb8'), (DEPTH, '16UC1')):
        message = topics[name][-1]
        assert (message.encoding, message.width, message.height) == (encoding, WIDTH, HEIGHT)
    for got in topics.values():
        assert {message.header.frame_id for message in got} == {OPTICAL}
    for name in (COLOR_INFO, DEPTH_INFO):
        message = topics[name][-1]
        assert message.distortion_model == 'plumb_bob' and list(message.d) == [0.0] * 5
        told = images.camera_info_to_intrinsics(message)
        assert (told.fx, told.cx, told.width) == (FOCAL_PX, WIDTH / 2, WIDTH)


def test_stamps_are_of_now_go_forward_and_are_the_same_for_all_four_topics(heard, tmp_path):
    probe, topics = heard()
    before_s = probe.node.get_clock().now().nanoseconds * 1e-9
    # Twenty frames are more than the recording has: it begins anew in between.
    with running(camera(tmp_path)):
        probe.until(lambda: all(len(got) >= 20 for got in topics.values()), what='frames')
    after_s = probe.node.get_clock().now().nanoseconds * 1e-9
    stamps = {name: [from_stamp(message.header.stamp) for message in got]
              for name, got in topics.items()}
    for found in stamps.values():
        assert before_s < found[0] and found[-1] < after_s
        assert (np.diff(found) > 0.0).all()
    shared = set.intersection(*map(set, stamps.values()))
    assert len(shared) >= 15


def test_our_own_nodes_take_the_frames(heard, tmp_path):
    probe, _ = heard()
    inbox = RgbdInbox(probe.node)
    with running(camera(tmp_path)):
        frame = probe.until(inbox.take, what='a frame in the inbox')
    card = (frame.rgb == CARD_RGB).all(axis=-1)
    assert np.median(frame.depth_m[card]) == pytest.approx(NEAR_M)
    assert np.median(frame.depth_m[~card & (frame.depth_m > 0)]) == pytest.approx(FAR_M)


def test_a_killed_camera_streams_again_once_it_is_started_again(heard, tmp_path):
    probe, topics = heard()
    with running(camera(tmp_path)) as node:
        probe.until(lambda: all(len(got) >= 5 for got in topics.values()), what='frames')
        os.kill(node.process.pid, signal.SIGKILL)
        assert node.wait() == -signal.SIGKILL
        probe.until(lambda: processes_of_group(node.process.pid) == [], what='all processes gone')
    last_s = from_stamp(topics[DEPTH][-1].header.stamp)
    for got in topics.values():
        got.clear()
    with running(camera(tmp_path)) as node:
        probe.until(lambda: all(len(got) >= 5 for got in topics.values()), what='frames again')
    assert node.process.returncode == 0, node.log
    assert from_stamp(topics[DEPTH][0].header.stamp) > last_s


def test_two_cameras_live_in_two_namespaces_with_frames_of_their_own(heard, tmp_path):
    (left, of_left), (right, of_right) = heard('left'), heard('right')
    with running(camera(tmp_path, 'left', camera_name='left'),
                 camera(tmp_path, 'right', **{'align_depth.enable': False})):
        own = right.listen(Image, 'camera/camera/depth/image_rect_raw', qos.DEEP_RELIABLE)
        jpeg = left.listen(CompressedImage, f'{COLOR}/compressed', qos.DEEP_RELIABLE)
        left.until(lambda: of_left[DEPTH] and jpeg, what='the left camera')
        right.until(lambda: of_right[COLOR] and own, what='the right camera')
    assert of_left[DEPTH][-1].header.frame_id == 'left_color_optical_frame'
    assert of_right[COLOR][-1].header.frame_id == OPTICAL
    assert own[-1].header.frame_id == 'camera_depth_optical_frame'
    assert not of_right[DEPTH]


def test_the_diagnosis_tells_of_a_stream_and_of_the_end_of_a_recording(heard, tmp_path):
    probe, _ = heard()
    with running(camera(tmp_path, rosbag_loop=False, rosbag_realtime=False)):
        status, values = diagnosis(probe, lambda status: any(
            pair.value == 'ended' for pair in status.values))
    assert 'software_camera.bag' in values['camera']
    assert int(values['frames']) >= 3
    assert float(values['depth_valid_share']) > 0.5
    assert (values['stamps_by'], values['losses']) == ('arrival', '0')
    assert 'searching' not in status.message


def test_depth_that_is_zero_everywhere_is_published_and_warned_of(heard, rs, tmp_path):
    path = tmp_path / 'blind.db3'
    write_recording(rs, str(path), is_blind=True)
    probe, topics = heard()
    with running(camera(tmp_path, rosbag_filename=str(path))):
        status, _ = diagnosis(probe, lambda status: 'no valid pixel' in status.message)
        probe.until(lambda: topics[DEPTH], what='depth')
    assert status.level == DiagnosticStatus.WARN
    assert not any(topics[DEPTH][-1].data)


def test_intrinsics_of_zero_are_reported_and_nothing_is_published(heard, rs, tmp_path):
    path = tmp_path / 'uncalibrated.db3'
    write_recording(rs, str(path), focal_px=0.0)
    probe, topics = heard()
    with running(camera(tmp_path, rosbag_filename=str(path))) as node:
        status, _ = diagnosis(probe, lambda status: 'calibrated?' in status.message)
    assert node.process.returncode == 0
    assert status.level == DiagnosticStatus.WARN
    assert 'fx is 0.0 px' in status.message
    assert not any(topics.values())


def test_an_unplugged_camera_does_not_end_the_node(heard, tmp_path):
    probe, _ = heard()
    node = camera(tmp_path, rosbag_filename='', serial_no='_012', reconnect_period_s=0.1)
    with running(node):
        status, values = diagnosis(probe, lambda status: "'012'" in status.message)
        diagnosis(probe, lambda status: "'012'" in status.message)
    assert status.level == DiagnosticStatus.WARN
    assert values['state'] == 'searching'
    assert node.process.returncode == 0
    assert node.log.count('searching') == 1, node.log


@pytest.mark.parametrize(('domain', 'stamps'), [
    ('hardware_clock', 'estimate'), ('global_time', 'host')])
def test_a_camera_that_is_unplugged_and_plugged_in_again_is_reported_and_streams_again(
        heard, tmp_path, monkeypatch, domain, stamps):
    tests = Path(__file__).resolve().parent
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(
        [str(tests), str(tests.parent), os.environ.get('PYTHONPATH', '')]))
    plug = tmp_path / 'plug'
    monkeypatch.setenv(PLUG, str(plug))
    profile = f'{WIDTH}x{HEIGHT}x{FPS}'
    node = NodeProcess('software_camera_node', tmp_path / 'camera.log', {
        'rgb_camera.color_profile': profile, 'depth_module.depth_profile': profile,
        'reconnect_period_s': 0.2, 'max_silence_s': 2.0})
    probe, topics = heard()
    with running(node):
        diagnosis(probe, lambda status: 'no RealSense camera is connected' in status.message)
        plug.write_text(domain)
        probe.until(lambda: len(topics[DEPTH]) >= 10, what='frames')
        plug.unlink()
        diagnosis(probe, lambda status: 'lost: no RealSense camera' in status.message)
        before = len(topics[DEPTH])
        plug.write_text(domain)
        probe.until(lambda: len(topics[DEPTH]) >= before + 10, what='frames again')
        status, values = diagnosis(probe, lambda status: any(
            pair.value == 'streaming' for pair in status.values))
    assert node.process.returncode == 0
    assert (values['losses'], values['stamps_by']) == ('1', stamps)
    assert 'lost' not in status.message
    words = [line.partition('[camera]: ')[2].partition(':')[0]
             for line in node.log.splitlines() if '[camera]: ' in line]
    assert words == ['searching', 'streaming', 'lost', 'lost', 'streaming'], node.log
    assert (np.diff([from_stamp(message.header.stamp) for message in topics[DEPTH]]) > 0.0).all()


def refusal(node):
    """Return the one line with which a node that does not start ends."""
    assert node.wait() == 2, node.log
    # The middleware may have warnings of its own.
    line, = (line for line in node.log.splitlines() if not line.startswith('[WARN]'))
    return line


@pytest.mark.parametrize(('parameters', 'words'), [
    ({'rosbag_filename': 'nowhere.bag'}, ['nowhere.bag', 'no file']),
    ({'rgb_camera.color_profile': 'vga'}, ["'vga'", 'WIDTHxHEIGHTxFPS']),
    ({'serial_no': 831612070538}, ['831612070538', 'underscore']),
    ({'serial': '1'}, ["'serial'", 'serial_no'])])
def test_a_wrong_parameter_ends_the_node_with_one_line_and_2(rs, tmp_path, parameters, words):
    node = camera(tmp_path, **parameters)
    line = refusal(node)
    assert all(word in line for word in words), line


def test_a_missing_library_ends_the_node_with_its_install_line_and_2(tmp_path, monkeypatch):
    # A folder before the installed one, in which the library is not to be had.
    (tmp_path / 'pyrealsense2.py').write_text('raise ImportError("libusb-1.0.so.0: none")\n')
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(
        [str(tmp_path), os.environ.get('PYTHONPATH', '')]))
    node = camera(tmp_path)
    line = refusal(node)
    assert 'libusb-1.0.so.0: none' in line
    assert 'pip install pyrealsense2' in line and 'apt-get install -y libusb-1.0-0' in line
