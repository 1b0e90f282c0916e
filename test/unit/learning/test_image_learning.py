# SPDX-License-Identifier: Apache-2.0
"""Residuals that see pictures, learned by reward and from a teacher, on tiny environments."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from ocrrl_ros.core.configuration import load_yaml
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.learning.algorithms import algorithm_of, find_algorithm
from ocrrl_ros.learning.distillation_trainer import DistillationConfig, DistillationTrainer
from ocrrl_ros.learning.exploration import ExplorationConfig
from ocrrl_ros.learning.export import export_onnx
from ocrrl_ros.learning.gate_config import GateConfig
from ocrrl_ros.learning.image_learner import ImageTd3Config, StudentConfig
from ocrrl_ros.learning.image_networks import jittered, VisionConfig
from ocrrl_ros.learning.image_off_policy_trainer import (
    ImageOffPolicyConfig, ImageOffPolicyTrainer)
from ocrrl_ros.learning.networks import LayerConfig, NetworkConfig
from ocrrl_ros.learning.ring_store import MOST_ROWS, RingStore
from picture_env import PerfectTeacher, PictureEnv, success_of
import pytest
import torch

VISION = VisionConfig(channels=(8, 8, 8, 8))


def by_reward(**overrides: Any) -> ImageOffPolicyConfig:
    """Return small and quick settings of TD3."""
    settings = {
        'steps': 800, 'warmup_steps': 160, 'critic_only_updates': 20, 'updates_per_tick': 2,
        'batch_size': 32, 'capacity': 400, 'gamma': 0.9, 'log_period_steps': 160,
        'checkpoint_period_steps': 100_000,
        'td3': ImageTd3Config(
            networks=NetworkConfig(hidden=(32, 32)), value_max=10.0, polyak=0.02,
            learning_rate=1e-3, actor_learning_rate=1e-3, actor_average=0.02, vision=VISION)}
    return ImageOffPolicyConfig(**(settings | overrides))


def by_teacher(**overrides: Any) -> DistillationConfig:
    """Return small and quick settings of distillation."""
    settings = {
        'steps': 800, 'warmup_steps': 160, 'updates_per_tick': 2, 'batch_size': 32,
        'capacity': 1000, 'log_period_steps': 160, 'checkpoint_period_steps': 100_000,
        'student': StudentConfig(
            networks=LayerConfig(hidden=(32, 32)), actor_learning_rate=3e-3, actor_average=0.02,
            vision=VISION),
        'exploration': ExplorationConfig(share=0.5, guide_share=0.25, base_share=0.0)}
    return DistillationConfig(**(settings | overrides))


def make_student(folder: Path, seed: int = 0, **overrides: Any) -> DistillationTrainer:
    """Return a distillation in an environment of a seed."""
    return DistillationTrainer(
        PictureEnv(seed=seed), by_teacher(**overrides), 3, folder, teacher=PerfectTeacher())


def make_seeing(folder: Path, seed: int = 0, **overrides: Any) -> ImageOffPolicyTrainer:
    """Return a training by reward in an environment of a seed."""
    return ImageOffPolicyTrainer(PictureEnv(seed=seed), by_reward(**overrides), 3, folder)


def make_led(folder: Path, seed: int = 0) -> ImageOffPolicyTrainer:
    """Return a training by reward whose actor is drawn to the guide's actions."""
    return make_seeing(
        folder, seed, td3=dataclasses.replace(by_reward().td3, guide_weight=4.0))


MAKERS = pytest.mark.parametrize('make', [make_seeing, make_student, make_led])


def test_student_learns_from_pictures_what_the_teacher_knows(tmp_path: Path):
    trainer = make_student(tmp_path, steps=1600)
    assert trainer.run()
    base = success_of(PictureEnv(seed=5), lambda o, i: np.zeros((len(o), 2)))
    student = success_of(
        PictureEnv(seed=5), lambda o, i: trainer.learner.act(o, i, averaged=True))
    assert base < 0.5
    assert student > 0.9
    assert trainer.log.rows[-1]['imitation_loss'] < 0.3 * trainer.log.rows[1]['imitation_loss']


def test_actor_that_sees_learns_by_reward(tmp_path: Path):
    trainer = make_seeing(tmp_path, steps=2800, capacity=4000)
    assert trainer.run()
    assert success_of(
        PictureEnv(seed=5), lambda o, i: trainer.learner.act(o, i, averaged=True)) > 0.8


@MAKERS
def test_resumed_run_equals_an_unbroken_one(tmp_path: Path, make: Any):
    whole = make(tmp_path / 'whole')
    assert whole.run()
    first = make(tmp_path / 'parts')
    first._on_progress = lambda done, *_: first.request_stop() if done >= 480 else None
    assert not first.run()
    second = make(tmp_path / 'parts', seed=77)
    assert second.run()
    for left, right in zip(
            whole.learner.average_actor.parameters(), second.learner.average_actor.parameters()):
        assert torch.equal(left, right)
    np.testing.assert_array_equal(whole.example_images(20), second.example_images(20))


@MAKERS
def test_exported_graph_takes_observation_and_picture(tmp_path: Path, make: Any):
    trainer = make(tmp_path)
    trainer.run()
    inputs = {'observation': torch.from_numpy(trainer.examples(8)[:, [2]].copy()),
              'image': torch.from_numpy(trainer.example_images(8))}
    _, difference = export_onnx(trainer.learner.policy(), inputs, ['action'], tolerance=1e-5)
    assert difference <= 1e-5


