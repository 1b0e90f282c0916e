# SPDX-License-Identifier: Apache-2.0
"""The RealSense library, and an opener that finds software devices in place of cameras."""
import time

from ocrrl_ros.core.errors import MissingDependencyError
from ocrrl_ros.perception.adapters.realsense.config import (
    DepthModuleConfig, RealsenseConfig, RgbCameraConfig)
from ocrrl_ros.perception.adapters.realsense.connection import CameraLostError
from ocrrl_ros.perception.adapters.realsense.library import load_realsense
from ocrrl_ros.perception.adapters.realsense.opener import RealsenseOpener
import pytest
from software_camera import FPS, HEIGHT, SoftwareCamera, WIDTH

PROFILE = f'{WIDTH}x{HEIGHT}x{FPS}'
LIMIT_S = 20.0


class SoftwareOpener(RealsenseOpener):
    """Opens the software camera that is plugged in; all else is the real opener."""

    def __init__(self, config):
        super().__init__(config)
        self.plugged = SoftwareCamera(self.rs)

    def find_device(self):
        if self.plugged is None:
            raise CameraLostError('no RealSense camera is connected')
        return self.plugged.device

    def select(self, pipeline, request, device):
        # The library enumerates real devices only.
        pipeline.set_device(device)

    def frame(self, source, timestamp_s, **options):
        """Have the camera send one exposure and return what comes out of the source."""
        self.plugged.send(timestamp_s, **options)
        end_s = time.monotonic() + LIMIT_S
        while time.monotonic() < end_s:
            frame = source.poll()
            if frame is not None:
                return frame
            time.sleep(0.001)
        raise AssertionError(f'no frame within {LIMIT_S} s')


@pytest.fixture(scope='session')
def rs():
    """Return the RealSense library."""
    try:
        return load_realsense()
    except MissingDependencyError as error:
        pytest.skip(str(error))


@pytest.fixture
def settings():
    """Return a function that makes settings for the software camera's streams."""
    def make(**changes):
        return RealsenseConfig(**{
            'rgb_camera': RgbCameraConfig(color_profile=PROFILE),
            'depth_module': DepthModuleConfig(depth_profile=PROFILE), **changes})
    return make


@pytest.fixture
def make_opener(rs, settings):
    """Return a function that makes an opener of software cameras."""
    return lambda **changes: SoftwareOpener(settings(**changes))


@pytest.fixture
def opener(make_opener):
    """Return an opener of software cameras."""
    return make_opener()
