# SPDX-License-Identifier: Apache-2.0
"""The gate: learned on toys whose answer is known, exported, opened and smoothed."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from ocrrl_ros.core.bundle import Bundle, hash_layout, load_bundle, Manifest, save_bundle
from ocrrl_ros.core.errors import BundleError, ConfigError, InputError
from ocrrl_ros.core.onnx_session import create_session
from ocrrl_ros.learning.export import export_onnx
from ocrrl_ros.learning.gate_config import GateConfig
from ocrrl_ros.learning.gate_training import distil_gate, GateNetwork, train_gate
from ocrrl_ros.learning.gated_policy import GatedPolicy
from ocrrl_ros.learning.networks import ObservationNormalizer
from ocrrl_ros.learning.residual_export import export_gate
from ocrrl_ros.policy.gate import ResidualGate
from offset_env import OffsetEnv
import pytest
import torch
from torch import nn

D = 3
LAYOUT = {'version': 1, 'fields': [['a', D]]}
SMALL = GateConfig(
    steps=8000, turn_ticks=8.0, rounds=30, batch_size=128, learning_rate=3e-3, critics=2,
    critic_hidden=(32, 32), hidden=(32,), gate_passes=20, discount=0.99)


class Answer(nn.Module):
    """A network that answers with the first entry of what it sees."""

    def __init__(self, width: int = 1):
        """Answer with so many copies."""
        super().__init__()
        self.width = width

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Return (N, width)."""
        return torch.cat([observation[:, :1]] * self.width, dim=1)


def model(width: int = 1) -> bytes:
    """Return the ONNX bytes of `Answer`."""
    return export_onnx(Answer(width), {'observation': torch.randn(4, D)}, ['weight'])[0]


def make_gate(smoothing_s: float = 0.0, num_robots: int = 1, size: int = D) -> ResidualGate:
    """Return a gate whose network answers with the first entry."""
    return ResidualGate(create_session(model()), size, smoothing_s, num_robots)


def seen(*values: float) -> np.ndarray:
    """Return one observation per value, which is its first entry."""
    observations = np.zeros((len(values), D), np.float32)
    observations[:, 0] = values
    return observations


def bundle(folder: Path, gate: bytes | None = None, **settings: Any) -> Bundle:
    """Return a residual bundle of made-up files."""
    files = {'policy.onnx': b'network'} | ({} if gate is None else {'gate.onnx': gate})
    return save_bundle(folder, files, Manifest(
        kind='residual', tasks=('cube_lift',), layout=LAYOUT, layout_hash=hash_layout(LAYOUT),
        rate_hz=20.0, seed=0, training={}, action_scale={}, metrics={}, gate=settings))


@pytest.mark.parametrize(('answer', 'weight'), [(7.0, 1.0), (-3.0, 0.0), (0.25, 0.25)])
def test_weight_stays_between_zero_and_one(answer: float, weight: float):
    assert make_gate().weight(seen(answer), 0.0)[0] == weight


def test_answer_that_is_no_number_is_an_error():
    with pytest.raises(InputError, match=r'gate\.onnx returned \[nan\]'):
        make_gate().weight(seen(np.nan), 0.0)


def test_weight_starts_closed_and_follows_with_its_time_constant():
    gate = make_gate(smoothing_s=0.1)
    assert gate.weight(seen(1.0), 5.0)[0] == 0.0
    assert gate.weight(seen(1.0), 5.1)[0] == pytest.approx(1.0 - np.exp(-1.0))
    gate.reset()
    assert gate.weight(seen(1.0), 5.2)[0] == 0.0


def test_network_that_chatters_hardly_moves_the_weight():
    gate = make_gate(smoothing_s=0.1)
    weights = [gate.weight(seen(tick % 2), 0.02 * tick)[0] for tick in range(200)]
    assert np.abs(np.diff(weights[100:])).max() < 0.1
    assert np.mean(weights[100:]) == pytest.approx(0.5, abs=0.02)


def test_rate_of_calls_does_not_change_the_smoothing():
    slow, quick = make_gate(smoothing_s=0.1), make_gate(smoothing_s=0.1)
    for tick in range(5):
        last = slow.weight(seen(1.0), 0.05 * tick)[0]
    for tick in range(41):
        other = quick.weight(seen(1.0), 0.005 * tick)[0]
    assert last == pytest.approx(other)


def test_robots_are_weighed_and_reset_each_for_itself():
    gate = make_gate(smoothing_s=0.1, num_robots=3)
    for now_s in (0.0, 0.2):
        many = gate.weight(seen(0.0, 0.5, 1.0), now_s)
    for value, expected in zip((0.0, 0.5, 1.0), many):
        one = make_gate(smoothing_s=0.1)
        one.weight(seen(value), 0.0)
        assert one.weight(seen(value), 0.2)[0] == pytest.approx(expected)
    gate.reset(np.array([2]))
    after = gate.weight(seen(0.0, 0.5, 1.0), 0.25)
    assert after[2] == 0.0
    assert after[1] > many[1]


def test_bundle_without_a_gate_opens_none(tmp_path: Path):
    assert ResidualGate.from_bundle(bundle(tmp_path / 'b'), D) is None


def test_altered_gate_is_refused_by_name(tmp_path: Path):
    folder = bundle(tmp_path / 'b', model(), smoothing_s=0.1).path
    (folder / 'gate.onnx').write_bytes(model(2))
    with pytest.raises(BundleError, match=r'gate\.onnx is truncated or altered'):
        load_bundle(folder, 'residual')


