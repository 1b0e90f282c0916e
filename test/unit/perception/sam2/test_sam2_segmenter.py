# SPDX-License-Identifier: Apache-2.0
"""SAM 2 as the tracker's source of masks: prompted by prediction, by colour and by an operator."""
import dataclasses

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import InputError, UnknownNameError
from ocrrl_ros.perception.estimate import TrackState
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.pose_estimator import load_tracker_config, PoseEstimator
import pytest

PLACE, TURN = (0.48, 0.02, 0.02), (0.0, 0.0, 0.3)


def estimator(scene, sam2, *models):
    """Return an estimator whose masks are SAM 2's."""
    return PoseEstimator(models, scene.base_T_camera, dataclasses.replace(
        load_tracker_config(), mask_backend='sam2_onnx', sam2=sam2))


def distance_mm(estimate, solid):
    """Return the position error."""
    return 1e3 * np.linalg.norm(estimate.base_T_object[:3] - solid.pose[:3])


def test_an_object_is_found_and_tracked_by_its_masks(sam2, box_scene, make_solid):
    model, scene = load_object('cube'), box_scene(1)
    tracker, position = estimator(scene, sam2, model), np.array(PLACE)
    for number in range(8):
        solid = make_solid(model, position, TURN)
        estimate = tracker.process(scene.frame(number / 30.0, [solid]))['cube']
        position = position + np.array([-0.004, 0.003, 0.002])
    assert (estimate.state, estimate.valid) == (TrackState.OK, True)
    assert distance_mm(estimate, solid) < 3.0
    assert estimate.parts['mask_quality'] == pytest.approx(0.9)
    assert estimate.parts['mask_doubt'] == pytest.approx(0.1)


def test_two_objects_share_a_look_at_the_picture(sam2, box_scene, make_solid, monkeypatch):
    cube, bowl, scene = load_object('cube'), load_object('bowl'), box_scene(2)
    tracker = estimator(scene, sam2, cube, bowl)
    predictors = {id(part._predictor) for part in tracker._segmenters.values()}
    assert len(predictors) == 1
    solids = [make_solid(cube, PLACE, TURN), make_solid(bowl, (0.5, -0.2, 0.025))]
    for number in range(6):
        estimates = tracker.process(scene.frame(number / 30.0, solids))
    assert all(estimate.valid for estimate in estimates.values())


def test_an_operator_points_at_an_object_that_colour_does_not_know(
        sam2, box_scene, make_solid):
    model, scene = load_object('cube'), box_scene(3)
    tracker = estimator(scene, sam2, model)
    solid = dataclasses.replace(make_solid(model, PLACE, TURN), colour=(30, 60, 200))
    for number in range(3):
        lost = tracker.process(scene.frame(number / 30.0, [solid]))['cube']
    assert lost.state is TrackState.ERROR
    pixel = scene.camera.project(
        se3.pose_transform(se3.pose_inverse(scene.base_T_camera), solid.pose[:3]))
    tracker.prompt('cube', pixel)
    for number in range(6):
        estimate = tracker.process(scene.frame(0.2 + number / 30.0, [solid]))['cube']
    assert estimate.valid
    assert distance_mm(estimate, solid) < 3.0


def test_pointing_at_what_is_too_large_finds_nothing(sam2, box_scene, make_solid):
    model, scene = load_object('cube'), box_scene(4)
    tracker = estimator(scene, sam2, model)
    tracker.prompt('cube', np.array([50.0, 400.0]))
    assert tracker.process(scene.frame(0.0, []))['cube'].state is TrackState.ERROR


def test_prompts_that_cannot_be_used_are_refused(sam2, box_scene):
    scene = box_scene()
    tracker = estimator(scene, sam2, load_object('cube'))
    with pytest.raises(UnknownNameError, match="unknown object 'cup'"):
        tracker.prompt('cup', np.zeros(2))
    with pytest.raises(InputError, match='allowed: two finite numbers'):
        tracker.prompt('cube', np.array([np.nan, 1.0]))
    by_colour = PoseEstimator([load_object('cube')], scene.base_T_camera)
    with pytest.raises(InputError, match='mask_backend is colour'):
        by_colour.prompt('cube', np.zeros(2))
