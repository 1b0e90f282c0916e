# SPDX-License-Identifier: Apache-2.0
"""Whole tiny trainings of residuals that see pictures, up to bundle and evaluation."""

import dataclasses
import json
from pathlib import Path

import numpy as np
from ocrrl_ros.cli.train_residual import TrainResidual
from ocrrl_ros.core.errors import BundleError, ConfigError, MissingDependencyError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.evaluation.evaluate import evaluate, EvaluateConfig
from ocrrl_ros.learning.distillation_trainer import DistillationConfig
from ocrrl_ros.learning.exploration import ExplorationConfig
from ocrrl_ros.learning.gate_config import GateConfig
from ocrrl_ros.learning.image_learner import ImageTd3Config, StudentConfig
from ocrrl_ros.learning.image_networks import VisionConfig
from ocrrl_ros.learning.image_off_policy_trainer import ImageOffPolicyConfig
from ocrrl_ros.learning.image_run import DistillationRun, ImageResidualRun
from ocrrl_ros.learning.networks import LayerConfig, NetworkConfig
from ocrrl_ros.learning.off_policy_trainer import OffPolicyConfig
from ocrrl_ros.learning.residual_run import ResidualRun
from ocrrl_ros.learning.residual_run_config import ResidualRunConfig
from ocrrl_ros.learning.td3 import Td3Config
from ocrrl_ros.policy.assembly import load_residual
from ocrrl_ros.policy.composition import ResidualBounds
from ocrrl_ros.policy.image_observation import ImageLayout
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.renderer import SceneRenderer
from ocrrl_ros.sim.scene import build_model
from ocrrl_ros.sim.tasks import get_task
from ocrrl_ros.sim.vec_config import VecEnvConfig
from ocrrl_ros.sim.vec_recipe import EnvRecipe, load_pose_model
from ocrrl_ros.sim.visual_randomization import load_visual_randomization
import pytest
import torch

VISION = VisionConfig(channels=(4, 4, 4, 4))
SMALL = {'steps': 60, 'warmup_steps': 20, 'updates_per_tick': 2, 'batch_size': 16,
         'capacity': 200}


@pytest.fixture(autouse=True)
def need_pictures() -> None:
    """Skip where OpenGL is missing."""
    try:
        SceneRenderer(build_model(
            get_task('cube_lift'), load_domain('sim'), load_physics()), 32, 24).close()
    except MissingDependencyError as error:
        pytest.skip(str(error))


def config(trainer, with_images: bool = True, **overrides: int) -> ResidualRunConfig:
    """Return a run of seconds."""
    images = dataclasses.replace(
        load_visual_randomization(), looks_per_process=2, width=32, height=24)
    recipe = EnvRecipe(
        base='expert', images=images if with_images else None,
        pose_model=load_pose_model(config_path('pose_model_exact.yaml')),
        env=VecEnvConfig(num_envs=2, models=2, mid_start_share=0.0))
    return ResidualRunConfig(
        recipe=recipe, trainer=trainer, **({'workers': 0, 'final_episodes': 0} | overrides))


def by_reward(**overrides: int) -> ResidualRunConfig:
    """Return a run of TD3 with pictures."""
    return config(ImageOffPolicyConfig(critic_only_updates=2, td3=ImageTd3Config(
        networks=NetworkConfig(hidden=(16, 16)), vision=VISION), **SMALL), **overrides)


def by_teacher(**overrides: int) -> ResidualRunConfig:
    """Return a distillation."""
    return config(DistillationConfig(
        student=StudentConfig(networks=LayerConfig(hidden=(16, 16)), vision=VISION),
        exploration=ExplorationConfig(share=0.5, guide_share=0.5, base_share=0.0), **SMALL),
        **overrides)


@pytest.fixture(scope='module')
def teacher(tmp_path_factory) -> Path:
    """Return a bundle that sees object poses, with a gate and bounds of its own."""
    folder = tmp_path_factory.mktemp('teacher') / 'residual'
    trainer = OffPolicyConfig(critic_only_updates=2, td3=Td3Config(
        networks=NetworkConfig(hidden=(16, 16))), gate=GateConfig(
            steps=60, rounds=2, gate_passes=1, batch_size=32, critics=2, critic_hidden=(8,),
            hidden=(8,)), **SMALL)
    settings = config(trainer, with_images=False)
    recipe = dataclasses.replace(settings.recipe, env=dataclasses.replace(
        settings.recipe.env, bounds=ResidualBounds(translation_m=0.03)))
    ResidualRun(dataclasses.replace(settings, recipe=recipe), folder).run()
    return folder


