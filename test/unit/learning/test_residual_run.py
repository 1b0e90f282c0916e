# SPDX-License-Identifier: Apache-2.0
"""A whole tiny training run: environment, learner, measurement, bundle."""

import dataclasses
import json
from pathlib import Path

import numpy as np
from ocrrl_ros.core.errors import BundleError, ConfigError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.evaluation.policies import create_residual, load_policies
from ocrrl_ros.learning.gate_config import GateConfig
from ocrrl_ros.learning.networks import LayerConfig, NetworkConfig
from ocrrl_ros.learning.off_policy_trainer import OffPolicyConfig
from ocrrl_ros.learning.on_policy_trainer import OnPolicyConfig
from ocrrl_ros.learning.ppo import PpoConfig
from ocrrl_ros.learning.residual_run import ResidualRun
from ocrrl_ros.learning.residual_run_config import ResidualRunConfig
from ocrrl_ros.learning.td3 import Td3Config
from ocrrl_ros.policy.assembly import load_gated_residual, load_residual
from ocrrl_ros.policy.task_spec import load_task_spec
from ocrrl_ros.sim.tasks import get_task
from ocrrl_ros.sim.vec_config import VecEnvConfig
from ocrrl_ros.sim.vec_recipe import EnvRecipe, load_pose_model
import pytest
import torch


GATE = GateConfig(
    steps=60, rounds=2, gate_passes=1, batch_size=32, critics=2, critic_hidden=(8,), hidden=(8,))


def config(steps: int = 60, gate: GateConfig = GATE, **overrides: int) -> ResidualRunConfig:
    """Return a run of seconds."""
    trainer = OffPolicyConfig(
        steps=steps, warmup_steps=20, critic_only_updates=2, updates_per_tick=2, batch_size=16,
        capacity=200, gate=gate, td3=Td3Config(networks=NetworkConfig(hidden=(16, 16))))
    recipe = EnvRecipe(base='expert', env=VecEnvConfig(num_envs=2, models=2, mid_start_share=0.0))
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


def test_ppo_run_writes_a_bundle_of_the_same_kind_with_its_gate(tmp_path: Path):
    settings = config()
    trainer = OnPolicyConfig(
        steps=60, warmup_steps=20, rollout_ticks=5, value_only_rollouts=1, gate=GATE,
        ppo=PpoConfig(networks=LayerConfig(hidden=(16, 16)), batch_size=8))
    run = ResidualRun(dataclasses.replace(settings, trainer=trainer), tmp_path / 'residual')
    run.run()
    network, gate = load_gated_residual(tmp_path / 'residual', 'cube_lift')
    manifest = json.loads((tmp_path / 'residual' / 'manifest.json').read_text())
    assert manifest['training']['algorithm'] == 'ppo'
    assert manifest['training']['trainer']['ppo']['batch_size'] == 8
    observations = run._trainer.examples(4)[:, :run._trainer.env.obs_dim]
    with torch.no_grad():
        expected = run._trainer.learner.policy()(torch.from_numpy(observations)).numpy()
    np.testing.assert_allclose(network.act(observations), expected, atol=1e-5)
    assert gate is not None
    assert np.abs(expected).max() > 0.0


def test_gate_is_in_the_bundle_and_deployment_computes_the_same_weight(tmp_path: Path):
    run = ResidualRun(config(), tmp_path / 'residual')
    metrics = run.run()
    _, gate = load_gated_residual(tmp_path / 'residual', 'cube_lift')
    manifest = json.loads((tmp_path / 'residual' / 'manifest.json').read_text())
    assert manifest['gate'] == {'smoothing_s': GATE.smoothing_s}
    assert metrics['gate']['n'] == 60
    assert manifest['metrics']['export_difference']['gate'] <= 1e-3
    observations = run._trainer.examples(2)[:, :run._trainer.env.obs_dim]
    gate.weight(observations[:1], 0.0)
    bundles = load_policies(get_task('cube_lift'), 'expert', str(tmp_path / 'residual'))
    assert bundles.has_gate
    assert create_residual(bundles, 'cube_lift')[1] is not None
    assert create_residual(bundles, 'cube_lift', with_gate=False)[1] is None
    assert 0.0 <= gate.weight(observations[:1], 0.1)[0] <= 1.0


def test_run_without_a_gate_trains_the_same_residual(tmp_path: Path):
    ResidualRun(config(), tmp_path / 'gated').run()
    ResidualRun(config(gate=GateConfig(enabled=False)), tmp_path / 'plain').run()
    _, gate = load_gated_residual(tmp_path / 'plain', 'cube_lift')
    assert gate is None
    assert (tmp_path / 'plain' / 'policy.onnx').read_bytes() == (
        tmp_path / 'gated' / 'policy.onnx').read_bytes()


def test_gate_of_a_run_that_was_stopped_in_between_is_the_same_bit_for_bit(tmp_path: Path):
    ResidualRun(config(), tmp_path / 'whole').run()
    for phase, tick in (('training', 40), ('gate', 10)):
        run = ResidualRun(config(), tmp_path / 'parts')
        run._on_progress = lambda now, done, *_: (
            run.request_stop() if now == phase and done >= tick else None)
        assert run.run() is None
    assert ResidualRun(config(), tmp_path / 'parts').run() is not None
    for name in ('policy.onnx', 'gate.onnx'):
        assert (tmp_path / 'parts' / name).read_bytes() == (
            tmp_path / 'whole' / name).read_bytes()


