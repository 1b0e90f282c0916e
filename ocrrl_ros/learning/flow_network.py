# SPDX-License-Identifier: Apache-2.0
"""
The second architecture of the base policy: chunks sampled by conditional flow matching.

Noise is carried to a chunk along straight paths (Lipman et al., ICLR 2023; chunk heads as in
pi0 and GR00T), so that demonstrations that differ are sampled, not averaged. Paths run in the
principal components of the demonstrated chunks: 160 numbers that move together are few, and
white noise on all of them would be most of what a small network learns. The planner says where
a path ends; its velocity follows. The steps of the integration are unrolled inside the exported
graph, and its noise is an input.
"""

from __future__ import annotations

import math

from ocrrl_ros.learning.base_network import BaseNetworkConfig, ChunkNetwork
from ocrrl_ros.policy.adapters.onnx_policy import POINT_SIZE
from ocrrl_ros.policy.base_policy import HORIZON
import torch

CHUNK_SIZE = HORIZON * POINT_SIZE
TIME_SIZE = 5
# Components in which the demonstrations do not differ keep this deviation, of scaled numbers.
SPREAD_FLOOR = 0.05


def time_features(time: torch.Tensor) -> torch.Tensor:
    """Return features (M, 5) of flow times (M, 1) in 0..1."""
    angle = 2.0 * math.pi * time
    return torch.cat(
        [time, angle.sin(), angle.cos(), (2.0 * angle).sin(), (2.0 * angle).cos()], dim=1)


class FlowNetwork(ChunkNetwork):
    """
    Samples a chunk: ``forward`` takes noise (N, 16, 10) beside the inputs of every architecture.

    Between noise at flow time 0 and the chunk at 1 lie points (N, C): scaled offsets from the
    measured TCP pose and openings in their C principal components, each of deviation 1.
    """

    inputs = (*ChunkNetwork.inputs, 'noise')

    def __init__(
            self, config: BaseNetworkConfig | None = None, components: int = 64, steps: int = 8):
        """
        Build the layers; call ``fit_scales`` before training.

        :param components: numbers that a chunk is described by, 1 .. 160.
        :param steps: Euler steps from noise to chunk.
        """
        super().__init__(config, components + TIME_SIZE, components)
        self.steps = steps
        self.register_buffer('centre', torch.zeros(CHUNK_SIZE))
        self.register_buffer('basis', torch.eye(CHUNK_SIZE)[:, :components].clone())
        self.register_buffer('spread', torch.ones(components))

    @torch.no_grad()
    def fit_scales(
            self, proprio: torch.Tensor, chunks: torch.Tensor, grasps: torch.Tensor) -> None:
        """Take scales as every architecture does, and the components of the chunks (F, 16, 10)."""
        super().fit_scales(proprio, chunks, grasps)
        scaled = self._scale(chunks, proprio).double()
        centre = scaled.mean(0)
        deviation = scaled - centre
        powers, vectors = torch.linalg.eigh(deviation.T @ deviation / len(scaled))
        count = len(self.spread)
        self.centre.copy_(centre)
        self.basis.copy_(vectors.flip(1)[:, :count])
        self.spread.copy_(powers.flip(0)[:count].clamp(min=0.0).sqrt().clamp(min=SPREAD_FLOOR))

    def _scale(self, chunk: torch.Tensor, proprio: torch.Tensor) -> torch.Tensor:
        """Return chunks (N, 16, 10) as scaled offsets and openings in -1..1, (N, 160)."""
        offsets = chunk[..., :9] - proprio[:, None, :9]
        scaled = (offsets - self.offset_mean) / self.offset_scale
        return torch.cat([scaled, 2.0 * chunk[..., 9:] - 1.0], dim=-1).flatten(1)

    def to_point(self, chunk: torch.Tensor, proprio: torch.Tensor) -> torch.Tensor:
        """Return the points (N, C) of chunks (N, 16, 10)."""
        return (self._scale(chunk, proprio) - self.centre) @ self.basis / self.spread

    def to_chunk(self, point: torch.Tensor, proprio: torch.Tensor) -> torch.Tensor:
        """Return the chunks (N, 16, 10) of points (N, C), openings within 0..1."""
        raw = (self.centre + (point * self.spread) @ self.basis.T)
        raw = raw.reshape(-1, HORIZON, POINT_SIZE)
        opening = (0.5 * (raw[..., 9:] + 1.0)).clamp(0.0, 1.0)
        return torch.cat([self.to_poses(raw[..., :9], proprio), opening], dim=-1)

    def start(self, noise: torch.Tensor) -> torch.Tensor:
        """Return points (N, C) at flow time 0, white as the noise (N, 16, 10) is."""
        return noise.flatten(1) @ self.basis

    def end(self, context: torch.Tensor, point: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """
        Return where paths through points (M, C) end on average, (M, C).

        :param context: (M, W), see ``understand``.
        :param time: (M, 1) flow time of the points.
        """
        size = (time.square() + (1.0 - time).square()).sqrt()
        return self.planner(torch.cat([context, point / size, time_features(time)], dim=1))

    def forward(
            self, image: torch.Tensor, proprio: torch.Tensor, instruction: torch.Tensor,
            noise: torch.Tensor) -> torch.Tensor:
        """Return the chunk (N, 16, 10) that the noise becomes."""
        context, _ = self.understand(image, proprio, instruction)
        point = self.start(noise)
        for step in range(self.steps):
            time = torch.full_like(point[:, :1], step / self.steps)
            # Velocity (end - point) / (1 - t) for 1 / steps: the last step arrives at the end.
            point = torch.lerp(point, self.end(context, point, time), 1.0 / (self.steps - step))
        return self.to_chunk(point, proprio)
