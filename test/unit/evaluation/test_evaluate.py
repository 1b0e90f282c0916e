# SPDX-License-Identifier: Apache-2.0
"""Tests of whole evaluations: seeds, resuming, pairing, the result's fields."""
import json

from ocrrl_ros.core.errors import BundleError, ConfigError, UnknownNameError
from ocrrl_ros.evaluation import evaluate as module
from ocrrl_ros.evaluation.evaluate import EvaluateConfig, PartFile
from ocrrl_ros.evaluation.provenance import GitState
import pytest
from result_fields import RESULT_FIELDS

CLEAN = GitState('abc', False)


def make_record(episode=0, outcome=True):
    """Make a record as the workers return it."""
    return module.EpisodeRecord(
        episode=episode, outcome=outcome, failure_mode='success' if outcome else 'slip',
        duration_s=5.0, init_sha256=str(episode), wall_s=0.1, hold_share=0.0,
        pose_valid_share=1.0, clip_inactive_share=None)


def expert(**changes):
    """Configure the cheapest evaluation."""
    return EvaluateConfig(**{'policy': 'base', 'base': 'expert', 'poses': 'truth', 'episodes': 2,
                             'workers': 1, **changes})


@pytest.fixture
def fake_items(monkeypatch):
    """Replace the episodes by made-up ones and note which were run."""
    ran = []

    def run_items(factory, settings, items, *, workers):
        for episode in items:
            ran.append(episode)
            yield make_record(episode, episode % 2 == 0).to_mapping()

    monkeypatch.setattr(module, 'run_items', run_items)
    monkeypatch.setattr(module, 'read_git_state', lambda: CLEAN)
    return ran


def test_result_has_every_field_and_is_json(fake_items):
    result = module.evaluate(expert(episodes=4))
    assert result.keys() >= RESULT_FIELDS
    assert (result['successes'], result['rate']) == (2, 0.5)
    assert result['outcomes'] == [True, False, True, False]
    assert result['gate'] is False
    assert result['failure_counts'] == {'slip': 2}
    json.dumps(result, allow_nan=False)


def test_an_interrupted_evaluation_continues_where_it_stopped(fake_items, tmp_path):
    path = tmp_path / 'result.json.episodes'

    def interrupt(done, total, record):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        module.evaluate(expert(episodes=5), interrupt, path)
    path.write_text(path.read_text() + '{"episode": 4, "outco')
    result = module.evaluate(expert(episodes=5), None, path)
    assert fake_items == [0, 1, 2, 3, 4]
    assert result['episodes'] == 5
    assert not path.exists()


def test_finished_episodes_of_another_setting_are_not_mixed_in(fake_items, tmp_path):
    path = tmp_path / 'part'
    parts = PartFile(path, 'other')
    parts.start()
    parts.add(make_record(0, outcome=False))
    result = module.evaluate(expert(episodes=1), None, path)
    assert fake_items == [0]
    assert result['successes'] == 1


def test_report_seeds_are_refused_on_a_dirty_tree(monkeypatch):
    monkeypatch.setattr(module, 'read_git_state', lambda: GitState('abc', True))
    with pytest.raises(ConfigError, match='1000000'):
        module.evaluate(expert(seed=1_000_000))


@pytest.mark.parametrize(('changes', 'error', 'message'), [
    ({'task': 'juggle'}, UnknownNameError, 'cube_lift'),
    ({'domain': 'moon'}, UnknownNameError, 'proxy'),
    ({'base': 'nowhere'}, BundleError, 'expert, expert_on_poses, idle, random'),
    ({'policy': 'residual', 'residual': 'nowhere'}, BundleError, 'nowhere')])
def test_unknown_names_are_refused_before_any_episode(fake_items, changes, error, message):
    with pytest.raises(error, match=message):
        module.evaluate(expert(**changes))
    assert fake_items == []


def test_a_domain_file_never_gets_the_base_of_the_shipped_sim(fake_items, tmp_path):
    path = tmp_path / 'sim.yaml'
    path.write_text('objects: {friction: 0.5}\n', encoding='utf-8')
    for domain, base in (('sim', 'base_sim'), (str(path), 'base_proxy')):
        assert module.evaluate(expert(domain=domain, base=None))['base'] == base


@pytest.mark.parametrize('changes', [{'episodes': 0}, {'seed': -1}, {'workers': -1}])
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(ConfigError, match='allowed'):
        expert(**changes)


def test_workers_do_not_change_the_outcome(monkeypatch):
    monkeypatch.setattr(module, 'read_git_state', lambda: CLEAN)
    one = module.evaluate(expert(episodes=2, workers=1, poses='modelled'))
    two = module.evaluate(expert(episodes=2, workers=2, poses='modelled'))
    for name in ('outcomes', 'durations_s', 'init_sha256', 'pose_valid_share'):
        assert one[name] == two[name]
    assert len(set(one['init_sha256'])) == 2


def test_pose_noise_is_in_the_result_and_starts_stay_paired(monkeypatch):
    monkeypatch.setattr(module, 'read_git_state', lambda: CLEAN)
    plain = module.evaluate(expert(poses='modelled'))
    noisy = module.evaluate(expert(poses='modelled', pose_noise='test'))
    assert plain['pose_noise'] == {'name': 'none'}
    assert noisy['pose_noise']['white_m'] == 0.010
    assert noisy['config']['pose_noise'] == 'test'
    assert plain['init_sha256'] == noisy['init_sha256']
    assert plain['pose_valid_share'] == noisy['pose_valid_share']
