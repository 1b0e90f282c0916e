# SPDX-License-Identifier: Apache-2.0
"""Consecutive ticks of a vectorised environment, and the returns along them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ocrrl_ros.sim.vec_contract import StepResult


@dataclass(frozen=True)
class Trajectories:
    """T consecutive ticks of N environments."""

    critic_obs: np.ndarray
    """Observation that was acted on, (T, N, C) float32."""
    reward: np.ndarray
    """(T, N)."""
    terminated: np.ndarray
    """(T, N) bool: no value follows."""
    truncated: np.ndarray
    """(T, N) bool: the time limit, which is not part of the task."""
    final_critic_obs: np.ndarray
    """Last observations of the episodes that were truncated, (M, C), tick by tick."""
    last_critic_obs: np.ndarray
    """Observations after the last tick, (N, C)."""
    extra: dict[str, np.ndarray]
    """What else the recorder was given, each (T, N, ...)."""

    @property
    def done(self) -> np.ndarray:
        """Return whether the episode ended in a tick, (T, N) bool."""
        return self.terminated | self.truncated

    @property
    def flat_obs(self) -> np.ndarray:
        """Return the observations as (T N, C)."""
        return self.critic_obs.reshape(-1, self.critic_obs.shape[-1])

    def following(self, values: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """
        Return the values (..., T, N) of where each tick led to.

        :param values: maps observations (M, C) to values (..., M).
        """
        ticks, n, width = self.critic_obs.shape
        states = np.concatenate([self.critic_obs[1:], self.last_critic_obs[None]])
        found = values(states.reshape(-1, width))
        found = found.reshape(*found.shape[:-1], ticks, n)
        found[..., self.truncated] = values(self.final_critic_obs)
        return found


class TickRecorder:
    """Gathers ticks into `Trajectories`."""

    def __init__(self) -> None:
        """Start empty."""
        self._ticks: list[dict[str, np.ndarray]] = []
        self._final: list[np.ndarray] = []

    def add(
        self, critic_obs: np.ndarray, reward: np.ndarray, result: StepResult,
        **extra: np.ndarray,
    ) -> None:
        """
        Take one tick.

        :param critic_obs: what was acted on, (N, C).
        :param reward: (N,).
        :param extra: further arrays (N, ...), the same names in every tick.
        """
        self._ticks.append({
            'critic_obs': critic_obs, 'reward': reward, 'terminated': result.terminated,
            'truncated': result.truncated} | extra)
        self._final.append(result.final_critic_obs[result.truncated])

    def finish(self, last_critic_obs: np.ndarray) -> Trajectories:
        """Return what was recorded; the observations (N, C) follow the last tick."""
        joined = {
            name: np.stack([tick[name] for tick in self._ticks]) for name in self._ticks[0]}
        main = {
            name: joined.pop(name) for name in (
                'critic_obs', 'reward', 'terminated', 'truncated')}
        return Trajectories(
            **main, final_critic_obs=np.concatenate(self._final),
            last_critic_obs=last_critic_obs, extra=joined)


def lambda_returns(
    data: Trajectories, following: np.ndarray, cut: np.ndarray, discount: float, trace: float,
) -> np.ndarray:
    """
    Return the lambda-returns (T, N), from which values give generalised advantages.

    :param following: values (T, N) of where each tick led to.
    :param cut: (T, N) bool, after which tick the value is taken instead of what was seen.
    :param discount: per tick.
    :param trace: lambda; 0 is the value alone, 1 what was seen alone.
    """
    cut = cut | data.done
    cut[-1] = True
    returns = np.zeros(data.reward.shape)
    ahead = np.zeros(data.reward.shape[1])
    for tick in range(len(returns) - 1, -1, -1):
        mixed = (1.0 - trace) * following[tick] + trace * ahead
        value = np.where(cut[tick], following[tick], mixed)
        ahead = data.reward[tick] + discount * np.where(data.terminated[tick], 0.0, value)
        returns[tick] = ahead
    return returns
