# SPDX-License-Identifier: Apache-2.0
"""Tests of perception/frame.py."""

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.perception.frame import depth_to_metres, Intrinsics, RgbdFrame
import pytest

CAMERA = Intrinsics(fx=100.0, fy=110.0, cx=31.5, cy=23.5, width=64, height=48)


def test_rays_pass_through_the_pixels_that_points_project_to():
    points = np.array([[0.1, -0.05, 0.7], [0.0, 0.0, 1.0]])
    rays = CAMERA.rays(CAMERA.project(points))
    expected = points / np.linalg.norm(points, axis=1, keepdims=True)
    np.testing.assert_allclose(rays, expected, atol=1e-12)


def test_millimetres_become_metres_and_zero_stays_invalid():
    depth = depth_to_metres(np.array([[0, 712]], dtype=np.uint16))
    np.testing.assert_allclose(depth, [[0.0, 0.712]], rtol=1e-6)
    assert depth.dtype == np.float32


def test_float_depth_without_reading_becomes_zero():
    depth = depth_to_metres(np.array([[np.nan, np.inf, -1.0, 0.5]], dtype=np.float32))
    np.testing.assert_array_equal(depth, np.array([[0, 0, 0, 0.5]], dtype=np.float32))


def test_other_depth_types_are_refused():
    with pytest.raises(InputError, match='float64'):
        depth_to_metres(np.zeros((2, 2)))


def test_frame_refuses_images_of_another_size():
    with pytest.raises(InputError, match='rgb'):
        RgbdFrame(stamp_s=0.0, rgb=np.zeros((4, 4, 3), np.uint8),
                  depth_m=np.zeros((48, 64), np.float32), intrinsics=CAMERA)
    with pytest.raises(InputError, match='depth_m'):
        RgbdFrame(stamp_s=0.0, rgb=np.zeros((48, 64, 3), np.uint8),
                  depth_m=np.zeros((48, 64)), intrinsics=CAMERA)


def test_focal_length_must_be_positive():
    with pytest.raises(ConfigError, match='fx'):
        Intrinsics(fx=0.0, fy=1.0, cx=0.0, cy=0.0, width=2, height=2)
