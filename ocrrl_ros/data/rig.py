# SPDX-License-Identifier: Apache-2.0
"""A simulated robot that follows 20 Hz TCP targets and is looked at, for recording and replay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import TracebackType

import numpy as np
from ocrrl_ros.core.errors import DatasetError
from ocrrl_ros.core.se3 import pose_twist
from ocrrl_ros.perception.frame import depth_to_metres, RgbdFrame
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.pose_estimator import load_tracker_config, PoseEstimator
from ocrrl_ros.policy.target_follower import TargetFollower
from ocrrl_ros.robot.command_shaping import CommandShaper
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.depth_noise import DepthNoise
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.physics import PhysicsConfig
from ocrrl_ros.sim.renderer import SceneRenderer
from ocrrl_ros.sim.tasks import SuccessCounter, Task
from ocrrl_ros.sim.tasks.task import DRAWER_JOINTS
from ocrrl_ros.sim.truth import InitialState, TaskState
from ocrrl_ros.sim.world import SimWorld

TICK_S = 0.05
COMMAND_PERIOD_S = 0.005
TRACKER_FRAMES = 30
TRACKER_VALID_FRAMES = 5


def closed_id(object_id: str) -> str:
    """Return the name under which the pose of a shut drawer is kept among tracked poses."""
    return f'{object_id}_closed'


def _shut(task: Task, opened: InitialState) -> InitialState:
    """Return a start state with its drawer shut."""
    joints, poses = opened.joint_positions.copy(), opened.object_poses.copy()
    joints[DRAWER_JOINTS.index('drawer_opening')] = 0.0
    for index, item in enumerate(task.objects):
        if not item.is_free:
            poses[index] = item.shape.pose(joints)
    return replace(opened, joint_positions=joints, object_poses=poses)


@dataclass(frozen=True)
class Observation:
    """
    What is recorded of one instant.

    :param joints: measured joint positions (7,), rad.
    :param base_T_tcp: (7,) by forward kinematics of the measured joints.
    :param opening: measured gripper opening, 0 closed .. 1 open.
    :param rgb: (H, W, 3) uint8 colour image of that instant.
    """

    joints: np.ndarray
    base_T_tcp: np.ndarray
    opening: float
    rgb: np.ndarray


class DemonstrationRig:
    """One world with the command path and camera that deployment has."""

    def __init__(self, task: Task, domain: Domain, physics: PhysicsConfig):
        """
        Build world, arm and camera.

        :raises MissingDependencyError: no OpenGL.
        """
        self.task, self.domain = task, domain
        self.world = SimWorld(task, domain, physics, estimates_torque=False)
        self.kinematics = FrankaKinematics()
        self._follower = TargetFollower(self.kinematics, CommandShaper())
        self._camera = SceneRenderer(
            self.world.model, domain.camera.width, domain.camera.height)
        self._steps = round(COMMAND_PERIOD_S / self.world.timestep_s)
        self._success = SuccessCounter(1, task.hold_ticks)

    def __enter__(self) -> DemonstrationRig:
        """Return the rig."""
        return self

    def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None,
            trace: TracebackType | None) -> None:
        """Free the camera."""
        self._camera.close()

    @property
    def image_size(self) -> tuple[int, int]:
        """Return (height, width) of the colour frames."""
        return self.domain.camera.height, self.domain.camera.width

    def start(self, initial: InitialState, settle_s: float = 0.0) -> None:
        """Go to a start state; objects may settle while the arm holds."""
        self.world.reset_to(initial)
        if settle_s > 0:
            self.world.step(round(settle_s / self.world.timestep_s))
        self._follower.seed(self.world.arm_state().q)
        self._success.reset()

    def observe(self) -> Observation:
        """Look and measure now."""
        state = self.world.arm_state()
        self._camera.set_state(self.world.render_state())
        return Observation(
            state.q, self.kinematics.forward(state.q), state.opening, self._camera.rgb().copy())

    def drive(self, gripper: float, target: np.ndarray, following: np.ndarray) -> TaskState:
        """
        Advance by one tick, as the deployed controller does when it executes a chunk.

        :param gripper: command of this instant.
        :param target: (7,) TCP target of one tick from now.
        :param following: (7,) target of two ticks from now, for the feed-forward.
        :return: the simulator's truth afterwards.
        """
        self.world.set_gripper(gripper)
        self._follower.aim(target, pose_twist(target, following, TICK_S), TICK_S)
        for _ in range(round(TICK_S / COMMAND_PERIOD_S)):
            q, _ = self._follower.sample(COMMAND_PERIOD_S)
            self.world.set_joint_target(q)
            self.world.step(self._steps)
        return self.world.task_state()

    def succeeded(self, state: TaskState) -> bool:
        """Take in one tick and return whether the task has been done for long enough."""
        return bool(self._success.update(self.task.success_now(state))[0])

    def track_objects(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """
        Return base_T_object (7,) by object id as the tracker sees the resting scene.

        The camera's calibration error, depth noise and the tracker's own error are all in it. A
        drawer that stands open is looked at twice: shut first, which is where `closed_id` says
        it was seen, then open. Whoever opens a drawer for a demonstration can do the same.

        :param rng: the episode's ``sensor`` stream.
        :raises DatasetError: the tracker does not get hold of an object.
        """
        noise = DepthNoise(
            self.domain.camera.depth_noise, rng, self.domain.camera.true_intrinsics())
        shut = {}
        if self.task.joint_names:
            opened = self.world.initial
            self.world.reset_to(_shut(self.task, opened))
            shut = {closed_id(name): pose for name, pose in self._look(noise).items()}
            self.world.reset_to(opened)
        return self._look(noise) | shut

    def _look(self, noise: DepthNoise) -> dict[str, np.ndarray]:
        """Return what a tracker that has seen nothing yet makes of the scene of now."""
        camera = self.domain.camera
        estimator = PoseEstimator(
            [load_object(name) for name in self.task.object_ids], camera.told_pose(),
            load_tracker_config())
        self._camera.set_state(self.world.render_state())
        rgb, perfect = self._camera.rgb().copy(), self._camera.depth().copy()
        valid = dict.fromkeys(self.task.object_ids, 0)
        for number in range(TRACKER_FRAMES):
            estimates = estimator.process(RgbdFrame(
                stamp_s=number / camera.rate_hz, rgb=rgb,
                depth_m=depth_to_metres(noise.apply(perfect)),
                intrinsics=camera.told_intrinsics()))
            for name, estimate in estimates.items():
                valid[name] += estimate.valid
            if min(valid.values()) >= TRACKER_VALID_FRAMES:
                return {name: item.base_T_object for name, item in estimates.items()}
        raise DatasetError(
            f'the tracker got hold of {valid} of {TRACKER_FRAMES} frames; each object needs '
            f'{TRACKER_VALID_FRAMES}')
