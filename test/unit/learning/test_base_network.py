# SPDX-License-Identifier: Apache-2.0
"""The base network keeps its contract: shapes, scales inside, every input matters."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.base_network import BaseNetwork, BaseNetworkConfig, SpatialSoftmax
from ocrrl_ros.learning.export import export_onnx, largest_difference
from ocrrl_ros.policy.adapters.onnx_policy import base_layout
import pytest
import torch

SMALL = BaseNetworkConfig(channels=(4, 4, 4, 4), hidden=16)


def example(count: int = 3) -> dict[str, torch.Tensor]:
    """Return valid inputs."""
    generator = torch.Generator().manual_seed(0)
    return {
        'image': torch.rand(count, 3, 96, 128, generator=generator),
        'proprio': torch.rand(count, 11, generator=generator),
        'instruction': torch.rand(count, 64, generator=generator)}


def test_output_is_a_chunk_of_the_declared_layout() -> None:
    chunk = BaseNetwork(SMALL)(*example().values())
    assert chunk.shape == (3, base_layout()['horizon'], 10)
    assert ((chunk[..., 9] > 0) & (chunk[..., 9] < 1)).all()


@pytest.mark.parametrize('changed', ['image', 'proprio', 'instruction'])
def test_every_input_changes_the_chunk(changed: str) -> None:
    torch.manual_seed(0)
    network, inputs = BaseNetwork(SMALL).eval(), example()
    before = network(*inputs.values())
    inputs[changed] = inputs[changed].flip(-1)
    assert (network(*inputs.values()) - before).abs().max() > 1e-6


def test_untrained_network_with_fitted_scales_predicts_the_mean_offset() -> None:
    torch.manual_seed(0)
    network, inputs = BaseNetwork(SMALL).eval(), example(20)
    chunks = torch.rand(20, 16, 10)
    network.fit_scales(inputs['proprio'], chunks, torch.rand(20, 9))
    torch.nn.init.zeros_(network.planner[-1].weight)
    predicted = network(*inputs.values())
    mean = (chunks[..., :9] - inputs['proprio'][:, None, :9]).mean(0)
    torch.testing.assert_close(
        predicted[..., :9], mean + inputs['proprio'][:, None, :9], atol=1e-5, rtol=0)


def test_spatial_softmax_finds_the_peak_between_pixels() -> None:
    features = torch.full((1, 1, 24, 32), -50.0)
    features[0, 0, 5, 10] = features[0, 0, 5, 11] = 50.0
    place = SpatialSoftmax(1, 24, 32)(features)[0]
    columns, rows = torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 24)
    torch.testing.assert_close(place, torch.stack([columns[10:12].mean(), rows[5]]))


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match='allowed: >= 1'):
        BaseNetworkConfig(channels=(0, 1, 1, 1))
    with pytest.raises(ConfigError, match='dropout is 1.5'):
        BaseNetworkConfig(dropout=1.5)


def test_exported_network_equals_torch_for_any_batch_size() -> None:
    torch.manual_seed(1)
    network, inputs = BaseNetwork(SMALL), example()
    content, difference = export_onnx(network, inputs, ['chunk'])
    assert difference <= 1e-4
    assert largest_difference(network, content, example(7), ['chunk']) <= 1e-4
    assert not np.isnan(difference)
