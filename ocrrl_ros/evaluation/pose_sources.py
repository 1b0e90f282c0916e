# SPDX-License-Identifier: Apache-2.0
"""
Where the policy's object poses come from in an offline episode.

``truth``: exact and without delay. ``modelled``: the pose-sensor model that training uses,
without its losses for good. ``perceived``: RGB-D rendered through the domain's true camera, depth
noise, and the embedded tracker with the calibration that software is told; a pose arrives at image
stamp + camera delay + tracker latency. ``lost``: no pose ever.
"""
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from ocrrl_ros.perception.frame import depth_to_metres, RgbdFrame
from ocrrl_ros.perception.frozen_camera import FrozenCamera
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.pose_estimator import load_tracker_config, PoseEstimator
from ocrrl_ros.policy.object_poses import LOST
from ocrrl_ros.sim.depth_noise import DepthNoise
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.pose_model import PoseModel, visibility
from ocrrl_ros.sim.pose_model_config import PoseModelConfig
from ocrrl_ros.sim.renderer import SceneRenderer
from ocrrl_ros.sim.truth import TaskState

PoseKind = Literal['truth', 'modelled', 'perceived', 'lost']
FRAMES_BEFORE = 5
"""Frames that the tracker has seen when an episode starts."""
CERTAIN = np.zeros(36)


@dataclass(frozen=True)
class PoseReading:
    """
    One message on `objects/<id>/pose`.

    :param base_T_object: (7,) pose in the base frame.
    :param covariance: (36,) row-major; its first entry is -1 when the object is lost now.
    :param stamp_s: time of the image.
    """

    object_id: str
    base_T_object: np.ndarray
    covariance: np.ndarray
    stamp_s: float


def lost_reading(object_id: str, stamp_s: float) -> PoseReading:
    """Build the message that says the object is lost now."""
    covariance = np.zeros(36)
    covariance[0] = LOST
    return PoseReading(object_id, np.array([0.0, 0, 0, 0, 0, 0, 1]), covariance, stamp_s)


class World(Protocol):
    """What pose sources need of the simulated world."""

    time_s: float

    def task_state(self) -> TaskState:
        """Return the truth of one world."""

    def render_state(self) -> np.ndarray:
        """Return what a renderer needs."""


class PoseSource(ABC):
    """Delivers the poses that have arrived by the world's present time."""

    period_s: float
    """How often it must be polled."""

    def reset(self, world: World, rng: np.random.Generator) -> None:
        """
        Start an episode at time zero.

        :param world: already at its start state.
        :param rng: the episode's sensor stream.
        """

    @abstractmethod
    def poll(self, world: World) -> list[PoseReading]:
        """Return what has arrived since the last call, oldest first."""


class TruthPoses(PoseSource):
    """Exact poses without delay."""

    def __init__(self, object_ids: tuple[str, ...], period_s: float):
        """Report at the policy's rate."""
        self.period_s = period_s
        self._ids = object_ids

    def poll(self, world: World) -> list[PoseReading]:
        """Return the true poses of now."""
        poses = world.task_state().object_poses[0]
        return [PoseReading(name, pose, CERTAIN, world.time_s)
                for name, pose in zip(self._ids, poses)]


class LostPoses(PoseSource):
    """A tracker that never finds anything."""

    def __init__(self, period_s: float):
        """Take the rate of the silence."""
        self.period_s = period_s

    def poll(self, world: World) -> list[PoseReading]:
        """Return nothing."""
        return []


class ModelledPoses(PoseSource):
    """The pose-sensor model of training, for one world."""

    def __init__(self, object_ids: tuple[str, ...], config: PoseModelConfig, *,
                 period_s: float, horizon_s: float):
        """Take the sensor's settings; losses for good are part of training only."""
        self.period_s = period_s
        self._ids = object_ids
        self._config = config.without_permanent_loss()
        self._horizon_s = horizon_s
        self._model: PoseModel | None = None

    def reset(self, world: World, rng: np.random.Generator) -> None:
        """Draw the sensor's errors of a new episode."""
        self._model = PoseModel(1, len(self._ids), self._config, rng)
        self._model.reset(np.array([0]), 0.0, self._horizon_s)

    def poll(self, world: World) -> list[PoseReading]:
        """Return the poses and losses that have arrived."""
        state = world.task_state()
        phase = visibility(state.base_T_tcp, state.object_poses, state.finger_contact,
                           self._config.near_distance_m)
        reports = self._model.observe(world.time_s, state.object_poses, phase)
        found = [PoseReading(self._ids[item], pose, CERTAIN, float(stamp)) for item, pose, stamp
                 in zip(reports.objects, reports.poses, reports.stamp_s)]
        return found + [lost_reading(self._ids[item], world.time_s)
                        for item in reports.lost_objects]


