# SPDX-License-Identifier: Apache-2.0
"""
Run behaviour cloning: resumable, seeded, with curves, ending in a base bundle.

Two runs with the same settings: the first holds some episodes out and yields the validation
action errors; the second trains on all episodes and is what ships. Thirty demonstrations are too
few to leave any out of the shipped network, and errors on episodes trained on say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import csv
from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from ocrrl_ros.core.bundle import Bundle, hash_layout, Manifest, save_bundle
from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.core.errors import DatasetError
from ocrrl_ros.data.base_samples import BaseSamples, load_samples
from ocrrl_ros.data.lerobot_dataset import LeRobotDataset
from ocrrl_ros.learning.base_architectures import architecture_of
from ocrrl_ros.learning.base_network import ChunkNetwork
from ocrrl_ros.learning.behaviour_cloning import (
    augmented_batch, CloningConfig, make_batch, split_episodes, WeightAverage)
from ocrrl_ros.learning.denormals import flushed_denormals
from ocrrl_ros.learning.export import export_onnx
from ocrrl_ros.policy.adapters.onnx_policy import base_layout, draw_noise
from ocrrl_ros.policy.base_policy import STEP_S
import torch

Progress = Callable[[str, int, int, str], None]
CHECKPOINT_EVERY = 500
CURVE_EVERY = 50
EXPORT_ROWS = 8


def _silent(stage: str, done: int, total: int, note: str) -> None:
    """Report nothing."""


class BaseTrainer:
    """Trains one network on some episodes; stops and continues at any checkpoint."""

    def __init__(
            self, samples: BaseSamples, config: CloningConfig, seed: int,
            checkpoint: Path):
        """
        Build the network, or take it and the optimiser from the checkpoint.

        :param samples: training rows.
        :param seed: fixes initial weights, order of samples and augmentation.
        :param checkpoint: file that is written while training and continued from.
        """
        self.samples, self.config, self.seed = samples, config, seed
        self.architecture = architecture_of(config)
        self.curve: list[dict[str, float]] = []
        self.step = 0
        self.steps = config.steps(len(samples))
        self._checkpoint = checkpoint
        torch.set_num_threads(config.threads)
        torch.manual_seed(seed)
        self.network = self.architecture.network(config)
        switches = samples.switches[np.isfinite(samples.switches).all(axis=1)]
        if not len(switches):
            raise DatasetError('no episode ever closes or opens the gripper; nothing to learn')
        self.network.fit_scales(
            torch.from_numpy(samples.proprio), torch.from_numpy(samples.chunks),
            torch.from_numpy(switches))
        self.network = self.network.to(memory_format=torch.channels_last)
        self.average = WeightAverage(self.network, config.average_decay)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate,
            weight_decay=config.weight_decay)
        self._identity = self._fingerprint()
        if checkpoint.is_file():
            self._resume()

    def train(self, progress: Callable[[int, int, str], None]) -> ChunkNetwork:
        """Run the remaining steps and return the weight average."""
        sums: dict[str, float] = {}
        while self.step < self.steps:
            with flushed_denormals():
                parts = self._gradient_step()
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value
            if self.step % CURVE_EVERY == 0 or self.step == self.steps:
                count = (self.step - 1) % CURVE_EVERY + 1
                means = {name: value / count for name, value in sums.items()}
                self.curve.append({'step': self.step, **means})
                sums = {}
                part = next(name for name in means if name != 'loss')
                progress(self.step, self.steps, f'{part} {means[part]:.1f} mm')
            if self.step % CHECKPOINT_EVERY == 0:
                self._save()
        return self.average.network

    def _gradient_step(self) -> dict[str, float]:
        """Take one step; everything random follows from seed and step alone."""
        config = self.config
        rows = self._rows()
        rng = np.random.default_rng([self.seed, self.step, 1])
        generator = torch.manual_seed(int(rng.integers(2**31)))
        batch = augmented_batch(self.samples, rows, config, rng)
        for group in self.optimiser.param_groups:
            group['lr'] = config.learning_rate_at(self.step, self.steps)
        self.network.train()
        loss, parts = self.architecture.loss(self.network, batch, config, generator)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 100.0)
        self.optimiser.step()
        self.average.update(self.network, self.step)
        self.step += 1
        return {'loss': float(loss.detach()), **parts}

    def _rows(self) -> np.ndarray:
        """Return the rows of this step: passes over the data in a new order each time."""
        size = min(self.config.batch, len(self.samples))
        per_pass = len(self.samples) // size
        number, place = divmod(self.step, per_pass)
        order = np.random.default_rng([self.seed, number, 0]).permutation(len(self.samples))
        return order[place * size:(place + 1) * size]

    def _fingerprint(self) -> str:
        """Return what a checkpoint must agree with."""
        digest = hashlib.sha256(
            json.dumps([to_mapping(self.config), self.seed], sort_keys=True).encode())
        digest.update(self.samples.chunks.tobytes())
        digest.update(self.samples.images[:, ::16, ::16].tobytes())
        return digest.hexdigest()

    def _save(self) -> None:
        """Write the checkpoint atomically."""
        self._checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = self._checkpoint.with_suffix('.partial')
        torch.save({
            'identity': self._identity, 'step': self.step, 'curve': self.curve,
            'network': self.network.state_dict(), 'optimiser': self.optimiser.state_dict(),
            'average': self.average.network.state_dict()}, partial)
        partial.replace(self._checkpoint)

    def _resume(self) -> None:
        """Continue from the checkpoint unless data, settings or seed differ."""
        saved = torch.load(self._checkpoint, weights_only=True)
        if saved['identity'] != self._identity:
            return
        self.step, self.curve = saved['step'], saved['curve']
        self.network.load_state_dict(saved['network'])
        self.optimiser.load_state_dict(saved['optimiser'])
        self.average.network.load_state_dict(saved['average'])


@dataclass(frozen=True)
class BaseTraining:
    """What a training produced."""

    bundle: Bundle
    validation: dict[str, Any]


def train_base(
        dataset_paths: Sequence[Path], config: CloningConfig, *, seed: int,
        tasks: tuple[str, ...], out: Path, work: Path,
        progress: Progress = _silent) -> BaseTraining:
    """
    Train one base policy from the datasets of one or more tasks and write its bundle.

    :param dataset_paths: LeRobot dataset folders of one domain.
    :param tasks: when given, refuse datasets of other tasks.
    :param out: bundle folder.
    :param work: folder of checkpoints and curves; an interrupted run continues from it.
    :param progress: called with stage, steps done, steps in all and a note.
    :raises DatasetError: a dataset is unreadable, of another task or of another domain.
    """
    datasets = _open_datasets(dataset_paths, tasks)
    samples = load_samples(datasets, lambda done, total: progress('read', done, total, ''))
    validation = validate(samples, config, seed, work, progress)
    trainer = BaseTrainer(samples, config, seed, work / 'final.pt')
    network = trainer.train(lambda *state: progress('train', *state))
    write_curve(work / 'final_curve', trainer.curve)
    content, difference = export_onnx(
        network.to(memory_format=torch.contiguous_format), _example(network, samples), ['chunk'])
    layout = base_layout(draws_noise='noise' in network.inputs)
    manifest = Manifest(
        kind='base', tasks=tuple(dict.fromkeys(item.description['task'] for item in datasets)),
        layout=layout, layout_hash=hash_layout(layout), action_scale={}, rate_hz=1.0 / STEP_S,
        seed=seed,
        training={
            'config': to_mapping(config), 'frames': len(samples), 'steps': trainer.steps,
            'datasets': [_describe(item) for item in datasets],
            'torch': str(torch.__version__)},
        metrics={'validation': validation, 'onnx_max_difference': difference})
    return BaseTraining(save_bundle(out, {'policy.onnx': content}, manifest), validation)


def _open_datasets(paths: Sequence[Path], tasks: tuple[str, ...]) -> list[LeRobotDataset]:
    """Return the opened datasets; all must show the same domain."""
    datasets = [LeRobotDataset(path) for path in paths]
    for item in datasets:
        if tasks and item.description.get('task') not in tasks:
            raise DatasetError(
                f'{item.root} holds actions of task {item.description.get("task")!r}; asked '
                f'for {", ".join(map(repr, tasks))}')
        domain, first = item.description.get('domain'), datasets[0].description.get('domain')
        if domain != first:
            raise DatasetError(
                f'{item.root} was recorded in domain {domain!r}, {datasets[0].root} in '
                f'{first!r}; one base policy is trained from one domain')
    return datasets


def _describe(dataset: LeRobotDataset) -> dict[str, Any]:
    """Return what a manifest keeps of a dataset."""
    return {
        'description': dataset.description, 'sha256': dataset.sha256(),
        'episodes': len(dataset), 'instructions': sorted(set(dataset.tasks.values()))}


def validate(
        samples: BaseSamples, config: CloningConfig, seed: int, work: Path,
        progress: Progress = _silent) -> dict[str, Any]:
    """Train on a part of each task's episodes and return the action errors on the others."""
    parts = [split_episodes(samples.episodes[samples.tasks == task], config.validation_share,
                            seed) for task in dict.fromkeys(samples.tasks.tolist())]
    seen, held_out = (np.concatenate(numbers) for numbers in zip(*parts))
    trainer = BaseTrainer(samples.of_episodes(seen), config, seed, work / 'validation.pt')
    network = trainer.train(lambda *state: progress('validate', *state))
    write_curve(work / 'validation_curve', trainer.curve)
    unseen = samples.of_episodes(held_out)
    plans = trainer.architecture.plans(network, unseen, config)
    errors = trainer.architecture.errors
    by_task = {
        task: errors(plans[unseen.tasks == task], unseen.chunks[unseen.tasks == task])
        for task in dict.fromkeys(unseen.tasks.tolist())}
    return {
        'n_episodes': len(held_out), 'trained_on_episodes': len(seen),
        'episodes': held_out.tolist(), **errors(plans, unseen.chunks),
        'by_task': by_task}


def write_curve(path: Path, curve: list[dict[str, float]]) -> None:
    """Write a training curve as ``path``.csv and ``path``.png."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix('.csv'), 'w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, list(curve[0]) if curve else ['step'])
        writer.writeheader()
        writer.writerows(curve)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(6, 4))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel='gradient step', ylabel='loss, mm', yscale='log')
    for name in (name for name in (curve[0] if curve else ()) if name != 'step'):
        axes.plot([row['step'] for row in curve], [row[name] for row in curve], label=name)
    axes.legend()
    figure.savefig(path.with_suffix('.png'), dpi=100)


def _example(network: ChunkNetwork, samples: BaseSamples) -> dict[str, torch.Tensor]:
    """Return real inputs, and noise where it is wanted, for the export check."""
    rows = np.linspace(0, len(samples) - 1, EXPORT_ROWS).astype(int)
    batch = make_batch(samples, rows)
    values = {
        'image': batch.image.contiguous(), 'proprio': batch.proprio,
        'instruction': batch.instruction,
        'noise': torch.from_numpy(draw_noise(np.random.default_rng(0), len(rows)))}
    return {name: values[name] for name in network.inputs}
