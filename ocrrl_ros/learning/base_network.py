# SPDX-License-Identifier: Apache-2.0
"""
The embedded base policy's networks: image, proprioception and instruction to one chunk.

Convolutions modulated by the instruction (FiLM, Perez et al., AAAI 2018) end in a spatial
softmax (Levine et al., JMLR 2016), so the image reaches the planner as keypoints with sub-pixel
places: precise, and too narrow to memorise thirty demonstrations. The network first says where
the gripper will next open or close (a target that the demonstrations themselves contain) and
then plans the chunk as offsets from the measured TCP pose. Every scale is inside the graph.
`ChunkNetwork` holds what all architectures share, `BaseNetwork` regresses the chunk;
`flow_network` has the architecture that samples it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
import itertools
import math

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.policy.adapters.onnx_policy import POINT_SIZE, PROPRIOCEPTION_SIZE
from ocrrl_ros.policy.base_policy import HORIZON
import torch
from torch import nn
from torch.nn import functional as F

INSTRUCTION_SIZE = 64
GRASP_SIZE = 9
# Fresh features differ by a tenth; this makes their softmax neither flat nor a single pixel.
INITIAL_SHARPNESS = 10.0


@dataclass(frozen=True, kw_only=True)
class BaseNetworkConfig:
    """Size of the base network."""

    channels: tuple[int, int, int, int] = field(
        default=(16, 32, 32, 32), metadata={'description': 'channels of the four convolutions'})
    hidden: int = field(default=256, metadata={'description': 'units per planner layer'})
    dropout: float = field(default=0.0, metadata={'description': 'dropout in the planner, 0..1'})

    def __post_init__(self) -> None:
        """Refuse sizes that build no network."""
        if min(*self.channels, self.hidden) < 1:
            raise ConfigError(
                f'channels {self.channels} and hidden {self.hidden}; allowed: >= 1')
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f'dropout is {self.dropout}; allowed: 0 <= x < 1')


class SpatialSoftmax(nn.Module):
    """Expected image place of each channel's activation, in -1 .. 1."""

    def __init__(self, channels: int, height: int, width: int):
        """Prepare the grid; each channel learns its own temperature."""
        super().__init__()
        self.log_sharpness = nn.Parameter(torch.full((channels, 1), math.log(INITIAL_SHARPNESS)))
        rows = torch.linspace(-1.0, 1.0, height).repeat_interleave(width)
        columns = torch.linspace(-1.0, 1.0, width).repeat(height)
        self.register_buffer('grid', torch.stack([columns, rows], dim=1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return keypoints (N, 2 C) of features (N, C, H, W)."""
        weights = torch.softmax(features.flatten(2) * self.log_sharpness.exp(), dim=-1)
        return (weights @ self.grid).flatten(1)


class ChunkNetwork(nn.Module):
    """
    What every architecture shares: eyes, guess of the next gripper change, planner, scales.

    ``inputs`` names what ``forward`` takes, in order: image (N, 3, 96, 128) in 0..1, proprio
    (N, 11), instruction (N, 64), and what an architecture adds. It returns the chunk
    (N, 16, 10) = position 3 (m), rotation_6d 6, opening 1.
    """

    inputs: tuple[str, ...] = ('image', 'proprio', 'instruction')

    def __init__(
            self, config: BaseNetworkConfig | None = None, extra: int = 0,
            answers: int = HORIZON * POINT_SIZE):
        """
        Build the layers; call ``fit_scales`` before training.

        :param extra: numbers that the planner is told beside the context.
        :param answers: numbers that the planner answers.
        """
        super().__init__()
        self.config = config or BaseNetworkConfig()
        channels, hidden = self.config.channels, self.config.hidden
        sizes = list(itertools.pairwise((3, *channels)))
        shapes = ((5, 2), (3, 2), (3, 1), (3, 1))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, kernel, stride, kernel // 2)
            for (a, b), (kernel, stride) in zip(sizes, shapes))
        self.film = nn.Linear(INSTRUCTION_SIZE, 2 * channels[1])
        self.keypoints = SpatialSoftmax(channels[3], 24, 32)
        places = 2 * channels[3]
        self.grasp = nn.Sequential(
            nn.Linear(places + INSTRUCTION_SIZE, 128), nn.ReLU(), nn.Linear(128, GRASP_SIZE))
        width = places + PROPRIOCEPTION_SIZE + INSTRUCTION_SIZE + GRASP_SIZE + extra
        self.planner = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(self.config.dropout),
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(self.config.dropout),
            nn.Linear(hidden, answers))
        self.register_buffer('proprio_mean', torch.zeros(PROPRIOCEPTION_SIZE))
        self.register_buffer('proprio_scale', torch.ones(PROPRIOCEPTION_SIZE))
        self.register_buffer('offset_mean', torch.zeros(HORIZON, 9))
        self.register_buffer('offset_scale', torch.ones(HORIZON, 9))
        self.register_buffer('grasp_mean', torch.zeros(GRASP_SIZE))
        self.register_buffer('grasp_scale', torch.ones(GRASP_SIZE))
        for layer in (self.film, self.planner[-1]):
            nn.init.zeros_(layer.bias)
            nn.init.normal_(layer.weight, std=0.01)

    @torch.no_grad()
    def fit_scales(
            self, proprio: torch.Tensor, chunks: torch.Tensor, grasps: torch.Tensor) -> None:
        """
        Take means and scales from training data, so that raw outputs are of size one.

        :param proprio: (F, 11).
        :param chunks: (F, 16, 10) targets.
        :param grasps: (G, 9) targets that exist.
        """
        offsets = chunks[..., :9] - proprio[:, None, :9]
        for name, values, floor in (
                ('proprio', proprio, 1e-2), ('offset', offsets, 1e-3), ('grasp', grasps, 1e-3)):
            getattr(self, f'{name}_mean').copy_(values.mean(0))
            getattr(self, f'{name}_scale').copy_(values.std(0).clamp(min=floor))

    def see(self, image: torch.Tensor, instruction: torch.Tensor) -> torch.Tensor:
        """Return keypoints (N, 2 C)."""
        features = image - 0.5
        for number, convolution in enumerate(self.convolutions):
            features = convolution(features)
            if number == 1:
                gain, shift = self.film(instruction)[:, :, None, None].chunk(2, dim=1)
                features = features * (1.0 + gain) + shift
            if number < len(self.convolutions) - 1:
                features = F.relu(features, inplace=True)
        return self.keypoints(features)

    def understand(
            self, image: torch.Tensor, proprio: torch.Tensor,
            instruction: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the planner goes by (N, W), and the unscaled grasp guess (N, 9) in it."""
        places = self.see(image, instruction)
        guess = self.grasp(torch.cat([places, instruction], dim=1))
        scaled = (proprio - self.proprio_mean) / self.proprio_scale
        return torch.cat([places, scaled, instruction, guess], dim=1), guess

    def to_poses(self, raw: torch.Tensor, proprio: torch.Tensor) -> torch.Tensor:
        """Return absolute poses (N, 16, 9) of scaled offsets (N, 16, 9)."""
        return raw * self.offset_scale + self.offset_mean + proprio[:, None, :9]

    def to_place(self, guess: torch.Tensor) -> torch.Tensor:
        """Return the place (N, 9) of the next gripper change of an unscaled guess."""
        return guess * self.grasp_scale + self.grasp_mean


class BaseNetwork(ChunkNetwork):
    """Regresses the one chunk that is nearest to the demonstrated ones."""

    def plan(
            self, image: torch.Tensor, proprio: torch.Tensor,
            instruction: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return poses (N, 16, 9), gripper logits (N, 16) and grasp guess (N, 9)."""
        context, guess = self.understand(image, proprio, instruction)
        raw = self.planner(context).reshape(-1, HORIZON, POINT_SIZE)
        return self.to_poses(raw[..., :9], proprio), raw[..., 9], self.to_place(guess)

    def forward(
            self, image: torch.Tensor, proprio: torch.Tensor,
            instruction: torch.Tensor) -> torch.Tensor:
        """Return the chunk (N, 16, 10)."""
        poses, logits, _ = self.plan(image, proprio, instruction)
        return torch.cat([poses, torch.sigmoid(logits)[..., None]], dim=-1)
