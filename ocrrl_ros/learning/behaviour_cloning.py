# SPDX-License-Identifier: Apache-2.0
"""Behaviour cloning of action chunks: settings, augmentation, loss, weight average, errors."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
import math
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.se3 import quat_angle, quat_from_rotation_6d
from ocrrl_ros.data.base_samples import BaseSamples
from ocrrl_ros.learning.base_network import BaseNetwork, BaseNetworkConfig, ChunkNetwork
from ocrrl_ros.policy.base_policy import STEP_S, switch_steps
import torch
from torch.nn import functional as F


def _setting(default: float, text: str) -> Any:
    return field(default=default, metadata={'description': text})


@dataclass(frozen=True, kw_only=True)
class CloningConfig:
    """How a base policy of any architecture is trained."""

    passes: float = _setting(12.5, 'passes over the training frames')
    batch: int = _setting(64, 'samples per gradient step')
    learning_rate: float = _setting(1e-3, 'peak learning rate, cosine to 0')
    warmup_steps: int = _setting(100, 'steps of rising learning rate')
    weight_decay: float = _setting(1e-4, 'decoupled weight decay')
    average_decay: float = _setting(0.995, 'decay per step of the weight average')
    position_beta_m: float = _setting(0.002, 'errors below are penalised quadratically, m')
    rotation_weight_m: float = _setting(0.1, 'm of position error that one unit of rot6d costs')
    switch_weight: float = _setting(2.0, 'weight of the next gripper change place')
    shift_px: int = _setting(0, 'largest random image shift, pixels')
    colour_jitter: float = _setting(0.1, 'largest random gain and offset per colour')
    proprio_noise_m: float = _setting(0.002, 'noise on the measured TCP position, m')
    validation_share: float = _setting(0.2, 'share of episodes held out for the errors')
    threads: int = _setting(1, 'torch threads')
    network: BaseNetworkConfig = field(
        default_factory=BaseNetworkConfig, metadata={'description': 'size of the network'})

    def __post_init__(self) -> None:
        """Refuse values that cannot train."""
        for name in ('passes', 'batch', 'threads', 'learning_rate', 'position_beta_m'):
            if not getattr(self, name) > 0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: > 0')
        if not 0.0 < self.validation_share < 1.0:
            raise ConfigError(
                f'validation_share is {self.validation_share}; allowed: 0 < x < 1')
        if not 0.0 <= self.average_decay < 1.0:
            raise ConfigError(f'average_decay is {self.average_decay}; allowed: 0 <= x < 1')
        if not 0 <= self.shift_px <= 16:
            raise ConfigError(f'shift_px is {self.shift_px} pixels; allowed: 0 .. 16')

    def steps(self, frames: int) -> int:
        """Return the gradient steps that the passes over some frames take."""
        return max(1, round(self.passes * frames / min(self.batch, frames)))

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Return the learning rate of a step of ``steps``: linear rise, cosine fall."""
        rise = min(1.0, (step + 1) / max(1, self.warmup_steps))
        return self.learning_rate * rise * 0.5 * (1.0 + math.cos(math.pi * step / steps))


@dataclass(frozen=True, kw_only=True)
class BehaviourCloningConfig(CloningConfig):
    """Regression of the chunk; the shipped values are those of config/train/base.yaml."""

    gripper_weight_m: float = _setting(0.01, 'm of position error that one nat of gripper costs')


@dataclass(frozen=True)
class Batch:
    """Tensors of one gradient step, fields as in `BaseSamples`, images (B, 3, H, W) in 0..1."""

    image: torch.Tensor
    proprio: torch.Tensor
    instruction: torch.Tensor
    chunk: torch.Tensor
    switch: torch.Tensor


def make_batch(samples: BaseSamples, rows: np.ndarray) -> Batch:
    """Return some rows as tensors."""
    return _to_batch(samples, rows, samples.images[rows])


def augmented_batch(
        samples: BaseSamples, rows: np.ndarray, config: CloningConfig,
        rng: np.random.Generator) -> Batch:
    """Return some rows with shifted and recoloured images and noisy TCP positions."""
    count = len(rows)
    batch = _to_batch(
        samples, rows, shift_images(samples.images[rows], config.shift_px, rng))
    jitter = rng.uniform(-config.colour_jitter, config.colour_jitter, (2, count, 3, 1, 1))
    gain, offset = torch.from_numpy(jitter.astype(np.float32))
    # In place and channels last: a third of a step went into copies otherwise.
    batch.image.mul_(1.0 + gain).add_(0.5 * offset).clamp_(0.0, 1.0)
    noise = config.proprio_noise_m * rng.normal(size=(count, 3))
    batch.proprio[:, :3] += torch.from_numpy(noise.astype(np.float32))
    return batch


def shift_images(images: np.ndarray, reach: int, rng: np.random.Generator) -> np.ndarray:
    """
    Move each image down and right by up to ``reach`` pixels either way; edges are repeated.

    :param images: (B, H, W, 3) uint8.
    """
    if reach == 0:
        return images
    count, height, width = images.shape[:3]
    moves = rng.integers(-reach, reach + 1, (count, 2))
    shifted = np.empty_like(images)
    margin = ((0, 0), (reach, reach), (reach, reach), (0, 0))
    padded = np.pad(images, margin, mode='edge')
    for image, out, (row, column) in zip(padded, shifted, reach - moves):
        out[...] = image[row:row + height, column:column + width]
    return shifted


