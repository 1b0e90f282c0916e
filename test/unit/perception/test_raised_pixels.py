# SPDX-License-Identifier: Apache-2.0
"""Objects of unknown colour on ray-cast images: told by height and depth alone."""

import dataclasses

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.perception import kernels_numpy
from ocrrl_ros.perception.estimate import TrackState
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.pose_estimator import PoseEstimator
from ocrrl_ros.perception.raised_pixels import RaisedConfig
from ocrrl_ros.perception.segmentation import SegmentationConfig, Segmenter
import pytest

SKIN, WHITE, GREEN, RED = (220, 150, 120), (210, 210, 210), (30, 170, 50), (190, 25, 20)


def colourless(name, **changes):
    """Return an object whose colour is not known."""
    return dataclasses.replace(load_object(name), colour=None, **changes)


def track(scene, models, things, frames=8, estimator=None, start_s=0.0):
    """Process frames of things, or of what a function of the time makes; return all estimates."""
    estimator = estimator or PoseEstimator(models, scene.base_T_camera)
    found = []
    for number in range(frames):
        time_s = start_s + number / 30.0
        seen = things(time_s) if callable(things) else things
        found.append(estimator.process(scene.frame(time_s, seen)))
    return estimator, found


def errors(model, estimate, thing):
    """Return position error in mm and rotation error in deg over what can be seen."""
    turned = model.nearest_rotation(estimate.base_T_object[3:], thing.pose[3:])
    return (1e3 * np.linalg.norm(estimate.base_T_object[:3] - thing.pose[:3]),
            np.degrees(se3.quat_angle(turned, thing.pose[3:])))


@pytest.mark.parametrize('name, position, rotvec', [
    ('cube', (0.50, 0.00, 0.02), (0.0, 0.0, 0.4)), ('cube', (0.42, -0.14, 0.02), (0.0, 0.0, -0.7)),
    ('cube', (0.50, 0.05, 0.20), (0.9, 0.4, 0.3)), ('cup', (0.55, 0.0, 0.05), (0.0, 0.0, 0.0)),
    ('cup', (0.50, 0.05, 0.031), (0.0, np.pi / 2 - 0.124, 0.0)),
    ('block', (0.50, 0.10, 0.02), (0.0, 0.0, 0.4)), ('bowl', (0.5, 0.05, 0.025), (0.0, 0.0, 0.0))])
def test_objects_without_a_colour_are_found_and_tracked(
        box_scene, make_solid, name, position, rotvec):
    scene, model = box_scene(), colourless(name)
    solid = dataclasses.replace(
        make_solid(load_object(name), position, rotvec), colour=(120, 125, 118))
    estimate = track(scene, [model], [solid])[1][-1][name]
    assert estimate.valid and estimate.confidence > 0.95
    assert max(errors(model, estimate, solid)) < 3.0


def test_motion_without_a_colour_is_followed_at_full_speed(box_scene, make_box):
    scene, model = box_scene(), colourless('cube')

    def carried(time_s):
        return [make_box((0.42 + 0.3 * time_s, 0.0, 0.15),
                         np.array([0.2, 0.3, 0.93]) * np.pi / 2 * time_s, colour=WHITE)]

    found = track(scene, [model], carried, frames=20)[1]
    worst = [max(errors(model, estimate['cube'], carried(number / 30.0)[0]))
             for number, estimate in enumerate(found) if number > 4]
    assert max(worst) < 4.0
    assert all(estimate['cube'].valid for estimate in found[4:])


def test_hand_that_comes_to_touch_it_ruins_no_valid_pose(box_scene, make_box):
    scene, model = box_scene(), colourless('cube')
    box = make_box((0.5, 0.0, 0.02), (0.0, 0.0, 0.2), colour=WHITE)

    def with_hand(time_s):
        gap = max(0.0, 0.1 - 0.15 * time_s)
        return [box, make_box(
            (0.5, 0.055 + gap, 0.05), half=(0.04, 0.03, 0.05), colour=SKIN)]

    found = track(scene, [model], with_hand, frames=36)[1]
    valid = [estimate['cube'] for estimate in found if estimate['cube'].valid]
    assert len(valid) > 10
    assert max(max(errors(model, estimate, box)) for estimate in valid[3:]) < 3.5


def test_hand_that_covers_it_closes_the_gate(box_scene, make_box):
    scene, model = box_scene(), colourless('cube')
    box = make_box((0.5, 0.0, 0.02), colour=WHITE)
    estimator, _ = track(scene, [model], [box])
    hand = make_box((0.54, 0.01, 0.03), half=(0.02, 0.03, 0.03), colour=SKIN)
    found = track(scene, [model], [box, hand], 15, estimator, 1.0)[1]
    assert not any(estimate['cube'].valid for estimate in found[2:])
    back = track(scene, [model], [box], 10, estimator, 2.0)[1][-1]['cube']
    assert back.valid and max(errors(model, back, box)) < 3.0


