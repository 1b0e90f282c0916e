# SPDX-License-Identifier: Apache-2.0
"""The whole tracker on ray-cast images with noise."""

import dataclasses

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.core.symmetry import canonical_rotation, symmetry_group
from ocrrl_ros.perception.estimate import TrackState
from ocrrl_ros.perception.kernels import load_kernels
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.pose_estimator import (
    load_tracker_config, PoseEstimator, TrackerConfig)
import pytest

GROUP = symmetry_group('cube')


def estimator(scene, **changes):
    """Return an estimator of the cube for a scene."""
    config = dataclasses.replace(load_tracker_config(), **changes)
    return PoseEstimator([load_object('cube')], scene.base_T_camera, config)


def errors(estimate, box):
    """Return position error in mm and rotation error in deg, up to symmetry."""
    turned = canonical_rotation(estimate.base_T_object[3:], GROUP, box.pose[3:])
    return (
        1e3 * np.linalg.norm(estimate.base_T_object[:3] - box.pose[:3]),
        np.degrees(se3.quat_angle(turned, box.pose[3:])))


def track(estimator_, scene, boxes, frames=5, start_s=0.0, extra=()):
    """Process still frames and return the last estimate."""
    for number in range(frames):
        frame = scene.frame(start_s + number / 30.0, [boxes, *extra])
        estimate = estimator_.process(frame)['cube']
    return estimate


@pytest.mark.parametrize('position, rotvec', [
    ((0.50, 0.00, 0.02), (0.0, 0.0, 0.4)), ((0.42, -0.14, 0.02), (0.0, 0.0, -0.7)),
    ((0.58, 0.12, 0.02), (0.0, 0.0, 0.0)), ((0.50, 0.05, 0.20), (0.9, 0.4, 0.3))])
def test_cube_is_found_on_the_table_and_in_the_air(box_scene, make_box, position, rotvec):
    scene = box_scene()
    box = make_box(position, rotvec)
    estimate = track(estimator(scene), scene, box)
    distance, angle = errors(estimate, box)
    assert estimate.state is TrackState.OK and estimate.valid
    assert distance < 1.5 and angle < 2.5


def test_numpy_kernels_track_as_well(box_scene, make_box):
    scene = box_scene()
    box = make_box((0.5, 0.0, 0.02), (0.0, 0.0, 0.4))
    estimate = track(estimator(scene, backend='numpy'), scene, box, frames=4)
    assert errors(estimate, box)[0] < 1.5


def test_depth_bias_is_corrected_by_the_table(box_scene, make_box):
    scene = box_scene(depth_bias=0.01)
    box = make_box((0.5, 0.0, 0.02), (0.0, 0.0, 0.4))
    assert errors(track(estimator(scene), scene, box), box)[0] < 4.0


def test_face_on_view_is_not_lost_and_its_tilt_stays_small(box_scene, make_box):
    scene = box_scene()
    eye = scene.base_T_camera
    tilts = []
    for roll in (0.0, 0.35, 0.7):
        pose = se3.pose_multiply(eye, se3.pose(
            np.array([0.0, 0.0, 0.6]), se3.quat_from_rotvec(np.array([0.0, 0.0, roll]))))
        box = dataclasses.replace(make_box((0, 0, 0)), pose=pose)
        estimate = track(estimator(scene), scene, box, frames=8)
        distance, angle = errors(estimate, box)
        assert distance < 3.0
        tilts.append(angle)
    assert np.median(tilts) < 3.0 and max(tilts) < 8.0


def test_motion_is_followed_at_full_speed(box_scene, make_box):
    scene = box_scene()
    tracker = estimator(scene)
    worst = []
    for number in range(20):
        time_s = number / 30.0
        box = make_box(
            (0.42 + 0.3 * time_s, 0.0, 0.15), np.array([0.2, 0.3, 0.93]) * np.pi / 2 * time_s)
        estimate = tracker.process(scene.frame(time_s, [box]))['cube']
        worst.append(errors(estimate, box))
    worst = np.array(worst[5:])
    assert worst[:, 0].max() < 4.0 and worst[:, 1].max() < 6.0
    assert estimate.valid


