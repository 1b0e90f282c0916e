# SPDX-License-Identifier: Apache-2.0
"""FoundationPose as the tracker's backend: prediction, confidence and gate stay what they are."""
import dataclasses

from analytic_pose_networks import analytic_refiner, analytic_scorer
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception.adapters.foundation_pose.config import FoundationPoseConfig
from ocrrl_ros.perception.adapters.foundation_pose.fitter import FoundationPoseFitter
from ocrrl_ros.perception.confidence import FEATURES
from ocrrl_ros.perception.estimate import TrackState
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.pose_estimator import load_tracker_config, PoseEstimator
from ocrrl_ros.perception.sdf_tracker import Prior
from ocrrl_ros.perception.view import View
import pytest
import trimesh
import yaml

CUP = ((0.45, 0.05, 0.05), (0.0, 0.0, 0.0))
# Three faces are seen.
BLOCK = ((0.5, -0.1, 0.02), (0.0, 0.0, -0.15))


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Return settings with a pair of models that compute."""
    folder = tmp_path_factory.mktemp('models')
    (folder / 'refine.onnx').write_bytes(analytic_refiner())
    (folder / 'score.onnx').write_bytes(analytic_scorer())
    return FoundationPoseConfig(
        refine_model=str(folder / 'refine.onnx'), score_model=str(folder / 'score.onnx'))


def estimator(model, scene, settings):
    """Return an estimator of one object that fits with FoundationPose."""
    return PoseEstimator([model], scene.base_T_camera, dataclasses.replace(
        load_tracker_config(), pose_backend='foundation_pose', foundation_pose=settings))


def errors(model, estimate, true):
    """Return the distance in mm and the angle in deg, up to symmetry."""
    turned = model.nearest_rotation(estimate.base_T_object[3:], true[3:])
    return (1e3 * np.linalg.norm(estimate.base_T_object[:3] - true[:3]),
            np.degrees(se3.quat_angle(turned, true[3:])))


def test_an_object_is_found_tracked_lost_and_found_again(files, box_scene, make_solid):
    model, scene = load_object('block'), box_scene(2)
    tracker = estimator(model, scene, files)
    position = np.array(BLOCK[0])
    for number in range(8):
        solid = make_solid(model, position, BLOCK[1])
        estimate = tracker.process(scene.frame(number / 30.0, [solid]))['block']
        position = position + np.array([-0.003, 0.003, 0.002])
    millimetres, degrees = errors(model, estimate, solid.pose)
    assert (estimate.state, estimate.valid) == (TrackState.OK, True)
    assert millimetres < 4.0
    assert degrees < 4.0
    empty = [tracker.process(scene.frame(1.0 + number / 30.0, []))['block']
             for number in range(15)]
    assert any(estimate.just_lost for estimate in empty)
    assert empty[-1].state is TrackState.ERROR
    again = make_solid(model, (0.42, 0.1, 0.02), (0.0, 0.0, -0.3))
    for number in range(8):
        estimate = tracker.process(scene.frame(2.0 + number / 30.0, [again]))['block']
    assert estimate.valid
    assert errors(model, estimate, again.pose)[0] < 4.0


def test_a_turn_that_cannot_be_seen_stays_unknown(files, box_scene, make_solid):
    model, scene = load_object('cup'), box_scene(3)
    tracker, solid = estimator(model, scene, files), make_solid(model, *CUP)
    for number in range(6):
        estimate = tracker.process(scene.frame(number / 30.0, [solid]))['cup']
    spread = np.degrees(np.sqrt(np.diag(estimate.covariance)[3:]))
    assert estimate.valid
    assert errors(model, estimate, solid.pose)[0] < 4.0
    # The cup stands: its axis is the base's z.
    assert spread[2] > 60.0
    assert spread[:2].max() < 5.0


def test_the_scale_of_the_depth_is_corrected_as_the_table_shows_it(files, box_scene, make_solid):
    model, scene = load_object('block'), box_scene(4, depth_bias=0.01)
    tracker, solid = estimator(model, scene, files), make_solid(model, *BLOCK)
    for number in range(15):
        estimate = tracker.process(scene.frame(number / 10.0, [solid]))['block']
    assert tracker.depth_scale > 1.004
    # Uncorrected it would be off by 1 % of 0.7 m.
    assert errors(model, estimate, solid.pose)[0] < 4.5


def test_the_prediction_is_weighed_by_what_is_known_of_both(files, box_scene, make_solid):
    model, scene = load_object('block'), box_scene(5)
    solid = make_solid(model, *BLOCK)
    view = View(
        frame=scene.frame(0.0, [solid]), base_R_camera=np.eye(3), base_t_camera=np.zeros(3),
        plane=np.zeros(4), depth_scale=1.0)
    true = se3.pose_multiply(se3.pose_inverse(scene.base_T_camera), solid.pose)
    off = true[:3] + np.array([0.0, 0.0, 0.008])
    fitter, left = FoundationPoseFitter(model, files), {}
    for sigma_m in (1e-6, files.position_sigma_m, 10.0):
        prior = Prior(rotation=se3.quat_to_matrix(true[3:]), translation=off,
                      information=np.diag([1.0 / sigma_m ** 2] * 3 + [1e6] * 3))
        left[sigma_m] = fitter.follow(view, None, prior).translation[2] - true[2]
    sure, as_sure, unsure = left.values()
    assert sure == pytest.approx(0.008, abs=1e-4)
    assert abs(unsure) < 0.002
    assert as_sure == pytest.approx((sure + unsure) / 2, abs=2e-4)


def test_a_refinement_that_has_not_come_to_rest_lowers_the_confidence(
        files, box_scene, make_solid):
    model, scene = load_object('block'), box_scene(5)
    view = View(
        frame=scene.frame(0.0, [solid := make_solid(model, *BLOCK)]), base_R_camera=np.eye(3),
        base_t_camera=np.zeros(3), plane=np.zeros(4), depth_scale=1.0)
    true = se3.pose_multiply(se3.pose_inverse(scene.base_T_camera), solid.pose)
    fitter, steps = FoundationPoseFitter(model, files), []
    for off_m in (0.0, 0.02):
        prior = Prior(rotation=se3.quat_to_matrix(true[3:]), information=np.eye(6),
                      translation=true[:3] + np.array([0.0, 0.0, off_m]))
        steps.append(fitter.follow(view, None, prior).refiner_update)
    assert steps[1] > 4.0 * steps[0]
    calm = dict.fromkeys(FEATURES, 0.0)
    chances = [files.confidence.probability(calm | {'refiner_update': step}) for step in steps]
    assert chances[1] < chances[0]


def test_models_that_are_not_given_are_asked_for(box_scene):
    with pytest.raises(ConfigError, match='refine_model is not given'):
        estimator(load_object('cube'), box_scene(), FoundationPoseConfig())


def test_a_mesh_lies_beside_the_file_that_names_it(tmp_path, files, box_scene):
    path = tmp_path / 'part.yaml'
    path.write_text(yaml.safe_dump({
        'object_id': 'part', 'shape': {'kind': 'box', 'size_m': [0.08, 0.04, 0.04]},
        'mesh': 'part.ply'}))
    model = load_object(path)
    with pytest.raises(ConfigError, match='part.ply is no mesh that can be read'):
        estimator(model, box_scene(), files)
    trimesh.creation.box((0.08, 0.04, 0.04)).export(tmp_path / 'part.ply')
    assert estimator(model, box_scene(), files).object_ids == ('part',)
