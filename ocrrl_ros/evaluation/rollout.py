# SPDX-License-Identifier: Apache-2.0
"""
One offline episode: a single-threaded simulation of the deployed stack.

Time runs in command ticks of 5 ms. In each: the 20 Hz judge, the command, arriving poses, an
arriving chunk, a base inference when one is due, a policy tick when one is due or a pose has
come, five physics steps. As in the node, the command goes first and a policy tick acts with the
next one. The controller is the one that the node runs; nothing here decides about motion.
"""
import time
from typing import Any

import numpy as np
from ocrrl_ros.evaluation.chunk_schedule import BaseFactory, ChunkSchedule, RolloutConfig
from ocrrl_ros.evaluation.episode_record import EpisodeRecord, residual_statistics
from ocrrl_ros.evaluation.failure_modes import SUCCESS
from ocrrl_ros.evaluation.film import Film, RATE_HZ
from ocrrl_ros.evaluation.image_feed import ImageFeed
from ocrrl_ros.evaluation.perturbations.hook import EpisodeHook
from ocrrl_ros.evaluation.pose_sources import PoseSource
from ocrrl_ros.evaluation.seen_objects import SeenObjects
from ocrrl_ros.evaluation.task_failures import (
    EpisodeTruth, first_picked, join_states, name_failure)
from ocrrl_ros.policy.composition import ResidualBounds
from ocrrl_ros.policy.controller import (
    Command, ControllerState, PolicyAction, ResidualController)
from ocrrl_ros.robot.impedance import JointImpedanceMonitor
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.renderer import SceneRenderer
from ocrrl_ros.sim.seeding import Streams
from ocrrl_ros.sim.tasks import SuccessCounter, TaskState
from ocrrl_ros.sim.world import SimWorld

JUDGE_PERIOD_S = 0.05


class _TaskLog:
    """The 20 Hz record of truth that failure modes are told from."""

    def __init__(self) -> None:
        """Start empty."""
        self.rows: list[tuple[float, TaskState, float]] = []

    def add(self, now_s: float, state: TaskState, gripper_command: float) -> None:
        """Remember one judge tick."""
        self.rows.append((now_s, state, gripper_command))

    def episode(self) -> EpisodeTruth:
        """Return the whole record."""
        return EpisodeTruth(
            time_s=np.array([now_s for now_s, _, _ in self.rows]),
            states=join_states([state for _, state, _ in self.rows]),
            gripper_command=np.array([command for _, _, command in self.rows]))


class Rollout:
    """
    Runs episodes of one task, domain and policy in one world.

    :param world: the simulated world, 1 ms steps.
    :param policies: gives the base policy of an episode.
    :param controller: the deployment logic; every episode starts it anew.
    :param poses: where the object poses come from.
    :param seen: poses that a scripted base goes by; None for the truth.
    :param renderer: camera for image policies and films; None when neither is used.
    :param images: shows the controller of a residual that sees images the camera's pictures.
    """

    def __init__(self, world: SimWorld, policies: BaseFactory,
                 controller: ResidualController, poses: PoseSource, *,
                 kinematics: FrankaKinematics, renderer: SceneRenderer | None,
                 bounds: ResidualBounds, config: RolloutConfig,
                 seen: SeenObjects | None = None, images: ImageFeed | None = None):
        """Keep the parts; they serve any number of episodes one after another."""
        self._world = world
        self._controller = controller
        self._poses = poses
        self._renderer = renderer
        self._images = images
        self._config = config
        self._bounds = bounds
        self._chunks = ChunkSchedule(policies, world, kinematics, renderer, config, seen)
        self._physics_steps = round(config.command_period_s / world.timestep_s)

    def run(self, episode: int, streams: Streams, film: Film | None = None, *,
            instruction: str | None = None, hook: EpisodeHook | None = None) -> EpisodeRecord:
        """
        Run one episode.

        :param episode: its number in the evaluation.
        :param streams: its random streams.
        :param film: filled with pictures and targets when given.
        :param instruction: what the base is told; the task's own sentence when None.
        :param hook: sees every command tick and may interfere with it.
        """
        started = time.perf_counter()
        self._world.reset(streams.initial)
        self._chunks.reset(streams.base, instruction)
        self._poses.reset(self._world, streams.sensor)
        if self._images is not None:
            # A stream of its own: what the camera draws must not shift the errors of the poses.
            self._images.reset(self._world, streams.sensor.spawn(1)[0])
        run = _Run(self._world, self._controller, hook or EpisodeHook())
        end, success, left = self._loop(run, film)
        truth, task = run.log.episode(), self._world.task
        mode = SUCCESS if success else name_failure(task, truth, left_workspace=left)
        ticks = max(1, run.policy_ticks)
        return EpisodeRecord(
            episode=episode, outcome=success, failure_mode=mode,
            picked=first_picked(truth.states, task.object_ids), duration_s=round(end, 6),
            init_sha256=self._world.init_sha256, wall_s=time.perf_counter() - started,
            hold_share=run.held / ticks, pose_valid_share=run.valid / ticks,
            clip_inactive_share=run.clips.inactive_share,
            residual=residual_statistics(run.actions, self._bounds))

    def close(self) -> None:
        """Free the renderer, in the thread that made it."""
        if self._renderer is not None:
            self._renderer.close()

    def _loop(self, run: '_Run', film: Film | None) -> tuple[float, bool, bool]:
        """Run until the judge ends the episode; return end time, success, left workspace."""
        config, world = self._config, self._world
        task, dt = world.task, config.command_period_s
        counter = SuccessCounter(1, task.hold_ticks)
        every = {name: round(period / dt) for name, period in (
            ('judge', JUDGE_PERIOD_S), ('policy', config.policy_period_s),
            ('replan', config.replan_period_s), ('pose', self._poses.period_s),
            ('film', 1.0 / RATE_HZ))}
        for tick in range(round(task.horizon_s / dt) + 1):
            now = world.time_s
            if tick % every['judge'] == 0:
                state = world.task_state()
                run.log.add(now, state, run.gripper_command)
                if counter.update(task.success_now(state))[0]:
                    return now, True, False
                if task.failed(state)[0]:
                    return now, False, True
            if film is not None and tick % every['film'] == 0:
                film.take(world, self._renderer, now)
            command = run.command(dt, now)
            scene = run.hook.scene(world)
            readings = self._poses.poll(scene) if tick % every['pose'] == 0 else []
            run.take_poses(readings, now)
            self._chunks.take_poses(readings)
            if self._images is not None:
                for picture, stamp_s in self._images.poll(scene):
                    run.hook.take_picture(run.controller, picture, stamp_s)
            self._serve_base(run, now, tick % every['replan'] == 0)
            if readings or tick % every['policy'] == 0:
                run.policy_tick(now, film)
            run.hook.before_steps(world, command, run.actions[-1] if run.actions else None)
            world.step(self._physics_steps)
        return world.time_s - dt, False, False

    def _serve_base(self, run: '_Run', now_s: float, is_due: bool) -> None:
        """
        Deliver a chunk that has arrived and start an inference when one is due.

        A base that hangs does neither; afterwards it first finishes what it was at, then plans at
        once if that is overdue.
        """
        if run.hook.stalls_base(now_s):
            self._chunks.hang(self._config.command_period_s)
            run.base_is_overdue |= is_due
            return
        run.hook.take_chunk(run.controller, self._chunks.arrived(now_s), now_s)
        if is_due or (run.base_is_overdue and not self._chunks.is_busy):
            run.base_is_overdue = False
            self._chunks.start(
                now_s, run.hook.scene(self._world), run.hook.image_s(now_s))


