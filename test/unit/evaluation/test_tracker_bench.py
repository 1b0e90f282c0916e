# SPDX-License-Identifier: Apache-2.0
"""Figures of the tracker bench, by hand-made samples."""

import dataclasses

import numpy as np
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.evaluation.late_poses import LateError
from ocrrl_ros.evaluation.pose_log import PoseLog
from ocrrl_ros.evaluation.tracker_bench import tracked_models, TrackerBenchConfig
from ocrrl_ros.evaluation.tracker_figures import absence, LONG_FRAMES, Sample, summarise, wear
from ocrrl_ros.evaluation.tracker_sequences import SequenceSource
from ocrrl_ros.perception.confidence import FEATURES
from ocrrl_ros.sim.domain import load_domain
import pytest

PERFECT = Sample(
    object_id='cube', sequence=0, stamp_s=0.0, phase=0, speed=np.zeros(2), error_m=np.zeros(3),
    error_rad=np.zeros(3), tilt_rad=0.0, valid=True, just_lost=False, state='ok',
    confidence=0.9, nees_position=1.0, nees_rotation=1.0, nees_tilt=1.0, wall_s=0.004,
    cpu_s=0.003, first=False,
    parts=dict.fromkeys(FEATURES, 0.0))


def sample(**changes):
    """Return a perfect sample with changes."""
    return dataclasses.replace(PERFECT, **changes)


def test_errors_are_those_of_valid_frames():
    far = sample(error_m=np.array([0.03, 0, 0]), valid=False, state='warn')
    row = summarise([PERFECT, sample(error_m=np.array([0.002, 0, 0])), far])
    assert row['position_mm']['max'] == pytest.approx(2.0)
    assert (row['bad_frames'], row['bad_passed']) == (1, 0.0)


def test_good_frames_count_as_rejected_only_after_the_first_valid_one():
    before = sample(valid=False, state='warn')
    row = summarise([before, before, PERFECT, before])
    assert row['good_rejected'] == pytest.approx(0.5)
    assert row['valid_share'] == pytest.approx(0.5)


def test_sequences_without_any_valid_frame_are_named():
    row = summarise([PERFECT, sample(sequence=1, valid=False, state='error')])
    assert (row['sequences'], row['never_valid']) == (2, 1)


def test_nothing_gives_no_figures():
    row = summarise([sample(valid=False, state='error')])
    assert row['position_mm'] is None and row['bad_passed'] is None


def test_poses_are_compared_with_where_the_object_is_when_they_arrive():
    errors = [LateError(seen_m=0.02, seen_rad=0.1, moved_m=0.002, moved_rad=0.01),
              LateError(seen_m=0.03, seen_rad=0.2, moved_m=0.004, moved_rad=0.03)]
    row = summarise([PERFECT, *(sample(late=error) for error in errors)])
    assert row['late_mm']['p50'] == pytest.approx(25.0)
    assert row['moved_mm']['max'] == pytest.approx(4.0)
    assert row['moved_deg']['max'] == pytest.approx(np.degrees(0.03))


def course(there, valid, sequence=0):
    """Return frames at 30 Hz of an object that is there or not."""
    return [sample(is_there=bool(a), valid=bool(b), sequence=sequence, stamp_s=i / 30.0)
            for i, (a, b) in enumerate(zip(there, valid))]


def test_frames_that_stay_valid_without_an_object_and_the_way_back_are_counted():
    found = absence(course([1, 1, 0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0, 1]))
    assert found['stale_frames']['max'] == 1
    assert found['return_s']['p50'] == pytest.approx(2 / 30)
    assert found['not_returned'] == 0


def test_an_object_that_is_not_found_again_is_named_and_others_do_not_count():
    lost, soon_over = (
        course([1, 0] + [1] * count, [1, 0] + [0] * count) for count in (17, 10))
    found = absence(lost + course([1, 1], [1, 1], sequence=1))
    assert found['not_returned'] == 1 and found['return_s'] is None
    assert absence(soon_over)['not_returned'] == 0
    assert absence([PERFECT])['stale_frames'] is None


def test_growth_of_memory_and_error_is_told_after_the_first_tenth():
    frames = [sample(memory_mb=500.0 + (40.0 if i > 50 else 0.0) + 0.01 * i,
                     error_m=np.array([1e-3 + 1e-6 * i, 0.0, 0.0])) for i in range(LONG_FRAMES)]
    found = wear(frames)
    assert found['memory_growth_mb'] == pytest.approx(8.0, abs=0.1)
    assert found['drift_mm'] == pytest.approx(0.8, abs=0.01)
    assert wear(frames[:-1]) == {'memory_growth_mb': None, 'drift_mm': None}


def test_unknown_rows_and_empty_runs_are_refused():
    with pytest.raises(UnknownNameError, match='face_on'):
        TrackerBenchConfig(rows=('sideways',))
    with pytest.raises(ConfigError, match='sequences'):
        TrackerBenchConfig(sequences=0)


