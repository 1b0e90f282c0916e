# SPDX-License-Identifier: Apache-2.0
"""The base policy of a bundle feeds the network what its layout asks, and noise by seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ocrrl_ros.core.bundle import hash_layout, load_bundle
from ocrrl_ros.core.errors import BundleError, InputError
from ocrrl_ros.policy.adapters.onnx_policy import base_layout, OnnxBasePolicy
from ocrrl_ros.policy.base_policy import BaseInputs
import pytest
from tiny_bundles import tiny_base, tiny_sampler

POSE = np.array([0.4, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0])


def inputs(count: int = 2) -> BaseInputs:
    """Return what robots see that all stand at the same pose."""
    return BaseInputs(
        np.zeros(count), np.zeros((count, 96, 128, 3), np.uint8), np.tile(POSE, (count, 1)),
        np.full(count, 0.5), ('lift the cube',) * count)


def open_policy(folder: Path) -> OnnxBasePolicy:
    """Return the policy of a bundle."""
    return OnnxBasePolicy.from_bundle(load_bundle(folder, 'base'))


def test_equal_seeds_give_equal_plans_and_others_do_not(tmp_path: Path) -> None:
    policy = open_policy(tiny_sampler(tmp_path / 'bundle'))
    one, same, other = (policy.drawing_from(np.random.default_rng(seed)) for seed in (1, 1, 2))
    first = one.infer(inputs())
    np.testing.assert_array_equal(first.poses, same.infer(inputs()).poses)
    assert np.abs(first.poses - other.infer(inputs()).poses).max() > 1e-3
    assert np.abs(first.poses[..., :3] - POSE[:3]).max() < 0.05


def test_every_plan_and_robot_gets_noise_of_its_own(tmp_path: Path) -> None:
    policy = open_policy(tiny_sampler(tmp_path / 'bundle')).drawing_from(
        np.random.default_rng(0))
    plans = policy.infer(inputs())
    assert np.abs(plans.poses[0] - plans.poses[1]).max() > 1e-3
    assert np.abs(plans.poses - policy.infer(inputs()).poses).max() > 1e-3


def test_base_that_samples_needs_a_generator(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no generator'):
        open_policy(tiny_sampler(tmp_path / 'bundle')).infer(inputs())


def test_base_that_does_not_sample_leaves_the_generator_alone(tmp_path: Path) -> None:
    policy, rng = open_policy(tiny_base(tmp_path / 'bundle', POSE, np.zeros(3))), (
        np.random.default_rng(0))
    assert policy.drawing_from(rng) is policy
    np.testing.assert_allclose(policy.infer(inputs()).poses[0, 0], POSE, atol=1e-6)
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


def test_layout_of_bundles_that_do_not_sample_stays_what_it_was() -> None:
    assert hash_layout(base_layout()) == (
        '312eaad6286175d37adad98783ff34efd52fdf91e879aacf6720a17bb102049e')
    assert hash_layout(base_layout(draws_noise=True)) != hash_layout(base_layout())


@pytest.mark.parametrize(('change', 'message'), [
    ({'takes_noise': False}, r"has inputs \['image', 'instruction', 'proprio'\]; needed: .*noise"),
    ({'layout': base_layout()}, r"has inputs .*'noise'.*; needed: \['image', 'instruction', 'pr"),
    ({'layout': {**base_layout(), 'noise': ['uniform', 4]}}, 'has input layout'),
    ({'layout': {**base_layout(draws_noise=True), 'horizon': 8}}, 'has input layout'),
])
def test_manifest_and_network_that_contradict_are_refused(
        tmp_path: Path, change: dict, message: str) -> None:
    bundle = tiny_sampler(tmp_path / 'bundle', **change)
    with pytest.raises(BundleError, match=message):
        open_policy(bundle)
