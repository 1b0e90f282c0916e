# SPDX-License-Identifier: Apache-2.0
"""
Rendered RGB-D sequences with true object poses, to measure the tracker with.

Each kind is a row of the bench: ``rest`` (objects in their start range), ``free`` (any pose in the
air, up to 0.3 m/s and 90 deg/s), ``face_on`` (one face towards the camera, slow), ``grasp`` (the
scripted expert does the task), and the hard ones of `carried_motion`. In ``rest`` and ``grasp``
every object of the task counts and physics moves it; in the others one is carried. A drawer
cannot be: it knows ``rest`` and ``grasp`` alone.
"""
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.evaluation.carried_motion import (
    CARRY_KINDS, direction, knocked, Motion, OUT_OF_VIEW_M, random_motion, random_round, Round)
from ocrrl_ros.evaluation.look_alike import LookAlike
from ocrrl_ros.evaluation.sweeping_plate import SweepingPlate
from ocrrl_ros.evaluation.tracker_scenes import check_rows, in_colours_of, seen_task
from ocrrl_ros.perception.frame import depth_to_metres, RgbdFrame
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.policy.base_policy import BaseInputs
from ocrrl_ros.policy.target_follower import TargetFollower
from ocrrl_ros.robot.command_shaping import CommandShaper
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.depth_noise import DepthNoise, DepthNoiseConfig
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.experts import expert_for
from ocrrl_ros.sim.object_shapes import Drawer, Tub
from ocrrl_ros.sim.physics import PhysicsConfig
from ocrrl_ros.sim.pose_model import visibility
from ocrrl_ros.sim.renderer import SceneRenderer
from ocrrl_ros.sim.seeding import episode_rngs, Streams
from ocrrl_ros.sim.world import SimWorld

ROWS = ('rest', *CARRY_KINDS, 'grasp')
WHOLE_SCENE = ('rest', 'grasp')
"""Rows in which every object of the task is looked at, not one that is carried."""
REPLAN_TICKS = 8
TICK_S = 0.05
COMMAND_S = 0.005
NEAR_M = 0.1
_MARGIN_PX = 40.0
REST_S, LIFT_S, TASK_S = 0.5, 7.0, 10.0


@dataclass(frozen=True, kw_only=True)
class TrueObject:
    """
    What is true of one object.

    ``pose`` base_T_object (7,); ``phase`` 0 free, 1 near the hand, 2 held; ``speed`` (2,) m/s and
    rad/s; ``is_there`` whether it is anywhere near the picture.
    """

    pose: np.ndarray
    phase: int
    speed: np.ndarray
    is_there: bool = True


@dataclass(frozen=True, kw_only=True)
class TrueFrame:
    """One frame with what is true of the objects that count in it, by id."""

    frame: RgbdFrame
    objects: dict[str, TrueObject]


