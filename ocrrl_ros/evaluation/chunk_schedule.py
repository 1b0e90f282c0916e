# SPDX-License-Identifier: Apache-2.0
"""The clocks of the simulated stack, and when base inferences start and chunks arrive."""
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.evaluation.pose_sources import PoseReading, World
from ocrrl_ros.evaluation.seen_objects import SeenObjects
from ocrrl_ros.policy.action_chunk import ActionChunk
from ocrrl_ros.policy.base_policy import BaseInputs, BasePolicy
from ocrrl_ros.policy.plan_lead import LeadConfig
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.renderer import SceneRenderer
from ocrrl_ros.sim.world import SimWorld

BaseFactory = Callable[[np.random.Generator], BasePolicy]
"""Gives the base policy of an episode; the generator is for policies that draw."""


@dataclass(frozen=True, kw_only=True)
class RolloutConfig:
    """Timing of the simulated stack."""

    command_period_s: float = field(
        default=0.005, metadata={'description': 'time between commands to the arm, s'})
    policy_period_s: float = field(
        default=0.02, metadata={'description': 'time between policy ticks, s'})
    replan_period_s: float = field(
        default=0.4, metadata={'description': 'time between starts of base inference, s'})
    chunk_latency_s: tuple[float, float] = field(
        default=(0.08, 0.20), metadata={'description': 'observation to chunk, uniform in, s'})
    lead_rest_m: float = field(
        default=LeadConfig().rest_m, metadata={'description': (
            "how far the base's plan runs ahead of a hand at rest, while the residual pulls, m "
            '(policy/plan_lead.py); 10: it never waits')})
    tracker_latency_s: float = field(
        default=0.03, metadata={'description': (
            "image in software to pose, s; the camera's delay comes on top. `make demo` measures "
            '59 ms p95 from stamp to published pose, of which 36 ms are the camera of `proxy`')})

    def __post_init__(self) -> None:
        """Refuse clocks that do not fit each other."""
        for name in ('policy_period_s', 'replan_period_s'):
            ratio = getattr(self, name) / self.command_period_s
            if ratio < 1 or abs(ratio - round(ratio)) > 1e-6:
                raise ConfigError(f'{name} is {getattr(self, name)} s; allowed: a multiple of '
                                  f'command_period_s, {self.command_period_s} s')
        low, high = self.chunk_latency_s
        if not 0.0 <= low <= high < self.replan_period_s:
            raise ConfigError(f'chunk_latency_s is {self.chunk_latency_s} s; allowed: 0 <= low <= '
                              f'high < replan_period_s, {self.replan_period_s} s')
        LeadConfig(rest_m=self.lead_rest_m)
        if not 0.0 <= self.tracker_latency_s <= 1.0:
            raise ConfigError(f'tracker_latency_s is {self.tracker_latency_s} s; allowed: 0 .. 1')


class ChunkSchedule:
    """Starts base inferences and delivers their chunks after the drawn latency."""

    def __init__(self, policies: BaseFactory, world: SimWorld, kinematics: FrankaKinematics,
                 renderer: SceneRenderer | None, config: RolloutConfig,
                 seen: SeenObjects | None = None):
        """
        Serve one world.

        :param seen: poses that scripted policies go by; None for the truth.
        """
        self._seen = seen
        self._policies = policies
        self._policy: BasePolicy | None = None
        self._world = world
        self._kinematics = kinematics
        self._renderer = renderer
        self._config = config
        self._rng = np.random.default_rng(0)
        self._instruction = world.task.instruction
        self._waiting: tuple[float, ActionChunk] | None = None

    def reset(self, rng: np.random.Generator, instruction: str | None = None) -> None:
        """
        Start an episode with its base stream.

        :param instruction: what the base is told; the task's own sentence when None.
        """
        self._instruction = instruction or self._world.task.instruction
        self._rng = rng
        self._waiting = None
        if self._seen is not None:
            self._seen.reset()
        # A stream of its own: what the policy draws must not shift the latencies.
        self._policy = self._policies(rng.spawn(1)[0])
        self._policy.reset()

    def arrived(self, now_s: float) -> ActionChunk | None:
        """Return the chunk whose latency has passed, once."""
        if self._waiting is None or self._waiting[0] > now_s + 1e-9:
            return None
        chunk = self._waiting[1]
        self._waiting = None
        return chunk

    def hang(self, duration_s: float) -> None:
        """Deliver the chunk that is under way later, as a base that hangs does."""
        if self._waiting is not None:
            self._waiting = self._waiting[0] + duration_s, self._waiting[1]

    @property
    def is_busy(self) -> bool:
        """Return whether a chunk is under way."""
        return self._waiting is not None

    def take_poses(self, readings: Sequence[PoseReading]) -> None:
        """Show a policy that goes by poses what arrived."""
        if self._seen is not None:
            self._seen.take(readings)

    def start(
            self, now_s: float, scene: World | None = None,
            image_s: float | None = None) -> None:
        """
        Plan from the image and proprioception of now; the chunk arrives later.

        :param scene: what the camera sees; the world itself when None.
        :param image_s: stamp of its picture; now when None.
        """
        world = self._world
        scene = world if scene is None else scene
        stamp_s = now_s if image_s is None else image_s
        arm = world.arm_state()
        image = truth = None
        if not self._policy.needs_images:
            truth = scene.task_state()
            truth = truth if self._seen is None else self._seen.believed(truth)
            if truth is None:
                return
        if self._policy.needs_images:
            self._renderer.set_state(scene.render_state())
            image = self._renderer.rgb()[None]
        batch = self._policy.infer(BaseInputs(
            stamp_s=np.array([stamp_s]), rgb=image,
            base_T_tcp=self._kinematics.forward(arm.q)[None], gripper=np.array([arm.opening]),
            instructions=(self._instruction,),
            privileged=truth))
        latency = self._rng.uniform(*self._config.chunk_latency_s)
        chunk = ActionChunk(stamp_s, self._policy.step_s, batch.poses[0], batch.grippers[0])
        self._waiting = (now_s + latency, chunk)
