# SPDX-License-Identifier: Apache-2.0
"""Named changes to a training: what each changes, and that the published recipe runs whole."""

from dataclasses import replace
import json
from pathlib import Path

from ocrrl_ros.cli.train_residual import TrainResidual
from ocrrl_ros.core.bundle import hash_layout
from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.core.errors import BundleError, ConfigError, UnknownNameError
from ocrrl_ros.core.resources import model_path
from ocrrl_ros.evaluation.policies import create_residual, load_policies
from ocrrl_ros.learning.residual_run import ResidualRun
from ocrrl_ros.learning.residual_run_config import ResidualRunConfig
from ocrrl_ros.learning.variants import known_variants, load_variant
from ocrrl_ros.policy.assembly import build_controller, load_residual
from ocrrl_ros.policy.composition import ResidualBounds
from ocrrl_ros.sim.tasks import get_task
import pytest
import yaml


def settings(variant: str = '', task: str = 'cube_lift', **options) -> ResidualRunConfig:
    """Return what a command would train with."""
    return TrainResidual(
        task=task, base='expert', variant=variant, out=Path('unused'), **options)._config()


def others(**options) -> list[str]:
    """Return the names of the further bases that a command would train among."""
    command = TrainResidual(out=Path('unused'), **options)
    return [Path(name).name for name in command._config().recipe.other_bases]


def test_shipped_bases_are_the_others_where_they_know_the_task():
    assert others(task='stack_cube') == ['base_sim_s1', 'base_sim_s2']
    assert others(task='stack_cube', other_bases=('none',)) == []
    assert others(task='stack_cube', base='expert') == []
    with pytest.raises(BundleError, match='lift_red_of_two'):
        others(task='lift_red_of_two', other_bases=(str(model_path('base_sim_s1')),))
    # No shipped base knows it, so that one of the operator's own is what is asked for next.
    with pytest.raises(BundleError, match='models/base_sim serves'):
        others(task='lift_red_of_two')


def changed(variant: str) -> dict[str, object]:
    """Return the settings that a variant changes, by dotted name."""
    def flat(mapping: dict, path: str = '') -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in mapping.items():
            name = f'{path}{key}'
            found |= flat(value, f'{name}.') if isinstance(value, dict) else {name: value}
        return found

    plain, other = flat(to_mapping(settings())), flat(to_mapping(settings(variant)))
    return {name: other[name] for name in other if other[name] != plain[name]}


NO_PULL = {
    'trainer.led_steps': 0, 'trainer.td3.guide_weight': 0.0, 'trainer.td3.action_penalty': 8.0,
    'trainer.td3.gripper_penalty': 2.0}


@pytest.mark.parametrize(('variant', 'expected'), [
    ('symmetric_critic', {'recipe.env.critic_truth': False}),
    ('no_plan', {'recipe.observation': 'no_plan'}),
    ('no_validity', {'recipe.observation': 'no_validity'}),
    ('no_mid_starts', {'recipe.env.mid_start_share': 0.0}),
    ('no_guide', {
        'recipe.env.guided': False, 'trainer.exploration.guide_share': 0.0,
        'trainer.exploration.base_share': 0.0, **NO_PULL}),
    ('no_pull', NO_PULL),
    ('one_base', {
        'recipe.env.expert_share': 0.0, 'recipe.env.other_base_share': 0.0,
        'recipe.env.base_view.shift_px': 0.0,
        'recipe.env.base_view.gain': 0.0}),
    ('no_randomisation', {'recipe.env.randomize': False}),
    ('no_noise', {
        f'recipe.pose_model.{name}': 0.0 for name in (
            'bias_m', 'bias_rad', 'hold_rate_hz', 'lost_from_start', 'lost_for_good',
            *(f'{phase}.{kind}' for phase in ('free', 'near', 'held') for kind in (
                'white_m', 'white_rad', 'drift_m', 'drift_rad', 'invalid_share')))}),
    ('no_lost_episodes', {
        'recipe.pose_model.lost_from_start': 0.0, 'recipe.pose_model.lost_for_good': 0.0})])
def test_ablation_changes_what_its_name_says_and_nothing_else(variant, expected):
    assert changed(variant) == expected | {'variant': variant}


@pytest.mark.parametrize(('task', 'bound_m', 'gamma', 'sigma'), [
    ('cube_lift', 0.01, 0.99, 0.5), ('pick_place', 0.01, 0.99, 0.5),
    ('stack_cube', 0.005, 0.95, 1.0), ('close_drawer', 0.005, 0.99, 1.0),
    ('stand_cup', 0.01, 0.95, 0.5)])
def test_published_recipe_has_its_settings_by_task_and_none_of_the_aids(
        task, bound_m, gamma, sigma):
    found = settings('paper', task)
    env, trainer = found.recipe.env, found.trainer
    assert found.recipe.observation == 'world' and found.acts_per == 'chunk'
    assert env.expert_share == 0.0 and env.base_view.is_off
    assert (found.recipe.pose_model.uniform, found.recipe.pose_model.dropout) == (0.005, 0.1)
    assert (env.critic_truth, env.guided, env.mid_start_share, env.stall_s, env.acts_per) == (
        False, False, 0.0, 1000.0, 'tick')
    assert env.bounds.translation_m == bound_m and env.bounds.rotation_rad == 0.0
    assert trainer.gamma == gamma and trainer.unit_value and not trainer.gate.enabled
    assert (trainer.exploration.sigma, trainer.exploration.correlation) == (sigma, 0.0)
    assert (trainer.td3.networks.critics, trainer.td3.target_critics) == (10, 2)


