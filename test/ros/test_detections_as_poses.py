# SPDX-License-Identifier: Apache-2.0
"""The node that is told poses of past images by another program, as a process."""

from pathlib import Path
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseWithCovarianceStamped
import numpy as np
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import image_conversions as images
from ocrrl_ros.interfaces import qos
from ocrrl_ros.perception.frame import Intrinsics
import pytest
from ros_harness import NodeProcess, running, WALL_LIMIT_S

SIZE, DOWN = (480, 640), np.array([0.4, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0])
CAMERA = Intrinsics(fx=615.0, fy=615.0, cx=319.5, cy=239.5, width=SIZE[1], height=SIZE[0])
FRAME, TOPIC = 'camera_color_optical_frame', 'isaac/output'
#: A cube of 40 mm on the table, 0.5 m below the camera.
CAMERA_T_CUBE = (0.0, 0.0, 0.48, 0.0, 0.0, 0.0, 1.0)
BACKEND = {'pose_backend': 'detections', 'detections.topics': [f'cube:={TOPIC}']}
DELAY = 3


def picture():
    """Return colour and depth of the cube from above."""
    colour, depth = np.full((*SIZE, 3), 150, np.uint8), np.full(SIZE, 500, np.uint16)
    half = round(0.02 * 615.0 / 0.46)
    square = slice(240 - half, 240 + half), slice(320 - half, 320 + half)
    colour[square], depth[square] = (190, 25, 20), 460
    return colour, depth


class Cell:
    """Plays the camera, and the program that sees the cube in its images of a while ago."""

    def __init__(self, probe, node):
        self._probe, self._node, self._stamps = probe, node, []
        self._colour, self._depth = picture()
        self.poses = probe.listen(
            PoseWithCovarianceStamped, 'told/objects/cube/pose', qos.RELIABLE)
        self.statuses = probe.listen(DiagnosticArray, 'told/objects/status', qos.RELIABLE)
        self.detecting_in, self.sent = None, []

    def beat(self):
        """Publish an image and the detection in an earlier one."""
        stamp_s = self._probe.node.get_clock().now().nanoseconds * 1e-9
        self._stamps.append(stamp_s)
        # No sensor takes the same picture twice, and a camera that seems to has frozen.
        self._depth[0, 0] = 1000 + len(self._stamps) % 2
        camera = 'told/camera/camera'
        for name, message in (
                ('color/camera_info', images.camera_info(CAMERA, FRAME, stamp_s)),
                ('color/image_raw', images.image_message(self._colour, 'rgb8', FRAME, stamp_s)),
                ('aligned_depth_to_color/image_raw',
                 images.image_message(self._depth, '16UC1', FRAME, stamp_s))):
            self._probe.publish(f'{camera}/{name}', message, qos.IMAGE)
        if self.detecting_in is not None and len(self._stamps) > DELAY:
            past_s = self._stamps[-1 - DELAY]
            self.sent.append(past_s)
            self._probe.publish(f'told/{TOPIC}', conv.pose_stamped(
                CAMERA_T_CUBE, self.detecting_in, past_s), qos.RELIABLE)

    def until(self, predicate, what):
        """Go on at 10 Hz until the predicate holds."""
        end_s = time.monotonic() + WALL_LIMIT_S
        while not predicate():
            assert time.monotonic() < end_s, f'{what} did not come true; log: {self._node.log}'
            assert self._node.process.poll() is None, self._node.log
            self.beat()
            self._probe.poll()
            time.sleep(0.1)

    def state(self):
        """Return level and message of the newest status."""
        if not self.statuses:
            return None, ''
        return self.statuses[-1].status[0].level, self.statuses[-1].status[0].message

    def valid(self):
        """Return the poses that were not news of a loss."""
        return [message for message in self.poses if message.pose.covariance[0] >= 0.0]


def test_poses_come_with_the_stamps_of_past_images_and_end_with_the_detections(
        ros, probe, tmp_path, monkeypatch):
    tests = Path(__file__).resolve().parent
    monkeypatch.setenv('PYTHONPATH', f'{tests}:{tests.parent}', prepend=':')
    # Detections are late by three images at 10 Hz, more on a loaded machine.
    node = NodeProcess('told_estimator_node', tmp_path / 'log.txt', {
        **BACKEND, 'base_T_camera': list(DOWN), 'detections.max_wait_s': 2.0,
        'detections.history_s': 3.0}, ros_arguments=('-r', '__ns:=/told'))
    with running(node):
        cell = Cell(probe, node)
        cell.until(lambda: 'yet' in cell.state()[1], 'a status that nothing was detected')
        assert cell.state() == (DiagnosticStatus.STALE, f'stale: no detection on {TOPIC} yet')
        cell.detecting_in = 'world'
        cell.until(lambda: "frame 'world'" in node.log, 'the refusal of a frame')
        assert FRAME in node.log and TOPIC in node.log and not cell.valid()
        cell.detecting_in = FRAME
        cell.until(lambda: len(cell.valid()) > 3, 'poses')
        for message in cell.valid():
            # Seconds of today as a float are good to a quarter of a microsecond.
            stamp_s = conv.from_stamp(message.header.stamp)
            assert min(abs(stamp_s - sent_s) for sent_s in cell.sent) < 1e-5
            np.testing.assert_allclose(
                conv.pose_to_array(message.pose.pose)[:3], [0.4, 0.0, 0.02], atol=0.003)
        cell.detecting_in = None
        cell.until(lambda: 'for' in cell.state()[1], 'the end of detections in the status')
        assert cell.state()[0] == DiagnosticStatus.STALE
        cell.until(lambda: cell.poses[-1].pose.covariance[0] < 0.0, 'news of the loss')


@pytest.mark.parametrize('parameters, words', [
    (BACKEND, ('vision_msgs', 'apt-get install ros-jazzy-vision-msgs')),
    (BACKEND | {'detections.topics': ''}, ('detections.topics is []', 'nothing for cube')),
    (BACKEND | {'detections.topics': ['mug:=a']}, ("unknown object 'mug'", 'cube'))])
def test_node_that_cannot_be_told_poses_says_why_and_ends(
        ros, tmp_path, monkeypatch, parameters, words):
    hidden = tmp_path / 'hidden' / 'vision_msgs'
    hidden.mkdir(parents=True)
    (hidden / '__init__.py').write_text("raise ImportError('hidden from this test')\n")
    monkeypatch.setenv('PYTHONPATH', str(hidden.parent), prepend=':')
    node = NodeProcess('ocrrl_ros.nodes.pose_estimator_node', tmp_path / 'log.txt', parameters)
    with running(node):
        assert node.wait() == 2
    assert all(word in node.log for word in words), node.log
    assert node.log.count('[FATAL]') == 1 and 'Traceback' not in node.log