def test_thick_fingers_that_hold_it_ruin_no_valid_pose(box_scene, make_box, fingers):
    scene, model = box_scene(), colourless('cube')

    def held(time_s):
        box = make_box((0.5, 0.05, 0.02 + 0.3 * max(0.0, time_s - 0.25)), (0.0, 0.0, 0.5),
                       colour=WHITE)
        return [box, *(fingers(box) if time_s > 0.15 else ())]

    found = track(scene, [model], held, frames=30)[1]
    worst = [max(errors(model, estimate['cube'], held(number / 30.0)[0]))
             for number, estimate in enumerate(found) if estimate['cube'].valid]
    assert worst and max(worst) < 4.0
    assert not found[-1]['cube'].valid


@pytest.mark.parametrize('half', [(0.025,) * 3, (0.03,) * 3, (0.02, 0.03, 0.03)])
def test_things_of_another_size_are_not_taken_for_it(box_scene, make_box, half):
    thing = make_box((0.5, 0.0, half[2]), (0.0, 0.0, 0.4), half=half, colour=WHITE)
    found = track(box_scene(), [colourless('cube')], [thing])[1]
    assert not any(estimate['cube'].valid for estimate in found)


@pytest.mark.parametrize('seed', range(3))
def test_one_of_unknown_colour_is_told_from_equal_ones_of_known_colours(
        box_scene, make_box, seed):
    scene, model = box_scene(seed), colourless('cube', object_id='plain')
    things = [make_box((0.50, 0.00, 0.02), (0.0, 0.0, 0.4), colour=WHITE),
              make_box((0.45, 0.10, 0.02), (0.0, 0.0, 0.1), colour=RED),
              make_box((0.55, -0.041, 0.02), (0.0, 0.0, 0.9), colour=GREEN)]
    models = [model, load_object('cube'), load_object('base_cube')]
    found = track(scene, models, things)[1][-1]
    for each, thing in zip(models, things):
        estimate = found[each.object_id]
        assert estimate.valid and max(errors(each, estimate, thing)) < 3.0


def test_empty_table_shows_nothing(box_scene):
    scene = box_scene(3)
    found = track(scene, [colourless('cube')], [])[1]
    assert all(estimate['cube'].state is TrackState.ERROR for estimate in found)


def test_mask_ends_above_the_table_and_says_so(box_scene, make_box):
    scene = box_scene()
    box = make_box((0.5, 0.0, 0.02), (0.0, 0.0, 0.4), colour=WHITE)
    plane = np.append(
        se3.quat_to_matrix(scene.base_T_camera[3:])[2], scene.base_T_camera[2])
    segmenter = Segmenter(colourless('cube'), SegmentationConfig(), kernels_numpy)
    known = Segmenter(load_object('cube'), SegmentationConfig(), kernels_numpy)
    frame = scene.frame(0.0, [box])
    find, = segmenter.search(frame, 1.0, plane)
    red = known.search(scene.frame(0.0, [dataclasses.replace(box, colour=RED)]), 1.0, plane)[0]
    assert find.ends_above_plane and not red.ends_above_plane
    assert 0.85 < find.area_px / red.area_px < 0.97


def test_without_a_plane_it_cannot_be_looked_for(box_scene):
    segmenter = Segmenter(colourless('cube'), SegmentationConfig(), kernels_numpy)
    with pytest.raises(InputError, match='object cube has no colour'):
        segmenter.search(box_scene().frame(0.0, []), 1.0)


def test_warm_up_knows_objects_without_a_colour(box_scene):
    scene = box_scene()
    estimator = PoseEstimator([colourless('cup')], scene.base_T_camera)
    estimator.warm_up()
    assert estimator.process(scene.frame(0.0, []))['cup'].state is TrackState.ERROR


def test_object_file_without_a_colour_is_one_of_unknown_colour(tmp_path):
    path = tmp_path / 'thing.yaml'
    path.write_text('object_id: thing\n')
    model = load_object(path)
    assert model.colour is None
    assert len(set(model.shown_rgb)) == 1


@pytest.mark.parametrize('changes, words', [
    ({'jump_m': 0.0}, 'jump_m'), ({'excess': 1.0}, 'excess'),
    ({'margin_m': 0.03}, 'free_margin_m is 0.025 m; allowed: >= margin_m')])
def test_settings_that_cannot_work_are_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        RaisedConfig(**changes)
