# SPDX-License-Identifier: Apache-2.0
"""Bowl, cup and drawer on ray-cast images: hollow, hidden, turned about what cannot be seen."""

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.pose_estimator import PoseEstimator
import pytest

LYING = np.pi / 2 - 0.124


def track(scene, names, things, frames=5, estimator=None, start_s=0.0):
    """Process still frames and return the estimator and the last estimates."""
    estimator = estimator or PoseEstimator(
        [load_object(name) for name in names], scene.base_T_camera)
    for number in range(frames):
        found = estimator.process(scene.frame(start_s + number / 30.0, things))
    return estimator, found


def errors(estimate, solid):
    """Return position error in mm and rotation error in deg over what can be seen."""
    model = load_object(estimate.object_id)
    turned = model.nearest_rotation(estimate.base_T_object[3:], solid.pose[3:])
    return (1e3 * np.linalg.norm(estimate.base_T_object[:3] - solid.pose[:3]),
            np.degrees(se3.quat_angle(turned, solid.pose[3:])))


def about_axis(estimate):
    """Return standard deviations in deg: about the object's z axis, and the largest across."""
    axis = se3.quat_rotate(estimate.base_T_object[3:], np.array([0.0, 0.0, 1.0]))
    across = np.eye(3) - np.outer(axis, axis)
    covariance = estimate.covariance[3:, 3:]
    return (np.degrees(np.sqrt(axis @ covariance @ axis)),
            np.degrees(np.sqrt(np.linalg.eigvalsh(across @ covariance @ across)[-1])))


@pytest.mark.parametrize('name, position, rotvec', [
    ('bowl', (0.50, 0.05, 0.025), (0.0, 0.0, 0.0)),
    ('bowl', (0.45, -0.10, 0.20), (0.9, 0.4, 0.0)),
    ('cup', (0.55, 0.0, 0.05), (0.0, 0.0, 0.0)),
    ('cup', (0.50, 0.05, 0.031), (0.0, LYING, 0.0)),
    ('cup', (0.50, -0.10, 0.031), (0.0, -LYING, 0.0)),
    ('cup', (0.50, 0.0, 0.031), (LYING, 0.0, 0.0)),
    ('peg', (0.50, 0.05, 0.05), (0.0, 0.0, 0.0)),
    ('peg', (0.50, -0.05, 0.01), (0.0, np.pi / 2, 0.0)),
    ('peg', (0.50, 0.0, 0.20), (0.8, 0.4, 0.0)),
    ('box_with_hole', (0.50, 0.05, 0.02), (0.0, 0.0, 0.4)),
    ('box_with_hole', (0.45, 0.0, 0.04), (np.pi / 2, 0.0, 0.0)),
    ('box_with_hole', (0.50, -0.05, 0.20), (0.9, 0.4, 0.0)),
    ('drawer', (0.52, 0.0, 0.07), (0.0, 0.0, -2.5)),
    ('drawer', (0.50, -0.05, 0.07), (0.0, 0.0, 2.9))])
def test_resting_objects_are_found_whichever_way_they_lie(
        box_scene, make_solid, name, position, rotvec):
    scene = box_scene()
    solid = make_solid(load_object(name), position, rotvec)
    estimate = track(scene, [name], [solid])[1][name]
    distance, angle = errors(estimate, solid)
    assert estimate.valid and estimate.confidence > 0.9
    assert distance < 2.0 and angle < 2.0


def test_turn_about_the_axis_is_named_unknown_and_stays_bounded(box_scene, make_solid):
    scene = box_scene()
    cup = make_solid(load_object('cup'), (0.5, 0.0, 0.05))
    estimator, found = track(scene, ['cup'], [cup])
    early, across = about_axis(found['cup'])
    late, _ = about_axis(track(scene, ['cup'], [cup], 45, estimator, 0.2)[1]['cup'])
    assert 50.0 < early < 150.0 and 50.0 < late < 150.0
    assert across < 5.0
    assert np.isfinite(found['cup'].covariance).all()


def test_quaternion_of_a_cup_that_is_turned_up_never_jumps(box_scene, make_solid):
    scene, model = box_scene(), load_object('cup')
    estimator = PoseEstimator([model], scene.base_T_camera)
    previous = None
    for number in range(36):
        # Turned up by 45 deg/s about y while its unseen spin runs at 90 deg/s.
        tip = se3.quat_from_rotvec(np.array([0.0, LYING - 0.026 * number, 0.0]))
        spin = se3.quat_from_rotvec(np.array([0.0, 0.0, 0.05 * number]))
        cup = make_solid(model, (0.5, 0.0, 0.15), se3.quat_to_rotvec(se3.quat_multiply(tip, spin)))
        estimate = estimator.process(scene.frame(number / 30.0, [cup]))['cup']
        if previous is not None:
            assert np.degrees(se3.quat_angle(previous, estimate.base_T_object[3:])) < 4.0
        previous = estimate.base_T_object[3:]
        if number > 5:
            assert estimate.valid and max(errors(estimate, cup)) < 4.0


def test_block_in_the_bowl_hides_part_of_it_and_both_stay_valid(box_scene, make_solid):
    scene = box_scene()
    bowl = make_solid(load_object('bowl'), (0.5, 0.05, 0.025))
    block = make_solid(load_object('block'), (0.49, 0.06, 0.026), (0.0, 0.0, 0.5))
    found = track(scene, ['block', 'bowl'], [bowl, block], frames=8)[1]
    assert found['bowl'].valid and found['block'].valid
    assert max(errors(found['bowl'], bowl)) < 2.0 and max(errors(found['block'], block)) < 3.0


def test_drawer_behind_the_hand_keeps_its_pose(box_scene, make_solid, make_box):
    scene = box_scene()
    drawer = make_solid(load_object('drawer'), (0.50, -0.05, 0.07), (0.0, 0.0, -2.5))
    estimator, _ = track(scene, ['drawer'], [drawer])
    hand = make_box((0.57, 0.02, 0.10), (0.0, 0.0, 0.6), half=(0.02, 0.04, 0.06),
                    colour=(210, 210, 210))
    estimate = track(scene, ['drawer'], [drawer, hand], 15, estimator, 0.2)[1]['drawer']
    assert estimate.parts['occluded'] > 0.15
    assert estimate.valid and max(errors(estimate, drawer)) < 3.0
