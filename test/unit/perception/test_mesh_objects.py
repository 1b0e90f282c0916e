# SPDX-License-Identifier: Apache-2.0
"""Objects followed by their mesh, on images ray-cast from primitives of the same shape."""

from mesh_shapes import l_block, l_block_of_boxes, mesh_object, primitive_mesh
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.pose_estimator import PoseEstimator
import pytest

CUP_COLOUR = {'hue_deg': 38.0, 'hue_tolerance_deg': 20.0, 'min_saturation': 0.55}


@pytest.fixture(scope='module')
def drawn_and_followed(tmp_path_factory):
    """Return, by name, the primitive to draw and the mesh to follow it by."""
    folder = tmp_path_factory.mktemp('meshes')
    return {
        'block': (load_object('block'), mesh_object(
            folder, primitive_mesh('block'), name='block', suffix='stl',
            symmetry='square_prism_x')),
        'cup': (load_object('cup'), mesh_object(
            folder, primitive_mesh('cup'), resolution=64, name='cup', symmetry='revolution',
            colour=CUP_COLOUR)),
        'l_block': (l_block_of_boxes(), mesh_object(
            folder, l_block(), name='l_block', suffix='obj'))}


def errors(estimate, model, solid):
    """Return position error in mm and rotation error in deg over what can be seen."""
    turned = model.nearest_rotation(estimate.base_T_object[3:], solid.pose[3:])
    return (1e3 * np.linalg.norm(estimate.base_T_object[:3] - solid.pose[:3]),
            np.degrees(se3.quat_angle(turned, solid.pose[3:])))


@pytest.mark.parametrize('name, position, rotvec, limits', [
    ('block', (0.50, 0.05, 0.02), (0.0, 0.0, 0.7), (1.5, 2.0)),
    ('block', (0.48, -0.05, 0.20), (0.9, 0.4, 0.2), (1.5, 2.0)),
    ('cup', (0.55, 0.0, 0.05), (0.0, 0.0, 0.0), (2.0, 2.0)),
    ('cup', (0.50, 0.05, 0.031), (0.0, np.pi / 2 - 0.124, 0.0), (2.0, 2.0)),
    ('l_block', (0.50, 0.05, 0.015), (0.0, 0.0, 0.5), (1.5, 2.0)),
    ('l_block', (0.50, 0.0, 0.03), (np.pi / 2, 0.0, 0.8), (1.5, 2.0)),
    ('l_block', (0.48, -0.05, 0.20), (0.9, -0.6, 2.0), (1.5, 2.0))])
def test_objects_are_found_and_held_by_their_mesh(
        box_scene, make_solid, drawn_and_followed, name, position, rotvec, limits):
    drawn, followed = drawn_and_followed[name]
    scene, solid = box_scene(), make_solid(drawn, position, rotvec)
    estimator = PoseEstimator([followed], scene.base_T_camera)
    for number in range(5):
        estimate = estimator.process(scene.frame(number / 30.0, [solid]))[name]
    distance, angle = errors(estimate, drawn, solid)
    assert estimate.valid and estimate.confidence > 0.9
    assert distance < limits[0] and angle < limits[1]


def test_a_mesh_is_followed_as_exactly_as_the_primitive(
        box_scene, make_solid, drawn_and_followed):
    drawn, followed = drawn_and_followed['block']
    found = []
    for model in (drawn, followed):
        scene = box_scene()
        estimator = PoseEstimator([model], scene.base_T_camera)
        for number in range(12):
            block = make_solid(
                drawn, (0.45 + 0.004 * number, 0.0, 0.15), (0.5, 0.3 + 0.03 * number, 0.0))
            estimate = estimator.process(scene.frame(number / 30.0, [block]))['block']
        assert max(errors(estimate, drawn, block)) < 1.5
        found.append(estimate.base_T_object)
    assert np.linalg.norm(found[0][:3] - found[1][:3]) < 4e-4
    assert np.degrees(se3.quat_angle(found[0][3:], found[1][3:])) < 0.5
