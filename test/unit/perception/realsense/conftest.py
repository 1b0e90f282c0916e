# SPDX-License-Identifier: Apache-2.0
"""The RealSense library, and what opens software devices in place of cameras."""
from ocrrl_ros.perception.adapters.realsense.config import (
    DepthModuleConfig, RealsenseConfig, RgbCameraConfig)
import pytest
from software_camera import FPS, HEIGHT, WIDTH
from software_camera_opener import SoftwareOpener

PROFILE = f'{WIDTH}x{HEIGHT}x{FPS}'


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