def manifest_of(folder: Path) -> dict:
    """Return a bundle's manifest."""
    return json.loads((folder / 'manifest.json').read_text(encoding='utf-8'))


def test_bundle_says_that_it_sees_images_and_computes_what_was_trained(tmp_path: Path):
    run = ImageResidualRun(by_reward(), tmp_path / 'residual')
    run.run()
    manifest = manifest_of(tmp_path / 'residual')
    assert manifest['layout']['observation'] == 'image'
    assert (manifest['layout']['image']['width'], manifest['layout']['image']['height']) == (
        32, 24)
    assert manifest['training']['observation'] == 'image'
    assert manifest['training']['images']['looks_per_process'] == 2
    network, _ = load_residual(tmp_path / 'residual', 'cube_lift')
    assert network.layout == ImageLayout(width=32, height=24)
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(3, network.layout.size)).astype(np.float32)
    images = rng.integers(0, 256, (3, 24, 32, 3)).astype(np.uint8)
    with torch.no_grad():
        expected = run._trainer.learner.policy()(
            torch.from_numpy(observations), torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(network.act(observations, images), expected, atol=1e-5)
    assert np.abs(expected).max() > 0.0


def test_evaluation_shows_the_residual_pictures_and_needs_no_poses(tmp_path: Path):
    ImageResidualRun(by_reward(), tmp_path / 'residual').run()
    result = evaluate(EvaluateConfig(
        domain='proxy', base='idle', residual=str(tmp_path / 'residual'), poses='lost',
        episodes=1, workers=1))
    assert result['episodes'] == 1
    assert result['residual']['mean_translation_mm'] > 0.0


def test_distilled_bundle_keeps_the_bounds_of_its_teacher_and_names_it(
        tmp_path: Path, teacher: Path):
    DistillationRun(by_teacher(), teacher, tmp_path / 'student').run()
    manifest = manifest_of(tmp_path / 'student')
    assert manifest['training']['algorithm'] == 'distillation'
    assert len(manifest['training']['teacher_sha256']) == 64
    assert manifest['action_scale']['translation_m'] == 0.03
    assert 'gate.onnx' not in manifest['files']


def test_distillation_that_was_stopped_in_between_gives_the_same_bundle(
        tmp_path: Path, teacher: Path):
    DistillationRun(by_teacher(), teacher, tmp_path / 'whole').run()
    run = DistillationRun(by_teacher(), teacher, tmp_path / 'parts')
    run._on_progress = lambda phase, done, *_: run.request_stop() if done >= 40 else None
    assert run.run() is None
    assert DistillationRun(by_teacher(), teacher, tmp_path / 'parts').run() is not None
    assert (tmp_path / 'parts' / 'policy.onnx').read_bytes() == (
        tmp_path / 'whole' / 'policy.onnx').read_bytes()


def test_finished_residual_is_measured_beside_the_base(tmp_path: Path):
    metrics = ImageResidualRun(by_reward(final_episodes=2), tmp_path / 'residual').run()
    assert metrics['residual_modelled']['n'] == metrics['base_modelled']['n'] == 2
    assert 'residual_lost' not in metrics


def test_run_without_pictures_and_a_teacher_that_sees_pictures_are_refused(tmp_path: Path):
    blind = dataclasses.replace(by_reward(), recipe=dataclasses.replace(
        by_reward().recipe, images=None))
    with pytest.raises(ConfigError, match='images is none'):
        ImageResidualRun(blind, tmp_path / 'blind')
    ImageResidualRun(by_reward(), tmp_path / 'seeing').run()
    with pytest.raises(BundleError, match='sees images'):
        DistillationRun(by_teacher(), tmp_path / 'seeing', tmp_path / 'student')


@pytest.mark.parametrize(('changes', 'message'), [
    ({'recipe': {'observation': 'world'}},
     "observation is 'world'; allowed with images: 'relative'"),
    ({'env': {'critic_truth': False}}, 'critic_truth is False; allowed with images: True'),
    ({'run': {'acts_per': 'chunk'}}, "acts_per is 'chunk'; allowed with images: 'tick'")])
def test_observation_critics_and_rate_that_images_do_not_allow_are_refused(
        tmp_path: Path, changes: dict, message: str):
    settings = by_reward()
    env = dataclasses.replace(settings.recipe.env, **changes.get('env', {}))
    recipe = dataclasses.replace(settings.recipe, env=env, **changes.get('recipe', {}))
    with pytest.raises(ConfigError, match=message):
        ImageResidualRun(dataclasses.replace(
            settings, recipe=recipe, **changes.get('run', {})), tmp_path / 'residual')


@pytest.mark.parametrize(('observation', 'acts_per'), [
    ('no_plan', 'tick'), ('relative', 'chunk')])
def test_teacher_of_another_observation_or_rate_is_refused(
        tmp_path: Path, observation: str, acts_per: str):
    settings = config(OffPolicyConfig(critic_only_updates=2, td3=Td3Config(
        networks=NetworkConfig(hidden=(16, 16))), gate=GateConfig(enabled=False), **SMALL),
        with_images=False)
    recipe = dataclasses.replace(settings.recipe, observation=observation)
    ResidualRun(dataclasses.replace(
        settings, recipe=recipe, acts_per=acts_per), tmp_path / 'other').run()
    with pytest.raises(BundleError, match=f"'{observation}' and acts_per '{acts_per}'; allowed"):
        DistillationRun(by_teacher(), tmp_path / 'other', tmp_path / 'student')


def command(**options) -> ResidualRunConfig:
    """Return what `ocrrl train residual --observation image` would train with."""
    return TrainResidual(
        base='expert', observation='image', envs=2, out=Path('unused'), **options)._config()


def test_variants_change_trainings_with_images_too_where_images_allow_it(tmp_path: Path):
    plain, led = command(), command(variant='no_pull', bound_mm=5.0)
    assert plain.recipe.pose_model == load_pose_model(config_path('pose_model_exact.yaml'))
    assert plain.recipe.images == load_visual_randomization()
    assert plain.trainer.td3.guide_weight > led.trainer.td3.guide_weight == 0.0
    assert isinstance(led.trainer, ImageOffPolicyConfig)
    assert led.recipe.env.bounds.translation_m == 0.005
    with pytest.raises(ConfigError, match='published recipe.*offline_steps is 25600; allowed'):
        command(variant='paper')
    with pytest.raises(ConfigError, match='critic_truth is False'):
        ImageResidualRun(command(variant='symmetric_critic'), tmp_path / 'residual')


def test_bundle_that_is_to_answer_once_per_chunk_is_refused(tmp_path: Path):
    ImageResidualRun(by_reward(), tmp_path / 'residual').run()
    path = tmp_path / 'residual' / 'manifest.json'
    path.write_text(json.dumps(manifest_of(path.parent) | {'acts_per': 'chunk'}), 'utf-8')
    with pytest.raises(BundleError, match="sees images and has acts_per 'chunk'; allowed: 'tick'"):
        load_residual(tmp_path / 'residual', 'cube_lift')


def test_run_is_not_continued_with_other_pictures(tmp_path: Path):
    settings = by_reward()
    ImageResidualRun(settings, tmp_path / 'residual').run()
    changed = dataclasses.replace(settings, recipe=dataclasses.replace(
        settings.recipe, images=dataclasses.replace(
            settings.recipe.images, delay_s=(0.0, 0.01))))
    with pytest.raises(ConfigError, match='--images'):
        ImageResidualRun(changed, tmp_path / 'residual').run()


def test_bundle_whose_image_size_was_edited_is_refused(tmp_path: Path):
    ImageResidualRun(by_reward(), tmp_path / 'residual').run()
    path = tmp_path / 'residual' / 'manifest.json'
    path.write_text(path.read_text(encoding='utf-8').replace(
        '"width": 32', '"width": 64').replace('"height": 24', '"height": 48'), 'utf-8')
    with pytest.raises(BundleError, match='layout_hash'):
        load_residual(tmp_path / 'residual', 'cube_lift')
