# SPDX-License-Identifier: Apache-2.0
"""Figures of the tracker bench, by hand-made samples."""

import dataclasses

import numpy as np
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.evaluation.pose_log import PoseLog
from ocrrl_ros.evaluation.tracker_bench import Sample, summarise, TrackerBenchConfig
from ocrrl_ros.evaluation.tracker_sequences import SequenceSource
from ocrrl_ros.perception.confidence import FEATURES
from ocrrl_ros.sim.domain import load_domain
import pytest

PERFECT = Sample(
    object_id='cube', sequence=0, stamp_s=0.0, phase=0, speed=np.zeros(2), error_m=np.zeros(3),
    error_rad=np.zeros(3), tilt_rad=0.0, valid=True, just_lost=False, state='ok',
    confidence=0.9, nees_position=1.0, nees_rotation=1.0, wall_s=0.004, cpu_s=0.003, first=False,
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
