# SPDX-License-Identifier: Apache-2.0
"""Rectified pictures are those of a pinhole camera."""

import cv2
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.core.symmetry import canonical_rotation, symmetry_group
from ocrrl_ros.perception.frame import CameraModel, Intrinsics, RgbdFrame
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.pose_estimator import PoseEstimator
from ocrrl_ros.perception.rectification import Rectifier
import pytest

CAMERA = Intrinsics(fx=615.0, fy=614.0, cx=321.5, cy=238.5, width=640, height=480)
LENSES = {
    'plumb_bob': (-0.056, 0.066, -0.0006, 0.0005, -0.021),
    'rational_polynomial': (0.3, -0.1, 0.0004, -0.0003, 0.02, 0.35, -0.08, 0.01),
    'equidistant': (0.05, -0.01, 0.004, -0.001)}


def model(name='plumb_bob', distortion=None, camera=CAMERA):
    """Return a camera with a lens."""
    return CameraModel(
        intrinsics=camera, distortion_model=name,
        distortion=LENSES[name] if distortion is None else distortion)


def through_lens(image, camera_model, interpolation):
    """Return what a camera with that lens makes of a pinhole camera's picture."""
    camera = camera_model.intrinsics
    matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])
    pixels = np.stack(np.meshgrid(
        np.arange(camera.width, dtype=float), np.arange(camera.height, dtype=float)), axis=-1)
    lens = np.array(camera_model.distortion)
    points = pixels.reshape(-1, 1, 2)
    if camera_model.distortion_model == 'equidistant':
        ideal = cv2.fisheye.undistortPoints(points, matrix, lens, P=matrix)
    else:
        ideal = cv2.undistortPoints(
            points, matrix, lens, P=matrix, criteria=(3, 50, 1e-10))
    ideal = ideal.reshape(camera.height, camera.width, 2).astype(np.float32)
    return cv2.remap(image, ideal[..., 0], ideal[..., 1], interpolation)


@pytest.mark.parametrize('name', LENSES)
def test_straight_lines_are_straight_again(name):
    rows, columns = np.mgrid[:480, :640]
    ideal = np.stack([
        127 + 100 * np.sin(0.1 * columns), 127 + 100 * np.sin(0.07 * rows),
        127 + 100 * np.cos(0.05 * (rows + columns))], axis=-1).astype(np.uint8)
    seen = through_lens(ideal, model(name), cv2.INTER_LINEAR)
    rectified = Rectifier(model(name)).colour(seen)
    inside = slice(60, -60), slice(60, -60)
    wrong = np.abs(rectified.astype(float) - ideal)[inside]
    assert np.abs(seen.astype(float) - ideal)[inside].mean() > 2.0
    assert wrong.mean() < 0.7 and wrong.max() < 6.0


def test_depth_is_moved_and_never_mixed():
    depth_m = np.full((480, 640), 0.9, np.float32)
    depth_m[:, 400:] = 0.6
    depth_m[200:210, 100:110] = 0.0
    rectified = Rectifier(model()).depth(through_lens(depth_m, model(), cv2.INTER_NEAREST))
    assert set(np.unique(rectified)) == {np.float32(0.0), np.float32(0.6), np.float32(0.9)}
    assert rectified.dtype == np.float32
    assert np.abs(np.diff(rectified, axis=1)[20:-20, 390:410]).argmax(axis=1).std() < 0.6


def test_pictures_of_a_lens_without_distortion_are_left_alone():
    for distortion in ((), (0.0,) * 5, (1e-9, 0.0, 0.0, 0.0)):
        rectifier = Rectifier(model(distortion=distortion))
        picture, depth_m = np.zeros((480, 640, 3), np.uint8), np.zeros((480, 640), np.float32)
        assert rectifier.colour(picture) is picture and rectifier.depth(depth_m) is depth_m
        assert rectifier.intrinsics == CAMERA


def test_a_cube_seen_through_a_lens_is_where_it_is(box_scene, make_box):
    scene, box = box_scene(), make_box((0.42, -0.14, 0.02), (0.0, 0.0, 0.4))
    lens = model(distortion=(-0.3, 0.12, 0.001, -0.001, 0.0), camera=scene.camera)
    rectifier, group = Rectifier(lens), symmetry_group('cube')
    errors_mm = []
    for prepare in (rectifier, Rectifier(CameraModel(intrinsics=scene.camera))):
        estimator = PoseEstimator([load_object('cube')], scene.base_T_camera)
        for number in range(4):
            frame = scene.frame(number / 30.0, [box])
            estimate = estimator.process(RgbdFrame(
                stamp_s=frame.stamp_s, intrinsics=prepare.intrinsics,
                rgb=prepare.colour(through_lens(frame.rgb, lens, cv2.INTER_LINEAR)),
                depth_m=prepare.depth(
                    through_lens(frame.depth_m, lens, cv2.INTER_NEAREST))))['cube']
        errors_mm.append(
            1e3 * float(np.linalg.norm(estimate.base_T_object[:3] - box.pose[:3])))
        turned = canonical_rotation(estimate.base_T_object[3:], group, box.pose[3:])
        if prepare is rectifier:
            assert estimate.valid and np.degrees(se3.quat_angle(turned, box.pose[3:])) < 2.5
    assert errors_mm[0] < 2.0 < errors_mm[1]


@pytest.mark.parametrize('camera_model, words', [
    (model(distortion=(0.1, float('nan'))), 'my_info has distortion .*nan.*finite'),
    (model(distortion=(float('inf'),) * 5), 'my_info has distortion .*finite'),
    (model(distortion=(1e30, 0.0, 0.0, 0.0, 0.0)), 'my_info has .*moves pixels by .*up to 200'),
    (model(distortion=(0.0, 0.0, -1e30, 0.0, 0.0)), 'my_info has .*moves pixels'),
    (model(distortion=(0.1, 0.1)), "'plumb_bob' with 2 coefficients; allowed: plumb_bob .4 or 5"),
    (model('equidistant', (0.1,) * 5), "'equidistant' with 5 .*equidistant .4."),
    (model('fov', (0.9,)), "'fov' with 1 .*rational_polynomial .8.")])
def test_distortion_that_cannot_be_taken_out_is_refused(camera_model, words):
    with pytest.raises(InputError, match=words):
        Rectifier(camera_model, 'my_info')
