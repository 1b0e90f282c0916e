# SPDX-License-Identifier: Apache-2.0
"""A whole tiny training run: environment, learner, measurement, bundle."""

import json
from pathlib import Path

import numpy as np
from ocrrl_ros.core.errors import BundleError, ConfigError
from ocrrl_ros.learning.networks import NetworkConfig
from ocrrl_ros.learning.off_policy_trainer import OffPolicyConfig
from ocrrl_ros.learning.residual_run import ResidualRun, ResidualRunConfig
from ocrrl_ros.learning.td3 import Td3Config
from ocrrl_ros.policy.assembly import load_residual
from ocrrl_ros.policy.task_spec import load_task_spec
from ocrrl_ros.sim.vec_config import VecEnvConfig
from ocrrl_ros.sim.vec_recipe import EnvRecipe
import pytest
import torch


def config(steps: int = 60, **overrides: int) -> ResidualRunConfig:
    """Return a run of seconds."""
    trainer = OffPolicyConfig(
        steps=steps, warmup_steps=20, critic_only_updates=2, updates_per_tick=2, batch_size=16,
        capacity=200, td3=Td3Config(networks=NetworkConfig(hidden=(16, 16))))
    recipe = EnvRecipe(base='expert', env=VecEnvConfig(num_envs=2, models=2))
    return ResidualRunConfig(
        recipe=recipe, trainer=trainer, **({'workers': 0, 'final_episodes': 0} | overrides))


def test_run_writes_a_bundle_that_deployment_loads_and_that_computes_the_same(tmp_path: Path):
    run = ResidualRun(config(), tmp_path / 'residual')
    metrics = run.run()
    assert metrics['training']['n'] == 60
    network, bundle = load_residual(tmp_path / 'residual', 'cube_lift')
    assert bundle.manifest.action_scale == {
        'translation_m': 0.02, 'rotation_rad': 0.2, 'gripper': 1.0}
    assert bundle.manifest.training['base'] == 'expert'
    size = load_task_spec('cube_lift').layout().size
    observations = np.random.default_rng(0).normal(size=(5, size)).astype(np.float32)
    with torch.no_grad():
        expected = run._trainer.learner.policy()(torch.from_numpy(observations)).numpy()
    np.testing.assert_allclose(network.act(observations), expected, atol=1e-5)
    np.testing.assert_allclose(network.act(observations[:1]), expected[:1], atol=1e-5)
    assert np.abs(expected).max() > 0.0


def test_manifest_names_what_the_run_was_made_of(tmp_path: Path):
    ResidualRun(config(), tmp_path / 'residual').run()
    manifest = json.loads((tmp_path / 'residual' / 'manifest.json').read_text())
    assert manifest['seed'] == 0
    assert manifest['rate_hz'] == 20.0
    assert manifest['training']['trainer']['gamma'] == 0.97
    assert manifest['training']['pose_model']['lost_from_start'] == 0.1
    assert manifest['metrics']['export_difference']['largest'] <= 1e-5


def test_stop_before_the_end_leaves_a_checkpoint_and_no_bundle(tmp_path: Path):
    run = ResidualRun(config(steps=10_000), tmp_path / 'residual')
    run._on_progress = lambda phase, done, *_: run.request_stop() if done >= 40 else None
    assert run.run() is None
    assert not (tmp_path / 'residual').exists()
    assert list(run.run_folder.glob('checkpoint-*'))


def test_altered_bundle_is_refused(tmp_path: Path):
    ResidualRun(config(), tmp_path / 'residual').run()
    path = tmp_path / 'residual' / 'policy.onnx'
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(BundleError, match='truncated or altered'):
        load_residual(tmp_path / 'residual', 'cube_lift')


def test_seeds_that_measure_are_refused_for_training():
    with pytest.raises(ConfigError, match='seed'):
        ResidualRunConfig(recipe=EnvRecipe(seed=10_000))
