# SPDX-License-Identifier: Apache-2.0
"""Tests of the comparison of two bases and of the log of corrections."""
import json

import numpy as np
from ocrrl_ros.cli.align import Align, summary_of
from ocrrl_ros.cli.main import run
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import BundleError, ConfigError, InputError
from ocrrl_ros.evaluation.alignment import (
    AlignConfig, compare_chunks, failure_distance, measure_alignment)
from ocrrl_ros.evaluation.corrections import CorrectionsConfig
from ocrrl_ros.policy.base_policy import ChunkBatch, switch_steps
from ocrrl_ros.sim.tasks.cube_lift import CubeLift
import pytest
from tiny_bundles import tiny_sampler


@pytest.fixture
def short(monkeypatch):
    """Cut episodes of Cube Lift to a second and a half."""
    monkeypatch.setattr(CubeLift, 'horizon_s', 1.5)


def chunks(*, shift_m=0.0, turn_rad=0.0, closes=(4, 16)):
    """Make plans of two states; ``closes`` is the step at which each closes the hand."""
    poses = np.zeros((2, 16, 7))
    poses[..., 2] = shift_m
    poses[..., 3:] = se3.quat_from_rotvec(np.array([0.0, 0.0, turn_rad]))
    grippers = np.ones((2, 16))
    for row, step in enumerate(closes):
        grippers[row, step:] = 0.0
    return ChunkBatch(poses, grippers)


def test_the_step_of_the_first_change_is_found_in_both_directions():
    rows = np.array([[1, 1, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1], [0, 1, 0, 1]])
    assert switch_steps(rows).tolist() == [2, 3, -1, 1]


def test_equal_plans_do_not_differ():
    found = compare_chunks(chunks(), chunks())
    assert found['position_mm'] == {'median': 0.0, 'p95': 0.0}
    assert found['rotation_deg']['p95'] == pytest.approx(0.0, abs=1e-5)
    assert found['grip_time_s'] == {'median': 0.0, 'p95': 0.0}


def test_differences_are_in_millimetres_degrees_and_seconds():
    found = compare_chunks(chunks(), chunks(shift_m=0.01, turn_rad=0.1, closes=(7, 10)))
    assert found['position_mm']['median'] == pytest.approx(10.0)
    assert found['rotation_deg']['median'] == pytest.approx(np.rad2deg(0.1))
    assert found['grip_time_s']['median'] == pytest.approx(0.15)
    assert (found['grips'], found['grips_of_one_alone'], found['states']) == (1, 1, 2)


def test_without_any_grip_there_is_no_grip_time():
    found = compare_chunks(chunks(closes=(16, 16)), chunks(closes=(16, 16)))
    assert found['grip_time_s'] is None
    assert 'over 2 states; 0 chunks' in summary_of(found)


def test_failures_of_two_results_are_compared():
    first = {'task': 'cube_lift', 'failure_modes': ['drop', 'success'], 'failure_counts': {}}
    second = {**first, 'failure_modes': ['short', 'drop']}
    assert failure_distance(first, second)['total_variation'] == 0.5
    with pytest.raises(InputError, match='one task'):
        failure_distance(first, {**second, 'task': 'stand_cup'})
    with pytest.raises(InputError, match='ocrrl evaluate'):
        failure_distance(first, {})


def test_both_bases_plan_from_their_own_pictures(short):
    found = measure_alignment(AlignConfig(states=3))
    assert found['states'] == 3
    assert 0.0 < found['position_mm']['median'] < 200.0
    same = measure_alignment(AlignConfig(states=3, base_proxy='models/base_sim', domain='sim'))
    assert same['position_mm']['p95'] == 0.0


@pytest.mark.parametrize(('settings', 'error'), [
    ({'states': 0}, ConfigError), ({'seed': -1}, ConfigError)])
def test_settings_out_of_range_are_refused(settings, error):
    with pytest.raises(error, match='allowed'):
        AlignConfig(**settings)


def test_one_result_alone_and_foreign_bundles_are_refused(tmp_path):
    with pytest.raises(ConfigError, match='none or 2'):
        Align(results=(tmp_path,))
    other = tiny_sampler(tmp_path / 'base')
    with pytest.raises(BundleError, match='stand_cup'):
        measure_alignment(AlignConfig(task='stand_cup', base_sim=str(other), states=1))


def test_corrections_of_an_episode_are_logged_and_drawn(short, tmp_path):
    path, picture = tmp_path / 'log.json', tmp_path / 'log.png'
    assert run(['bench', 'corrections', '--json', str(path), '--picture', str(picture)]) == 0
    log = json.loads(path.read_text())
    base, moved = np.array(log['base_targets']), np.array(log['corrected_targets'])
    assert base.shape == moved.shape == (len(log['time_s']), 3)
    assert np.linalg.norm(moved - base, axis=1).max() <= 0.02 * np.sqrt(3.0)
    assert log['largest_mm'] > 0.5
    assert picture.read_bytes().startswith(b'\x89PNG')


def test_episodes_before_the_first_are_refused():
    with pytest.raises(ConfigError, match='episode is -1'):
        CorrectionsConfig(episode=-1)