class PerceivedPoses(PoseSource):
    """The embedded tracker on rendered RGB-D images."""

    def __init__(self, object_ids: tuple[str, ...], domain: Domain, renderer: SceneRenderer, *,
                 tracker_latency_s: float, period_s: float):
        """
        Build the tracker once for many episodes.

        :param renderer: the world's camera.
        :param tracker_latency_s: see ``RolloutConfig``; the camera's own delay comes on top.
        :param period_s: polling period, the command tick.
        """
        camera = domain.camera
        self.period_s = period_s
        self._camera = camera
        self._delay_s = camera.delay_s + tracker_latency_s
        self._renderer = renderer
        self._objects = tuple(load_object(name) for name in object_ids)
        self._intrinsics = camera.told_intrinsics()
        self._create_estimator().warm_up()
        self._estimator: PoseEstimator | None = None
        self._noise: DepthNoise | None = None
        self._picture: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self._frozen = FrozenCamera()
        self._next_frame_s = 0.0
        self._waiting: deque[tuple[float, list[PoseReading]]] = deque()

    def _create_estimator(self) -> PoseEstimator:
        """Build a tracker that has seen nothing, with the calibration that software is told."""
        return PoseEstimator(self._objects, self._camera.told_pose(), load_tracker_config())

    def reset(self, world: World, rng: np.random.Generator) -> None:
        """
        Start with a new tracker that has watched the start state for a few frames.

        The deployed tracker runs before an episode starts. A new one per episode keeps the
        result independent of which episodes the worker ran before. The camera's phase and the
        depth noise come from the stream.
        """
        self._estimator = self._create_estimator()
        self._noise = DepthNoise(
            self._camera.depth_noise, rng, self._camera.true_intrinsics())
        period = 1.0 / self._camera.rate_hz
        self._next_frame_s = float(rng.uniform(0.0, period))
        self._waiting.clear()
        self._picture, self._frozen = None, FrozenCamera()
        for index in range(FRAMES_BEFORE, 0, -1):
            stamp_s = self._next_frame_s - index * period
            self._waiting.append((stamp_s + self._delay_s, self._track(world, stamp_s)))

    def poll(self, world: World) -> list[PoseReading]:
        """Take an image when one is due, and return the poses whose delay has passed."""
        if world.time_s >= self._next_frame_s - 1e-9:
            self._next_frame_s += 1.0 / self._camera.rate_hz
            self._waiting.append((world.time_s + self._delay_s, self._track(world, world.time_s)))
        arrived: list[PoseReading] = []
        while self._waiting and self._waiting[0][0] <= world.time_s + 1e-9:
            arrived += self._waiting.popleft()[1]
        return arrived

    def _track(self, world: World, stamp_s: float) -> list[PoseReading]:
        """Track in a picture; a closing gate yields one loss message, a frozen camera nothing."""
        rgb, depth = self._take(world.render_state())
        frame = RgbdFrame(
            stamp_s=stamp_s, rgb=rgb, intrinsics=self._intrinsics,
            depth_m=depth_to_metres(depth))
        if self._frozen.shows_again(frame.depth_m):
            return []
        readings = []
        estimates = self._estimator.advance(
            self._estimator.process(frame), stamp_s + self._delay_s)
        for name, estimate in estimates.items():
            if estimate.valid:
                readings.append(PoseReading(name, estimate.base_T_object,
                                            np.ravel(estimate.covariance), stamp_s))
            elif estimate.just_lost:
                readings.append(lost_reading(name, stamp_s))
        return readings

    def _take(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Render and add noise; the very same state again is the same picture again."""
        if self._picture is None or self._picture[0] is not state:
            rgb, depth = self._renderer.render(state)
            self._picture = state, rgb, self._noise.apply(depth)
        return self._picture[1:]
