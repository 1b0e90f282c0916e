# SPDX-License-Identifier: Apache-2.0
"""The table tells tilt and depth scale of the camera."""

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.perception.support_plane import SupportPlane, SupportPlaneConfig
import pytest


@pytest.mark.parametrize('bias', [-0.01, 0.0, 0.01])
def test_depth_scale_is_found(box_scene, bias):
    scene = box_scene(depth_bias=bias)
    plane = SupportPlane(SupportPlaneConfig(height_sigma_m=1e-4))
    plane.update(scene.frame(0.0, []).depth_m, scene.camera, scene.base_T_camera, 0.0)
    assert plane.depth_scale == pytest.approx(1.0 + bias, abs=0.001)


def test_tilted_calibration_is_levelled(box_scene):
    scene = box_scene()
    wrong = se3.pose_multiply(
        scene.base_T_camera,
        se3.pose(np.zeros(3), se3.quat_from_rotvec(np.radians([0.4, 0.0, 0.3]))))
    plane = SupportPlane(SupportPlaneConfig(level_sigma_deg=0.01))
    plane.update(scene.frame(0.0, []).depth_m, scene.camera, wrong, 0.0)
    point = np.array([0.0, 0.0, 0.7])
    up = [se3.quat_rotate(pose[3:], point)[2] for pose in (
        scene.base_T_camera, wrong, plane.levelled(wrong))]
    assert abs(up[2] - up[0]) < 0.1 * abs(up[1] - up[0])


def test_objects_on_the_table_do_not_tilt_it(box_scene, make_box):
    scene = box_scene()
    boxes = [make_box((x, y, 0.03), half=(0.04, 0.04, 0.03))
             for x in (0.4, 0.6) for y in (-0.1, 0.1)]
    plane = SupportPlane(SupportPlaneConfig())
    plane.update(scene.frame(0.0, boxes).depth_m, scene.camera, scene.base_T_camera, 0.0)
    assert np.degrees(np.linalg.norm(plane.tilt)) < 0.05
    assert plane.depth_scale == pytest.approx(1.0, abs=0.001)


def test_a_view_without_table_changes_nothing(box_scene):
    scene = box_scene()
    plane = SupportPlane(SupportPlaneConfig())
    plane.update(
        np.full((480, 640), 0.3, dtype=np.float32), scene.camera, scene.base_T_camera, 0.0)
    assert plane.depth_scale == 1.0
    np.testing.assert_array_equal(plane.levelled(scene.base_T_camera), scene.base_T_camera)


def test_a_clock_that_was_set_back_does_not_stop_it(box_scene):
    scene, other = box_scene(), box_scene(depth_bias=0.01)
    plane = SupportPlane(SupportPlaneConfig(height_sigma_m=1e-4))
    plane.update(scene.frame(0.0, []).depth_m, scene.camera, scene.base_T_camera, 100.0)
    biased = other.frame(0.0, []).depth_m
    for number in range(200):
        plane.update(biased, other.camera, other.base_T_camera, 40.0 + 0.1 * number)
    assert plane.depth_scale == pytest.approx(1.01, abs=0.001)
