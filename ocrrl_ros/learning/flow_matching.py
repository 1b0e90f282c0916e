# SPDX-License-Identifier: Apache-2.0
"""Flow matching of action chunks: settings, loss, samples and their errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.data.base_samples import BaseSamples
from ocrrl_ros.learning.behaviour_cloning import (
    action_errors, Batch, CloningConfig, predict, switch_loss)
from ocrrl_ros.learning.flow_network import CHUNK_SIZE, FlowNetwork
from ocrrl_ros.policy.adapters.onnx_policy import draw_noise
import torch

# Samples of a validation are always those of this seed, so that networks compare.
SAMPLE_SEED = 4711


@dataclass(frozen=True, kw_only=True)
class FlowMatchingConfig(CloningConfig):
    """Sampling of the chunk; the values in use are those of config/train/base_flow.yaml."""

    architecture: Literal['flow'] = field(
        default='flow', metadata={'description': 'told to whoever reads the manifest'})
    components: int = field(
        default=64, metadata={'description': 'principal components that describe a chunk'})
    integration_steps: int = field(
        default=8, metadata={'description': 'Euler steps from noise to chunk, in the graph'})
    draws: int = field(
        default=8, metadata={'description': 'noises and flow times per frame and gradient step'})
    chunk_weight_m: float = field(default=0.05, metadata={
        'description': 'm of position error that one unit of weighted squared error costs'})
    validation_samples: int = field(
        default=16, metadata={'description': 'chunks per held-out frame for the errors'})

    def __post_init__(self) -> None:
        """Refuse values that cannot train."""
        super().__post_init__()
        for name, least in (('integration_steps', 1), ('draws', 1), ('validation_samples', 2)):
            if getattr(self, name) < least:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: >= {least}')
        if not 1 <= self.components <= CHUNK_SIZE:
            raise ConfigError(
                f'components is {self.components}; allowed: 1 .. {CHUNK_SIZE}')
        if not self.chunk_weight_m > 0:
            raise ConfigError(f'chunk_weight_m is {self.chunk_weight_m} m; allowed: > 0')


def flow_loss(
        network: FlowNetwork, batch: Batch, config: FlowMatchingConfig,
        generator: torch.Generator) -> tuple[torch.Tensor, dict[str, float]]:
    """
    Return the loss in millimetres and its parts.

    Components count by the share of the demonstrations' variance that they explain.

    :param generator: draws noise and flow times; the times of a frame are spread over 0..1.
    """
    count, draws = len(batch.chunk), config.draws
    context, guess = network.understand(batch.image, batch.proprio, batch.instruction)
    time = (torch.arange(draws) + torch.rand(count, draws, generator=generator)) / draws
    time = time.reshape(-1, 1)
    start = torch.randn(count * draws, config.components, generator=generator)
    end = network.to_point(batch.chunk, batch.proprio).repeat_interleave(draws, dim=0)
    error = network.end(
        context.repeat_interleave(draws, dim=0), torch.lerp(start, end, time), time) - end
    # Between errors of the end (1) and of the velocity (1 / rest squared): what is best by
    # validation action error. The last step starts at a rest of 1 / steps.
    weight = 1.0 / (1.0 - time).clamp(min=1.0 / config.integration_steps)
    shares = network.spread.square() / network.spread.square().sum()
    parts = {
        'chunk': config.chunk_weight_m * (weight[:, 0] * (error.square() @ shares)).mean(),
        'switch': switch_loss(network.to_place(guess), batch, config)}
    loss = 1000.0 * sum(parts.values())
    return loss, {name: 1000.0 * float(part.detach()) for name, part in parts.items()}


def sample_plans(
        network: FlowNetwork, samples: BaseSamples, config: FlowMatchingConfig) -> np.ndarray:
    """Return S sampled chunks of every frame, (F, S, 16, 10)."""
    rng = np.random.default_rng(SAMPLE_SEED)
    return np.stack([
        predict(network, samples, draw_noise(rng, len(samples)))
        for _ in range(config.validation_samples)], axis=1)


def sample_errors(plans: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """
    Return the action error of sampled chunks (F, S, 16, 10), each figure with its n.

    The figures of ``action_errors`` are those of the mean of the samples, for comparison with
    a regression; ``one_sample`` has those of a single sample, which is what the robot gets.
    ``spread_mm_mean`` is the mean distance of samples from their mean, ``best_mm_mean`` the
    position error of the sample that comes nearest.

    :param target: (F, 16, 10).
    """
    position = plans[..., :3]
    spread = np.linalg.norm(position - position.mean(axis=1, keepdims=True), axis=-1)
    error = np.linalg.norm(position - target[:, None, :, :3], axis=-1).mean(axis=-1)
    return {
        **action_errors(plans.mean(axis=1), target), 'n_samples': plans.shape[1],
        'one_sample': action_errors(plans[:, 0], target),
        'spread_mm_mean': float(1000.0 * spread.mean()),
        'best_mm_mean': float(1000.0 * error.min(axis=1).mean())}
