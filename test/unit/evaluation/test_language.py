# SPDX-License-Identifier: Apache-2.0
"""Tests of the language check: its scene, its counts, and an expert that understands."""
import json

import numpy as np
from ocrrl_ros.cli.main import run
from ocrrl_ros.core.errors import BundleError, ConfigError
from ocrrl_ros.evaluation import language
from ocrrl_ros.evaluation.language import (
    Attempt, LanguageConfig, summarise_attempts, TASKS, WORDINGS)
from ocrrl_ros.policy.instruction import embed_instruction
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.tasks import get_task, known_tasks
import pytest


def test_both_names_meet_the_same_scene():
    red, green = (get_task(TASKS[colour]).sample_initial(
        np.random.default_rng(3), load_domain('sim')) for colour in ('red', 'green'))
    np.testing.assert_array_equal(red.object_poses, green.object_poses[::-1])
    np.testing.assert_array_equal(red.q, green.q)
    assert get_task(TASKS['green']).object_ids == ('base_cube', 'cube')


def test_paraphrases_are_in_no_demonstration_and_still_name_the_colour():
    known = {get_task(name).instruction for name in known_tasks()}
    assert WORDINGS[0].format(colour='red') in known
    unseen = [words.format(colour=colour) for words in WORDINGS[1:] for colour in TASKS]
    assert len(unseen) == 6
    assert not known & set(unseen)
    red, green = (embed_instruction(WORDINGS[3].format(colour=colour)) for colour in TASKS)
    assert np.linalg.norm(red - green) > 0.1


def attempts(picks):
    """Make attempts of the first wording; ``picks`` has (red asked, green asked) by start."""
    return [Attempt(colour=colour, wording=0, episode=k, picked=picked)
            for k, pair in enumerate(picks) for colour, picked in zip(('red', 'green'), pair)]


def test_shares_are_of_picks_and_swaps_of_starts_with_two_picks():
    found = summarise_attempts(attempts([
        ('red', 'green'), ('red', 'red'), ('', 'green'), ('green', 'red')]))
    assert found['all']['picks'] == 7
    assert found['all']['named'] == 4
    assert found['all']['share'] == pytest.approx(4 / 7)
    assert not found['all']['goal_holds']
    assert found['swapped'] == {
        'pairs_with_two_picks': 3, 'picked_the_other': 2, 'both_named': 1}
    assert found['unseen'] == {'episodes': 0, 'picks': 0, 'named': 0}


def test_an_expert_that_knows_the_object_picks_the_named_cube(monkeypatch, tmp_path):
    monkeypatch.setattr(language, 'WORDINGS', WORDINGS[:1])
    path = tmp_path / 'language.json'
    assert run(['bench', 'language', '--base', 'expert', '--episodes', '1', '--workers', '1',
                '--json', str(path)]) == 0
    found = json.loads(path.read_text())
    assert (found['all']['named'], found['all']['picks']) == (2, 2)
    assert found['swapped']['both_named'] == 1
    assert 'named cube in 2 of 2 picks' in found['summary']


def test_a_base_that_does_not_serve_the_scene_is_refused():
    with pytest.raises(BundleError, match='lift_red_of_two'):
        language.measure_language(LanguageConfig(base='models/base_sim'))


@pytest.mark.parametrize('settings', [{'episodes': 0}, {'seed': -1}, {'workers': -1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match='allowed'):
        LanguageConfig(**settings)
