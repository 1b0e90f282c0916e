# SPDX-License-Identifier: Apache-2.0
"""Success of the episodes that end while training or measuring in a vectorised environment."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from ocrrl_ros.evaluation.episode_record import SATURATED
from ocrrl_ros.sim.vec_contract import StepResult, VecEnv


def saturated(action: np.ndarray) -> np.ndarray:
    """Return (N,) bool: a translation or rotation component of (N, A) is at its bound."""
    return (np.abs(action[:, :6]) > SATURATED).any(axis=1)


class EpisodeStatistics:
    """
    Success of the most recent episodes, apart for environments that act without noise.

    Only episodes that began at the task's own start count.
    """

    def __init__(self, num_noisy: int, num_acting: int, window: int = 200):
        """
        Keep `window` episodes.

        :param num_noisy: environments from here on act without noise,
        :param num_acting: and from here on without the residual: those do not count.
        """
        self._num_noisy, self._num_acting = num_noisy, num_acting
        self._all: deque[bool] = deque(maxlen=window)
        self._greedy: deque[bool] = deque(maxlen=window)
        self.episodes = 0

    def add(self, result: StepResult) -> None:
        """Take one tick."""
        ended = result.terminated | result.truncated
        whole = result.info.get('whole', np.ones_like(ended))
        for index in np.nonzero((ended & whole)[:self._num_acting])[0]:
            success = bool(result.success[index])
            self._all.append(success)
            if index >= self._num_noisy:
                self._greedy.append(success)
            self.episodes += 1

    def rates(self) -> dict[str, float]:
        """Return the success rates of the window; NaN before the first episode."""
        return {
            'success_all': float(np.mean(self._all)) if self._all else float('nan'),
            'success_greedy': float(np.mean(self._greedy)) if self._greedy else float('nan'),
        }

    def clear(self) -> None:
        """Forget the window: from here on another policy acts."""
        self._all.clear()
        self._greedy.clear()

    def state_dict(self) -> dict[str, Any]:
        """Return what the window holds."""
        return {'all': list(self._all), 'greedy': list(self._greedy), 'episodes': self.episodes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self._all.extend(state['all'])
        self._greedy.extend(state['greedy'])
        self.episodes = state['episodes']


def measure_success(
    env: VecEnv, act: Callable[[np.ndarray], np.ndarray], episodes: int,
    on_episode: Callable[[int, int], None] = lambda done, total: None, *,
    on_end: Callable[[np.ndarray], None] = lambda rows: None,
) -> dict[str, float]:
    """
    Run whole episodes and return their success and the size of the actions.

    Every environment runs the same number of episodes, so short ones are not over-counted.

    :param act: maps critic observations (N, C) to actions (N, A).
    :param episodes: rounded up to a multiple of N.
    :param on_end: told which environments (M,) start a new episode, before the next action.
    """
    per_env = -(-episodes // env.num_envs)
    total = per_env * env.num_envs
    counts = np.zeros(env.num_envs, int)
    successes, ticks, at_bound, square = 0, 0, 0, 0.0
    observation = env.reset()
    while counts.min() < per_env:
        action = act(observation)
        active = counts < per_env
        ticks += int(active.sum())
        at_bound += int(saturated(action[active]).sum())
        square += float((action[active] ** 2).mean(axis=1).sum())
        result = env.step(action)
        done = result.terminated | result.truncated
        on_end(np.nonzero(done)[0])
        ended = done & active
        successes += int((result.success & ended).sum())
        counts += ended
        observation = result.critic_obs
        if ended.any():
            on_episode(int(np.minimum(counts, per_env).sum()), total)
    return {
        'n': total, 'successes': successes, 'success_rate': successes / total,
        'saturated_ticks': at_bound / ticks, 'action_rms': float(np.sqrt(square / ticks)),
        'mean_ticks': ticks / total}
