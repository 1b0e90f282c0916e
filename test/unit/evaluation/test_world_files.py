# SPDX-License-Identifier: Apache-2.0
"""The seed of held-out worlds follows from what is tested; their files are complete domains."""

import json
from pathlib import Path

from ocrrl_ros.core.bundle import hash_layout, Manifest, save_bundle
from ocrrl_ros.core.errors import BundleError, ConfigError
from ocrrl_ros.evaluation.provenance import GitState
from ocrrl_ros.evaluation.world_files import draw_world_files, LOG_NAME, seed_from_bundles
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.world_distribution import load_distribution
from ocrrl_ros.sim.world_sampling import sample_worlds
import pytest

CLEAN = GitState('a' * 40, False)


@pytest.fixture(name='bundles')
def _bundles(tmp_path: Path) -> list[Path]:
    """Write one bundle of each kind."""
    folders = []
    for kind in ('base', 'residual'):
        layout = {'kind': kind}
        manifest = Manifest(
            kind=kind, tasks=('cube_lift',), layout=layout, layout_hash=hash_layout(layout),
            rate_hz=20.0, seed=0, training={}, action_scale={}, metrics={})
        save_bundle(tmp_path / kind, {'policy.onnx': kind.encode()}, manifest)
        folders.append(tmp_path / kind)
    return folders


def test_seed_follows_from_bundles_and_commit_alone(bundles):
    seed = seed_from_bundles(bundles, CLEAN).seed
    assert 0 <= seed < 2 ** 256
    assert seed_from_bundles(bundles[::-1], CLEAN).seed == seed
    assert seed_from_bundles(bundles[:1], CLEAN).seed != seed
    assert seed_from_bundles(bundles, GitState('b' * 40, False)).seed != seed


def test_seed_changes_with_the_trackers_configuration(bundles, monkeypatch, tmp_path):
    seed = seed_from_bundles(bundles, CLEAN).seed
    other = tmp_path / 'tracker.yaml'
    other.write_text('gate: {enter: 0.9}\n', encoding='utf-8')
    monkeypatch.setattr('ocrrl_ros.evaluation.world_files.config_path', lambda *_: other)
    assert seed_from_bundles(bundles, CLEAN).seed != seed


def test_uncommitted_changes_missing_and_altered_bundles_are_refused(bundles, tmp_path):
    with pytest.raises(ConfigError, match='uncommitted'):
        seed_from_bundles(bundles, GitState('a' * 40, True))
    with pytest.raises(ConfigError, match='no bundles'):
        seed_from_bundles([], CLEAN)
    with pytest.raises(BundleError, match='nowhere'):
        seed_from_bundles([tmp_path / 'nowhere'], CLEAN)
    (bundles[0] / 'policy.onnx').write_bytes(b'altered')
    with pytest.raises(BundleError, match='altered'):
        seed_from_bundles(bundles, CLEAN)


def test_files_are_domains_equal_to_what_was_drawn(tmp_path):
    record = draw_world_files(tmp_path, 11, worlds=2, new_looks=1)
    drawn = sample_worlds(
        load_distribution(), load_domain('proxy'), load_domain('sim'), 11, worlds=2, new_looks=1)
    for entry, world in zip(record['drawn'], drawn, strict=True):
        loaded = load_domain(tmp_path / entry['file'])
        assert loaded == world.domain
        assert loaded.sha256() == entry['domain_sha256']
    assert json.loads((tmp_path / 'draws.json').read_text()) == record
    assert [entry['is_new'] for entry in record['drawn']] == [False, False, True]


def test_the_log_repeats_and_is_never_overwritten_by_other_draws(tmp_path):
    record = draw_world_files(tmp_path, 11, worlds=1, new_looks=0)
    assert draw_world_files(tmp_path, 11, worlds=1, new_looks=0) == record
    for settings in ({'seed': 12, 'worlds': 1}, {'seed': 11, 'worlds': 2}):
        with pytest.raises(ConfigError, match='no draw is discarded'):
            draw_world_files(tmp_path, new_looks=0, **settings)
    assert json.loads((tmp_path / 'draws.json').read_text()) == record


def test_bridge_and_evaluation_build_a_drawn_world(tmp_path):
    from ocrrl_ros.sim.physics import load_physics
    from ocrrl_ros.sim.tasks import get_task, known_tasks
    from ocrrl_ros.sim.world import SimWorld
    import numpy as np
    entry = draw_world_files(tmp_path, 4, worlds=1, new_looks=0)['drawn'][0]
    domain = load_domain(tmp_path / entry['file'])
    for name in known_tasks():
        world = SimWorld(get_task(name), domain, load_physics())
        world.reset(np.random.default_rng(0))
        world.step(50)
        assert np.isfinite(world.render_state()).all()


def test_worlds_that_the_report_names_are_what_their_seed_gives(tmp_path):
    kept = Path(__file__).parents[3] / 'docs' / 'results' / 'worlds'
    log = json.loads((kept / LOG_NAME).read_text(encoding='utf-8'))
    drawn = draw_world_files(
        tmp_path, log['seed'], worlds=log['worlds'], new_looks=log['new_looks'])
    assert drawn['drawn'] == log['drawn']
    assert not log['git_dirty']
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in kept.iterdir()}
    for world in log['drawn']:
        assert load_domain(str(kept / world['file'])).sha256() == world['domain_sha256']
