# SPDX-License-Identifier: Apache-2.0
"""`ocrrl calibrate camera` as a process, with an arm and a camera played toward it."""

import contextlib
import dataclasses
import signal
import subprocess
import sys
import time

from board_pictures import CAMERA, Rig
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import image_conversions as images
from ocrrl_ros.interfaces import qos
from ocrrl_ros.perception.calibration.board import BoardConfig, CalibrationBoard
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES, READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
import pytest
from ros_harness import die_with_parent, WALL_LIMIT_S
from sensor_msgs.msg import CameraInfo, Image, JointState
import yaml

KINEMATICS = FrankaKinematics()
SAMPLES = 10
FRAME = 'camera_color_optical_frame'


class Session:
    """A wrist camera above a board on the table, and the command that watches it."""

    def __init__(self, probe, folder, namespace):
        self.folder = folder
        # No waiting for a listener: the command may end at any time.
        self._joints, self._info, self._image = (
            probe.node.create_publisher(kind, f'{namespace}/{name}', qos.RELIABLE)
            for kind, name in ((JointState, 'franka/joint_states'),
                               (CameraInfo, 'camera/camera/color/camera_info'),
                               (Image, 'camera/camera/color/image_raw')))
        self.log_path = folder.with_suffix('.log')
        self._namespace = namespace
        self.rig = Rig(CalibrationBoard(BoardConfig()), 'wrist')
        ahead = se3.pose(np.array([-0.12, -0.09, 0.5]), se3.quat_from_rotvec(
            np.array([0.1, 0.15, 0.2])))
        self.rig.other_T_board = se3.pose_multiply(
            KINEMATICS.forward(np.array(READY_POSITION)),
            se3.pose_multiply(self.rig.parent_T_camera, ahead))
        self.stamp_s, self.camera = 100.0, CAMERA
        self.process = None

    @contextlib.contextmanager
    def command(self):
        """Run the command for the duration of a block."""
        with open(self.log_path, 'w', encoding='utf-8') as log:
            self.process = subprocess.Popen(
                [sys.executable, '-m', 'ocrrl_ros.cli.main', 'calibrate', 'camera', '--mount',
                 'wrist', '--namespace', self._namespace, '--out', str(self.folder), '--samples',
                 str(SAMPLES)], stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=die_with_parent)
            try:
                yield
            finally:
                if self.process.poll() is None:
                    self.process.kill()
                self.process.wait()

    @property
    def log(self):
        return self.log_path.read_text(encoding='utf-8')

    @property
    def taken(self):
        return len(list(self.folder.glob('sample_*.json')))

    def postures(self, count):
        """Return joint positions far from each other from which the whole board is seen."""
        rng, found, turns = np.random.default_rng(0), [], []
        while len(found) < count:
            q = np.array(READY_POSITION) + rng.uniform(-1, 1, 7) * [
                0.1, 0.08, 0.1, 0.08, 0.3, 0.25, 0.4]
            pose = KINEMATICS.forward(q)
            pixels = CAMERA.project(se3.pose_transform(
                self.rig.camera_T_board(pose), self.rig.board.points))
            apart = [se3.quat_angle(pose[3:], turn) for turn in turns]
            if pixels.min() > 20 and (pixels < [620, 460]).all() and min(apart, default=1) > 0.15:
                found.append(q)
                turns.append(pose[3:])
        return found

    def show(self, q):
        """Publish half a second of the arm standing at q, and what the camera sees there."""
        self.stamp_s += 0.5
        self._joints.publish(conv.joint_state(ARM_JOINT_NAMES, q, stamp_s=self.stamp_s))
        self._info.publish(images.camera_info(self.camera, FRAME, self.stamp_s))
        rgb = self.rig.sample(KINEMATICS.forward(q)).rgb
        self._image.publish(images.image_message(rgb, 'rgb8', FRAME, self.stamp_s))

    def until(self, predicate, q=None):
        """Wait; with q the arm stands there."""
        end_s = time.monotonic() + WALL_LIMIT_S
        while not predicate():
            assert time.monotonic() < end_s, self.log
            if q is not None and self.process.poll() is None:
                self.show(q)
            time.sleep(0.1)


@pytest.fixture
def session(probe, tmp_path):
    return Session(probe, tmp_path / 'session', 'calibrated')


def test_a_session_that_was_interrupted_goes_on_and_ends_with_the_cameras_pose(session):
    postures = session.postures(SAMPLES)
    with session.command():
        session.until(lambda: 'waiting for' in session.log)
        assert '/camera/camera/color/image_raw' in session.log
        for number, q in enumerate(postures[:4]):
            session.until(lambda expected=number + 1: session.taken == expected, q)
        session.process.send_signal(signal.SIGINT)
        assert session.process.wait(WALL_LIMIT_S) == 130
    assert '4 pictures are in' in session.log
    with session.command():
        for number, q in enumerate(postures[4:]):
            session.until(lambda expected=number + 5: session.taken == expected, q)
        assert session.process.wait(WALL_LIMIT_S) == 0, session.log
    camera = yaml.safe_load((session.folder / 'camera.yaml').read_text())
    assert camera['parent_frame'] == 'fr3_hand_tcp'
    assert np.allclose(
        camera['parent_T_camera'][:3], session.rig.parent_T_camera[:3], atol=2e-3)


def test_a_camera_that_changes_ends_the_session_with_what_was_taken(session):
    q = session.postures(1)[0]
    with session.command():
        session.until(lambda: session.taken == 1, q)
        session.camera = dataclasses.replace(CAMERA, fx=700.0)
        session.until(lambda: session.process.poll() is not None, q)
        assert session.process.returncode == 1
    assert 'all pictures must be of one camera and resolution' in session.log.replace('\n', ' ')
    assert session.taken == 1
