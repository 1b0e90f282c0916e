# SPDX-License-Identifier: Apache-2.0
"""
Learn the gate of a finished residual, whatever learner it came from.

Base and residual take turns in whole episodes. Critics that see simulator truth learn from them
how probably either alone would still succeed; the gate, which sees what the actor sees, learns a
low quantile of the difference. The reasons are in docs/notes/residual.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ocrrl_ros.learning.denormals import flushed_denormals
from ocrrl_ros.learning.gate_config import GateConfig
from ocrrl_ros.learning.gate_rollouts import Act, collect_turns, returns_of_turns
from ocrrl_ros.learning.networks import (
    CriticEnsemble, hidden_layers, NetworkConfig, ObservationNormalizer)
from ocrrl_ros.learning.trajectories import Trajectories
from ocrrl_ros.sim.vec_contract import VecEnv
import torch
from torch import nn
from torch.nn import functional

_CHUNK = 8192
_HELD_OUT = 5
"""One of so many episodes is kept from the critics, to tell how right they are."""


class GateNetwork(nn.Module):
    """Raw observation of the actor to the weight of the residual: the exported graph."""

    def __init__(self, normalizer: ObservationNormalizer, config: GateConfig):
        """Build the layers behind a frozen normaliser for observations (N, D)."""
        super().__init__()
        self.normalizer = normalizer
        self.margin, self.temperature = config.margin, config.temperature
        self.body, width = hidden_layers(normalizer.shift.numel(), config.hidden)
        self.last = nn.Linear(width, 1)

    def gain(self, observation: torch.Tensor) -> torch.Tensor:
        """Return the low quantile (N, 1) of what the residual adds to the success."""
        return self.last(self.body(self.normalizer(observation)))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Return weights (N, 1) in [0, 1] for raw observations (N, D)."""
        return torch.sigmoid((self.gain(observation) - self.margin) / self.temperature)


class TurnCritics:
    """
    Critics of the success of base and residual: one ensemble, told which of the two acts.

    What both share, the state, is learned from the turns of both, so that their difference is
    not that of two networks' errors.
    """

    def __init__(self, normalizer: ObservationNormalizer, config: GateConfig, seed: int):
        """Build critics over normalised critic observations from a seed."""
        self._normalizer = normalizer
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = CriticEnsemble(normalizer.shift.numel(), 1, NetworkConfig(
                hidden=config.critic_hidden, critics=config.critics))

    @torch.no_grad()
    def probabilities(self, critic_obs: np.ndarray) -> np.ndarray:
        """Return the success (2, critics, M) of base and residual in states (M, C)."""
        parts = []
        for start in range(0, max(1, len(critic_obs)), _CHUNK):
            obs = self._normalizer(torch.from_numpy(critic_obs[start:start + _CHUNK]))
            parts.append(torch.stack([
                torch.sigmoid(self.network(obs, torch.full((len(obs), 1), which)))
                for which in (-1.0, 1.0)]))
        return torch.cat(parts, dim=2).numpy()

    def loss(
        self, critic_obs: np.ndarray, with_residual: np.ndarray, target: np.ndarray,
        weight: np.ndarray,
    ) -> torch.Tensor:
        """
        Return the cross-entropy of a batch.

        :param critic_obs: (B, C).
        :param with_residual: (B,) bool.
        :param target: (B,) success in [0, 1].
        :param weight: (critics, B) how often each critic counts each state.
        """
        which = torch.from_numpy(np.where(with_residual, 1.0, -1.0).astype(np.float32))
        logits = self.network(self._normalizer(torch.from_numpy(critic_obs)), which[:, None])
        goal = torch.from_numpy(target.astype(np.float32)).expand_as(logits)
        losses = functional.binary_cross_entropy_with_logits(logits, goal, reduction='none')
        return (losses * torch.from_numpy(weight)).mean(1).sum()


