# SPDX-License-Identifier: Apache-2.0
"""Flow matching samples what regression averages, and ends in a bundle that everyone runs."""

from __future__ import annotations

from pathlib import Path

from dot_demonstrations import dot_episode, write_dataset
import numpy as np
from ocrrl_ros.core.bundle import load_bundle
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.data.base_samples import BaseSamples
from ocrrl_ros.learning.base_architectures import architecture_of, load_cloning_config
from ocrrl_ros.learning.base_network import BaseNetworkConfig
from ocrrl_ros.learning.base_trainer import BaseTrainer, train_base
from ocrrl_ros.learning.behaviour_cloning import BehaviourCloningConfig, CloningConfig
from ocrrl_ros.learning.export import export_onnx, largest_difference
from ocrrl_ros.learning.flow_matching import FlowMatchingConfig, sample_errors
from ocrrl_ros.learning.flow_network import FlowNetwork
from ocrrl_ros.policy.adapters.onnx_policy import draw_noise, OnnxBasePolicy
from ocrrl_ros.policy.base_policy import BaseInputs
import pytest
import torch

SMALL = BaseNetworkConfig(channels=(4, 4, 4, 4), hidden=64)
SIDE_M = 0.1


def example(count: int = 3) -> dict[str, torch.Tensor]:
    """Return valid inputs."""
    generator = torch.Generator().manual_seed(0)
    return {
        'image': torch.rand(count, 3, 96, 128, generator=generator),
        'proprio': torch.rand(count, 11, generator=generator),
        'instruction': torch.rand(count, 64, generator=generator),
        'noise': torch.randn(count, 16, 10, generator=generator)}


def fork_samples(count: int = 16) -> BaseSamples:
    """Return frames that all look alike; in every other one the hand goes left, else right."""
    chunks = np.zeros((count, 16, 10), np.float32)
    chunks[..., 3] = chunks[..., 7] = 1.0
    chunks[..., 1] = np.where(np.arange(count) % 2, 1.0, -1.0)[:, None] * np.linspace(
        0.0, SIDE_M, 16)
    chunks[:, 8:, 9] = 1.0
    state = np.zeros((count, 11), np.float32)
    state[:, [3, 7, 10]] = 1.0
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (1, 96, 128, 3), np.uint8)
    return BaseSamples(
        images=np.repeat(image, count, axis=0), proprio=state,
        instructions=np.ones((count, 64), np.float32), chunks=chunks,
        switches=np.zeros((count, 9), np.float32) + state[:, :9], episodes=np.arange(count),
        tasks=np.array(['fork'] * count))


def plans_of(config: CloningConfig, folder: Path) -> np.ndarray:
    """Return where (m) the plans of a network end that was trained on the fork, sideways."""
    samples, architecture = fork_samples(), architecture_of(config)
    network = BaseTrainer(samples, config, 0, folder / 'state.pt').train(lambda *state: None)
    return architecture.plans(network, samples, config)[..., -1, 1]


def test_flow_goes_left_or_right_where_regression_goes_between(tmp_path: Path) -> None:
    settings = {
        'passes': 300, 'batch': 16, 'warmup_steps': 5, 'average_decay': 0.9, 'network': SMALL,
        'learning_rate': 1e-2, 'proprio_noise_m': 0.0}
    mean = plans_of(BehaviourCloningConfig(**settings), tmp_path / 'regression')
    assert np.abs(mean).max() < 0.5 * SIDE_M
    ends = plans_of(FlowMatchingConfig(draws=16, components=16, **settings), tmp_path / 'flow')
    assert ends.shape == (16, 16)
    near = np.abs(np.abs(ends) - SIDE_M) < 0.25 * SIDE_M
    assert near.mean() > 0.75
    assert 0.3 < (ends > 0.0).mean() < 0.7


@pytest.mark.parametrize('changed', list(example()))
def test_every_input_changes_the_chunk(changed: str) -> None:
    torch.manual_seed(0)
    network, inputs = FlowNetwork(SMALL).eval(), example()
    before = network(*inputs.values())
    assert before.shape == (3, 16, 10)
    assert ((before[..., 9] >= 0) & (before[..., 9] <= 1)).all()
    inputs[changed] = inputs[changed].flip(-1)
    assert (network(*inputs.values()) - before).abs().max() > 1e-6


def test_flow_points_describe_chunks_by_their_principal_components() -> None:
    network = FlowNetwork(SMALL, components=4)
    generator = torch.Generator().manual_seed(2)
    # Three numbers decide about all 160 of a chunk.
    mixed = torch.rand(200, 3, generator=generator) @ torch.rand(3, 160, generator=generator)
    chunks = (mixed / 3.0).reshape(200, 16, 10)
    proprio = torch.zeros(200, 11)
    network.fit_scales(proprio, chunks, torch.rand(20, 9))
    points = network.to_point(chunks, proprio)
    assert points.shape == (200, 4)
    covariance = points[:, :3].T @ points[:, :3] / 200
    torch.testing.assert_close(covariance, torch.eye(3), atol=1e-3, rtol=0)
    assert points[:, 3].abs().max() < 1e-3
    torch.testing.assert_close(network.to_chunk(points, proprio), chunks, atol=1e-4, rtol=0)