class _Run:
    """State of the episode that is running."""

    def __init__(self, world: SimWorld, controller: ResidualController, hook: EpisodeHook):
        """Start the episode at time zero from the world's present state."""
        self.hook = hook
        self.world = world
        self.controller = controller
        self.log = _TaskLog()
        self.actions: list[PolicyAction] = []
        self.policy_ticks = self.held = self.valid = 0
        self.clips = JointImpedanceMonitor(world.physics.arm)
        self.gripper_command = world.opening()
        self.base_is_overdue = False
        self._fresh: dict[str, float] = {}
        if controller.machine.is_latched or controller.state is ControllerState.FAULT:
            # What stopped the last episode is of the last world.
            controller.stop_episode()
            controller.resume(0.0)
        controller.arm.forget_state('the time of another episode begins')
        hook.begin(controller)
        self._take_state(0.0)
        controller.start_episode(0.0)

    def _take_state(self, now_s: float) -> None:
        """Give the controller the newest joint state and opening."""
        self.hook.take_state(self.controller, self.world.arm_state(), now_s)

    def take_poses(self, readings: list[Any], now_s: float) -> None:
        """Give the controller the poses that arrived."""
        for reading in self.hook.take_poses(self.controller, readings, now_s):
            lost = reading.covariance[0] < 0.0
            self._fresh[reading.object_id] = -np.inf if lost else reading.stamp_s

    def policy_tick(self, now_s: float, film: Film | None) -> None:
        """Run the controller's policy tick on fresh state and remember its action."""
        self._take_state(now_s)
        action = self.hook.policy_tick(self.controller, now_s)
        age = self.controller.config.object_poses.max_pose_age_s
        names = self.controller.layout.object_ids
        self.valid += all(now_s - self._fresh.get(name, -np.inf) <= age for name in names)
        self.policy_ticks += 1
        if action is None:
            self.held += bool(self.actions)
            return
        self.actions.append(action)
        if film is not None:
            film.add_targets(action.base_pose[:3], action.command_pose[:3], now_s)

    def command(self, dt_s: float, now_s: float) -> Command | None:
        """Send the shaped command of this tick to the world and return it."""
        command = self.controller.command_tick(self.hook.step_s(dt_s, now_s))
        self.hook.on_command(command)
        if command is not None:
            self.world.set_joint_target(command.q)
            self.clips.update(command.q, *self.world.joint_state(), dt_s)
            self.world.set_gripper(self.hook.hand(command.gripper, self.world.time_s))
            self.gripper_command = command.gripper
        return command
