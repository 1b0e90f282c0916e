# SPDX-License-Identifier: Apache-2.0
"""Bundles load only when every field and byte is what the manifest says."""

import json

from ocrrl_ros.core.bundle import hash_layout, load_bundle, Manifest, save_bundle
from ocrrl_ros.core.errors import BundleError, ConfigError
import pytest

LAYOUT = {'version': 1, 'fields': [['a', 3]]}


def _manifest(**overrides):
    values = {
        'kind': 'residual', 'tasks': ('cube_lift',), 'layout': LAYOUT,
        'layout_hash': hash_layout(LAYOUT), 'rate_hz': 20.0, 'seed': 0, 'training': {},
        'action_scale': {'translation_m': 0.02}, 'metrics': {'rate': {'value': 0.9, 'n': 100}}}
    return Manifest(**(values | overrides))


@pytest.fixture(name='folder')
def _folder(tmp_path):
    save_bundle(tmp_path / 'b', {'policy.onnx': b'network', 'gate.onnx': b'gate'}, _manifest())
    return tmp_path / 'b'


def test_saved_bundle_loads_with_its_manifest(folder):
    bundle = load_bundle(folder, 'residual', task='cube_lift', layout_hash=hash_layout(LAYOUT))
    assert bundle.read('policy.onnx') == b'network'
    assert bundle.manifest.metrics['rate']['n'] == 100


def test_altered_file_is_refused_by_name(folder):
    (folder / 'policy.onnx').write_bytes(b'networc')
    with pytest.raises(BundleError, match=r'policy\.onnx is truncated or altered'):
        load_bundle(folder, 'residual')


def test_missing_file_and_missing_bundle_are_refused(folder):
    (folder / 'gate.onnx').unlink()
    with pytest.raises(BundleError, match=r'gate\.onnx is missing'):
        load_bundle(folder, 'residual')
    with pytest.raises(BundleError, match='no model bundle'):
        load_bundle(folder / 'nowhere', 'residual')


def test_truncated_manifest_is_refused(folder):
    path = folder / 'manifest.json'
    path.write_text(path.read_text()[:40])
    with pytest.raises(BundleError, match='truncated'):
        load_bundle(folder, 'residual')


@pytest.mark.parametrize(('arguments', 'word'), [
    ({'kind': 'base'}, "'residual' bundle"), ({'kind': 'residual', 'task': 'stand_cup'}, 'serves'),
    ({'kind': 'residual', 'layout_hash': 'f' * 64}, 'layout ffffffffffff')])
def test_bundle_that_does_not_fit_is_refused(folder, arguments, word):
    with pytest.raises(BundleError, match=word):
        load_bundle(folder, **arguments)


@pytest.mark.parametrize(('field', 'value'), [
    ('format_version', 2), ('kind', 'gate'), ('tasks', []), ('rate_hz', 0), ('surprise', 1),
    ('layout_hash', '0' * 64), ('files', {'../policy.onnx': 'x', 'policy.onnx': 'y'})])
def test_edited_manifest_fields_are_refused(folder, field, value):
    path = folder / 'manifest.json'
    content = json.loads(path.read_text())
    content[field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(BundleError):
        load_bundle(folder, 'residual')


def test_bundle_of_one_of_several_layouts_is_taken_and_another_refused_by_all_their_names(folder):
    hashes = ('f' * 64, hash_layout(LAYOUT))
    assert load_bundle(folder, 'residual', layout_hash=hashes).manifest.layout == LAYOUT
    with pytest.raises(BundleError, match='layout ffffffffffff, eeeeeeeeeeee'):
        load_bundle(folder, 'residual', layout_hash=('f' * 64, 'e' * 64))


def test_residual_acts_per_tick_unless_its_manifest_says_otherwise(folder):
    assert load_bundle(folder, 'residual').manifest.acts_per == 'tick'
    with pytest.raises(ConfigError, match="acts_per is 'second'; allowed: tick, chunk"):
        _manifest(acts_per='second')


def test_manifest_without_a_task_cannot_be_built():
    with pytest.raises(ConfigError, match='tasks is empty'):
        _manifest(tasks=())
