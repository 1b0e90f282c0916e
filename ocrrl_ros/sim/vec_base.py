# SPDX-License-Identifier: Apache-2.0
"""Base policy in the loop of N environments: when it plans, and what its plan says now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ocrrl_ros.policy.action_chunk import plan_ahead
from ocrrl_ros.policy.base_policy import BaseInputs, BasePolicy
from ocrrl_ros.sim.truth import TaskState
from ocrrl_ros.sim.vec_config import TICK_S, VecEnvConfig
from ocrrl_ros.sim.vec_physics import Reading

ImageSource = Callable[[np.ndarray], np.ndarray]
TruthSource = Callable[[np.ndarray], TaskState]


class VecBase:
    """
    Plans for the environments that are due and delivers each plan after its latency.

    Replanning is staggered over the environments, so that an image base renders a few pictures
    per tick rather than all of them in one.

    :param images: returns pictures (M, H, W, 3) uint8 of environments (M,); image bases only.
    :param truth: returns the true state of environments (M,); scripted bases only.
    :ivar serves: (N,) bool, environments that it plans for; in the others it stays inactive.
    """

    def __init__(
        self, policy: BasePolicy, instruction: str, config: VecEnvConfig,
        rng: np.random.Generator, images: ImageSource | None, truth: TruthSource,
        latency_s: float | None = None,
    ):
        """
        Start without plans.

        :param latency_s: of every plan; drawn from the configured range when None.
        """
        self.policy = policy
        self._latency_s = config.chunk_latency_s if latency_s is None else (latency_s, latency_s)
        self._config = config
        self._instruction = instruction
        self._rng = rng
        self._images = images
        self._truth = truth
        n, horizon = config.num_envs, policy.horizon
        self.serves = np.ones(n, bool)
        self._state: dict[str, np.ndarray] = {
            'poses': np.tile(np.eye(1, 7, 6), (n, horizon, 1)),
            'openings': np.ones((n, horizon)), 'stamp': np.zeros(n), 'active': np.zeros(n, bool),
            'next_poses': np.tile(np.eye(1, 7, 6), (n, horizon, 1)),
            'next_openings': np.ones((n, horizon)), 'next_stamp': np.zeros(n),
            'arrival': np.full(n, np.inf), 'due': np.zeros(n, np.int64)}

    @property
    def active(self) -> np.ndarray:
        """Return (N,) bool, whether a plan has arrived since the episode began."""
        return self._state['active']

    @property
    def stamp_s(self) -> np.ndarray:
        """Return when the plans (N,) that are executed were asked for; of no plan, anything."""
        return self._state['stamp']

    def start(self, rows: np.ndarray, tick: int) -> None:
        """Start episodes (M,): forget plans and plan in this tick."""
        state = self._state
        state['active'][rows] = False
        state['arrival'][rows] = np.inf
        state['due'][rows] = tick
        self.policy.reset(rows)

    def update(self, tick: int, now_s: float, reading: Reading) -> None:
        """Deliver the plans that have arrived, then plan for the environments that are due."""
        state = self._state
        arrived = state['arrival'] <= now_s + 1e-9
        for name in ('poses', 'openings', 'stamp'):
            state[name][arrived] = state[f'next_{name}'][arrived]
        state['active'] |= arrived
        state['arrival'][arrived] = np.inf
        due = np.nonzero((state['due'] <= tick) & self.serves)[0]
        if due.size:
            self._plan(due, tick, now_s, reading)

    def _plan(self, rows: np.ndarray, tick: int, now_s: float, reading: Reading) -> None:
        """Ask the policy about environments (M,)."""
        state, config = self._state, self._config
        needs_images = self.policy.needs_images
        chunks = self.policy.infer(BaseInputs(
            stamp_s=np.full(rows.size, now_s), rgb=self._images(rows) if needs_images else None,
            base_T_tcp=reading.base_T_tcp[rows], gripper=reading.opening[rows],
            instructions=(self._instruction,) * rows.size,
            privileged=None if needs_images else self._truth(rows), rows=rows))
        state['next_poses'][rows], state['next_openings'][rows] = chunks.poses, chunks.grippers
        state['next_stamp'][rows] = now_s
        latency = self._rng.uniform(*self._latency_s, rows.size)
        state['arrival'][rows] = now_s + latency
        # The first period of an episode is cut at random, which staggers the environments.
        first = ~state['active'][rows]
        period = np.where(
            first, self._rng.integers(config.replan_ticks // 2, config.replan_ticks + 1,
                                      rows.size), config.replan_ticks)
        state['due'][rows] = tick + period

    def sample(
        self, now_s: float, reading: Reading,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """
        Return what the plans ask for one tick ahead.

        Without a plan that is to stay: targets at the TCP, at rest.

        :return: targets (N, 2, 7) and openings (N, 2) now and `lookahead_s` later, chunk phase
            (N,), twist (N, 6).
        """
        state, step_s = self._state, self.policy.step_s
        elapsed = (now_s + TICK_S - state['stamp']) / step_s
        poses, openings, twists = plan_ahead(
            state['poses'], state['openings'], elapsed,
            self._config.chunk.lookahead_s / step_s, step_s)
        length = state['poses'].shape[1] * step_s
        phase = np.clip((now_s - state['stamp']) / length, 0.0, 1.0)
        waiting = ~state['active']
        poses[waiting] = reading.base_T_tcp[waiting, None]
        openings[waiting] = reading.opening[waiting, None]
        return poses, openings, np.where(waiting, 0.0, phase), np.where(
            waiting[:, None], 0.0, twists)

    def state_dict(self) -> dict[str, Any]:
        """Return plans and timing."""
        return {name: value.copy() for name, value in self._state.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        for name, value in self._state.items():
            value[...] = state[name]
