# SPDX-License-Identifier: Apache-2.0
"""SAM 2 on video as the tracker's source of masks: prompted once, then followed from memory."""
import dataclasses

from analytic_sam2_video import AnalyticVideo, THERE
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import BundleError
from ocrrl_ros.perception.adapters.sam2_video import Sam2VideoConfig
from ocrrl_ros.perception.estimate import TrackState
from ocrrl_ros.perception.frame import Intrinsics, RgbdFrame
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.pose_estimator import load_tracker_config, PoseEstimator
import pytest

PLACE, TURN = (0.48, 0.02, 0.02), (0.0, 0.0, 0.3)
BLUE = (30, 60, 200)


@pytest.fixture
def video():
    """Return a video predictor that computes."""
    return AnalyticVideo()


def estimator(scene, video, *models, settings=None):
    """Return an estimator whose masks are SAM 2's."""
    return PoseEstimator(models, scene.base_T_camera, dataclasses.replace(
        load_tracker_config(), mask_backend='sam2_video',
        sam2_video=settings or Sam2VideoConfig()), sam2=video)


def distance_mm(estimate, solid):
    """Return the position error."""
    return 1e3 * np.linalg.norm(estimate.base_T_object[:3] - solid.pose[:3])


def run(tracker, scene, solids, start, count):
    """Return the cube's estimates of frames in which nothing moves."""
    return [tracker.process(scene.frame((start + number) / 30.0, solids))['cube']
            for number in range(count)]


def test_an_object_is_prompted_once_and_followed(video, box_scene, make_solid):
    model, scene = load_object('cube'), box_scene(1)
    tracker, position = estimator(scene, video, model), np.array(PLACE)
    for number in range(10):
        solid = make_solid(model, position, TURN)
        estimate = tracker.process(scene.frame(number / 30.0, [solid]))['cube']
        position = position + np.array([-0.004, 0.003, 0.002])
    assert (estimate.state, estimate.valid) == (TrackState.OK, True)
    assert distance_mm(estimate, solid) < 3.0
    assert estimate.parts['mask_quality'] == THERE
    assert (video.prompted, video.looks) == (['cube'], 1)


def test_of_two_finds_only_the_one_that_is_tracked_is_prompted(video, box_scene, make_solid):
    model, scene = load_object('cube'), box_scene(2)
    solids = [make_solid(model, PLACE, TURN), make_solid(model, (0.55, -0.2, 0.02))]
    estimates = run(estimator(scene, video, model), scene, solids, 0, 6)
    assert estimates[-1].valid
    assert (video.prompted, video.looks) == (['cube'], 2)


def test_an_operator_points_at_an_object_that_colour_does_not_know(
        video, box_scene, make_solid):
    model, scene = load_object('cube'), box_scene(3)
    tracker = estimator(scene, video, model)
    solid = dataclasses.replace(make_solid(model, PLACE, TURN), colour=BLUE)
    assert run(tracker, scene, [solid], 0, 3)[-1].state is TrackState.ERROR
    assert (video.prompted, video.pictures) == ([], 0)
    tracker.prompt('cube', scene.camera.project(
        se3.pose_transform(se3.pose_inverse(scene.base_T_camera), solid.pose[:3])))
    estimate = run(tracker, scene, [solid], 3, 8)[-1]
    assert estimate.valid
    assert distance_mm(estimate, solid) < 3.0
    assert (video.prompted, video.looks) == (['cube'], 1)


def test_objects_share_a_look_at_the_picture(video, box_scene, make_solid):
    cube, bowl, scene = load_object('cube'), load_object('bowl'), box_scene(2)
    tracker = estimator(scene, video, cube, bowl)
    solids = [make_solid(cube, PLACE, TURN), make_solid(bowl, (0.5, -0.2, 0.025))]
    for number in range(6):
        estimates = tracker.process(scene.frame(number / 30.0, solids))
    assert all(estimate.valid for estimate in estimates.values())
    assert sorted(video.prompted) == ['bowl', 'cube']
    assert video.pictures == 6


