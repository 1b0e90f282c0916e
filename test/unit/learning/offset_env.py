# SPDX-License-Identifier: Apache-2.0
"""An environment of microseconds for tests of training loops."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from ocrrl_ros.learning.episode_statistics import measure_success
from ocrrl_ros.learning.residual_trainer import ResidualTrainer, TrainerConfig
from ocrrl_ros.sim.vec_contract import StepResult, VecEnv
import torch

LENGTH = 12


class OffsetEnv(VecEnv):
    """Success where the action is within 0.3 of a target that the observation shows."""

    obs_dim = 3
    critic_obs_dim = 5
    action_dim = 2

    def __init__(self, num_envs: int = 8, seed: int = 0):
        """Draw from an own generator."""
        self.num_envs = num_envs
        self._rng = np.random.default_rng(seed)
        self._target = np.zeros((num_envs, 2))
        self._ticks = np.zeros(num_envs, int)

    def _observe(self) -> np.ndarray:
        """Return [target, clock, truth] (N, 5)."""
        clock = (self._ticks / LENGTH)[:, None]
        return np.hstack([self._target, clock, self._target]).astype(np.float32)

    def reset(self) -> np.ndarray:
        """Draw new targets."""
        self._target = self._rng.uniform(-0.7, 0.7, self._target.shape)
        self._ticks[:] = 0
        return self._observe()

    def step(self, action: np.ndarray) -> StepResult:
        """Pay for closeness; close enough for two ticks is success."""
        self._ticks += 1
        distance = np.linalg.norm(action - self._target, axis=1)
        success = (distance < 0.3) & (self._ticks > 2)
        truncated = ~success & (self._ticks >= LENGTH)
        final = self._observe()
        done = success | truncated
        self._target[done] = self._rng.uniform(-0.7, 0.7, (int(done.sum()), 2))
        self._ticks[done] = 0
        return StepResult(
            critic_obs=self._observe(), final_critic_obs=final,
            reward=np.exp(-distance).astype(np.float32), terminated=success,
            truncated=truncated, success=success)

    def state_dict(self) -> dict[str, Any]:
        """Return everything."""
        return {
            'rng': self._rng.bit_generator.state, 'target': self._target.copy(),
            'ticks': self._ticks.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> np.ndarray:
        """Take everything back."""
        self._rng.bit_generator.state = state['rng']
        self._target[:] = state['target']
        self._ticks[:] = state['ticks']
        return self._observe()


class GuidedEnv(OffsetEnv):
    """The same with a guide that always answers with a share of the target."""

    share = 0.5

    def step(self, action: np.ndarray) -> StepResult:
        """Say what the guide would do in the new state."""
        return dataclasses.replace(
            super().step(action), info={'guide': self.share * self._target})


def run_whole_and_in_parts(
    kind: type[ResidualTrainer], settings: TrainerConfig, folder: Path,
    env: type[OffsetEnv] = OffsetEnv,
) -> tuple[ResidualTrainer, ResidualTrainer]:
    """Return an unbroken run and one that was stopped and resumed, which end alike."""
    whole = kind(env(), settings, 3, folder / 'whole')
    assert whole.run()
    first = kind(env(), settings, 3, folder / 'parts')
    first._on_progress = lambda done, *_: first.request_stop() if done >= 480 else None
    assert not first.run()
    second = kind(env(seed=77), settings, 3, folder / 'parts')
    assert second.run()
    for left, right in zip(
            whole.learner.actor.parameters(), second.learner.actor.parameters()):
        assert torch.equal(left, right)
    assert whole.log.rows[-1]['critic_loss'] == second.log.rows[-1]['critic_loss']
    return whole, second


def success_before_and_after(trainer: ResidualTrainer) -> tuple[float, float]:
    """Train; return the success rates of the base and of the averaged actor, 200 episodes."""
    assert trainer.run()
    base = measure_success(OffsetEnv(seed=5), lambda o: np.zeros((len(o), 2)), 200)
    trained = measure_success(
        OffsetEnv(seed=5), lambda o: trainer.learner.act(o, averaged=True), 200)
    return base['success_rate'], trained['success_rate']