def test_pose_log_splits_bias_from_noise():
    rng = np.random.default_rng(0)
    log = PoseLog()
    for sequence in range(30):
        bias = rng.normal(0, 0.003, 3)
        log.add('sim', 0.0, 'grasp', [
            sample(sequence=sequence, error_m=bias + rng.normal(0, 0.0005, 3))
            for _ in range(80)])
    summary = log.summary()['objects']['cube']
    assert summary['bias_m'] == pytest.approx(0.003, rel=0.2)
    assert summary['phases']['free']['white_m'] == pytest.approx(0.0005, rel=0.1)
    assert summary['phases']['free']['drift_m'] < 0.0002


def test_pose_log_counts_losses_and_ignores_other_domains():
    log = PoseLog()
    lost = sample(valid=False, state='stale')
    log.add('sim', 0.0, 'grasp', [PERFECT] * 5 + [lost] * 3 + [PERFECT] * 4)
    log.add('proxy', 0.0, 'grasp', [lost])
    summary = log.summary()['objects']['cube']
    assert summary['invalid_bursts_frames'] == [3]
    assert summary['phases']['free']['invalid_share'] == pytest.approx(0.25)


@pytest.fixture
def source():
    """Return a function that makes sources, which are closed in the end."""
    made = []

    def make(task):
        made.append(SequenceSource(task, load_domain('sim'), 0.0))
        return made[-1]

    yield make
    for item in made:
        item.close()


def test_whole_scene_shows_every_object_and_a_carried_one_stands_for_itself(source):
    scene = source('pick_place')
    assert scene.targets('rest') == ('block',) and scene.targets('free') == ('block', 'bowl')
    resting = next(scene.sequence('rest', 0, 0, 'block'))
    assert tuple(resting.objects) == ('block', 'bowl')
    assert all(truth.phase == 0 for truth in resting.objects.values())
    carried = next(scene.sequence('free', 0, 0, 'bowl'))
    assert tuple(carried.objects) == ('bowl',)
    assert carried.objects['bowl'].pose[2] > 0.05


def test_expert_moves_the_drawer_and_nobody_carries_it(source):
    scene = source('close_drawer')
    assert scene.targets('free') == () and scene.targets('grasp') == ('drawer',)
    first = next(scene.sequence('grasp', 0, 0, 'drawer'))
    assert first.objects['drawer'].pose[2] == pytest.approx(0.07, abs=1e-3)
    with pytest.raises(UnknownNameError, match='face_on'):
        scene.targets('sideways')


def test_pose_log_keeps_objects_apart():
    log = PoseLog()
    for name, error in (('block', 0.001), ('bowl', 0.003)):
        log.add('sim', 0.0, 'rest', [
            sample(object_id=name, error_m=np.array([error, 0.0, 0.0]))] * 5)
    found = log.summary()['objects']
    assert found['bowl']['bias_m'] == pytest.approx(3.0 * found['block']['bias_m'])


#: A sequence of seed 0 whose cube leaves the picture while it is gone.
LEAVES = 24
#: Sequences of seed 0 whose cube goes down to the table, and whether it does while it is gone.
SINKS = [(27, False), (29, True)]


def poses(scene, row, index=0):
    """Return what is true of the cube in every frame."""
    return [frame.objects['cube'] for frame in scene.sequence(row, 0, index, 'cube')]


def test_an_object_vanishes_for_a_while_and_goes_on_where_it_would_have_been(source):
    there = [truth.is_there for truth in poses(source('cube_lift'), 'vanish')]
    gone = [i for i, seen in enumerate(there) if not seen]
    assert there[0] and there[-1] and 5 <= len(gone) <= 20
    assert gone == list(range(gone[0], gone[-1] + 1))


@pytest.mark.parametrize('index, comes_back', SINKS)
def test_a_sequence_ends_where_what_vanished_would_sink_into_the_table(source, index, comes_back):
    seen = poses(source('cube_lift'), 'vanish', index=index)
    assert len(seen) < 60 and seen[-1].is_there is comes_back
    assert all(truth.pose[2] > 0.034 for truth in seen)


def test_a_sequence_ends_where_what_vanished_has_left_the_picture(source):
    seen = poses(source('cube_lift'), 'vanish', index=LEAVES)
    assert len(seen) < 60 and not seen[-1].is_there


def test_a_view_is_one_frame(source):
    assert len(poses(source('cube_lift'), 'view')) == 1


def test_a_look_alike_takes_the_place_of_the_object(source):
    scene = source('cube_lift')
    frames = list(scene.sequence('swap', 0, 0, 'cube'))
    places = np.array([frame.objects['cube'].pose[:3] for frame in frames])
    step = np.linalg.norm(np.diff(places, axis=0), axis=1)
    at = int(np.argmax(step))
    assert step[at] > 0.08
    red = [((frame.frame.rgb[..., 0] > 80) & (frame.frame.rgb[..., 1] < 60)).sum()
           for frame in frames[at:at + 2]]
    assert red[0] > 200 and red[1] > 100 and abs(red[1] / red[0] - 1.0) > 0.15


def test_colour_can_be_kept_from_the_tracker_of_objects_of_the_task_alone():
    assert tracked_models(TrackerBenchConfig(colourless=('cube',)))['cube'].colour is None
    with pytest.raises(UnknownNameError, match="unknown object 'cup'.*--colourless"):
        tracked_models(TrackerBenchConfig(colourless=('cup',)))