def _to_batch(samples: BaseSamples, rows: np.ndarray, images: np.ndarray) -> Batch:
    """Return rows with the given images as tensors."""
    image = torch.from_numpy(images).permute(0, 3, 1, 2)
    return Batch(
        image.to(torch.float32, memory_format=torch.channels_last).div_(255.0),
        torch.from_numpy(samples.proprio[rows]), torch.from_numpy(samples.instructions[rows]),
        torch.from_numpy(samples.chunks[rows]), torch.from_numpy(samples.switches[rows]))


def cloning_loss(
        network: BaseNetwork, batch: Batch,
        config: BehaviourCloningConfig) -> tuple[torch.Tensor, dict[str, float]]:
    """Return the loss in millimetres and its parts."""
    poses, logits, guess = network.plan(batch.image, batch.proprio, batch.instruction)
    position = _robust(poses[..., :3] - batch.chunk[..., :3], config.position_beta_m)
    rotation = (poses[..., 3:] - batch.chunk[..., 3:9]).abs().mean()
    gripper = F.binary_cross_entropy_with_logits(logits, batch.chunk[..., 9])
    parts = {
        'position': position, 'rotation': config.rotation_weight_m * rotation,
        'gripper': config.gripper_weight_m * gripper, 'switch': switch_loss(guess, batch, config)}
    loss = 1000.0 * sum(parts.values())
    return loss, {name: 1000.0 * float(part.detach()) for name, part in parts.items()}


def switch_loss(
        guess: torch.Tensor, batch: Batch, config: CloningConfig) -> torch.Tensor:
    """
    Return the weighted loss (m) of where the gripper is thought to change next.

    :param guess: (B, 9) position and rotation_6d.
    """
    known = torch.isfinite(batch.switch).all(dim=1)
    target = torch.where(known[:, None], batch.switch, guess.detach())
    switch = _robust(guess[:, :3] - target[:, :3], config.position_beta_m)
    switch = switch + config.rotation_weight_m * (guess[:, 3:] - target[:, 3:]).abs().mean()
    return config.switch_weight * switch


def _robust(error: torch.Tensor, beta: float) -> torch.Tensor:
    """Return the mean smooth absolute error: outliers of 30 people-like demos stay bounded."""
    return F.smooth_l1_loss(error, torch.zeros_like(error), beta=beta)


class WeightAverage:
    """Exponential moving average of a network's weights; early steps are forgotten faster."""

    def __init__(self, network: ChunkNetwork, decay: float):
        """Start from the network's present weights."""
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: ChunkNetwork, step: int) -> None:
        """Take in the weights after gradient step ``step``, counted from 0."""
        decay = min(self._decay, (1.0 + step) / (10.0 + step))
        for mine, new in zip(self.network.parameters(), network.parameters()):
            mine.lerp_(new, 1.0 - decay)


def split_episodes(
        episodes: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the numbers of training and validation episodes, at least one of each.

    :param episodes: (F,) episode of each sample.
    """
    numbers = np.unique(episodes)
    if len(numbers) < 2:
        raise ConfigError(f'{len(numbers)} episode(s) cannot be split; allowed: >= 2')
    order = np.random.default_rng([seed, 77]).permutation(numbers)
    held_out = min(max(1, round(share * len(numbers))), len(numbers) - 1)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


@torch.no_grad()
def predict(
        network: ChunkNetwork, samples: BaseSamples, noise: np.ndarray | None = None,
        batch: int = 256) -> np.ndarray:
    """
    Return predicted chunks (F, 16, 10) for samples without augmentation.

    :param noise: (F, 16, 10) float32, for networks that take it.
    """
    network.eval()
    parts = []
    for start in range(0, len(samples), batch):
        rows = np.arange(start, min(start + batch, len(samples)))
        item = make_batch(samples, rows)
        drawn = () if noise is None else (torch.from_numpy(noise[rows]),)
        parts.append(network(item.image, item.proprio, item.instruction, *drawn).numpy())
    return np.concatenate(parts)


def action_errors(predicted: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """
    Return the action error of predicted chunks (F, 16, 10), each figure with its n.

    Grip time is the difference of the first step at which the gripper command switches, over
    chunks in which both switch; ``grip_missed`` is the share of chunks with a recorded switch
    that predict none.
    """
    position = 1000.0 * np.linalg.norm(predicted[..., :3] - target[..., :3], axis=-1)
    rotation = np.degrees(quat_angle(
        quat_from_rotation_6d(predicted[..., 3:9]), quat_from_rotation_6d(target[..., 3:9])))
    seen, wanted = switch_steps(predicted[..., 9]), switch_steps(target[..., 9])
    due = wanted >= 0
    both = due & (seen >= 0)
    late = STEP_S * np.abs(seen[both] - wanted[both])
    return {
        'n_frames': len(target),
        'position_mm_mean': float(position.mean()),
        'position_mm_median': float(np.median(position)),
        'position_mm_p95': float(np.percentile(position, 95)),
        'rotation_deg_mean': float(rotation.mean()),
        'rotation_deg_p95': float(np.percentile(rotation, 95)),
        'n_grips': int(due.sum()),
        'grip_missed': float((due & (seen < 0)).sum() / max(1, due.sum())),
        'grip_time_s_median': float(np.median(late)) if len(late) else None,
        'grip_time_s_p95': float(np.percentile(late, 95)) if len(late) else None,
    }
