# SPDX-License-Identifier: Apache-2.0
"""
How alike two bases act (protocol section 3): the same states, each seen in its own world.

States are those that the base of `sim` visits in `sim`. Each is rendered in both worlds; the base
of `sim` plans from the one picture, the base of the other world from the other. Proprioception is
the same for both, and so is where everything stands: worlds differ in looks, camera and sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.bundle import Bundle, load_bundle
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.evaluation.chunk_schedule import RolloutConfig
from ocrrl_ros.evaluation.failure_modes import total_variation
from ocrrl_ros.evaluation.film import Film
from ocrrl_ros.evaluation.pose_sources import World
from ocrrl_ros.evaluation.rollout_factory import build_rollout, RolloutSettings
from ocrrl_ros.policy.adapters.onnx_policy import OnnxBasePolicy
from ocrrl_ros.policy.base_policy import BaseInputs, BasePolicy, ChunkBatch, STEP_S, switch_steps
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.renderer import SceneRenderer
from ocrrl_ros.sim.seeding import episode_rngs
from ocrrl_ros.sim.tasks import get_task
from ocrrl_ros.sim.world import SimWorld

STRIDE = 5
"""One state per this many pictures of a film, two per second."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class AlignConfig:
    """What to compare."""

    task: str = field(default='cube_lift', metadata={'description': 'task name'})
    base_sim: str = field(
        default='models/base_sim', metadata={'description': 'base bundle of sim'})
    base_proxy: str = field(
        default='models/base_proxy', metadata={'description': 'base bundle of the other world'})
    domain: str = field(
        default='proxy', metadata={'description': 'the other world: proxy or a domain file'})
    states: int = field(default=2000, metadata={'description': 'states to compare'})
    seed: int = field(
        default=10_000, metadata={'description': 'seed of the episodes that states come from'})

    def __post_init__(self) -> None:
        """Refuse counts and seeds that mean nothing."""
        if self.states < 1:
            raise ConfigError(f'states is {self.states}; allowed: >= 1')
        if self.seed < 0:
            raise ConfigError(f'seed is {self.seed}; allowed: >= 0')


@dataclass
class StateLog(Film):
    """A film that keeps states in place of pictures."""

    rendered: list[np.ndarray] = field(default_factory=list)
    joints: list[np.ndarray] = field(default_factory=list)
    openings: list[float] = field(default_factory=list)

    def take(self, world: World, renderer: SceneRenderer, time_s: float) -> None:
        """Keep the state of a simulated world."""
        arm = world.arm_state()
        self.rendered.append(world.render_state())
        self.joints.append(arm.q)
        self.openings.append(arm.opening)


@dataclass(frozen=True)
class SampledStates:
    """
    States of one task that can be rendered in any world.

    :param rendered: (S, 1 + nq) what a renderer needs.
    :param base_T_tcp: (S, 7) measured TCP poses.
    :param openings: (S,) measured openings, 0 closed .. 1 open.
    """

    rendered: np.ndarray
    base_T_tcp: np.ndarray
    openings: np.ndarray

    def __len__(self) -> int:
        """Return S."""
        return len(self.openings)


