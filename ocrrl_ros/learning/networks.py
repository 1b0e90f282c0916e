# SPDX-License-Identifier: Apache-2.0
"""Actor, critic ensemble and observation normalisation of the residual learner."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core.errors import ConfigError
import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class LayerConfig:
    """Sizes that all networks of a learner share."""

    hidden: tuple[int, ...] = field(
        default=(256, 256), metadata={'description': 'widths of the hidden layers'})
    normalizer_clip: float = field(
        default=5.0, metadata={'description': 'bound of a normalised observation entry'})

    def __post_init__(self) -> None:
        """Refuse sizes that make no network."""
        if not self.hidden or min(self.hidden) < 1:
            raise ConfigError(f'hidden is {self.hidden}; allowed: one or more widths >= 1')
        if self.normalizer_clip <= 0.0:
            raise ConfigError(f'normalizer_clip is {self.normalizer_clip}; allowed: > 0')


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(LayerConfig):
    """Sizes of the networks of a learner with an ensemble of critics."""

    critics: int = field(default=2, metadata={'description': 'number of critics, >= 2'})

    def __post_init__(self) -> None:
        """Refuse sizes that make no network."""
        super().__post_init__()
        if self.critics < 2:
            raise ConfigError(f'critics is {self.critics}; allowed: >= 2')


class ObservationNormalizer(nn.Module):
    """
    Scales observations to zero mean and unit variance; fitted in warm-up, then frozen.

    Entries that never change keep their scale (standard deviation floor), and the result is
    clipped so that an input outside the training range cannot drive the networks.
    """

    def __init__(self, dim: int, clip: float = 5.0, min_std: float = 1e-2):
        """Start as the identity (up to the clip) for observations (N, dim)."""
        super().__init__()
        self.clip = clip
        self.min_std = min_std
        self.register_buffer('mean', torch.zeros(dim, dtype=torch.float64))
        self.register_buffer('m2', torch.zeros(dim, dtype=torch.float64))
        self.register_buffer('count', torch.zeros((), dtype=torch.float64))
        self.register_buffer('shift', torch.zeros(dim))
        self.register_buffer('scale', torch.ones(dim))
        self.register_buffer('frozen', torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def update(self, observations: torch.Tensor) -> None:
        """Take a batch (N, dim) into the running moments; no effect once frozen."""
        if bool(self.frozen):
            return
        batch = observations.double()
        count = batch.shape[0]
        mean = batch.mean(0)
        total = self.count + count
        delta = mean - self.mean
        self.m2 += ((batch - mean) ** 2).sum(0) + delta ** 2 * self.count * count / total
        self.mean += delta * count / total
        self.count.copy_(total)
        deviation = (self.m2 / total).sqrt()
        constant = deviation < self.min_std
        self.shift.copy_(self.mean)
        self.scale.copy_(torch.where(constant, torch.ones_like(deviation), 1.0 / deviation))

    def freeze(self) -> None:
        """Keep the present scale for good."""
        self.frozen.fill_(True)

    def first(self, count: int) -> ObservationNormalizer:
        """Return a frozen normaliser of the first entries: the actor's part of the critic's."""
        return self.pick(slice(count))

    def pick(self, entries: slice | np.ndarray) -> ObservationNormalizer:
        """Return a frozen normaliser of some entries, in the order given."""
        part = ObservationNormalizer(self.shift[entries].numel(), self.clip, self.min_std)
        for name in ('mean', 'm2', 'shift', 'scale'):
            getattr(part, name).copy_(getattr(self, name)[entries])
        part.freeze()
        return part

    def leading(self, observations: torch.Tensor) -> torch.Tensor:
        """Return observations (N, D) of the first D <= dim entries, normalised."""
        count = observations.shape[-1]
        scaled = (observations - self.shift[:count]) * self.scale[:count]
        return scaled.clamp(-self.clip, self.clip)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Return normalised observations (N, dim) within +- clip."""
        scaled = (observations - self.shift) * self.scale
        return scaled.clamp(-self.clip, self.clip)