def test_noise_stays_white_in_the_components() -> None:
    network = FlowNetwork(SMALL)
    network.fit_scales(torch.zeros(50, 11), torch.rand(50, 16, 10), torch.rand(20, 9))
    noise = torch.from_numpy(draw_noise(np.random.default_rng(0), 4000))
    start = network.start(noise)
    torch.testing.assert_close(start.T @ start / 4000, torch.eye(64), atol=0.1, rtol=0)


def test_exported_network_equals_torch_for_any_batch_size() -> None:
    torch.manual_seed(1)
    network, inputs = FlowNetwork(SMALL), example()
    # An untrained planner hardly heeds its inputs, which would hide differences.
    torch.nn.init.normal_(network.planner[-1].weight, std=0.3)
    content, difference = export_onnx(network, inputs, ['chunk'])
    assert difference <= 1e-4
    assert largest_difference(network, content, example(7), ['chunk']) <= 1e-4


def test_bundle_samples_reproducibly_and_names_its_architecture(tmp_path: Path) -> None:
    config = FlowMatchingConfig(
        passes=2, batch=16, warmup_steps=2, integration_steps=3, validation_samples=4,
        network=SMALL)
    training = train_base(
        [write_dataset(tmp_path / 'set')], config, seed=1, tasks=(), out=tmp_path / 'bundle',
        work=tmp_path / 'work')
    manifest = load_bundle(tmp_path / 'bundle', 'base', task='cube_lift').manifest
    assert manifest.training['config']['architecture'] == 'flow'
    assert manifest.layout['noise'] == ['standard normal', 16, 10]
    assert training.validation['n_samples'] == 4 and training.validation['n_frames'] == 20
    assert training.validation['by_task']['cube_lift']['one_sample']['n_frames'] == 20
    policy, episode = OnnxBasePolicy.from_bundle(training.bundle), dot_episode(0)
    inputs = BaseInputs(
        np.zeros(1), episode.rgb[:1], episode.base_T_tcp[:1], np.ones(1), ('touch the dot',))
    one, same, other = (
        policy.drawing_from(np.random.default_rng(seed)).infer(inputs) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.poses, same.poses)
    assert np.abs(one.poses - other.poses).max() > 1e-6


def test_errors_of_samples_tell_their_mean_from_one_of_them() -> None:
    target = np.zeros((2, 16, 10))
    target[..., 3], target[..., 7], target[..., 9] = 1.0, 1.0, 1.0
    plans = np.repeat(target[:, None], 2, axis=1)
    plans[:, 0, :, 0], plans[:, 1, :, 0] = 0.004, -0.002
    errors = sample_errors(plans, target)
    assert errors['position_mm_mean'] == pytest.approx(1.0)
    assert errors['one_sample']['position_mm_mean'] == pytest.approx(4.0)
    assert errors['spread_mm_mean'] == pytest.approx(3.0)
    assert errors['best_mm_mean'] == pytest.approx(2.0)
    assert errors['n_samples'] == 2 and errors['n_frames'] == 2


def test_noise_is_normal_and_follows_its_generator() -> None:
    noise = draw_noise(np.random.default_rng(0), 200)
    assert noise.shape == (200, 16, 10) and noise.dtype == np.float32
    assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1.0) < 0.02
    np.testing.assert_array_equal(noise, draw_noise(np.random.default_rng(0), 200))


def test_shipped_settings_choose_the_architecture() -> None:
    regression = load_cloning_config(config_path('train', 'base.yaml'))
    flow = load_cloning_config(config_path('train', 'base_flow.yaml'))
    assert type(regression) is BehaviourCloningConfig and type(flow) is FlowMatchingConfig
    assert flow.network == regression.network and flow.passes == regression.passes


@pytest.mark.parametrize(('text', 'error', 'message'), [
    ('architecture: diffusion', UnknownNameError, "'diffusion' .*; known: flow, regression"),
    ('draws: 3', UnknownNameError, "key 'draws'"),
    ('{architecture: flow, gripper_weight_m: 1.0}', UnknownNameError, "key 'gripper_weight_m'"),
    ('{architecture: flow, integration_steps: 0}', ConfigError,
     'integration_steps is 0; allowed: >= 1'),
    ('{architecture: flow, components: 161}', ConfigError, 'components is 161; allowed: 1 .. 160'),
    ('{architecture: flow, validation_samples: 1}', ConfigError, 'allowed: >= 2'),
    ('{architecture: flow, chunk_weight_m: 0}', ConfigError, 'chunk_weight_m is 0.0 m'),
])
def test_impossible_settings_are_refused(
        tmp_path: Path, text: str, error: type, message: str) -> None:
    path = tmp_path / 'base.yaml'
    path.write_text(text, encoding='utf-8')
    with pytest.raises(error, match=message):
        load_cloning_config(path)