def test_gate_of_other_sizes_is_refused_by_name(tmp_path: Path):
    with pytest.raises(BundleError, match=r'gate\.onnx expects 3 observation entries.*has 5'):
        ResidualGate.from_bundle(bundle(tmp_path / 'b', model(), smoothing_s=0.1), 5)
    with pytest.raises(BundleError, match=r'gate\.onnx answers with shape'):
        ResidualGate.from_bundle(bundle(tmp_path / 'c', model(2), smoothing_s=0.1), D)


def test_settings_that_no_gate_has_are_refused_by_name(tmp_path: Path):
    with pytest.raises(BundleError, match='smooth.*needed.*smoothing_s'):
        ResidualGate.from_bundle(bundle(tmp_path / 'b', model(), smooth=0.1), D)
    with pytest.raises(BundleError, match=r'names no gate\.onnx'):
        ResidualGate.from_bundle(bundle(tmp_path / 'c', None, smoothing_s=0.1), D)
    with pytest.raises(BundleError, match='smoothing_s of gate.onnx is 9'):
        ResidualGate.from_bundle(bundle(tmp_path / 'd', model(), smoothing_s=9.0), D)


def distilled(gains: np.ndarray) -> float:
    """Return the mean weight of a gate that learned these gains (critics, M) everywhere."""
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(gains.shape[1], D)).astype(np.float32)
    gate = distil_gate(observations, gains, ObservationNormalizer(D), SMALL, 0, rng)
    with torch.no_grad():
        return float(gate(torch.from_numpy(observations)).mean())


@pytest.mark.parametrize(('gain', 'low', 'high'), [
    (0.3, 0.99, 1.0), (-0.1, 0.0, 0.02), (SMALL.margin, 0.3, 0.7)])
def test_constant_gain_opens_or_closes_by_the_margin(gain: float, low: float, high: float):
    assert low <= distilled(np.full((2, 2000), gain)) <= high


def test_uncertain_gain_closes_the_gate():
    rng = np.random.default_rng(1)
    certain, uncertain = np.full((2, 2000), 0.2), rng.uniform(-0.4, 0.8, (2, 2000))
    assert distilled(certain) > 0.9
    assert distilled(uncertain) < 0.1


def frozen(env: OffsetEnv) -> ObservationNormalizer:
    """Return a normaliser of the environment's observations."""
    normalizer = ObservationNormalizer(env.critic_obs_dim)
    normalizer.update(torch.from_numpy(env.reset()))
    normalizer.freeze()
    return normalizer


def weights_at(gate: GateNetwork, radius: float) -> np.ndarray:
    """Return the weights early in an episode whose target is so far from the base's action."""
    angle = np.linspace(0.0, 2.0 * np.pi, 32)
    observations = np.stack([radius * np.cos(angle), radius * np.sin(angle), 0.1 + 0.0 * angle], 1)
    with torch.no_grad():
        return gate(torch.from_numpy(observations.astype(np.float32))).numpy()[:, 0]


def test_gate_opens_where_the_base_misses_and_leaves_it_alone_where_it_hits():
    env = OffsetEnv(16)
    gate, figures = train_gate(env, lambda obs: obs[:, :2], frozen(env), SMALL, 0)
    assert weights_at(gate, 0.6).min() > 0.9
    assert weights_at(gate, 0.1).max() < 0.3
    assert figures['mean_residual'] > figures['mean_base']


def test_gate_of_a_residual_that_spoils_the_base_stays_closed():
    env = OffsetEnv(16)
    gate, _ = train_gate(
        env, lambda obs: np.sign(obs[:, :2]) * -0.8, frozen(env), SMALL, 0)
    for radius in (0.1, 0.3, 0.6):
        assert weights_at(gate, radius).max() < 0.5


def test_same_seed_and_state_learn_the_same_gate_bit_for_bit():
    settings = dataclasses.replace(SMALL, steps=320, rounds=2, gate_passes=2)
    contents = []
    for _ in range(2):
        env = OffsetEnv(16)
        gate, _ = train_gate(env, lambda obs: obs[:, :2], frozen(env), settings, 3)
        examples = torch.from_numpy(env.reset()[:, :D].copy())
        contents.append(export_gate(gate, examples, 0.1).content)
    assert contents[0] == contents[1]


def test_exported_gate_computes_what_torch_computes():
    gate = GateNetwork(ObservationNormalizer(D), SMALL).eval()
    examples = torch.randn(20, D)
    ours = export_gate(gate, examples, 0.0)
    with torch.no_grad():
        expected = gate(examples).numpy()[:, 0]
    np.testing.assert_allclose(ours.build(D, 20).weight(examples.numpy(), 0.0), expected,
                               atol=1e-4)
    assert ours.difference <= 1e-3


def test_gated_policy_weighs_the_action_and_starts_each_episode_closed():
    policy = GatedPolicy(
        lambda obs: np.ones((len(obs), 2), np.float32), make_gate(0.05, num_robots=2), D)
    critic_obs = np.hstack([seen(1.0, 1.0), np.zeros((2, 2), np.float32)])
    assert np.all(policy(critic_obs) == 0.0)
    np.testing.assert_allclose(policy(critic_obs), 1.0 - np.exp(-1.0), rtol=1e-6)
    policy.reset(np.array([0]))
    action = policy(critic_obs)
    assert np.all(action[0] == 0.0)
    assert np.all(action[1] > 0.8)


@pytest.mark.parametrize(('name', 'value'), [
    ('quantile', 1.0), ('temperature', 0.0), ('steps', 0), ('turn_ticks', 0.5), ('trace', 1.5),
    ('smoothing_s', -1.0)])
def test_settings_that_cannot_work_are_refused(name: str, value: float):
    with pytest.raises(ConfigError, match=name):
        GateConfig(**{name: value})
