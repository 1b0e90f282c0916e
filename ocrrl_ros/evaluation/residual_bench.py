# SPDX-License-Identifier: Apache-2.0
"""How long the residual network and a whole policy tick take on this machine."""
from collections.abc import Callable
import gc
import time
from typing import Any

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.policy.action_chunk import ActionChunk
from ocrrl_ros.policy.assembly import build_controller
from ocrrl_ros.policy.controller import ResidualController
from ocrrl_ros.policy.gate import ResidualGate
from ocrrl_ros.policy.residual import ResidualNetwork
from ocrrl_ros.robot.fr3 import READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics

NETWORK_P50_GOAL_S = 15e-6
TICK_P99_GOAL_S = 500e-6
WARM_UP = 200
CERTAIN = np.zeros(36)


def _quantiles(samples_s: np.ndarray) -> dict[str, float]:
    """Return quantiles in microseconds."""
    p50, p99, p999 = np.quantile(samples_s, [0.5, 0.99, 0.999]) * 1e6
    return {'p50_us': float(p50), 'p99_us': float(p99), 'p99.9_us': float(p999),
            'max_us': float(samples_s.max() * 1e6)}


def _measure(call: Callable[[], Any], prepare: Callable[[int], None], count: int) -> np.ndarray:
    """Time ``call`` (seconds) after ``prepare`` was called untimed, ``count`` times."""
    samples = np.empty(count)
    for index in range(count):
        prepare(index)
        start = time.perf_counter()
        call()
        samples[index] = time.perf_counter() - start
    return samples


class _TickBench:
    """A controller in the middle of an episode, fed like the node feeds it."""

    def __init__(self, task: str, residual: ResidualNetwork, gate: ResidualGate | None):
        """Start an episode at the ready posture."""
        self.controller: ResidualController = build_controller(task, residual, gate=gate)
        self.now_s = 0.0
        self._q = np.array(READY_POSITION, dtype=float)
        self._start = FrankaKinematics().forward(self._q)
        self._chunk_s = -1.0
        self.composed = 0
        self.controller.on_joint_state(self._q, np.zeros(7), 0.0)
        self.controller.on_gripper(1.0)
        self.controller.start_episode(0.0)

    def prepare(self, index: int) -> None:
        """Advance 20 ms: state, poses, command ticks, every 0.4 s a chunk."""
        controller = self.controller
        self.now_s = 0.02 * index
        for _ in range(4):
            command = controller.command_tick(0.005)
        controller.on_joint_state(command.q, command.dq, self.now_s)
        for name in controller.layout.object_ids:
            seen = self._start.copy()
            seen[:3] += (0.02, 0.01 * np.sin(self.now_s), -0.3)
            controller.on_object_pose(name, seen, CERTAIN, self.now_s)
        if self.now_s - self._chunk_s >= 0.4 - 1e-9:
            self._chunk_s = self.now_s
            controller.on_chunk(self._make_chunk(), self.now_s)

    def _make_chunk(self) -> ActionChunk:
        """Plan a small circle around the start."""
        time_s = self.now_s + 0.05 * np.arange(16)
        poses = np.tile(self._start, (16, 1))
        poses[:, 0] += 0.05 * np.sin(time_s)
        poses[:, 1] += 0.05 * np.cos(time_s) - 0.05
        return ActionChunk(self.now_s, 0.05, se3.pose(poses[:, :3], poses[:, 3:]), np.ones(16))

    def tick(self) -> None:
        """Run one policy tick."""
        if self.controller.policy_tick(self.now_s) is not None:
            self.composed += 1


def bench_residual(task: str, residual: ResidualNetwork, gate: ResidualGate | None = None, *,
                   runs: int = 5, ticks: int = 5000) -> dict[str, Any]:
    """
    Time network, gate where there is one, and policy tick over several runs.

    :param gate: in the policy tick's budget; its own time has no goal.
    :param runs: independent repetitions; goals are judged by the median run.
    :param ticks: calls per run.
    """
    network_runs, gate_runs, tick_runs = [], [], []
    rng = np.random.default_rng(0)
    size = build_controller(task, residual).layout.size
    observations = rng.standard_normal((64, 1, size)).astype(np.float32)
    held = [observations[0]]

    def choose(index: int) -> None:
        held[0] = observations[index % 64]

    gc.collect()
    gc.freeze()
    try:
        for _ in range(runs):
            call = _measure(lambda: residual.act(held[0]), choose, ticks + WARM_UP)
            network_runs.append(_quantiles(call[WARM_UP:]))
            if gate is not None:
                gate.reset()
                call = _measure(lambda: gate.weight(held[0], 0.0), choose, ticks + WARM_UP)
                gate_runs.append(_quantiles(call[WARM_UP:]))
            bench = _TickBench(task, residual, gate)
            samples = _measure(bench.tick, bench.prepare, ticks + WARM_UP)
            tick_runs.append({**_quantiles(samples[WARM_UP:]), 'composed': bench.composed})
    finally:
        gc.unfreeze()
    network_p50 = float(np.median([run['p50_us'] for run in network_runs]))
    tick_p99 = float(np.median([run['p99_us'] for run in tick_runs]))
    gate_p50 = float(np.median([run['p50_us'] for run in gate_runs])) if gate_runs else None
    return {
        'task': task, 'runs': runs, 'ticks': ticks, 'network': network_runs, 'gate': gate_runs,
        'policy_tick': tick_runs, 'network_p50_us': network_p50, 'gate_p50_us': gate_p50,
        'policy_tick_p99_us': tick_p99,
        'goals': {'network_p50_us': NETWORK_P50_GOAL_S * 1e6,
                  'policy_tick_p99_us': TICK_P99_GOAL_S * 1e6},
        'passed': network_p50 <= NETWORK_P50_GOAL_S * 1e6 and tick_p99 <= TICK_P99_GOAL_S * 1e6}