class SequenceSource:
    """Renders sequences of one task in one domain."""

    def __init__(self, task: str, domain: Domain, depth_bias: float | None = None):
        """
        Build world and camera.

        :param task: a task, or a scene of `tracker_scenes`.
        :param depth_bias: share of range added to depth; the domain's own when None.
        """
        self._task = seen_task(task)
        self._domain = domain = in_colours_of(self._task, domain)
        self._bias = depth_bias
        self._world = SimWorld(self._task, domain, PhysicsConfig())
        camera = domain.camera
        self._renderer = SceneRenderer(self._world.model, camera.width, camera.height)
        self._intrinsics = camera.told_intrinsics()
        self._period_s = 1.0 / camera.rate_hz
        self._kinematics = FrankaKinematics()

    @property
    def object_ids(self) -> tuple[str, ...]:
        """Ids of the task's objects."""
        return self._task.object_ids

    def targets(self, row: str) -> tuple[str, ...]:
        """
        Return what to render a row with: objects to carry, or the first for the whole scene.

        :raises UnknownNameError: no such row.
        :raises ConfigError: nobody acts in a scene.
        """
        if row not in ROWS:
            raise UnknownNameError('bench row', row, ROWS)
        check_rows(self._task.name, (row,))
        if row in WHOLE_SCENE:
            return self._task.object_ids[:1]
        return tuple(
            item.object_id for item in self._task.objects if not isinstance(item.shape, Drawer))

    def close(self) -> None:
        """Free the camera."""
        self._renderer.close()

    def sequence(self, row: str, seed: int, index: int, target: str) -> Iterator[TrueFrame]:
        """
        Render one sequence.

        :param target: one of `targets` of the row.
        """
        # The first object's sequences do not depend on how many others there are.
        own = '' if target == self._task.object_ids[0] else f'/{target}'
        streams = episode_rngs(
            f'tracker/{self._task.name}/{row}{own}', self._domain.name, seed, index)
        noise = DepthNoise(
            self._noise_config(), streams.sensor, self._domain.camera.true_intrinsics())
        self._world.reset(streams.initial)
        if row == 'grasp':
            return self._grasp(noise)
        return self._resting(noise) if row == 'rest' else self._moved(row, streams, noise, target)

    def _noise_config(self) -> DepthNoiseConfig:
        """Return the depth noise of the domain with the bias asked for."""
        config = self._domain.camera.depth_noise
        return config if self._bias is None else replace(config, bias_fraction=self._bias)

    def _resting(self, noise: DepthNoise) -> Iterator[TrueFrame]:
        """Look at the start state again and again."""
        state, still = self._world.render_state(), np.zeros(2)
        truth = {
            name: TrueObject(pose=self._world.object_pose(name), phase=0, speed=still)
            for name in self._task.object_ids}
        for step in range(round(REST_S / self._period_s)):
            state[0] = step * self._period_s
            yield self._look(state, truth, noise)

    def _moved(
            self, row: str, streams: Streams, noise: DepthNoise,
            target: str) -> Iterator[TrueFrame]:
        """Carry one object through the air."""
        rng, kind = streams.perturbation, CARRY_KINDS[row]
        motion, radius_m = self._motion(row, rng, target), load_object(target).shape.radius_m
        has_plate = kind.plate_share > 0.0 and rng.random() < kind.plate_share
        plate = SweepingPlate(rng) if has_plate else None
        twin = LookAlike(
            kind.look_alike, motion, radius_m, kind.length_s, rng) if kind.look_alike else None
        away_s = rng.uniform(0.5, 0.8) + np.array([0.0, rng.uniform(0.2, 0.6)]) \
            if kind.vanishes else np.full(2, np.inf)
        for step in range(max(1, round(kind.length_s / self._period_s))):
            time_s = step * self._period_s
            if kind.knock_share and rng.random() < kind.knock_share:
                motion = motion.moved(knocked(motion.at(time_s), rng), time_s)
            pose = motion.at(time_s) if twin is None else twin.object_pose(time_s)
            is_there = not away_s[0] <= time_s < away_s[1]
            if time_s >= away_s[1] and not self._shows(pose, radius_m):
                # It has left the picture by itself meanwhile, and cannot come back.
                return
            if not is_there:
                pose = se3.pose(np.array(OUT_OF_VIEW_M), pose[3:])
            truth = {target: TrueObject(
                pose=pose, phase=0, speed=motion.speed, is_there=is_there)}
            yield self._look(
                self._carried_state(time_s, target, pose), truth, noise, plate, twin)

    def _shows(self, base_T_object: np.ndarray, radius_m: float) -> bool:
        """Return whether an object is above the table and its middle well inside the picture."""
        if base_T_object[2] < radius_m:
            return False
        camera = self._domain.camera
        point = se3.pose_transform(se3.pose_inverse(camera.true_pose()), base_T_object[:3])
        u, v = camera.true_intrinsics().project(point)
        return bool(_MARGIN_PX < u < camera.width - _MARGIN_PX
                    and _MARGIN_PX < v < camera.height - _MARGIN_PX)

    def _motion(self, row: str, rng: np.random.Generator, target: str) -> Motion | Round:
        """Return how an object is carried."""
        if row == 'face_on':
            return self._facing_motion(rng, target)
        return random_round(rng) if row == 'long' else random_motion(CARRY_KINDS[row], rng)

    def _carried_state(self, time_s: float, target: str, pose: np.ndarray) -> np.ndarray:
        """Return the state to render with one object at a pose (7,)."""
        body = self._world.model.body(target)
        at = 1 + int(self._world.model.jnt_qposadr[body.jntadr[0]])
        state = self._world.render_state()
        state[0] = time_s
        state[at:at + 3] = pose[:3]
        state[at + 3:at + 7] = pose[[6, 3, 4, 5]]
        return state

    def _facing_motion(self, rng: np.random.Generator, target: str) -> Motion:
        """Return a slow motion with one face square to the line of sight."""
        pose = self._facing(rng)
        shape = self._task.objects[self._task.object_ids.index(target)].shape
        if isinstance(shape, Tub) and rng.random() < 0.5:
            # Its bottom faces the camera; half of the time the mouth does.
            pose[3:] = se3.quat_multiply(pose[3:], np.array([1.0, 0.0, 0.0, 0.0]))
        return Motion(
            pose=pose, velocity=direction(rng) * rng.uniform(0.0, 0.03), spin=np.zeros(3))

    def _facing(self, rng: np.random.Generator) -> np.ndarray:
        """Return a pose in the air with one face square to the line of sight."""
        camera = self._domain.camera.true_pose()
        ray = np.append(rng.uniform(-0.12, 0.12, 2), 1.0)
        ray *= rng.uniform(0.5, 0.72) / ray[2]
        axis = np.cross([0.0, 0.0, 1.0], ray / np.linalg.norm(ray))
        angle = np.arcsin(np.linalg.norm(axis))
        turn = se3.quat_multiply(
            se3.quat_from_rotvec(axis / max(np.linalg.norm(axis), 1e-9) * angle),
            se3.quat_from_rotvec(np.array([0.0, 0.0, rng.uniform(-np.pi, np.pi)])))
        return se3.pose(
            se3.pose_transform(camera, ray), se3.quat_multiply(camera[3:], turn))

    def _grasp(self, noise: DepthNoise) -> Iterator[TrueFrame]:
        """Let the expert do the task."""
        world = self._world
        follower = TargetFollower(self._kinematics, CommandShaper())
        follower.seed(world.arm_state().q)
        expert = expert_for(self._task)
        steps = round(COMMAND_S / world.timestep_s)
        ticks = round(TICK_S / COMMAND_S)
        next_frame_s = 0.0
        length_s = LIFT_S if self._task.name == 'cube_lift' else TASK_S
        for count in range(round(length_s / COMMAND_S)):
            tick = count // ticks
            if count % (ticks * REPLAN_TICKS) == 0:
                chunk = expert.infer(self._inputs())
                start = tick
            if count % ticks == 0:
                at = tick - start
                target, following = chunk.poses[0, at], chunk.poses[0, at + 1]
                world.set_gripper(float(chunk.grippers[0, at]))
                follower.aim(target, se3.pose_twist(target, following, TICK_S), TICK_S)
            world.set_joint_target(follower.sample(COMMAND_S)[0])
            world.step(steps)
            if world.time_s >= next_frame_s:
                next_frame_s += self._period_s
                yield self._look_at_world(noise)

    def _inputs(self) -> BaseInputs:
        """Return what the expert decides from."""
        state, arm = self._world.task_state(), self._world.arm_state()
        return BaseInputs(
            stamp_s=np.array([self._world.time_s]), rgb=None,
            base_T_tcp=self._kinematics.forward(arm.q)[None], gripper=np.array([arm.opening]),
            instructions=(self._task.instruction,), privileged=state)

    def _look_at_world(self, noise: DepthNoise) -> TrueFrame:
        """Render the world as it is."""
        truth = self._world.task_state()
        phases = visibility(
            truth.base_T_tcp, truth.object_poses, truth.finger_contact, NEAR_M)[0]
        speeds = np.stack([
            np.linalg.norm(truth.object_linear[0], axis=1),
            np.linalg.norm(truth.object_angular[0], axis=1)], axis=1)
        objects = {
            name: TrueObject(pose=pose, phase=int(phase), speed=speed)
            for name, pose, phase, speed in zip(
                self._task.object_ids, truth.object_poses[0], phases, speeds)}
        return self._look(self._world.render_state(), objects, noise)

    def _look(
            self, state: np.ndarray, objects: dict[str, TrueObject], noise: DepthNoise,
            plate: SweepingPlate | None = None, twin: LookAlike | None = None) -> TrueFrame:
        """Render a state; plate and look-alike are those of the one object that is carried."""
        camera = self._domain.camera
        rgb, depth = self._renderer.render(state)
        if twin is not None:
            stand_in = twin.stand_in_pose(state[0], camera.true_pose())
            if stand_in is not None:
                rgb, depth = twin.paint((rgb, depth), self._renderer.render(
                    self._carried_state(state[0], next(iter(objects)), stand_in)))
        if plate is not None:
            pose = next(iter(objects.values())).pose
            point = se3.pose_transform(se3.pose_inverse(camera.true_pose()), pose[:3])
            rgb, depth = plate.draw(
                rgb, depth, camera.true_intrinsics().project(point), point[2], state[0])
        frame = RgbdFrame(
            stamp_s=float(state[0]), rgb=rgb.copy(), intrinsics=self._intrinsics,
            depth_m=depth_to_metres(noise.apply(depth)))
        return TrueFrame(frame=frame, objects=objects)
