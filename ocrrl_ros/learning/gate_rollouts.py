# SPDX-License-Identifier: Apache-2.0
"""Episodes in which base and residual take turns, and the success of either alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ocrrl_ros.learning.gate_config import GateConfig
from ocrrl_ros.learning.trajectories import lambda_returns, TickRecorder, Trajectories
from ocrrl_ros.sim.vec_contract import VecEnv

Act = Callable[[np.ndarray], np.ndarray]
Values = Callable[[np.ndarray], np.ndarray]


def collect_turns(
    env: VecEnv, act: Act, config: GateConfig, rng: np.random.Generator,
    on_progress: Callable[[int, int], bool] = lambda done, total: True,
) -> Trajectories | None:
    """
    Run episodes in which base and residual take turns at random times.

    Turns show the base in states that the residual brought about, and the other way round: the
    gate will have to decide in those. The reward is the success; `extra` holds `with_residual`
    (T, N) bool, who acted, and `episode` (T, N), the number of the episode.

    :param act: maps critic observations (N, C) to residual actions (N, A).
    :param on_progress: called with ticks done and in all; False ends the collection.
    :return: the ticks, or None where `on_progress` ended the collection.
    """
    n, ticks = env.num_envs, -(-config.steps // env.num_envs)
    recorder = TickRecorder()
    turn = rng.random(n) < 0.5
    episode, next_episode = np.arange(n), n
    observation = env.reset()
    for tick in range(ticks):
        result = env.step(np.where(turn[:, None], act(observation), 0.0).astype(np.float32))
        recorder.add(
            observation, result.success.astype(float), result, with_residual=turn,
            episode=episode.copy())
        done = result.terminated | result.truncated
        episode[done] = next_episode + np.arange(int(done.sum()))
        next_episode += int(done.sum())
        turn = turn ^ np.where(done, rng.random(n) < 0.5, rng.random(n) < 1.0 / config.turn_ticks)
        observation = result.critic_obs
        if not on_progress(tick + 1, ticks):
            return None
    return recorder.finish(observation)


def returns_of_turns(data: Trajectories, values: Values, config: GateConfig) -> np.ndarray:
    """
    Return the discounted success (T, N) that whoever acts in a tick would reach alone.

    Where the other one takes over, the value of the one before goes on.

    :param values: maps observations (M, C) to values (2, M) in [0, 1] of base and residual.
    """
    turn = data.extra['with_residual'].astype(int)
    following = np.take_along_axis(data.following(values), turn[None], axis=0)[0]
    cut = np.zeros(turn.shape, bool)
    cut[:-1] = turn[:-1] != turn[1:]
    return lambda_returns(data, following, cut, config.discount, config.trace)