def test_an_object_that_is_away_for_a_moment_is_awaited(video, box_scene, make_solid):
    model, scene = load_object('cube'), box_scene(4)
    tracker, solids = estimator(scene, video, model), [make_solid(model, PLACE, TURN)]
    run(tracker, scene, solids, 0, 5)
    away = run(tracker, scene, [], 5, 2)
    assert [estimate.state for estimate in away] == [TrackState.STALE] * 2
    assert run(tracker, scene, solids, 7, 4)[-1].valid
    assert (video.prompted, video.looks) == (['cube'], 1)


def test_an_object_that_is_away_for_long_is_searched_and_prompted_anew(
        video, box_scene, make_solid):
    model, scene = load_object('cube'), box_scene(5)
    tracker = estimator(
        scene, video, model, settings=Sam2VideoConfig(absent_frames=2))
    run(tracker, scene, [make_solid(model, PLACE, TURN)], 0, 5)
    run(tracker, scene, [], 5, 2)
    assert video.object_ids == ()
    elsewhere = make_solid(model, (0.55, -0.15, 0.02))
    estimate = run(tracker, scene, [elsewhere], 7, 6)[-1]
    assert estimate.valid
    assert distance_mm(estimate, elsewhere) < 3.0
    assert video.prompted == ['cube'] * 2


def test_a_lost_or_given_up_track_is_forgotten(video, box_scene, make_solid):
    model, scene = load_object('cube'), box_scene(6)
    # So patient that the tracker gives up first.
    tracker = estimator(scene, video, model, settings=Sam2VideoConfig(absent_frames=1000))
    solids = [make_solid(model, PLACE, TURN)]
    run(tracker, scene, solids, 0, 3)
    assert video.object_ids == ('cube',)
    assert run(tracker, scene, [], 3, 12)[-1].state is TrackState.ERROR
    assert video.object_ids == ()
    assert run(tracker, scene, solids, 15, 4)[-1].valid
    tracker.reset()
    assert video.object_ids == ()
    assert run(tracker, scene, solids, 19, 4)[-1].valid
    assert video.prompted == ['cube'] * 3


def test_a_camera_that_changes_its_resolution_is_followed(video, box_scene, make_solid):
    cube, bowl, scene = load_object('cube'), load_object('bowl'), box_scene(7)
    tracker = estimator(scene, video, cube, bowl)
    solids = [make_solid(cube, PLACE, TURN), make_solid(bowl, (0.5, -0.2, 0.025))]
    half = Intrinsics(fx=307.5, fy=307.5, cx=159.75, cy=119.75, width=320, height=240)
    for number in range(10):
        frame = scene.frame(number / 30.0, solids)
        if number >= 5:
            frame = RgbdFrame(
                stamp_s=frame.stamp_s, rgb=np.ascontiguousarray(frame.rgb[::2, ::2]),
                depth_m=np.ascontiguousarray(frame.depth_m[::2, ::2]), intrinsics=half)
        estimates = tracker.process(frame)
    assert all(estimate.valid for estimate in estimates.values())
    assert video.size == (240, 320)


def test_warm_up_leaves_nothing_behind(video, box_scene):
    scene = box_scene()
    tracker = estimator(scene, video, load_object('cube'), load_object('bowl'))
    tracker.warm_up()
    assert video.prompted
    assert (video.object_ids, video.size) == ((), None)
    assert tracker.process(scene.frame(0.0, []))['cube'].state is TrackState.ERROR


def test_a_real_model_without_training_runs_and_is_not_believed(
        sam2_video, box_scene, make_solid):
    model, scene = load_object('cube'), box_scene(8)
    tracker = estimator(scene, None, model, settings=sam2_video)
    tracker.warm_up()
    solids = [make_solid(model, PLACE, TURN)]
    estimates = run(tracker, scene, solids, 0, 4)
    tracker.prompt('cube', np.array([320.0, 240.0]))
    estimates += run(tracker, scene, solids, 4, 4)
    assert not any(estimate.valid for estimate in estimates)


def test_the_settings_name_the_model(box_scene):
    with pytest.raises(BundleError, match='nowhere is no folder'):
        estimator(box_scene(), None, load_object('cube'),
                  settings=Sam2VideoConfig(model='nowhere'))
