# SPDX-License-Identifier: Apache-2.0
"""What `ocrrl evaluate` and `ocrrl compare` say of disturbances."""
from dataclasses import asdict
import json

from ocrrl_ros.cli.evaluate import disturbance_lines, episode_line
from ocrrl_ros.cli.main import run
from ocrrl_ros.evaluation.episode_record import EpisodeRecord
from ocrrl_ros.evaluation.perturbations.record import DisturbanceRecord
from ocrrl_ros.evaluation.perturbations.settings import DisturbanceSettings, STALL
from ocrrl_ros.evaluation.perturbations.summary import summarise_disturbances
import pytest


def record_of(disturbance):
    """Make the record of an episode."""
    return EpisodeRecord(
        episode=2, outcome=True, failure_mode='success', duration_s=5.25, init_sha256='2',
        wall_s=0.1, hold_share=0.0, pose_valid_share=1.0, clip_inactive_share=None,
        disturbance=disturbance)


def push(recovery_s, **changes):
    """Make a push that was answered."""
    return DisturbanceRecord(**{
        'kind': 'push', 'phase': 'before', 'size': 0.04, 'time_s': 1.5, 'reaction': 'reacted',
        'reaction_s': 0.125, 'left_course': True, 'recovery_s': recovery_s,
        'undisturbed_outcome': True, **changes})


def test_an_episode_s_line_says_what_disturbed_it():
    assert episode_line(record_of(None)).endswith('success     5.25 s')
    assert episode_line(record_of(push(None))).endswith(
        'push before at 1.50 s, answer 0.12 s, recovery none')
    assert episode_line(record_of(push(None, time_s=None))).endswith('its moment never came')
    assert 'nothing to answer, recovery not needed' in episode_line(
        record_of(push(None, reaction='', left_course=False)))


def test_a_result_s_lines_give_success_answer_and_recovery_by_kind():
    records = [record_of(push(0.5)), record_of(push(1.5))]
    block = summarise_disturbances(DisturbanceSettings(kinds=('push',)), {}, records)
    lines = disturbance_lines(block)
    assert lines[0] == '2 disturbed, the moment of 0 never came, 0 could not be repeated'
    assert lines[1].startswith('success of those: 100.0% disturbed, 100.0% undisturbed, +0.0')
    assert lines[-1] == ('push: first answer median 0.12 s, p95 0.12 s (n 2, no answer within '
                         '1 s 0); back within 1 s 1 of 2')
    stalled = summarise_disturbances(DisturbanceSettings(kinds=(STALL,)), {}, records)
    assert len(disturbance_lines(stalled)) == 2
    assert disturbance_lines(None) == []


@pytest.mark.parametrize(('options', 'message'), [
    (['--perturb', 'shove'], 'known: drop, poke, push, slide, twist'),
    (['--perturb', 'push', '--stall-s', '1'], 'one of the two'),
    (['--task', 'close_drawer', '--policy', 'base', '--perturb', 'drop'], 'allowed: push, poke')])
def test_wrong_disturbances_are_wrong_usage(capsys, options, message):
    assert run(['evaluate', *options]) == 2
    assert message in capsys.readouterr().err


def test_two_disturbed_results_also_give_the_difference_of_recoveries(tmp_path, capsys):
    paths = []
    for name, times in (('a', (0.4, 0.6, 0.5)), ('b', (0.4, 1.6, None))):
        result = {
            'task': 'cube_lift', 'domain': 'sim', 'policy': 'residual', 'poses': 'modelled',
            'episodes': 3, 'successes': 3, 'rate': 1.0, 'wilson95': [0.0, 1.0],
            'outcomes': [True] * 3, 'init_sha256': ['0', '1', '2'], 'domain_sha256': 'd',
            'disturbance': {'episodes': [asdict(push(time_s)) for time_s in times]}}
        paths.append(tmp_path / f'{name}.json')
        paths[-1].write_text(json.dumps(result))
    out = tmp_path / 'c.json'
    assert run(['compare', *map(str, paths), '--json', str(out)]) == 0
    assert json.loads(out.read_text())['recovery']['difference'] == pytest.approx(2 / 3)
    assert 'back on course within 1 s of the same disturbance, 3 pairs: +66.7' in (
        capsys.readouterr().out)
