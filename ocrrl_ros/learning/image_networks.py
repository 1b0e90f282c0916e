# SPDX-License-Identifier: Apache-2.0
"""
Networks of residuals that see pictures.

Convolutions end in a spatial softmax, as in the base policy: the picture reaches the actor as
places. A second head says what it makes of the simulator's truth; that the actor learns it too
gives the convolutions a gradient long before the critics' is of use (bottleneck of Pinto et al.,
"Asymmetric Actor Critic for Image-Based Robot Learning", arXiv 1710.06542).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.learning.base_network import SpatialSoftmax
from ocrrl_ros.learning.networks import hidden_layers, LayerConfig, ObservationNormalizer
import torch
from torch import nn
from torch.nn import functional

_KERNELS = (5, 3, 3, 3)
_STRIDES = (2, 2, 1, 1)


@dataclass(frozen=True, kw_only=True)
class VisionConfig:
    """How pictures are seen and what is learned from them beside the action."""

    channels: tuple[int, int, int, int] = field(
        default=(16, 32, 32, 32), metadata={'description': 'channels of the four convolutions'})
    colour_jitter: float = field(default=0.1, metadata={
        'description': 'largest random gain and offset per colour, while learning'})
    truth_weight: float = field(default=1.0, metadata={
        'description': "weight of the squared error about the simulator's truth, normalised"})

    def __post_init__(self) -> None:
        """Refuse sizes that make no network."""
        if min(self.channels) < 1:
            raise ConfigError(f'channels are {self.channels}; allowed: >= 1')
        if not 0.0 <= self.colour_jitter < 1.0 or self.truth_weight < 0.0:
            raise ConfigError(
                f'colour_jitter is {self.colour_jitter}, truth_weight {self.truth_weight}; '
                'allowed: 0 <= x < 1, >= 0')


class ImageActor(nn.Module):
    """
    Actor over a normalised observation (N, D) and pictures (N, H, W, 3) of 0 .. 255.

    Exactly zero before training, as the actor without pictures.
    """

    def __init__(
        self, obs_dim: int, image_shape: tuple[int, int, int], truth_dim: int, action_dim: int,
        layers: LayerConfig, vision: VisionConfig,
    ):
        """Build the layers."""
        super().__init__()
        sizes = (image_shape[2], *vision.channels)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel, stride, kernel // 2)
            for before, after, kernel, stride in zip(sizes, sizes[1:], _KERNELS, _STRIDES))
        height, width = (-(-side // 4) for side in image_shape[:2])
        self.places = SpatialSoftmax(vision.channels[-1], height, width)
        self.body, hidden = hidden_layers(obs_dim + 2 * vision.channels[-1], layers.hidden)
        self.last = nn.Linear(hidden, action_dim)
        self.truth = nn.Linear(hidden, truth_dim)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def _features(self, observations: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Return the last hidden layer (N, F)."""
        # Pictures keep their memory: what PyTorch calls channels last.
        seen = images.permute(0, 3, 1, 2).float() / 255.0 - 0.5
        for number, convolution in enumerate(self.convolutions):
            seen = convolution(functional.relu(seen) if number else seen)
        return self.body(torch.cat([observations, self.places(seen)], dim=1))

    def with_truth(
        self, observations: torch.Tensor, images: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the output before tanh (N, A) and the guess of the truth (N, T)."""
        features = self._features(observations, images)
        return self.last(features), self.truth(features)

    def forward(self, observations: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Return actions (N, A) in [-1, 1]."""
        return torch.tanh(self.last(self._features(observations, images)))


class ImagePolicy(nn.Module):
    """Raw observation and picture to action: what the exported graph computes."""

    def __init__(self, normalizer: ObservationNormalizer, actor: ImageActor):
        """Put a frozen normaliser in front of an actor."""
        super().__init__()
        self.normalizer = normalizer
        self.actor = actor

    def forward(self, observation: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Return actions (N, A) for raw observations (N, D) and pictures (N, H, W, 3) uint8."""
        return self.actor(self.normalizer(observation), image)


def jittered(
    images: torch.Tensor, strength: float, generator: torch.Generator,
) -> torch.Tensor:
    """
    Return pictures (B, H, W, 3) float of 0 .. 255 with a random gain and offset per colour.

    :param images: (B, H, W, 3) uint8.
    :param strength: largest gain - 1, and largest offset as a share of twice the full range.
    """
    drawn = strength * (2.0 * torch.rand(2, len(images), 1, 1, 3, generator=generator) - 1.0)
    return images.float().mul_(1.0 + drawn[0]).add_(127.5 * drawn[1]).clamp_(0.0, 255.0)
