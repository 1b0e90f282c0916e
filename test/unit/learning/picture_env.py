# SPDX-License-Identifier: Apache-2.0
"""An environment of microseconds whose target only its pictures show."""

from dataclasses import replace
from typing import Any

import numpy as np
from ocrrl_ros.sim.vec_contract import StepResult
from offset_env import OffsetEnv

SIDE_PX = (16, 24)


class PictureEnv(OffsetEnv):
    """
    The target of `OffsetEnv` as the place of a bright spot.

    Entries 0 and 1 of the observation, which show it as numbers, are not for an actor that sees.
    """

    image_shape = (*SIDE_PX, 3)
    image_columns = np.array([2])

    def step(self, action: np.ndarray) -> StepResult:
        """Step, and report what a guide would do next: go to the target."""
        result = super().step(action)
        return replace(result, info={'guide': self._target.astype(np.float32)})

    def images(self) -> np.ndarray:
        """Draw each target: the first component to the right, the second down."""
        rows, columns = (np.linspace(-1.0, 1.0, side) for side in SIDE_PX)
        across = columns[None, None, :] - self._target[:, 0, None, None]
        down = rows[None, :, None] - self._target[:, 1, None, None]
        spot = np.exp(-20.0 * (across ** 2 + down ** 2))
        return np.repeat((255 * spot).astype(np.uint8)[..., None], 3, axis=3)


def teach(critic_obs: np.ndarray) -> np.ndarray:
    """Return the action that succeeds, (N, 2)."""
    return critic_obs[:, :2]


class PerfectTeacher:
    """A teacher without state; counts the episodes that it is told of."""

    def __init__(self) -> None:
        """Start at none."""
        self.episodes = 0

    def __call__(self, critic_obs: np.ndarray) -> np.ndarray:
        """Return what succeeds."""
        return teach(critic_obs)

    def reset(self, rows: np.ndarray) -> None:
        """Count."""
        self.episodes += len(rows)

    def state_dict(self) -> dict[str, Any]:
        """Return the count."""
        return {'episodes': self.episodes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the count back."""
        self.episodes = int(state['episodes'])


def success_of(env: PictureEnv, act: Any, ticks: int = 240) -> float:
    """Return the share of the episodes that succeed under a policy that sees."""
    observation = env.reset()
    successes = ended = 0
    for _ in range(ticks):
        result: StepResult = env.step(act(observation, env.images()))
        successes += int(result.success.sum())
        ended += int((result.terminated | result.truncated).sum())
        observation = result.critic_obs
    return successes / ended
