# SPDX-License-Identifier: Apache-2.0
"""Cloning learns, is repeatable, resumes where it stopped and measures errors honestly."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from dot_demonstrations import dot_episode, dot_samples, write_dataset
import numpy as np
from ocrrl_ros.core.bundle import load_bundle
from ocrrl_ros.core.errors import ConfigError, DatasetError
from ocrrl_ros.core.se3 import rotation_6d
from ocrrl_ros.data.base_samples import BaseSamples, chunk_targets, switch_targets
from ocrrl_ros.learning.base_network import BaseNetworkConfig
from ocrrl_ros.learning.base_trainer import BaseTrainer, train_base
from ocrrl_ros.learning.behaviour_cloning import (
    action_errors, augmented_batch, BehaviourCloningConfig, CloningConfig, make_batch,
    shift_images, split_episodes)
from ocrrl_ros.learning.flow_matching import FlowMatchingConfig
from ocrrl_ros.policy.adapters.onnx_policy import OnnxBasePolicy
from ocrrl_ros.policy.base_policy import BaseInputs
import pytest
import torch

TINY = BehaviourCloningConfig(
    passes=9.6, batch=16, warmup_steps=5, shift_px=0,
    network=BaseNetworkConfig(channels=(4, 4, 8, 8), hidden=32))
TINY_FLOW = FlowMatchingConfig(
    passes=9.6, batch=16, warmup_steps=5, integration_steps=3, network=TINY.network)
BOTH = pytest.mark.parametrize('config', [TINY, TINY_FLOW], ids=['regression', 'flow'])


@pytest.fixture(scope='module')
def samples(tmp_path_factory: pytest.TempPathFactory) -> BaseSamples:
    """Return the samples of a small dataset."""
    return dot_samples(tmp_path_factory.mktemp('dots') / 'set')


def test_chunk_target_i_is_the_action_i_steps_later() -> None:
    poses = np.tile([0.0, 0, 0, 1, 0, 0, 0], (20, 1)).astype(float)
    poses[:, 0] = np.arange(20)
    chunks = chunk_targets(poses, np.linspace(1, 0, 20))
    assert chunks.shape == (20, 16, 10)
    np.testing.assert_array_equal(chunks[2, :, 0], np.arange(2, 18))
    np.testing.assert_array_equal(chunks[18, :, 0], [18] + [19] * 15)
    np.testing.assert_allclose(chunks[5, 3, 3:9], rotation_6d(poses[8, 3:]))


def test_switch_target_is_the_pose_at_the_next_gripper_change() -> None:
    poses = np.tile([0.0, 0, 0, 1, 0, 0, 0], (6, 1)).astype(float)
    poses[:, 0] = np.arange(6)
    targets = switch_targets(poses, np.array([1.0, 1.0, 0.0, 0.0, 1.0, 1.0]))
    np.testing.assert_array_equal(targets[:4, 0], [2, 2, 4, 4])
    assert np.isnan(targets[4:]).all()
    assert np.isnan(switch_targets(poses, np.ones(6))).all()


@BOTH
def test_training_reduces_the_error(
        samples: BaseSamples, tmp_path: Path, config: CloningConfig) -> None:
    trainer = BaseTrainer(samples, replace(config, passes=40, learning_rate=3e-3), 0,
                          tmp_path / 'state.pt')
    notes: list[int] = []
    trainer.train(lambda done, total, note: notes.append(done))
    assert notes == [50, 100, 150, 200, 250]
    part = 'position' if config is TINY else 'chunk'
    assert trainer.curve[-1][part] < 0.7 * trainer.curve[0][part]


@BOTH
def test_same_seed_gives_the_same_network_and_another_does_not(
        samples: BaseSamples, tmp_path: Path, config: CloningConfig) -> None:
    weights = []
    for name, seed in (('a', 3), ('b', 3), ('c', 4)):
        trainer = BaseTrainer(samples, config, seed, tmp_path / f'{name}.pt')
        weights.append(torch.cat([p.flatten() for p in trainer.train(
            lambda *state: None).parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@BOTH
def test_interrupted_training_continues_to_the_same_weights(
        samples: BaseSamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        config: CloningConfig) -> None:
    monkeypatch.setattr('ocrrl_ros.learning.base_trainer.CHECKPOINT_EVERY', 20)
    whole = BaseTrainer(samples, config, 0, tmp_path / 'whole.pt').train(lambda *state: None)

    class Interrupt(Exception):
        """Stands for Ctrl-C."""

    def stop(done: int, total: int, note: str) -> None:
        raise Interrupt

    with pytest.raises(Interrupt):
        BaseTrainer(samples, config, 0, tmp_path / 'cut.pt').train(stop)
    resumed = BaseTrainer(samples, config, 0, tmp_path / 'cut.pt')
    assert resumed.step == 40
    for one, other in zip(whole.parameters(), resumed.train(lambda *state: None).parameters()):
        assert torch.equal(one, other)


def test_checkpoint_of_other_settings_is_not_continued(
        samples: BaseSamples, tmp_path: Path) -> None:
    trainer = BaseTrainer(samples, TINY, 0, tmp_path / 'state.pt')
    trainer.step = 20
    trainer._save()
    assert BaseTrainer(samples, TINY, 0, tmp_path / 'state.pt').step == 20
    assert BaseTrainer(samples, TINY, 1, tmp_path / 'state.pt').step == 0
    assert BaseTrainer(samples, TINY_FLOW, 0, tmp_path / 'state.pt').step == 0


def test_bundle_is_usable_and_names_its_data(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / 'set')
    stages: set[str] = set()
    training = train_base(
        [dataset], TINY, seed=1, tasks=('cube_lift',), out=tmp_path / 'bundle',
        work=tmp_path / 'work', progress=lambda stage, *rest: stages.add(stage))
    bundle = load_bundle(tmp_path / 'bundle', 'base', task='cube_lift')
    manifest = bundle.manifest
    assert stages == {'read', 'validate', 'train'}
    assert len(manifest.training['datasets'][0]['sha256']) == 64 and manifest.seed == 1
    assert manifest.metrics['validation'] == training.validation
    assert training.validation['n_frames'] == 20 and training.validation['n_episodes'] == 1
    episode = dot_episode(0)
    chunk = OnnxBasePolicy.from_bundle(bundle).infer(BaseInputs(
        np.zeros(1), episode.rgb[:1], episode.base_T_tcp[:1], np.ones(1), ('touch the dot',)))
    assert chunk.poses.shape == (1, 16, 7) and np.abs(chunk.poses[0, 0, :3]).max() < 1.0
    with open(tmp_path / 'work/final_curve.csv', encoding='utf-8') as file:
        assert [row['step'] for row in csv.DictReader(file)] == ['50', '60']


def test_one_bundle_serves_the_tasks_of_all_its_datasets(tmp_path: Path) -> None:
    paths = [write_dataset(tmp_path / task, episodes=3, task=task)
             for task in ('cube_lift', 'stack_cube')]
    training = train_base(
        paths, TINY, seed=0, tasks=(), out=tmp_path / 'bundle', work=tmp_path / 'work')
    bundle = load_bundle(tmp_path / 'bundle', 'base', task='stack_cube')
    assert bundle.manifest.tasks == ('cube_lift', 'stack_cube')
    assert [item['episodes'] for item in bundle.manifest.training['datasets']] == [3, 3]
    held_out = training.validation['episodes']
    assert len(held_out) == 2 and held_out[0] < 3 <= held_out[1]
    assert set(training.validation['by_task']) == {'cube_lift', 'stack_cube'}


def test_datasets_of_different_domains_are_refused(tmp_path: Path) -> None:
    paths = [write_dataset(tmp_path / domain, episodes=2, domain=domain)
             for domain in ('sim', 'proxy')]
    with pytest.raises(DatasetError, match="'proxy'.*'sim'; one base policy"):
        train_base(paths, TINY, seed=0, tasks=(), out=tmp_path / 'b', work=tmp_path / 'w')


def test_passes_keep_their_number_when_data_grow() -> None:
    config = BehaviourCloningConfig(passes=12.5, batch=64)
    assert config.steps(4616) == 902 and config.steps(4616 * 5) == 4508
    assert config.steps(3) == 12


def test_dataset_of_another_task_is_refused(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / 'set', episodes=2, task='stack_cube')
    with pytest.raises(DatasetError, match="task 'stack_cube'; asked for 'cube_lift'"):
        train_base([dataset], TINY, seed=0, tasks=('cube_lift',), out=tmp_path / 'b',
                   work=tmp_path / 'w')


def test_split_holds_out_whole_episodes_and_depends_on_the_seed() -> None:
    episodes = np.repeat(np.arange(10), 7)
    seen, held_out = split_episodes(episodes, 0.2, 0)
    assert len(seen) == 8 and len(held_out) == 2
    assert sorted([*seen, *held_out]) == list(range(10))
    assert any((split_episodes(episodes, 0.2, k)[1] != held_out).any() for k in range(1, 5))
    with pytest.raises(ConfigError, match='cannot be split'):
        split_episodes(np.zeros(5), 0.2, 0)


def test_augmentation_moves_pixels_and_keeps_targets(samples: BaseSamples) -> None:
    rows = np.arange(4)
    config = BehaviourCloningConfig(shift_px=2)
    plain = make_batch(samples, rows)
    changed = augmented_batch(samples, rows, config, np.random.default_rng(0))
    assert not torch.equal(plain.image, changed.image)
    assert changed.image.min() >= 0.0 and changed.image.max() <= 1.0
    assert torch.equal(plain.chunk, changed.chunk)
    moved = (plain.proprio - changed.proprio).abs()
    assert 0.0 < moved[:, :3].max() < 0.02 and moved[:, 3:].max() == 0.0


def test_shifted_images_keep_their_content() -> None:
    images = np.zeros((30, 9, 9, 3), dtype=np.uint8)
    images[:, 4, 4] = 255
    shifted = shift_images(images, 2, np.random.default_rng(0))
    places = np.argwhere(shifted[..., 0] == 255)[:, 1:]
    assert len(places) == 30 and places.min() == 2 and places.max() == 6
    assert shift_images(images, 0, np.random.default_rng(0)) is images


def test_action_errors_are_in_mm_degrees_and_seconds() -> None:
    target = np.zeros((2, 16, 10))
    target[..., 3], target[..., 7], target[..., 9] = 1.0, 1.0, 1.0
    predicted = target.copy()
    predicted[..., 0] = 0.003
    angle = np.radians(5.0)
    predicted[..., 3:9] = [np.cos(angle), np.sin(angle), 0, -np.sin(angle), np.cos(angle), 0]
    target[:, 8:, 9] = 0.0
    predicted[0, 10:, 9] = 0.1
    errors = action_errors(predicted, target)
    assert errors['position_mm_mean'] == pytest.approx(3.0)
    assert errors['rotation_deg_mean'] == pytest.approx(5.0, abs=1e-4)
    assert errors['grip_time_s_median'] == pytest.approx(0.1)
    assert errors['grip_missed'] == 0.5 and errors['n_grips'] == 2 and errors['n_frames'] == 2


@pytest.mark.parametrize(('change', 'message'), [
    ({'passes': 0}, 'passes is 0; allowed: > 0'),
    ({'validation_share': 1.0}, 'validation_share is 1.0'),
    ({'shift_px': 40}, 'shift_px is 40 pixels; allowed: 0 .. 16'),
])
def test_impossible_settings_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BehaviourCloningConfig(**change)
