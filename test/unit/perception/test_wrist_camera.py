# SPDX-License-Identifier: Apache-2.0
"""Tests of a camera that moves with the hand."""
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.pose_estimator import PoseEstimator
from ocrrl_ros.perception.support_plane import SupportPlane, SupportPlaneConfig
from ocrrl_ros.perception.wrist_camera import WristCamera
import pytest

TCP_T_CAMERA = se3.pose(
    np.array([0.06, 0.0, -0.05]), se3.quat_from_rotvec(np.array([0.1, 0.0, 1.5])))


def hand(stamp_s):
    """Return where a hand is that moves and turns evenly."""
    return se3.pose(np.array([0.4 + 0.3 * stamp_s, 0.1, 0.5]),
                    se3.quat_from_rotvec(np.array([0.0, 0.0, 1.5 * stamp_s])))


def followed(stamps):
    """Return a camera whose hand was seen at these instants."""
    camera = WristCamera(TCP_T_CAMERA)
    for stamp_s in stamps:
        camera.add(stamp_s, hand(stamp_s))
    return camera


@pytest.mark.parametrize('stamp_s', [0.5, 0.503, 0.5079])
def test_between_poses_of_the_hand_the_camera_is_where_it_was(stamp_s):
    found = followed(np.arange(0.0, 1.0, 0.01)).pose_at(stamp_s)
    assert np.allclose(found, se3.pose_multiply(hand(stamp_s), TCP_T_CAMERA), atol=1e-6)


def test_what_is_not_known_yet_or_no_more_is_not_invented():
    camera = followed(np.arange(0.0, 0.5, 0.01))
    assert camera.pose_at(0.495) is None
    assert camera.pose_at(-0.001) is None
    assert WristCamera(TCP_T_CAMERA).pose_at(0.0) is None
    assert np.allclose(camera.pose_at(0.0), se3.pose_multiply(hand(0.0), TCP_T_CAMERA))


def test_a_gap_in_the_poses_of_the_hand_is_not_bridged():
    camera = followed([0.0, 0.01, 0.05, 0.06])
    assert camera.pose_at(0.03) is None
    assert camera.pose_at(0.055) is not None


def test_a_clock_that_runs_back_starts_anew():
    camera = followed([5.0, 5.01])
    camera.add(1.0, hand(1.0))
    assert camera.pose_at(5.005) is None
    camera.add(1.01, hand(1.01))
    assert camera.pose_at(1.005) is not None


def test_what_is_no_pose_is_refused():
    with pytest.raises(InputError, match='tcp_T_camera'):
        WristCamera(np.zeros(7))
    with pytest.raises(ConfigError, match='max_gap_s is 0.0 s; allowed: > 0'):
        WristCamera(TCP_T_CAMERA, max_gap_s=0.0)


def test_an_object_is_tracked_while_the_camera_moves(box_scene, make_solid):
    model, scene = load_object('cube'), box_scene(1)
    solid = make_solid(model, (0.5, 0.0, 0.02), (0.0, 0.0, 0.3))
    camera, camera_T_tcp = WristCamera(TCP_T_CAMERA), se3.pose_inverse(TCP_T_CAMERA)

    def look(stamp_s):
        # 0.3 m/s about the object.
        angle = 0.5 + 0.6 * stamp_s
        scene.look_from(
            (0.5 + 0.5 * np.cos(angle), 0.5 * np.sin(angle), 0.4), (0.5, 0.0, 0.02))

    for stamp_s in np.arange(0.0, 0.9, 0.01):
        look(stamp_s)
        camera.add(stamp_s, se3.pose_multiply(scene.base_T_camera, camera_T_tcp))
    estimator = PoseEstimator([model], camera.pose_at(0.0))
    errors_mm = []
    for stamp_s in 0.004 + np.arange(25) / 30.0:
        look(stamp_s)
        estimator.set_camera(camera.pose_at(stamp_s))
        estimate = estimator.process(scene.frame(stamp_s, [solid]))['cube']
        errors_mm.append(1e3 * np.linalg.norm(estimate.base_T_object[:3] - solid.pose[:3]))
    assert estimate.valid
    assert max(errors_mm[5:]) < 2.5


def test_the_tilt_of_a_calibration_turns_with_the_camera(box_scene):
    """Seen from one side and then used from another, it still levels the table."""
    scene = box_scene(2)
    off = se3.pose(np.zeros(3), se3.quat_from_rotvec(np.radians([0.4, 0.0, 0.0])))
    plane = SupportPlane(SupportPlaneConfig(level_sigma_deg=0.01))
    told = se3.pose_multiply(scene.base_T_camera, off)
    plane.update(scene.frame(0.0, []).depth_m, scene.camera, told, 0.0)
    scene.look_from((0.2, -0.5, 0.5), (0.5, 0.0, 0.0))
    told = se3.pose_multiply(scene.base_T_camera, off)
    point = np.array([0.0, 0.0, 0.7])
    true, wrong, found = (se3.quat_rotate(pose[3:], point) for pose in (
        scene.base_T_camera, told, plane.levelled(told)))
    assert np.linalg.norm(found - true) < 0.3 * np.linalg.norm(wrong - true)