def test_cube_held_in_the_air_is_tracked_between_fingers(box_scene, make_box, fingers):
    scene = box_scene()
    tracker = estimator(scene)
    for number in range(20):
        box = make_box((0.5, 0.05, 0.02 + 0.01 * number), (0.0, 0.0, 0.5))
        estimate = tracker.process(scene.frame(number / 30.0, [box, *fingers(box)]))['cube']
    distance, angle = errors(estimate, box)
    assert distance < 3.0 and angle < 5.0 and estimate.valid


def test_moving_objects_are_published_where_they_are_by_then(box_scene, make_box):
    scene = box_scene()
    config = load_tracker_config()
    moved_on = estimator(scene, motion=dataclasses.replace(config.motion, max_lead_s=0.1))
    velocity, late_s = np.array([0.0, 0.3, 0.1]), 0.06
    for number in range(12):
        box = make_box((0.5, -0.06, 0.1) + velocity * number / 30.0, (0.3, 0.2, 0.1))
        frame = scene.frame(number / 30.0, [box])
        seen = moved_on.process(frame)
    arrived = moved_on.advance(seen, frame.stamp_s + late_s)['cube']
    there = make_box((0.5, -0.06, 0.1) + velocity * (11 / 30.0 + late_s), (0.3, 0.2, 0.1))
    assert errors(seen['cube'], there)[0] > 17.0
    assert errors(arrived, there)[0] < 3.0
    assert arrived.stamp_s == frame.stamp_s and arrived.valid
    assert np.linalg.eigvalsh(arrived.covariance - seen['cube'].covariance).min() > 0.0
    assert moved_on.advance(seen, frame.stamp_s)['cube'] is seen['cube']


def test_sixty_percent_occlusion_keeps_the_pose(box_scene, make_box):
    scene = box_scene()
    tracker = estimator(scene)
    box = make_box((0.5, 0.0, 0.02), (0.0, 0.0, 0.4))
    track(tracker, scene, box)
    cover = make_box((0.53, 0.017, 0.100), (0, 0, 0.4), half=(0.03, 0.03, 0.045),
                     colour=(35, 35, 38))
    estimate = track(tracker, scene, box, frames=15, start_s=0.2, extra=[cover])
    assert 0.45 < estimate.parts['occluded'] < 0.75
    assert errors(estimate, box)[0] < 5.0 and errors(estimate, box)[1] < 6.0


def test_hidden_object_is_predicted_then_lost_then_found_again(box_scene, make_box):
    scene = box_scene()
    tracker = estimator(scene)
    first = make_box((0.5, 0.0, 0.02), (0.0, 0.0, 0.4))
    track(tracker, scene, first)
    empty = scene.frame(1.0, [])
    gone = [tracker.process(dataclasses.replace(empty, stamp_s=0.2 + n / 30.0))['cube']
            for n in range(14)]
    assert [estimate.just_lost for estimate in gone] == [True] + [False] * 13
    assert gone[0].state is TrackState.STALE and gone[-1].state is TrackState.ERROR
    assert not any(estimate.valid for estimate in gone)
    second = make_box((0.45, 0.12, 0.02), (0.0, 0.0, -0.3))
    estimate = track(tracker, scene, second, start_s=1.0)
    assert estimate.valid and errors(estimate, second)[0] < 1.5


@pytest.mark.parametrize('start_s', [40.0, 102.0])
def test_a_track_ends_where_stamps_go_back_or_images_are_missing(box_scene, make_box, start_s):
    # What is turned meanwhile must not be taken for a small motion of what was seen before.
    scene = box_scene()
    tracker = estimator(scene)
    before = track(tracker, scene, make_box((0.5, 0.0, 0.02), (0.0, 0.0, 0.1)), start_s=100.0)
    assert before.valid
    turned = make_box((0.5, 0.0, 0.02), (0.0, 0.0, 0.85))
    first = track(tracker, scene, turned, frames=1, start_s=start_s)
    assert first.just_lost and not first.valid
    after = track(tracker, scene, turned, frames=4, start_s=start_s + 1.0 / 30.0)
    assert after.valid and not after.just_lost
    assert errors(after, turned)[1] < 2.5


