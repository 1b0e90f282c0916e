# SPDX-License-Identifier: Apache-2.0
"""What runs is what was hashed: altered, cut, swapped and hostile bundles do not load."""

import json
from pathlib import Path

import numpy as np
from ocrrl_ros.core.bundle import hash_layout, load_bundle, Manifest, save_bundle
from ocrrl_ros.core.errors import BundleError
from ocrrl_ros.core.onnx_session import create_session
import onnx
from onnx import helper, numpy_helper, TensorProto
import pytest

LAYOUT = {'version': 1}
FILES = ('policy.onnx', 'gate.onnx')


def network(answer):
    """Return the bytes of a model that adds a number."""
    graph = helper.make_graph(
        [helper.make_node('Add', ['x', 'w'], ['y'])], 'adds',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.array([answer], np.float32), 'w')])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=9).SerializeToString()


def answer_of(data):
    return float(create_session(data).run(None, {'x': np.zeros(1, np.float32)})[0][0])


def save(folder, answer):
    return save_bundle(
        folder, {name: network(answer) for name in FILES}, Manifest(
            kind='residual', tasks=('cube_lift',), layout=LAYOUT, layout_hash=hash_layout(LAYOUT),
            action_scale={}, rate_hz=20.0, seed=0, training={}, metrics={}))


@pytest.fixture
def folder(tmp_path):
    """Give a bundle whose two networks answer 1."""
    save(tmp_path / 'b', 1.0)
    return tmp_path / 'b'


@pytest.mark.parametrize('name', [*FILES, 'manifest.json'])
@pytest.mark.parametrize('damage', [
    lambda data: data[:-2], lambda data: b'', lambda data: data + b'\0',
    lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:]],
    ids=['cut', 'empty', 'longer', 'one bit'])
def test_damaged_file_is_refused(folder, name, damage):
    path = folder / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BundleError):
        load_bundle(folder, 'residual')


@pytest.mark.parametrize('name', FILES)
def test_file_of_another_bundle_is_refused_by_name(folder, tmp_path, name):
    save(tmp_path / 'other', 2.0)
    (folder / name).write_bytes((tmp_path / 'other' / name).read_bytes())
    with pytest.raises(BundleError, match=f'{name} is truncated or altered'):
        load_bundle(folder, 'residual')


def test_manifest_of_another_bundle_is_refused(folder, tmp_path):
    save(tmp_path / 'other', 2.0)
    (folder / 'manifest.json').write_bytes((tmp_path / 'other' / 'manifest.json').read_bytes())
    with pytest.raises(BundleError, match='truncated or altered'):
        load_bundle(folder, 'residual')


@pytest.mark.parametrize('name', FILES)
def test_swap_on_disk_after_loading_changes_nothing_that_runs(folder, name):
    bundle = load_bundle(folder, 'residual')
    (folder / name).write_bytes(network(2.0))
    assert answer_of(bundle.read(name)) == 1.0


def test_bundle_that_is_replaced_while_it_is_read_is_refused_and_never_mixed(
        folder, tmp_path, monkeypatch):
    save(tmp_path / 'other', 2.0)
    read, done = Path.read_bytes, []

    def read_and_swap(path):
        data = read(path)
        if path.parent == folder:
            done.append(path.name)
            for name in ('manifest.json', *FILES):
                (folder / name).write_bytes(read(tmp_path / 'other' / name))
        return data

    monkeypatch.setattr(Path, 'read_bytes', read_and_swap)
    with pytest.raises(BundleError, match='truncated or altered'):
        load_bundle(folder, 'residual')
    assert done[0] == 'manifest.json'


def test_each_file_is_read_once(folder, monkeypatch):
    read, done = Path.read_bytes, []

    def note(path):
        done.append(path.name)
        return read(path)

    monkeypatch.setattr(Path, 'read_bytes', note)
    bundle = load_bundle(folder, 'residual')
    assert answer_of(bundle.read('policy.onnx')) == 1.0
    assert sorted(done) == ['gate.onnx', 'manifest.json', 'policy.onnx']


def test_file_that_the_manifest_does_not_name_is_not_read(folder):
    content = json.loads((folder / 'manifest.json').read_text())
    del content['files']['gate.onnx']
    (folder / 'manifest.json').write_text(json.dumps(content))
    bundle = load_bundle(folder, 'residual')
    with pytest.raises(BundleError, match="holds no 'gate.onnx'"):
        bundle.read('gate.onnx')


@pytest.mark.parametrize('name', ['..', '../policy.onnx', '/etc/passwd', '', '.', 'a/b', 'absent'])
def test_hostile_file_names_are_refused(folder, name):
    content = json.loads((folder / 'manifest.json').read_text())
    content['files'][name] = content['files']['policy.onnx']
    (folder / 'manifest.json').write_text(json.dumps(content))
    with pytest.raises(BundleError):
        load_bundle(folder, 'residual')


def test_manifest_that_nests_without_end_is_refused(folder):
    (folder / 'manifest.json').write_text('[' * 100_000)
    with pytest.raises(BundleError, match='no JSON'):
        load_bundle(folder, 'residual')


def test_model_with_weights_in_another_file_is_refused(tmp_path, monkeypatch):
    model = onnx.load_model_from_string(network(1.0))
    onnx.save(model, tmp_path / 'policy.onnx', save_as_external_data=True, location='w.bin',
              size_threshold=0)
    # There onnxruntime itself would find and load them.
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match="weights 'w' in another file"):
        create_session((tmp_path / 'policy.onnx').read_bytes())


def test_weights_in_another_file_are_found_inside_a_branch(tmp_path):
    inner = numpy_helper.from_array(np.zeros(1, np.float32), 'hidden')
    inner.ClearField('raw_data')
    inner.data_location = TensorProto.EXTERNAL
    inner.external_data.add(key='location', value='/etc/passwd')
    branch = helper.make_graph(
        [helper.make_node('Constant', [], ['y'], value=inner)], 'branch', [],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, [1])])
    graph = helper.make_graph(
        [helper.make_node('If', ['c'], ['y'], then_branch=branch, else_branch=branch)], 'g',
        [helper.make_tensor_value_info('c', TensorProto.BOOL, [1])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, [1])])
    with pytest.raises(BundleError, match="weights 'hidden' in another file"):
        create_session(helper.make_model(graph, ir_version=9).SerializeToString())


@pytest.mark.parametrize('data', [b'', b'network', b'\x80\x04\x95\x0b\x00\x00\x00'])
def test_what_is_no_model_is_refused(data):
    with pytest.raises(BundleError, match='is no model'):
        create_session(data, name='b/policy.onnx')
