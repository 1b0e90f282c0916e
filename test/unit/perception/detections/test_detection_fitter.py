# SPDX-License-Identifier: Apache-2.0
"""Poses of another program in the place of the fit: image and depth still judge them."""

import dataclasses

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.perception.adapters.detections.config import DetectionsConfig
from ocrrl_ros.perception.detected_pose import DetectedPose
from ocrrl_ros.perception.estimate import TrackState
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.pose_estimator import load_tracker_config, PoseEstimator
import pytest

CUBE, CUP = ((0.48, 0.02, 0.02), (0.0, 0.0, 0.3)), ((0.45, 0.05, 0.05), (0.0, 0.0, 0.0))
HALF_TURN = np.array([0.0, 0.0, 1.0, 0.0])


def estimator(scene, *models, **settings):
    """Return an estimator that is told poses."""
    return PoseEstimator(models, scene.base_T_camera, dataclasses.replace(
        load_tracker_config(), pose_backend='detections',
        detections=DetectionsConfig(**settings)))


def seen_at(scene, pose, shift_m=(0.0, 0.0, 0.0), turn=(0.0, 0.0, 0.0, 1.0)):
    """Return what a detector says, off by a shift in base and a turn of the object."""
    wrong = se3.pose(pose[:3] + np.array(shift_m), se3.quat_multiply(pose[3:], np.array(turn)))
    return DetectedPose(se3.pose_multiply(se3.pose_inverse(scene.base_T_camera), wrong))


def follow(tracker, scene, solid, detected, frames=6, start_s=0.0):
    """Process still frames with detections that a function of the number gives."""
    name, = tracker.object_ids
    for number in range(frames):
        estimate = tracker.process(
            scene.frame(start_s + number / 30.0, [solid]), {name: detected(number)})[name]
    return estimate


def errors(model, estimate, solid):
    """Return position error in mm and rotation error in deg, up to symmetry."""
    turned = model.nearest_rotation(estimate.base_T_object[3:], solid.pose[3:])
    return (1e3 * np.linalg.norm(estimate.base_T_object[:3] - solid.pose[:3]),
            np.degrees(se3.quat_angle(turned, solid.pose[3:])))


@pytest.mark.parametrize('name, place', [('cube', CUBE), ('cup', CUP)])
def test_right_poses_open_the_gate(box_scene, make_solid, name, place):
    scene, model = box_scene(1), load_object(name)
    solid = make_solid(model, *place)
    estimate = follow(
        estimator(scene, model), scene, solid, lambda number: seen_at(scene, solid.pose))
    assert (estimate.state, estimate.valid) == (TrackState.OK, True)
    assert max(errors(model, estimate, solid)) < 1.5


@pytest.mark.parametrize('shift_m', [
    (0.0, 0.02, 0.0), (0.0, 0.0, 0.02), (0.1, 0.0, 0.0), (0.008, 0.0, 0.0), (0.0, 0.008, 0.0),
    (0.0, 0.0, 0.008)])
def test_wrong_poses_never_open_it(box_scene, make_solid, shift_m):
    scene, model = box_scene(1), load_object('cube')
    solid = make_solid(model, *CUBE)
    tracker = estimator(scene, model)
    for number in range(8):
        estimate = follow(tracker, scene, solid, lambda _: seen_at(
            scene, solid.pose, shift_m), frames=1, start_s=number / 30.0)
        assert not estimate.valid


def test_poses_that_turn_wrong_close_it(box_scene, make_solid):
    scene, model = box_scene(1), load_object('cube')
    solid = make_solid(model, *CUBE)
    tracker = estimator(scene, model)
    assert follow(tracker, scene, solid, lambda _: seen_at(scene, solid.pose)).valid
    estimate = follow(tracker, scene, solid, lambda _: seen_at(
        scene, solid.pose, (0.0, 0.03, 0.0)), start_s=1.0)
    assert not estimate.valid


def test_a_detector_that_changes_between_equal_poses_is_followed_without_jumps(
        box_scene, make_solid):
    scene, model = box_scene(1), load_object('cube')
    solid = make_solid(model, *CUBE)
    tracker, previous = estimator(scene, model), None
    for number in range(8):
        turn = HALF_TURN if number % 2 else np.array([0.0, 0.0, 0.0, 1.0])
        estimate = follow(tracker, scene, solid, lambda _: seen_at(
            scene, solid.pose, turn=turn), frames=1, start_s=number / 30.0)  # noqa: B023
        if previous is not None:
            assert np.degrees(se3.quat_angle(previous, estimate.base_T_object[3:])) < 2.0
        previous = estimate.base_T_object[3:]
    assert estimate.valid and max(errors(model, estimate, solid)) < 1.5


def test_poses_in_base_and_in_the_optical_frame_mean_the_same(box_scene, make_solid):
    scene, model = box_scene(1), load_object('cube')
    solid = make_solid(model, *CUBE)
    estimate = follow(estimator(scene, model), scene, solid, lambda number: DetectedPose(
        solid.pose, in_base=True))
    assert estimate.valid and max(errors(model, estimate, solid)) < 0.5


def test_poses_from_a_depth_image_share_its_scale(box_scene, make_solid):
    scene, model = box_scene(1, depth_bias=0.01), load_object('cube')
    solid = make_solid(model, *CUBE)
    detected = seen_at(scene, solid.pose)
    far = detected._replace(pose=np.concatenate([1.01 * detected.pose[:3], detected.pose[3:]]))
    corrected = follow(estimator(scene, model), scene, solid, lambda _: far)
    as_it_is = follow(estimator(scene, model, from_depth=False), scene, solid, lambda _: far)
    assert corrected.valid and errors(model, corrected, solid)[0] < 4.0
    assert errors(model, as_it_is, solid)[0] > 5.0


def test_only_objects_with_a_pose_are_tracked_in_a_frame(box_scene, make_solid):
    scene, cube, cup = box_scene(1), load_object('cube'), load_object('cup')
    solids = [make_solid(cube, *CUBE), make_solid(cup, (0.5, -0.2, 0.05))]
    tracker = estimator(scene, cube, cup)
    found = tracker.process(
        scene.frame(0.0, solids), {'cup': seen_at(scene, solids[1].pose)})
    assert list(found) == ['cup'] and found['cup'].confidence > 0.9


def test_an_object_of_which_nobody_says_where_it_is_is_stale_and_found_again(
        box_scene, make_solid):
    scene, model = box_scene(1), load_object('cube')
    solid = make_solid(model, *CUBE)
    tracker = estimator(scene, model)
    follow(tracker, scene, solid, lambda _: seen_at(scene, solid.pose))
    first, second = tracker.starve('cube', 1.0), tracker.starve('cube', 1.03)
    assert (first.just_lost, second.just_lost) == (True, False)
    assert (second.state, second.valid, second.confidence) == (TrackState.STALE, False, 0.0)
    assert follow(
        tracker, scene, solid, lambda _: seen_at(scene, solid.pose), start_s=2.0).valid


def test_warm_up_compiles_without_a_track(box_scene):
    scene = box_scene()
    tracker = estimator(scene, load_object('cube'))
    tracker.warm_up()
    assert tracker.process(scene.frame(0.0, []))['cube'].state is TrackState.ERROR


def test_confidence_of_detections_is_its_own():
    config = dataclasses.replace(load_tracker_config(), pose_backend='detections')
    stricter = dataclasses.replace(config.fit_confidence, bias=1.0)
    assert config.with_fit_confidence(stricter).detections.confidence.bias == 1.0