def hidden_layers(width: int, hidden: tuple[int, ...]) -> tuple[nn.Sequential, int]:
    """Return linear layers with LayerNorm and ReLU for inputs (N, width), and their width."""
    layers: list[nn.Module] = []
    for units in hidden:
        layers += [nn.Linear(width, units), nn.LayerNorm(units), nn.ReLU()]
        width = units
    return nn.Sequential(*layers), width


class Actor(nn.Module):
    """
    MLP with LayerNorm and tanh output; exactly zero before training.

    The last layer's weights and biases start at zero, so the residual starts as no residual.
    """

    def __init__(self, obs_dim: int, action_dim: int, config: LayerConfig):
        """Build the layers for normalised observations (N, obs_dim)."""
        super().__init__()
        self.body, width = hidden_layers(obs_dim, config.hidden)
        self.last = nn.Linear(width, action_dim)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def pre_activation(self, observations: torch.Tensor) -> torch.Tensor:
        """Return the output before tanh, (N, action_dim)."""
        return self.last(self.body(observations))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Return actions (N, action_dim) in [-1, 1]."""
        return torch.tanh(self.pre_activation(observations))


def action_penalty(
    output: torch.Tensor, action: torch.Tensor, weights: torch.Tensor, *,
    saturation_start: float, saturation_weight: float,
) -> torch.Tensor:
    """
    Return what large actions cost, a scalar.

    :param output: of the actor before tanh, (N, A).
    :param action: after it, (N, A).
    :param weights: of the squared action, (A,).
    :param saturation_start: |action| from which the second term grows.
    :param saturation_weight: of that term.
    """
    excess = torch.relu(action.abs() - saturation_start)
    # Beyond the bound tanh passes no gradient back, so the output itself is held too.
    runaway = torch.relu(output.abs() - 2.0)
    return (weights * action ** 2).mean() + saturation_weight * (
        (excess / (1.0 - saturation_start)) ** 2 + runaway ** 2).mean()


class CriticEnsemble(nn.Module):
    """
    Critics with LayerNorm, evaluated together in batched matrix products.

    On the CPU a separate module per critic doubles the number of operations dispatched. The
    LayerNorms have no weights of their own: the next layer's take that part, at a quarter less
    time per update.
    """

    def __init__(self, obs_dim: int, action_dim: int, config: NetworkConfig):
        """Build `config.critics` independent networks over [observation, action]."""
        super().__init__()
        count = config.critics
        widths = (obs_dim + action_dim, *config.hidden, 1)
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for rows, columns in zip(widths[:-1], widths[1:]):
            bound = rows ** -0.5
            self.weights.append(nn.Parameter(torch.empty(count, rows, columns).uniform_(
                -bound, bound)))
            self.biases.append(nn.Parameter(torch.empty(count, 1, columns).uniform_(
                -bound, bound)))

    def forward(
        self, observations: torch.Tensor, actions: torch.Tensor, count: int | None = None,
    ) -> torch.Tensor:
        """
        Return values (critics, N).

        :param observations: normalised critic observations (N, C).
        :param actions: (N, A).
        :param count: ask the first critics alone; all when None.
        """
        pick = slice(count)
        values = torch.cat([observations, actions], dim=-1)
        values = values.expand(self.weights[0][pick].shape[0], -1, -1)
        for bias, weight in zip(self.biases[:-1], self.weights[:-1]):
            values = torch.baddbmm(bias[pick], values, weight[pick])
            values = functional.relu(functional.layer_norm(values, values.shape[-1:]))
        return torch.baddbmm(
            self.biases[-1][pick], values, self.weights[-1][pick]).squeeze(-1)


class ResidualPolicy(nn.Module):
    """Raw observation to action: what the exported graph computes."""

    def __init__(self, normalizer: ObservationNormalizer, actor: Actor):
        """Put a frozen normaliser in front of an actor."""
        super().__init__()
        self.normalizer = normalizer
        self.actor = actor

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Return actions (N, A) in [-1, 1] for raw observations (N, D)."""
        return self.actor(self.normalizer(observation))
