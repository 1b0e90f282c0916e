# SPDX-License-Identifier: Apache-2.0
"""Frames come without the distortion that the camera information tells of."""

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.interfaces import image_conversions as images
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.rgbd_inbox import RgbdInbox
from ocrrl_ros.perception.frame import CameraModel, Intrinsics
from ocrrl_ros.perception.rectification import Rectifier
import pytest
from ros_harness import Probe

CAMERA = Intrinsics(fx=150.0, fy=150.0, cx=79.5, cy=59.5, width=160, height=120)
LENS = CameraModel(intrinsics=CAMERA, distortion=(-0.056, 0.066, -0.0006, 0.0005, -0.021))
OPTICAL = 'camera_color_optical_frame'


class Camera:
    """Sends pictures of noise through a lens and takes the frames."""

    def __init__(self, probe):
        """Look at the same things all the time."""
        self._probe, self._inbox, self._stamp_s = probe, RgbdInbox(probe.node), 10.0
        noise = np.random.default_rng(3)
        self.rgb = noise.integers(0, 255, (120, 160, 3), np.uint8)
        self.depth = noise.integers(500, 900, (120, 160), np.uint16)

    def frame(self, model):
        """Send one frame of a camera and return it as it is taken."""
        self._stamp_s += 1.0 / 30.0
        for topic, message in (
                ('color/camera_info', images.camera_info(model, OPTICAL, self._stamp_s)),
                ('color/image_raw',
                 images.image_message(self.rgb, 'rgb8', OPTICAL, self._stamp_s)),
                ('aligned_depth_to_color/image_raw',
                 images.image_message(self.depth, '16UC1', OPTICAL, self._stamp_s))):
            self._probe.publish(f'camera/camera/{topic}', message, qos.LATEST_BEST_EFFORT)
        return self._probe.until(self._inbox.take, what='a frame')


@pytest.fixture
def camera(ros):
    """Give a camera in a namespace of its own."""
    probe = Probe('rgbd_inbox')
    yield Camera(probe)
    probe.close()


def test_distortion_is_taken_out_of_colour_and_depth(camera):
    straight = camera.frame(CameraModel(intrinsics=CAMERA))
    assert np.array_equal(straight.rgb, camera.rgb)
    bent, rectifier = camera.frame(LENS), Rectifier(LENS)
    assert bent.intrinsics == CAMERA
    assert np.array_equal(bent.rgb, rectifier.colour(camera.rgb))
    assert np.array_equal(bent.depth_m, rectifier.depth(straight.depth_m))
    assert not np.array_equal(bent.rgb, camera.rgb)
    assert np.array_equal(camera.frame(CameraModel(intrinsics=CAMERA)).rgb, camera.rgb)


def test_a_lens_that_nobody_knows_is_refused_by_topic_until_a_known_one_comes(camera):
    unknown = CameraModel(intrinsics=CAMERA, distortion_model='fov', distortion=(0.9,))
    with pytest.raises(InputError, match="color/camera_info has distortion model 'fov'"):
        camera.frame(unknown)
    assert np.array_equal(
        camera.frame(LENS).rgb, Rectifier(LENS).colour(camera.rgb))