def train_gate(
    env: VecEnv, act: Act, normalizer: ObservationNormalizer, config: GateConfig, seed: int, *,
    on_progress: Any = lambda done, total: True,
) -> tuple[GateNetwork, dict[str, Any]] | None:
    """
    Return the gate of a residual and figures of how it was learned.

    The result depends on the environment's state, the residual, settings and seed alone.

    :param act: maps critic observations (N, C) to the finished residual's actions (N, A).
    :param normalizer: of the critic observations, frozen.
    :param on_progress: see `collect_turns`; None is returned where it ended the collection.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 4]))
    data = collect_turns(env, act, config, rng, on_progress)
    if data is None:
        return None
    with flushed_denormals():
        critics, returns = _fit_critics(data, normalizer, config, seed, rng)
        flat = data.flat_obs
        base, residual = critics.probabilities(flat)
        gate = distil_gate(
            flat[:, :env.obs_dim].copy(), residual - base,
            normalizer.first(env.obs_dim), config, seed, rng)
        with torch.no_grad():
            weight = gate(torch.from_numpy(flat[:, :env.obs_dim].copy())).numpy()[:, 0]
    return gate, _figures(data, returns, base, residual, weight)


def _fit_critics(
    data: Trajectories, normalizer: ObservationNormalizer, config: GateConfig, seed: int,
    rng: np.random.Generator,
) -> tuple[TurnCritics, np.ndarray]:
    """Return critics fitted to returns that they bootstrap themselves, and the last returns."""
    critics = TurnCritics(normalizer, config, seed)
    optimizer = _optimizer(critics.network, config)
    obs = data.flat_obs
    turn, episode = data.extra['with_residual'].ravel(), data.extra['episode'].ravel()
    # States of an episode share their outcome, so critics differ in whole episodes.
    draws = rng.poisson(1.0, (config.critics, int(episode.max()) + 1)).astype(np.float32)
    rows = np.flatnonzero(episode % _HELD_OUT != 0)
    returns = np.zeros(0)
    for number in range(config.rounds):
        values = _no_values if number == 0 else (
            lambda states: critics.probabilities(states).mean(1))
        returns = returns_of_turns(data, values, config).ravel()
        for batch in _batches(rows, config.passes, config.batch_size, rng):
            _step(optimizer, critics.loss(
                obs[batch], turn[batch], returns[batch], draws[:, episode[batch]]))
    return critics, returns


def _no_values(states: np.ndarray) -> np.ndarray:
    """Return values (2, M) of 0: before the first round nothing is known to succeed."""
    return np.zeros((2, len(states)))


def distil_gate(
    observations: np.ndarray, gains: np.ndarray, normalizer: ObservationNormalizer,
    config: GateConfig, seed: int, rng: np.random.Generator,
) -> GateNetwork:
    """
    Return a gate that opens where a low quantile of the gains exceeds the margin.

    What the actor cannot see and what the critics disagree about both spread the gains.

    :param observations: (M, D) of the actor, float32.
    :param gains: (critics, M) what the residual adds to the success.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        gate = GateNetwork(normalizer, config)
    optimizer = _optimizer(gate, config)
    goal = torch.from_numpy(np.ascontiguousarray(gains.T, dtype=np.float32))
    rows = np.arange(len(observations))
    for batch in _batches(rows, config.gate_passes, config.batch_size, rng):
        error = goal[batch] - gate.gain(torch.from_numpy(observations[batch]))
        _step(optimizer, torch.maximum(
            config.quantile * error, (config.quantile - 1.0) * error).mean())
    return gate.eval()


def _optimizer(module: nn.Module, config: GateConfig) -> torch.optim.Optimizer:
    """Return an AdamW over the module."""
    return torch.optim.AdamW(
        module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)


def _step(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """Take one gradient step."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def _batches(
    rows: np.ndarray, passes: int, size: int, rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Yield every row once per pass, in a new order each time."""
    for _ in range(passes):
        order = rng.permutation(rows)
        yield from np.array_split(order, -(-len(order) // size))


def _figures(
    data: Trajectories, returns: np.ndarray, base: np.ndarray, residual: np.ndarray,
    weight: np.ndarray,
) -> dict[str, Any]:
    """Return how the gate was learned: counts, errors on episodes kept back, open share."""
    turn = data.extra['with_residual'].ravel()
    held = data.extra['episode'].ravel() % _HELD_OUT == 0
    found = np.where(turn, residual.mean(0), base.mean(0))
    error = np.abs(found - returns)[held]
    return {
        'n': int(turn.size), 'unit': 'environment steps',
        'episodes': int(data.done.sum()),
        'held_out_error': float(error.mean()) if error.size else None,
        'mean_base': float(base.mean()), 'mean_residual': float(residual.mean()),
        'mean_weight': float(weight.mean()), 'open_share': float((weight > 0.5).mean())}