def collect_states(config: AlignConfig, progress: Progress) -> SampledStates:
    """Return states that the base of `sim` visits in `sim`, two per second of its episodes."""
    rollout = build_rollout(RolloutSettings(
        task=config.task, domain='sim', base=config.base_sim, residual=None, poses='truth',
        seed=config.seed, rollout=RolloutConfig()))
    log, episode, kinematics = StateLog(), 0, FrankaKinematics()
    try:
        while len(log.openings) < config.states * STRIDE:
            rollout.run(episode, episode_rngs(config.task, 'sim', config.seed, episode), log)
            episode += 1
            progress('states', min(len(log.openings) // STRIDE, config.states), config.states)
    finally:
        rollout.close()
    chosen = slice(0, config.states * STRIDE, STRIDE)
    return SampledStates(
        np.stack(log.rendered[chosen]),
        np.stack([kinematics.forward(q) for q in log.joints[chosen]]),
        np.array(log.openings[chosen]))


def plan_all(policy: BasePolicy, task: str, domain: str, states: SampledStates,
             progress: Progress) -> ChunkBatch:
    """Return what a base plans from each state (S) as its world's camera shows it."""
    world = SimWorld(get_task(task), load_domain(domain), load_physics())
    camera = world.domain.camera
    renderer = SceneRenderer(world.model, camera.width, camera.height)
    poses, grippers = [], []
    try:
        for index in range(len(states)):
            renderer.set_state(states.rendered[index])
            batch = policy.infer(BaseInputs(
                stamp_s=np.zeros(1), rgb=renderer.rgb()[None],
                base_T_tcp=states.base_T_tcp[index:index + 1],
                gripper=states.openings[index:index + 1],
                instructions=(world.task.instruction,)))
            poses.append(batch.poses[0])
            grippers.append(batch.grippers[0])
            progress(domain, index + 1, len(states))
    finally:
        renderer.close()
    return ChunkBatch(np.stack(poses), np.stack(grippers))


def compare_chunks(first: ChunkBatch, second: ChunkBatch) -> dict[str, Any]:
    """
    Return how far two plans of the same states (S) differ, over all points of the chunks.

    Grip time is the difference of the first change of the gripper command, over chunks in which
    both change; the chunks in which only one changes are counted beside it.
    """
    way = 1e3 * np.linalg.norm(first.poses[..., :3] - second.poses[..., :3], axis=-1)
    turn = np.degrees(se3.quat_angle(first.poses[..., 3:], second.poses[..., 3:]))
    one, other = switch_steps(first.grippers), switch_steps(second.grippers)
    both = (one >= 0) & (other >= 0)
    late = STEP_S * np.abs(one[both] - other[both])
    return {
        'states': len(way), 'position_mm': _quantiles(way), 'rotation_deg': _quantiles(turn),
        'grip_time_s': _quantiles(late), 'grips': int(both.sum()),
        'grips_of_one_alone': int(((one >= 0) != (other >= 0)).sum())}


def _quantiles(values: np.ndarray) -> dict[str, float] | None:
    """Return median and 95 % quantile, None of nothing."""
    if not values.size:
        return None
    median, p95 = np.quantile(values, (0.5, 0.95))
    return {'median': float(median), 'p95': float(p95)}


def measure_alignment(config: AlignConfig, progress: Progress = lambda *_: None) -> dict[str, Any]:
    """
    Measure how alike the two bases act.

    :raises BundleError: a bundle is missing or does not serve the task.
    """
    bundles: list[Bundle] = [load_bundle(path, 'base', task=config.task)
                             for path in (config.base_sim, config.base_proxy)]
    states = collect_states(config, progress)
    # Bases that sample draw the same noise in the same state.
    plans = [plan_all(OnnxBasePolicy.from_bundle(bundle).drawing_from(
        np.random.default_rng(config.seed)), config.task, domain, states, progress)
             for bundle, domain in zip(bundles, ('sim', config.domain))]
    return {
        'task': config.task, 'domains': ['sim', load_domain(config.domain).name],
        'seed': config.seed, 'base_sim_sha256': bundles[0].sha256,
        'base_proxy_sha256': bundles[1].sha256, 'domain_sha256': [
            load_domain(domain).sha256() for domain in ('sim', config.domain)],
        **compare_chunks(*plans)}


def failure_distance(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the total variation of two results' failure modes.

    :raises InputError: no results of `ocrrl evaluate`, of different tasks, or without failures.
    """
    for result in (first, second):
        if 'failure_modes' not in result or 'task' not in result:
            raise InputError('failure modes are compared between two results of `ocrrl evaluate`')
    if first['task'] != second['task']:
        raise InputError(
            f'the results are of {first["task"]} and {second["task"]}; one task is needed')
    return {
        'total_variation': total_variation(first['failure_modes'], second['failure_modes']),
        'counts': [result.get('failure_counts') for result in (first, second)]}