def test_a_single_missing_image_ends_nothing(box_scene, make_box):
    scene, box = box_scene(), make_box((0.5, 0.0, 0.02), (0.0, 0.0, 0.1))
    tracker = estimator(scene)
    track(tracker, scene, box)
    assert track(tracker, scene, box, frames=1, start_s=0.5).valid


def test_depth_without_any_pixel_closes_the_gate_and_good_images_open_it(box_scene, make_box):
    scene, box = box_scene(), make_box((0.5, 0.0, 0.02), (0.0, 0.0, 0.1))
    tracker = estimator(scene)
    assert track(tracker, scene, box).valid
    for number, value in enumerate((0.0, np.nan)):
        frame = scene.frame((5 + number) / 30.0, [box])
        blind = dataclasses.replace(frame, depth_m=np.full_like(frame.depth_m, value))
        assert not tracker.process(blind)['cube'].valid
    assert track(tracker, scene, box, start_s=7.0 / 30.0).valid


def test_quaternion_never_jumps_to_a_symmetric_equivalent(box_scene, make_box):
    scene = box_scene()
    tracker = estimator(scene)
    previous = None
    for number in range(24):
        if number == 12:
            tracker.process(dataclasses.replace(scene.frame(0.0, []), stamp_s=number / 30.0))
        box = make_box((0.5, 0.0, 0.15), (0.0, 0.0, 0.05 * number))
        pose = tracker.process(scene.frame((number + 0.5) / 30.0, [box]))['cube'].base_T_object
        if previous is not None:
            assert np.degrees(se3.quat_angle(previous, pose[3:])) < 15.0
        previous = pose[3:]


def test_empty_scene_gives_no_valid_pose(box_scene):
    scene = box_scene()
    estimate = estimator(scene).process(scene.frame(0.0, []))['cube']
    assert estimate.state is TrackState.ERROR
    assert not estimate.valid and estimate.confidence == 0.0


def test_finds_outside_the_workspace_are_refused(box_scene, make_box):
    scene = box_scene()
    config = dataclasses.replace(
        load_tracker_config().tracking, workspace_max_m=(0.4, 0.8, 0.9))
    estimate = track(estimator(scene, tracking=config), scene, make_box((0.5, 0.0, 0.02)))
    assert estimate.state is TrackState.ERROR


def test_warm_up_leaves_no_track_behind(box_scene):
    scene = box_scene()
    tracker = estimator(scene)
    tracker.warm_up()
    assert tracker.process(scene.frame(0.0, []))['cube'].state is TrackState.ERROR


@pytest.fixture
def compiled_for(monkeypatch):
    """Return the kernels' calls so far: name and types, for which numba compiles them."""
    numba = pytest.importorskip('numba')
    kernels, calls = load_kernels('numba'), set()

    def noted(name, kernel):
        def call(*arguments):
            calls.add((name, *(str(numba.typeof(argument)) for argument in arguments)))
            return kernel(*arguments)
        return call

    for name in kernels.__all__:
        monkeypatch.setattr(kernels, name, noted(name, getattr(kernels, name)))
    return calls


@pytest.mark.parametrize('name', ['cube', 'bowl', 'cup', 'drawer', 'peg'])
def test_nothing_is_left_to_compile_after_the_warm_up(box_scene, make_solid, compiled_for, name):
    scene, model = box_scene(), load_object(name)
    tracker = PoseEstimator(
        [model], scene.base_T_camera, dataclasses.replace(load_tracker_config(), backend='numba'))
    tracker.warm_up()
    warm = set(compiled_for)
    compiled_for.clear()
    for number in range(8):
        solid = make_solid(model, (0.5, 0.1 * (number // 4), 0.1))
        tracker.process(scene.frame(number / 30.0, [solid]))
    assert len({call[0] for call in compiled_for}) == 5 and compiled_for <= warm


def test_configuration_refuses_unknown_keys_and_bad_values():
    with pytest.raises(UnknownNameError, match='bakend'):
        from_mapping(TrackerConfig, {'bakend': 'numpy'}, 'test')
    with pytest.raises(ConfigError, match='max_points'):
        from_mapping(TrackerConfig, {'solver': {'max_points': 3}}, 'test')


def test_object_ids_must_differ(box_scene):
    with pytest.raises(ConfigError, match='cube'):
        PoseEstimator([load_object('cube')] * 2, box_scene().base_T_camera)