@MAKERS
def test_actor_is_zero_before_training_and_blind_to_what_the_columns_leave_out(
        tmp_path: Path, make: Any):
    trainer = make(tmp_path)
    env = trainer.env
    observation, images = env.reset(), env.images()
    np.testing.assert_array_equal(trainer.learner.act(observation, images), 0.0)
    trainer.run()
    changed = observation.copy()
    changed[:, [0, 1, 3, 4]] += 1.0
    np.testing.assert_array_equal(
        trainer.learner.act(observation, images), trainer.learner.act(changed, images))
    assert (trainer.learner.act(observation, images) != trainer.learner.act(
        observation, images[::-1].copy())).any()


def test_every_transition_has_the_picture_of_its_observation(tmp_path: Path):
    trainer = make_seeing(tmp_path, warmup_steps=790)
    trainer.run()
    batch = trainer._sample()
    shown = PictureEnv(num_envs=len(batch.action))
    shown._target = batch.critic_obs[:, :2].astype(float)
    # Rounding of the observation to float32 may move a brightness by one.
    np.testing.assert_allclose(shown.images(), batch.images.astype(int), atol=1)
    shown._target = batch.next_critic_obs[:, :2].astype(float)
    np.testing.assert_allclose(shown.images(), batch.next_images.astype(int), atol=1)


def test_guide_of_every_transition_belongs_to_its_observation_and_pulls_at_the_actor(
        tmp_path: Path):
    trainer = make_led(tmp_path)
    trainer.run()
    batch = trainer._sample()
    # Before its first tick an environment has not yet said what the guide would do.
    known = batch.guide.any(axis=1)
    assert known.mean() > 0.9
    np.testing.assert_array_equal(batch.guide[known], batch.critic_obs[known, :2])
    learner, penalties = trainer.learner, []
    observation = learner.normalizer(torch.from_numpy(batch.critic_obs))
    for weight in (0.0, 1000.0):
        learner.guide_weight = weight
        penalties.append(learner._update_actor(observation, batch)['penalty'])
    assert penalties[1] > penalties[0] + 1.0


def test_student_acts_in_most_environments_and_the_teacher_in_its_share(tmp_path: Path):
    trainer = make_student(tmp_path, steps=400)
    seen = []
    step = trainer.env.step
    trainer.env.step = lambda action: seen.append(
        (action.copy(), trainer.env._target.copy())) or step(action)
    trainer.run()
    for action, target in seen[30:]:
        np.testing.assert_allclose(action[6:], target[6:], atol=1e-6)
    student = np.abs(np.stack([action[4:6] - target[4:6] for action, target in seen[30:]]))
    assert student.max() > 0.05
    assert trainer.teacher.episodes > 0


def test_ring_numbers_rows_for_ever_and_keeps_the_newest():
    ring = RingStore(4, {'a': ((2,), np.uint8)})
    for start in (0, 3):
        numbers = ring.add(a=np.arange(start, start + 3)[:, None].repeat(2, 1))
    np.testing.assert_array_equal(numbers, [3, 4, 5])
    np.testing.assert_array_equal(ring.read(np.float32([2, 5, 3]))['a'][:, 0], [2, 5, 3])
    assert len(ring) == 4
    other = RingStore(4, {'a': ((2,), np.uint8)})
    other.load_state_dict(ring.state_dict())
    np.testing.assert_array_equal(other.read(numbers)['a'], ring.read(numbers)['a'])
    with pytest.raises(ConfigError, match='shape'):
        RingStore(8, {'a': ((2,), np.uint8)}).load_state_dict(ring.state_dict())
    ring._count = MOST_ROWS - 1
    with pytest.raises(ConfigError, match=f'up to {MOST_ROWS}'):
        ring.add(a=np.zeros((2, 2)))


def test_recoloured_pictures_keep_their_range_and_differ_by_row():
    images = torch.full((5, 4, 6, 3), 200, dtype=torch.uint8)
    changed = jittered(images, 0.5, torch.Generator().manual_seed(0))
    assert 0.0 <= float(changed.min()) and float(changed.max()) <= 255.0
    assert len({tuple(row[0, 0].tolist()) for row in changed}) == 5
    torch.testing.assert_close(
        jittered(images, 0.0, torch.Generator()), images.float())


def test_gate_and_penalties_that_images_do_not_allow_are_refused():
    with pytest.raises(ConfigError, match='gate.enabled'):
        by_reward(gate=GateConfig())
    with pytest.raises(ConfigError, match='gate.enabled'):
        by_teacher(gate=GateConfig())
    with pytest.raises(ConfigError, match='action_change_penalty'):
        ImageTd3Config(action_change_penalty=1.0)


def test_replay_that_is_kept_for_good_is_refused():
    with pytest.raises(ConfigError, match='offline_steps is 80; allowed with images: 0'):
        by_reward(offline_steps=80, offline_share=0.5)


def test_critics_that_see_no_truth_are_refused(tmp_path: Path):
    env = PictureEnv()
    env.critic_obs_dim = env.obs_dim
    with pytest.raises(ConfigError, match='critic_truth is False; allowed with images: True'):
        ImageOffPolicyTrainer(env, by_reward(), 3, tmp_path)


def test_algorithms_for_images_are_found_apart():
    assert find_algorithm('td3', sees_images=True).config is ImageOffPolicyConfig
    assert find_algorithm('td3').config is not ImageOffPolicyConfig
    assert algorithm_of(by_teacher()).trainer is DistillationTrainer
    with pytest.raises(UnknownNameError, match='known: distillation, td3'):
        find_algorithm('ppo', sees_images=True)


@pytest.mark.parametrize('name', ['td3', 'distillation'])
def test_shipped_settings_are_valid(name: str):
    algorithm = find_algorithm(name, sees_images=True)
    load_yaml(algorithm.config, config_path('train', algorithm.settings_file))