def test_gated_residual_is_measured_beside_the_whole_one(tmp_path: Path):
    metrics = ResidualRun(config(final_episodes=2), tmp_path / 'residual').run()
    assert {f'{policy}_{poses}' for policy in ('base', 'residual', 'gated')
            for poses in ('modelled', 'lost')} <= set(metrics)
    assert metrics['gated_modelled']['n'] == 2


def test_best_of_the_kept_policies_becomes_a_bundle_of_its_own(tmp_path: Path):
    settings = config(final_episodes=2)
    settings = dataclasses.replace(
        settings, best=tmp_path / 'best',
        trainer=dataclasses.replace(settings.trainer, kept_period_steps=20))
    # What each policy would score: the one kept after 40 steps is the best.
    scores = {'after 20 steps': 0.0, 'after 40 steps': 1.0, 'after 60 steps': 0.5}
    run = ResidualRun(settings, tmp_path / 'residual')
    measure = run._success
    run._success = lambda env, act, label: measure(env, act, label) | {
        'success_rate': scores.get(label, 0.2)}
    metrics = run.run()
    assert metrics['best']['steps'] == 40
    manifest = json.loads((tmp_path / 'best' / 'manifest.json').read_text())
    assert manifest['training']['weights'] == 'best on development seeds, averaged'
    assert manifest['metrics']['best'] == metrics['best']
    assert manifest['gate'] == {}
    shorter = dataclasses.replace(settings.trainer, steps=40)
    ResidualRun(dataclasses.replace(settings, trainer=shorter, best=None), tmp_path / 'ends').run()
    assert (tmp_path / 'best' / 'policy.onnx').read_bytes() == (
        tmp_path / 'ends' / 'policy.onnx').read_bytes()
    assert (tmp_path / 'best' / 'policy.onnx').read_bytes() != (
        tmp_path / 'residual' / 'policy.onnx').read_bytes()


def test_last_policy_is_the_best_where_none_that_was_kept_does_better(tmp_path: Path):
    settings = config(final_episodes=2)
    settings = dataclasses.replace(
        settings, best=tmp_path / 'best',
        trainer=dataclasses.replace(settings.trainer, kept_period_steps=40))
    run = ResidualRun(settings, tmp_path / 'residual')
    measure = run._success
    run._success = lambda *args: measure(*args) | {'success_rate': 0.5}
    assert run.run()['best']['steps'] == 60
    assert (tmp_path / 'best' / 'policy.onnx').read_bytes() == (
        tmp_path / 'residual' / 'policy.onnx').read_bytes()


def test_best_policy_needs_episodes_to_be_told_by(tmp_path: Path):
    with pytest.raises(ConfigError, match='final_episodes is 0'):
        dataclasses.replace(config(), best=tmp_path / 'best')


def test_best_policy_does_not_overwrite_the_last(tmp_path: Path):
    settings = dataclasses.replace(config(final_episodes=2), best=tmp_path / 'x' / '..' / 'same')
    with pytest.raises(ConfigError, match='where the last policy goes'):
        ResidualRun(settings, tmp_path / 'same')


def test_base_is_measured_once_and_would_do_the_same_without_poses(tmp_path: Path):
    run = ResidualRun(config(final_episodes=2), tmp_path / 'residual')
    measure, labels = run._success, []
    run._success = lambda env, act, label: labels.append(label) or measure(env, act, label)
    metrics = run.run()
    assert labels.count('base') == 1
    assert {'residual, lost', 'gated, lost'} < set(labels)
    sensor = run.config.recipe.pose_model.always_lost()
    assert metrics['base_lost'] == run._measured(
        sensor, 'again', lambda env: run._policy('base', run._trainer, None, env))


def test_altered_bundle_is_refused(tmp_path: Path):
    ResidualRun(config(), tmp_path / 'residual').run()
    path = tmp_path / 'residual' / 'policy.onnx'
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(BundleError, match='truncated or altered'):
        load_residual(tmp_path / 'residual', 'cube_lift')


def test_seeds_that_measure_are_refused_for_training():
    with pytest.raises(ConfigError, match='seed'):
        ResidualRunConfig(recipe=EnvRecipe(seed=10_000))


def test_run_is_not_continued_with_another_pose_sensor(tmp_path: Path):
    run = ResidualRun(config(steps=10_000), tmp_path / 'residual')
    run._on_progress = lambda phase, done, *_: run.request_stop() if done >= 40 else None
    assert run.run() is None
    exact = load_pose_model(config_path('pose_model_exact.yaml'))
    recipe = EnvRecipe(base='expert', pose_model=exact, env=VecEnvConfig(
        num_envs=2, models=2, mid_start_share=0.0))
    changed = dataclasses.replace(config(steps=10_000), recipe=recipe)
    with pytest.raises(ConfigError, match='pose_model'):
        ResidualRun(changed, tmp_path / 'residual').run()


def test_run_is_not_continued_with_another_base(tmp_path: Path):
    run = ResidualRun(config(), tmp_path / 'residual')
    run._on_progress = lambda phase, done, *_: run.request_stop() if done >= 40 else None
    assert run.run() is None
    other = dataclasses.replace(run.config, recipe=dataclasses.replace(
        run.config.recipe, base='stand_in'))
    with pytest.raises(ConfigError, match='origin.yaml differs from the origin.*--base'):
        ResidualRun(other, tmp_path / 'residual').run()
    assert ResidualRun(run.config, tmp_path / 'residual').run() is not None