def test_published_recipe_gets_as_many_steps_as_ours_or_a_multiple():
    ours = settings().trainer.steps
    assert settings('paper').trainer.steps == ours
    assert settings('paper', steps_factor=5).trainer.steps == 5 * ours
    with pytest.raises(ConfigError, match='steps_factor is 5; allowed: >= 1, and 1 with --steps'):
        settings('paper', steps_factor=5, steps=1000)


def test_bound_of_the_sweep_changes_the_translation_alone_and_comes_after_the_variant():
    assert settings(bound_mm=40).recipe.env.bounds == ResidualBounds(translation_m=0.04)
    assert settings('paper', bound_mm=20).recipe.env.bounds.translation_m == 0.02


def test_unknown_variant_and_unknown_key_list_the_known_ones(tmp_path):
    with pytest.raises(UnknownNameError, match="variant 'papr'; known: .*no_plan, .*paper"):
        load_variant('papr')
    path = tmp_path / 'mine.yaml'
    path.write_text('trainers: {gamma: 0.9}\n')
    with pytest.raises(UnknownNameError, match="unknown key 'trainers'.*known: .*trainer"):
        load_variant(str(path))
    path.write_text('title: mine\ntrainer: {td3: {polyac: 0.1}}\n')
    with pytest.raises(UnknownNameError, match="unknown key 'polyac' .*variant 'mine'.*polyak"):
        settings(str(path))
    path.write_text('tasks: {lift: {trainer: {gamma: 0.9}}}\n')
    with pytest.raises(ConfigError, match="unknown task 'lift'; known: .*cube_lift"):
        load_variant(str(path))


def test_every_variant_says_what_is_different():
    assert all(load_variant(name).title for name in known_variants())


def tiny(config: ResidualRunConfig) -> ResidualRunConfig:
    """Return a run of seconds with the same recipe."""
    trainer = config.trainer
    small = replace(
        trainer, steps=200, warmup_steps=100, offline_steps=60 * bool(trainer.offline_steps),
        critic_only_updates=2, updates_per_tick=2, batch_size=16, capacity=400,
        td3=replace(trainer.td3, networks=replace(trainer.td3.networks, hidden=(16, 16))))
    env = replace(config.recipe.env, num_envs=2, models=2)
    return replace(config, recipe=replace(config.recipe, env=env), trainer=small, workers=0,
                   final_episodes=2)


def test_published_recipe_trains_and_its_bundle_runs_once_per_chunk(tmp_path):
    config = tiny(settings('paper'))
    metrics = ResidualRun(config, tmp_path / 'paper').run()
    json.dumps(metrics, allow_nan=False)
    network, bundle = load_residual(tmp_path / 'paper', 'cube_lift')
    assert (bundle.manifest.acts_per, network.acts_per) == ('chunk', 'chunk')
    assert bundle.manifest.layout['variant'] == network.layout.variant == 'world'
    assert bundle.manifest.training['variant'] == 'paper'
    assert bundle.manifest.action_scale['translation_m'] == 0.01
    controller = build_controller('cube_lift', network)
    assert controller.layout is network.layout and controller._hold is not None
    bundles = load_policies(get_task('cube_lift'), 'expert', str(tmp_path / 'paper'))
    assert create_residual(bundles, 'cube_lift')[0].acts_per == 'chunk'


def test_layout_that_is_not_built_here_is_refused(tmp_path):
    config = replace(tiny(settings('no_plan', gate=False)), final_episodes=0)
    ResidualRun(config, tmp_path / 'residual').run()
    assert load_residual(tmp_path / 'residual', 'cube_lift')[0].layout.variant == 'no_plan'
    path = tmp_path / 'residual' / 'manifest.json'
    content = json.loads(path.read_text())
    content['layout']['variant'] = 'no_phase'
    content['layout_hash'] = hash_layout(content['layout'])
    path.write_text(json.dumps(content))
    with pytest.raises(BundleError, match='this program builds layout fda5a4a4d858, a7683633a766'):
        load_residual(tmp_path / 'residual', 'cube_lift')


def test_run_is_not_continued_with_another_environment_and_an_older_note_means_defaults(tmp_path):
    config = replace(tiny(settings(gate=False)), final_episodes=0)
    run = ResidualRun(config, tmp_path / 'residual')
    run._on_progress = lambda phase, done, *_: run.request_stop() if done >= 40 else None
    assert run.run() is None
    env = replace(config.recipe.env, bounds=ResidualBounds(translation_m=0.04))
    other = replace(config, recipe=replace(config.recipe, env=env))
    with pytest.raises(ConfigError, match='environment.yaml differs.*--bound-mm'):
        ResidualRun(other, tmp_path / 'residual').run()
    path = run.run_folder / 'pose_model.yaml'
    older = {key: value for key, value in yaml.safe_load(path.read_text()).items()
             if key not in ('uniform', 'dropout')}
    path.write_text(yaml.safe_dump(older))
    assert ResidualRun(config, tmp_path / 'residual').run() is not None
