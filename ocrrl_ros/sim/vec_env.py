# SPDX-License-Identifier: Apache-2.0
"""N environments in which a residual learns to correct a base policy."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import time
from typing import Any

import numpy as np
from ocrrl_ros.policy.action_hold import ActionHold
from ocrrl_ros.policy.adapters.onnx_policy import IMAGE_HEIGHT, IMAGE_WIDTH
from ocrrl_ros.policy.base_policy import BasePolicy
from ocrrl_ros.policy.composition import ACTION_SIZE, compose, decompose
from ocrrl_ros.policy.object_poses import ObjectPoseBuffer
from ocrrl_ros.policy.observation import build_observation, ObservationInputs, ObservationLayout
from ocrrl_ros.policy.plan_lead import limit_lead, pull
from ocrrl_ros.sim.base_pool import BasePool
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.guide import keep_pace
from ocrrl_ros.sim.physics import PhysicsConfig
from ocrrl_ros.sim.pose_model import PoseModel, visibility
from ocrrl_ros.sim.pose_model_config import PoseModelConfig
from ocrrl_ros.sim.tasks import SuccessCounter, Task
from ocrrl_ros.sim.truth import TaskState
from ocrrl_ros.sim.vec_arm import VecArm
from ocrrl_ros.sim.vec_base import VecBase
from ocrrl_ros.sim.vec_base_view import VecBaseView
from ocrrl_ros.sim.vec_camera import VecCamera
from ocrrl_ros.sim.vec_config import TICK_S, VecEnvConfig
from ocrrl_ros.sim.vec_contract import StepResult, VecEnv
from ocrrl_ros.sim.vec_mixed_base import spread_rows, VecMixedBase
from ocrrl_ros.sim.vec_physics import VecPhysics
from ocrrl_ros.sim.vec_starts import MidStart, StartPool
from ocrrl_ros.sim.vec_state import array_state, restore_array_state
from ocrrl_ros.sim.vec_truth import critic_truth, critic_truth_size

# Collecting lasts as long as two of the expert's episodes.
_COLLECTED_TICKS = 320
# Offsets of the expert while states are collected: standard deviation, and how long one lasts.
_OFFSET_SIGMA = 0.25
_OFFSET_TICKS = 60
# The guide stays within this share of the residual's bounds.
_GUIDE_BOUND = 0.9
# A smaller rise of the reward is no progress.
_PROGRESS = 0.01


class ResidualVecEnv(VecEnv):
    """
    Base policy, residual, command path, physics and pose sensor of N worlds in 50 ms ticks.

    In each tick: base target of the chunk one tick ahead, plus the residual times its gain,
    through inverse kinematics and command shaping to the arm; physics; truth to reward and
    outcome; pose sensor to the perceived poses; plans arrive and are asked for. What the actor
    sees is built by the very classes that the robot runs.
    """

    action_dim = ACTION_SIZE

    def __init__(
        self, task: Task, domain: Domain, physics: PhysicsConfig, base: BasePolicy,
        layout: ObservationLayout, pose_model: PoseModelConfig, config: VecEnvConfig,
        rng: np.random.Generator, guide: BasePolicy | None = None,
        expert: BasePolicy | None = None,
    ):
        """
        Compile the worlds; `reset` starts the first episodes.

        :param domain: the training world; its ranges are drawn from where `config.randomize`.
        :param base: plans chunks; an image base makes this environment render.
        :param rng: the only source of randomness.
        :param guide: stateless, sees the truth (`sim/guide.py`); what it would do, at the base's
            pace, is reported with every tick, as `StepResult.info['guide']`.
        :param expert: stateless, the base of `config.expert_share` of the environments.
        """
        self.task, self.layout, self.config = task, layout, config
        self.num_envs = config.num_envs
        self._rng = rng
        self._domains = [
            domain.sample_dynamics(rng) for _ in range(config.models)
        ] if config.randomize else [domain]
        self._physics = VecPhysics(task, self._domains, physics, self.num_envs, config.threads)
        self._arm = VecArm(self.num_envs)
        self._camera = VecCamera(
            self._physics, IMAGE_WIDTH, IMAGE_HEIGHT) if base.needs_images else None
        self._view = None if self._camera is None or config.base_view.is_off else VecBaseView(
            self._camera, self.num_envs, config.base_view, rng.spawn(1)[0])
        self._base: VecBase | VecMixedBase = VecBase(
            base, task.instruction, config, rng, self._view or self._camera,
            self._physics.truth)
        self._expert_rows = spread_rows(self.num_envs, config.expert_share)
        if self._expert_rows.any():
            self._base = VecMixedBase(self._base, VecBase(
                expert, task.instruction, config, rng, None, self._physics.truth),
                self._expert_rows)
        self._counts = ~self._expert_rows & (
            base.owners == 0 if isinstance(base, BasePool) else True)
        self._guide = None if guide is None else VecBase(
            guide, task.instruction, config, rng, None, self._physics.truth, latency_s=0.0)
        count = len(task.object_ids)
        self._sensor = PoseModel(self.num_envs, count, pose_model, rng)
        self._objects = ObjectPoseBuffer(self.num_envs, count, config.object_poses)
        self._success = SuccessCounter(self.num_envs, task.hold_ticks)
        self._held = np.zeros(self.num_envs, np.int64)
        self._age = np.zeros(self.num_envs, np.int64)
        self._horizon = round(config.horizon_share * task.horizon_s / TICK_S)
        self._tick = 0
        self.obs_dim = layout.size
        self.critic_obs_dim = layout.size + (
            critic_truth_size(task) if config.critic_truth else 0)
        self._hold = ActionHold(self.num_envs)
        self._times: dict[str, float] = {}
        self._whole = np.ones(self.num_envs, bool)
        self._pulled = np.zeros(self.num_envs)
        self._best_reward = np.zeros(self.num_envs)
        self._progress_age = np.zeros(self.num_envs, np.int64)
        self._pool = StartPool(config.mid_start_share)

    @property
    def now_s(self) -> float:
        """Return the time of all environments, which runs on through resets."""
        return self._tick * TICK_S

    def reset(self) -> np.ndarray:
        """Start N new episodes and return the critic's observation (N, C) float32."""
        self._start(np.arange(self.num_envs))
        self._base.update(self._tick, self.now_s, self._physics.reading)
        return self._observe(self._physics.truth())

    def collect_mid_starts(self, expert: BasePolicy) -> None:
        """
        Let an expert do the task in these worlds, and keep states along its way to start from.

        Its targets are offset, another way in every environment: it does not grasp or put down
        where it would.
        """
        own = self._base
        self._base = VecBase(
            expert, self.task.instruction, self.config, self._rng, None, self._physics.truth)
        self.reset()
        shape = (_COLLECTED_TICKS, self.num_envs)
        wanted = self._rng.permuted(
            np.arange(np.prod(shape)) < self.config.mid_starts).reshape(shape)
        states = []
        for tick in range(_COLLECTED_TICKS):
            if tick % _OFFSET_TICKS == 0:
                offset = _OFFSET_SIGMA * self._rng.normal(size=(self.num_envs, self.action_dim))
                offset[:, -1] = 0.0
            self.step(offset)
            states += [
                self._mid_start(row) for row in np.flatnonzero(wanted[tick] & self._base.active)]
        self._pool.states = states
        self._base = own
        self._tick = 0

    def _mid_start(self, row: int) -> MidStart:
        """Return where an environment is now, to start from."""
        truth = self._physics.truth(np.array([row]))
        return MidStart(
            world=self._physics.world(row), initial=self._physics.start_state(row),
            start_poses=truth.start_poses[0], is_closed=self._arm.is_closed(row))

    def step(self, action: np.ndarray) -> StepResult:
        """Advance one tick; episodes that end are followed by new ones at once."""
        self._act(np.clip(action, -1.0, 1.0))
        self._tick += 1
        self._age += 1
        truth = self._physics.truth()
        self._perceive(truth)
        terms = self.task.reward(truth)
        success, failed = self._judge(truth)
        reward = self.task.total_reward(terms)
        truncated = ~success & ~failed & (self._has_stalled(reward) | (self._age >= self._horizon))
        # Only a time limit bootstraps from the last observation of an episode.
        final = self._observe(truth) if truncated.any() else None
        done = success | failed | truncated
        whole = self._whole & self._counts
        if done.any():
            self._start(np.nonzero(done)[0])
            truth = self._physics.truth()
        with self._timed('base'):
            self._base.update(self._tick, self.now_s, self._physics.reading)
        observation = self._observe(truth)
        guided = {} if self._guide is None else {'guide': self._guidance()}
        return StepResult(
            critic_obs=observation,
            final_critic_obs=observation if final is None else np.where(
                truncated[:, None], final, observation),
            reward=reward.astype(np.float32),
            terminated=success | failed, truncated=truncated, success=success,
            info={'gain': self._gain, 'whole': whole, **guided,
                  **{f'reward/{name}': v for name, v in terms.items()}})

    def _guidance(self) -> np.ndarray:
        """Return the actions (N, A) that come nearest to what the guide would do now."""
        with self._timed('guide'):
            self._guide.update(self._tick, self.now_s, self._physics.reading)
            targets, openings, _, _ = self._plan
            wanted, wanted_openings, _, _ = self._guide.sample(
                self.now_s, self._physics.reading)
            paced = keep_pace(
                self._physics.reading.base_T_tcp, wanted[:, 0], targets[:, 0])
            action = decompose(
                targets[:, 0], openings[:, 0], paced, wanted_openings[:, 0], self.config.bounds)
            # At the bound itself a residual has nothing left to answer with.
            action = np.clip(action, -_GUIDE_BOUND, _GUIDE_BOUND)
            # A base that needs no help is to be left alone.
            leads = self._guide.active & ~self._expert_rows
            return np.where(leads[:, None], action, 0.0)

    def _act(self, action: np.ndarray) -> None:
        """Send base plus residual down the command path and step the physics."""
        targets, openings, _, twists = self._plan
        active = self._base.active
        if self.config.acts_per == 'chunk':
            action = self._hold.update(action, self._base.stamp_s)
        poses, openings = compose(
            targets[:, 0], openings[:, 0], action, self.config.bounds,
            np.where(active, self._gain, 0.0))
        self._pulled = pull(targets[:, 0], poses, self.config.chunk.lead)
        with self._timed('inverse_kinematics_and_shaping'):
            self._arm.aim(active, poses, twists, openings)
        with self._timed('command_sampling'):
            arm, fingers = self._arm.sample(self._physics.finger_positions())
        with self._timed('physics'):
            self._physics.advance(arm, fingers)

    def _has_stalled(self, reward: np.ndarray) -> np.ndarray:
        """Return which environments (N,) have got no further for too long."""
        higher = reward > self._best_reward + _PROGRESS
        self._best_reward = np.where(higher, reward, self._best_reward)
        self._progress_age = np.where(higher, self._age, self._progress_age)
        return (self._age - self._progress_age) * TICK_S >= self.config.stall_s

    def _judge(self, truth: TaskState) -> tuple[np.ndarray, np.ndarray]:
        """Return which environments (N,) have succeeded and which have failed."""
        success_now = self.task.success_now(truth)
        self._held = np.where(success_now, self._held + 1, 0)
        success = self._success.update(success_now)
        return success, (self.task.failed(truth) | self._physics.diverged()) & ~success

    def _perceive(self, truth: TaskState) -> None:
        """Let the pose sensor report."""
        with self._timed('pose_sensor'):
            phase = visibility(
                truth.base_T_tcp, truth.object_poses, truth.finger_contact,
                self._sensor.config.near_distance_m)
            reports = self._sensor.observe(self.now_s, truth.object_poses, phase)
            self._objects.update(reports.rows, reports.objects, reports.poses, reports.stamp_s)
            self._objects.mark_lost(reports.lost_rows, reports.lost_objects)

    def _observe(self, truth: TaskState) -> np.ndarray:
        """Return the critic's observation (N, C) of now; remember plan and gain for acting."""
        with self._timed('observation'):
            reading = self._physics.reading
            targets, openings, phase, twists = self._base.sample(self.now_s, reading)
            view = self._objects.query(self.now_s)
            self._gain = self._objects.gain()
            targets, twists = limit_lead(
                targets, twists, reading.base_T_tcp, reading.tcp_velocity, self._pulled,
                self.config.chunk.lead)
            self._plan = (targets, openings, phase, twists)
            actor = build_observation(self.layout, ObservationInputs(
                base_T_tcp=reading.base_T_tcp, tcp_velocity=reading.tcp_velocity,
                opening=reading.opening, objects=view, targets=targets,
                target_openings=openings, phase=phase, gain=self._gain))
            return actor if not self.config.critic_truth else np.hstack([actor, critic_truth(
                self.task, truth, self.layout.symmetries, self._held,
                self._arm.width_target_m)])

    def _start(self, rows: np.ndarray) -> None:
        """Start new episodes (M,), each in a world of the pool, some of them midway."""
        with self._timed('reset'):
            worlds = self._rng.integers(0, len(self._domains), rows.size)
            midway = self._pool.draw(self._rng, rows.size)
            worlds = np.array([
                world if state is None else state.world for world, state in zip(worlds, midway)])
            domains = [self._domains[world] for world in worlds]
            initial = [
                self.task.sample_initial(self._rng, domain) if state is None else state.initial
                for domain, state in zip(domains, midway)]
            self._physics.start(rows, worlds, initial, [
                own.object_poses if state is None else state.start_poses
                for own, state in zip(initial, midway)])
            self._arm.start(
                rows, np.array([state.q for state in initial]),
                np.array([state.opening for state in initial]),
                np.array([state is not None and state.is_closed for state in midway]), domains)
            self._base.start(rows, self._tick)
            if self._view is not None:
                self._view.start(rows)
            if self._guide is not None:
                self._guide.start(rows, self._tick)
            self._sensor.reset(rows, self.now_s, self._horizon * TICK_S)
            self._objects.reset(rows, self.now_s)
            self._success.reset(rows)
            self._hold.reset(rows)
            self._whole[rows] = [state is None for state in midway]
            self._pulled[rows] = 0.0
            self._best_reward[rows] = 0.0
            self._progress_age[rows] = 0
            self._held[rows] = 0
            self._age[rows] = 0

    @contextlib.contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        """Add the time of a block to a part's total."""
        started = time.perf_counter()
        yield
        self._times[part] = self._times.get(part, 0.0) + time.perf_counter() - started

    def timings(self) -> dict[str, float]:
        """Return the seconds spent so far by part."""
        return dict(self._times)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the future of all environments depends on."""
        return {
            'rng': self._rng.bit_generator.state, 'tick': self._tick, 'age': self._age.copy(),
            'whole': self._whole.copy(), 'best_reward': self._best_reward.copy(),
            'progress_age': self._progress_age.copy(), 'pulled': self._pulled.copy(),
            'held': self._held.copy(), 'success': array_state(self._success),
            'physics': self._physics.state_dict(), 'arm': self._arm.state_dict(),
            'base': self._base.state_dict(), 'sensor': self._sensor.state_dict(),
            'guide': None if self._guide is None else self._guide.state_dict(),
            'view': None if self._view is None else self._view.state_dict(),
            'objects': array_state(self._objects), 'hold': array_state(self._hold)}

    def load_state_dict(self, state: dict[str, Any]) -> np.ndarray:
        """Continue from a saved state of an environment with the same settings and seed."""
        self._rng.bit_generator.state = state['rng']
        self._tick = int(state['tick'])
        self._age, self._held = np.array(state['age']), np.array(state['held'])
        self._whole = np.array(state['whole'])
        self._best_reward = np.array(state['best_reward'])
        self._progress_age = np.array(state['progress_age'])
        self._pulled = np.array(state['pulled'])
        restore_array_state(self._success, state['success'])
        restore_array_state(self._objects, state['objects'])
        restore_array_state(self._hold, state.get('hold', {}))
        for part in ('physics', 'arm', 'base', 'sensor'):
            getattr(self, f'_{part}').load_state_dict(state[part])
        if self._guide is not None:
            self._guide.load_state_dict(state['guide'])
        if self._view is not None:
            self._view.load_state_dict(state['view'])
        return self._observe(self._physics.truth())

    def close(self) -> None:
        """Stop the physics threads and free the renderer."""
        self._physics.close()
        if self._camera is not None:
            self._camera.close()
