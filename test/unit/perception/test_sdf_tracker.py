# SPDX-License-Identifier: Apache-2.0
"""Single fits: global search, and what a face seen head-on leaves open."""

import dataclasses

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.symmetry import canonical_rotation, symmetry_group
from ocrrl_ros.perception.kernels import load_kernels
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.rotation import rotation_exp, to_pose
from ocrrl_ros.perception.sdf_tracker import Prior, SdfTracker, SolverConfig
from ocrrl_ros.perception.segmentation import SegmentationConfig, Segmenter
import pytest

NO_PLANE = np.array([0.0, 0.0, 1.0, 10.0])


@pytest.fixture
def parts():
    """Return segmenter and tracker of the cube."""
    cube, kernels = load_object('cube'), load_kernels('auto')
    return (Segmenter(cube, SegmentationConfig(), kernels),
            SdfTracker(cube, SolverConfig(), kernels))


def at_camera(scene, make_box, distance_m, rotvec):
    """Return a box on the optical axis, turned from facing the camera."""
    pose = se3.pose_multiply(scene.base_T_camera, se3.pose(
        np.array([0.0, 0.0, distance_m]), se3.quat_from_rotvec(np.array(rotvec))))
    return dataclasses.replace(make_box((0, 0, 0)), pose=pose)


@pytest.mark.parametrize('seed', range(8))
def test_global_search_needs_no_prediction(parts, box_scene, make_box, seed):
    scene, rng = box_scene(seed), np.random.default_rng(seed)
    box = make_box(rng.uniform([0.4, -0.15, 0.1], [0.55, 0.15, 0.3]), rng.normal(size=3) * 2)
    segment = parts[0].search(scene.frame(0.0, [box]), 1.0)[0]
    fit = parts[1].initialise(segment, parts[1].observe(segment, NO_PLANE))
    found = se3.pose_multiply(scene.base_T_camera, to_pose(fit.rotation, fit.translation))
    turned = canonical_rotation(found[3:], symmetry_group('cube'), box.pose[3:])
    assert np.linalg.norm(found[:3] - box.pose[:3]) < 2e-3
    assert np.degrees(se3.quat_angle(turned, box.pose[3:])) < 4.0


def test_edge_makes_a_face_seen_head_on_observable(parts, box_scene, make_box):
    scene = box_scene()
    box = at_camera(scene, make_box, 0.6, (0.0, 0.0, 0.0))
    segment = parts[0].search(scene.frame(0.0, [box]), 1.0)[0]
    whole = parts[1].observe(segment, NO_PLANE)
    blind = dataclasses.replace(whole, rays=whole.rays[:0], silhouette=whole.silhouette[:0])
    start = np.eye(3), np.array([0.0, 0.0, 0.6])
    weakest = [
        np.linalg.eigvalsh(parts[1].track(seen, *start).information[:3, :3])[0]
        for seen in (whole, blind)]
    assert weakest[1] < 0.1 * weakest[0]


def test_prior_holds_what_the_image_leaves_open(parts, box_scene, make_box):
    scene = box_scene()
    box = at_camera(scene, make_box, 0.6, (0.0, 0.0, 0.0))
    segment = parts[0].search(scene.frame(0.0, [box]), 1.0)[0]
    seen = parts[1].observe(segment, NO_PLANE)
    blind = dataclasses.replace(seen, rays=seen.rays[:0], silhouette=seen.silhouette[:0])
    shift = np.array([0.004, 0.0, 0.0])
    prior = Prior(rotation=np.eye(3), translation=np.array([0.0, 0.0, 0.6]),
                  information=np.diag([1e8] * 3 + [1e6] * 3))
    fit = parts[1].track(blind, np.eye(3), prior.translation + shift, prior)
    assert abs(fit.translation[0]) < 1e-3


def test_tracking_converges_from_a_frame_of_fast_motion(parts, box_scene, make_box):
    scene = box_scene()
    box = at_camera(scene, make_box, 0.65, (0.6, 0.5, 0.2))
    segment = parts[0].search(scene.frame(0.0, [box]), 1.0)[0]
    true = se3.quat_to_matrix(se3.quat_from_rotvec(np.array([0.6, 0.5, 0.2])))
    start = rotation_exp(np.array([0.05, -0.05, 0.05])) @ true
    fit = parts[1].track(
        parts[1].observe(segment, NO_PLANE), start, np.array([0.010, -0.006, 0.656]))
    np.testing.assert_allclose(fit.translation, [0.0, 0.0, 0.65], atol=1.5e-3)


def test_settings_out_of_range_name_the_field():
    with pytest.raises(ConfigError, match='edge_sigma_px'):
        SolverConfig(edge_sigma_px=0.0)
    with pytest.raises(ConfigError, match='hypothesis_spacing_deg'):
        SolverConfig(hypothesis_spacing_deg=1.0)


@pytest.mark.parametrize(('size', 'doubted'), [
    (1.0, False), (0.96, False), (1.04, False), (0.75, True), (1.3, True)])
def test_another_size_is_noticed_though_three_faces_fit_any_box(
        parts, box_scene, make_box, size, doubted):
    scene = box_scene()
    box = at_camera(scene, make_box, 0.6, (0.6, 0.5, 0.2))
    box = dataclasses.replace(box, half=tuple(size * np.array(box.half)))
    segment = parts[0].search(scene.frame(0.0, [box]), 1.0)[0]
    seen = parts[1].observe(segment, NO_PLANE)
    doubt = parts[1].size_doubt(seen, parts[1].initialise(segment, seen))
    assert (doubt > 0.3) is doubted
