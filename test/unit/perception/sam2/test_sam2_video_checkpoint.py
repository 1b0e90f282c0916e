# SPDX-License-Identifier: Apache-2.0
"""Folders that hold no SAM 2 video model are refused by name, and nothing is downloaded."""
import dataclasses
import json
from pathlib import Path
import shutil
import sys

from ocrrl_ros.core.errors import BundleError, ConfigError, MissingDependencyError
from ocrrl_ros.perception.adapters.sam2_video import Sam2VideoConfig, Sam2VideoTracker
import pytest


@pytest.fixture
def copy(sam2_video, tmp_path):
    """Return a copy of the model's folder."""
    return Path(shutil.copytree(sam2_video.model, tmp_path / 'copy'))


def refusal(folder, **changes):
    """Return why a folder is refused."""
    with pytest.raises(BundleError) as refused:
        Sam2VideoTracker(Sam2VideoConfig(model=str(folder), **changes))
    return str(refused.value)


def test_no_folder_and_a_name_of_the_hub_are_refused(tmp_path):
    with pytest.raises(ConfigError, match='model is not given; .*facebook/sam2.1-hiera-tiny'):
        Sam2VideoTracker(Sam2VideoConfig())
    assert 'facebook/sam2.1-hiera-tiny is no folder' in refusal('facebook/sam2.1-hiera-tiny')
    assert 'config.json cannot be read' in refusal(tmp_path)


def test_another_kind_of_model_is_refused(tmp_path):
    (tmp_path / 'config.json').write_text(json.dumps({'model_type': 'bert'}))
    assert "model_type is 'bert'; allowed: 'sam2_video'" in refusal(tmp_path)
    (tmp_path / 'config.json').write_text('[]')
    assert 'cannot be read' in refusal(tmp_path)


def test_weights_that_are_missing_cut_short_or_of_another_shape_are_refused(copy):
    from safetensors.torch import load_file, save_file
    weights = copy / 'model.safetensors'
    whole = load_file(weights)
    some = {name: value for name, value in whole.items() if 'memory_attention' not in name}
    save_file(some, weights, metadata={'format': 'pt'})
    assert 'lacks ' in refusal(copy)
    weights.write_bytes(weights.read_bytes()[:1000])
    assert 'cannot be opened as sam2_video' in refusal(copy)
    weights.unlink()
    assert 'cannot be opened as sam2_video' in refusal(copy)


def test_a_gpu_that_is_not_there_is_named(sam2_video):
    import torch
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    with pytest.raises(ConfigError, match='device is cuda, but torch .* allowed here: cpu'):
        Sam2VideoTracker(dataclasses.replace(sam2_video, device='cuda'))


@pytest.mark.parametrize('package', ['torch', 'transformers'])
def test_missing_packages_are_named_with_their_install_line(tmp_path, monkeypatch, package):
    (tmp_path / 'config.json').write_text(json.dumps({'model_type': 'sam2_video'}))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match='pip install torch transformers'):
        Sam2VideoTracker(Sam2VideoConfig(model=str(tmp_path)))
