# SPDX-License-Identifier: Apache-2.0
"""Networks of the residual learner."""

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.networks import (
    Actor, CriticEnsemble, NetworkConfig, ObservationNormalizer)
import pytest
import torch

SMALL = NetworkConfig(hidden=(16, 16))


def test_untrained_actor_is_exactly_zero():
    actor = Actor(5, 3, SMALL)
    assert torch.equal(actor(100 * torch.randn(50, 5)), torch.zeros(50, 3))


def test_actor_never_leaves_the_bound():
    actor = Actor(5, 3, SMALL)
    torch.nn.init.normal_(actor.last.weight, std=100.0)
    assert actor(1000 * torch.randn(50, 5)).abs().max() <= 1.0


def test_critics_are_independent_of_each_other():
    critic = CriticEnsemble(4, 2, SMALL)
    observations, actions = torch.randn(10, 4), torch.randn(10, 2)
    values = critic(observations, actions)
    assert values.shape == (2, 10)
    assert not torch.allclose(values[0], values[1])
    values[0].sum().backward()
    assert critic.weights[0].grad[0].abs().sum() > 0
    assert critic.weights[0].grad[1].abs().sum() == 0


def test_normalizer_gives_zero_mean_and_unit_variance_over_several_batches():
    normalizer = ObservationNormalizer(2)
    data = torch.randn(1000, 2) * torch.tensor([3.0, 0.5]) + torch.tensor([10.0, -2.0])
    for part in data.split(100):
        normalizer.update(part)
    scaled = normalizer(data)
    assert torch.allclose(scaled.mean(0), torch.zeros(2), atol=0.02)
    assert torch.allclose(scaled.std(0), torch.ones(2), atol=0.05)


def test_frozen_normalizer_ignores_new_data():
    normalizer = ObservationNormalizer(2)
    normalizer.update(torch.randn(100, 2))
    before = normalizer(torch.ones(1, 2))
    normalizer.freeze()
    normalizer.update(100 + torch.randn(100, 2))
    assert torch.equal(normalizer(torch.ones(1, 2)), before)


def test_constant_entries_are_not_blown_up_and_outliers_are_clipped():
    normalizer = ObservationNormalizer(2, clip=5.0)
    normalizer.update(torch.tensor([[1.0, 0.0], [1.0, 1.0]]).repeat(50, 1))
    scaled = normalizer(torch.tensor([[1.1, 1e6]])).tolist()[0]
    assert scaled == pytest.approx([0.1, 5.0], abs=1e-5)


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ConfigError, match='critics'):
        NetworkConfig(critics=1)
