# SPDX-License-Identifier: Apache-2.0
"""What may look at an offline episode and interfere with it, tick by tick."""
import numpy as np
from ocrrl_ros.evaluation.perturbations.injector import Injector
from ocrrl_ros.evaluation.perturbations.phases import is_held, PhaseWatch
from ocrrl_ros.evaluation.perturbations.schedule import Plan
from ocrrl_ros.evaluation.perturbations.settings import DisturbanceConfig
from ocrrl_ros.evaluation.perturbations.trace import MotionTrace
from ocrrl_ros.evaluation.pose_sources import PoseReading, World
from ocrrl_ros.policy.action_chunk import ActionChunk
from ocrrl_ros.policy.controller import Command, PolicyAction, ResidualController
from ocrrl_ros.sim.arm_state import ArmState
from ocrrl_ros.sim.world import SimWorld


class EpisodeHook:
    """Does nothing: an episode without disturbance, in which every message arrives as sent."""

    def begin(self, controller: ResidualController) -> None:
        """See the controller before the episode starts."""

    def clock(self, now_s: float) -> float:
        """Return what the controller's clock shows at a time of the episode."""
        return now_s

    def step_s(self, dt_s: float, now_s: float) -> float:
        """Return by how much the command goes on, in place of the command period."""
        return dt_s

    def take_state(self, controller: ResidualController, arm: ArmState, now_s: float) -> None:
        """Give the controller the arm's state of now."""
        controller.on_joint_state(arm.q, arm.dq, arm.stamp_s)
        controller.on_gripper(arm.opening)

    def take_poses(
            self, controller: ResidualController, readings: list[PoseReading],
            now_s: float) -> list[PoseReading]:
        """Give the controller the poses that were sent now, and return those that it took."""
        for reading in readings:
            controller.on_object_pose(
                reading.object_id, reading.base_T_object, reading.covariance, reading.stamp_s)
        return readings

    def take_chunk(
            self, controller: ResidualController, chunk: ActionChunk | None,
            now_s: float) -> None:
        """Give the controller the chunk that was sent now, if there is one."""
        if chunk is not None:
            controller.on_chunk(chunk, now_s)

    def take_picture(
            self, controller: ResidualController, picture: np.ndarray, stamp_s: float) -> None:
        """Give the controller of a residual that sees images a picture (H, W, 3)."""
        controller.on_image(picture, stamp_s)

    def scene(self, world: World) -> World:
        """Return what the camera sees in place of the world."""
        return world

    def image_s(self, now_s: float) -> float:
        """Return the stamp of a picture of now."""
        return now_s

    def policy_tick(
            self, controller: ResidualController, now_s: float) -> PolicyAction | None:
        """Let the controller tick."""
        return controller.policy_tick(now_s)

    def hand(self, opening: float, now_s: float) -> float:
        """Return the opening that the hand is given in place of the commanded one."""
        return opening

    def stalls_base(self, now_s: float) -> bool:
        """Tell whether the base neither plans nor delivers in this tick."""
        return False

    def on_command(self, command: Command | None) -> None:
        """See what is published in a tick, None for nothing, before anything else happens."""

    def before_steps(
            self, world: SimWorld, command: Command | None, action: PolicyAction | None) -> None:
        """
        See a command tick before its physics steps.

        :param command: published in this tick.
        :param action: of the last policy tick.
        """


class DisturbedEpisode(EpisodeHook):
    """Records an episode and disturbs it as planned, or only notes when it would have."""

    def __init__(self, plan: Plan, sizes: DisturbanceConfig, *, acts: bool = True):
        """
        Wait for the plan's moment.

        :param acts: False for the undisturbed twin.
        """
        self._plan = plan
        self._injector = Injector(plan, sizes)
        self._acts = acts
        self._watch: PhaseWatch | None = None
        self.begin_s: float | None = None
        """Time of the first disturbed physics step; in a twin the time when it would be."""
        self.trace = MotionTrace()

    @property
    def force_n(self) -> float:
        """Return the force that was applied, N."""
        return self._injector.force_n

    def hand(self, opening: float, now_s: float) -> float:
        """Open the hand while a drop lasts."""
        return self._injector.hand(opening, now_s)

    def stalls_base(self, now_s: float) -> bool:
        """Silence the base while a stall lasts."""
        return self._injector.stalls_base(now_s)

    def before_steps(
            self, world: SimWorld, command: Command | None, action: PolicyAction | None) -> None:
        """Record the tick; begin the disturbance when its moment has come."""
        state, now_s = world.task_state(), world.time_s
        self.trace.add(now_s, state, is_held(world.task, state), command, action)
        if self._watch is None:
            self._watch = PhaseWatch(self._plan, world.task)
        if self.begin_s is None and self._watch.has_come(state, now_s):
            self.begin_s = now_s
            if self._acts:
                self._injector.begin(world)
