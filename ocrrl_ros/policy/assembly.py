# SPDX-License-Identifier: Apache-2.0
"""Build the deployment logic from a task and a bundle: the same for node, evaluation, bench."""

from __future__ import annotations

from pathlib import Path

from ocrrl_ros.core.bundle import Bundle, load_bundle
from ocrrl_ros.core.errors import BundleError, ConfigError
from ocrrl_ros.policy.blend import ResidualBlend
from ocrrl_ros.policy.controller import ControllerConfig, ResidualController
from ocrrl_ros.policy.gate import ResidualGate
from ocrrl_ros.policy.image_observation import (
    described_image_layout, ImageLayout, sees_images)
from ocrrl_ros.policy.image_residual import ImageResidualController, ImageResidualNetwork
from ocrrl_ros.policy.observation import ObservationLayout
from ocrrl_ros.policy.residual import ResidualNetwork
from ocrrl_ros.policy.target_follower import TargetFollower
from ocrrl_ros.policy.task_spec import load_task_spec
from ocrrl_ros.robot.command_shaping import CommandShaper
from ocrrl_ros.robot.hold_bleed import HoldBleed
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.robot_config import load_robot, RobotConfig
from ocrrl_ros.robot.torque_rate import TorqueRatePredictor
from ocrrl_ros.robot.tracking import TrackingMonitor


AnyResidual = ResidualNetwork | ImageResidualNetwork
"""A residual that sees object poses, or one that sees pictures."""


def check_residual(folder: Path | str, task: str) -> tuple[Bundle, ObservationLayout]:
    """
    Check a residual bundle and return it with the layout that it was trained for.

    :raises BundleError: missing, altered, for another task, or of a layout that is not built here.
    """
    layouts = load_task_spec(task).layouts()
    bundle = load_bundle(folder, 'residual', task=task)
    if sees_images(bundle.manifest.layout):
        try:
            layout = described_image_layout(bundle.manifest.layout)
        except ConfigError as error:
            raise BundleError(f'{bundle.path}: {error}') from error
        layouts[layout.sha256] = layout
    bundle = load_bundle(folder, 'residual', task=task, layout_hash=tuple(layouts))
    return bundle, layouts[bundle.manifest.layout_hash]


def load_residual(folder: Path | str, task: str) -> tuple[AnyResidual, Bundle]:
    """
    Open a residual bundle for a task.

    :raises BundleError: missing, altered, for another task, or of a layout that is not built here.
    """
    bundle, layout = check_residual(folder, task)
    if isinstance(layout, ImageLayout):
        return ImageResidualNetwork.from_bundle(bundle, layout), bundle
    return ResidualNetwork.from_bundle(bundle, layout), bundle


def load_gated_residual(
        folder: Path | str, task: str, *, with_gate: bool = True,
) -> tuple[AnyResidual, ResidualGate | None]:
    """
    Open a residual bundle for a task, with its gate where it has one.

    :param with_gate: False leaves the gate out, so that the whole residual acts.
    :raises BundleError: missing, altered, for another task, or of a layout that is not built here.
    """
    network, bundle = load_residual(folder, task)
    if not with_gate:
        return network, None
    return network, ResidualGate.from_bundle(bundle, network.layout.size)


def build_controller(
        task: str, residual: AnyResidual | None = None,
        config: ControllerConfig | None = None, robot: RobotConfig | None = None, *,
        gate: ResidualGate | None = None, speed_scale: float = 1.0) -> ResidualController:
    """
    Assemble kinematics, command shaping and residual for one robot.

    :param residual: its layout is what is observed; None runs the base policy alone.
    :param gate: of the residual's bundle; None lets the whole residual act.
    :param robot: joint limits, kinematics and shaping; those of config/robots/fr3.yaml if None.
    :param speed_scale: share of the shaped joint speed, 0 < x <= 1.
    :raises UnknownNameError: no such task.
    :raises ConfigError: a setting contradicts the task's observation layout.
    """
    sees = isinstance(residual, ImageResidualNetwork)
    layout = load_task_spec(task).layout() if residual is None else residual.layout
    config = config or ControllerConfig()
    _check_layout(config, layout, task)
    robot = robot or load_robot()
    kinematics = FrankaKinematics(robot.kinematics, robot.limits())
    spread = residual.spread if isinstance(residual, ResidualNetwork) else None
    blend = ResidualBlend(config.blend, layout.symmetries, spread)
    controller = (ImageResidualController if sees else ResidualController)(
        layout, kinematics, build_follower(robot, kinematics), residual, config, gate, blend)
    controller.set_speed_scale(speed_scale)
    return controller


def build_follower(robot: RobotConfig, kinematics: FrankaKinematics) -> TargetFollower:
    """Assemble the guarded command path of one robot."""
    shaper = CommandShaper(robot.limits(), robot.shaping, robot.guard, kinematics)
    law = robot.joint_impedance
    return TargetFollower(
        kinematics, shaper, TrackingMonitor(robot.tracking, kinematics, law.velocity_lead_s()),
        HoldBleed(robot.hold), TorqueRatePredictor(law))


def _check_layout(config: ControllerConfig, layout: ObservationLayout, task: str) -> None:
    """Refuse times that are not those of the observation that residuals are trained with."""
    for name, given, trained in (
            ('chunk.lookahead_s', config.chunk.lookahead_s, layout.lookahead_s),
            ('object_poses.max_pose_age_s', config.object_poses.max_pose_age_s,
             layout.max_pose_age_s)):
        if given != trained:
            raise ConfigError(
                f'controller.{name} is {given} s; allowed: {trained} s, the value of the '
                f'observation layout of task {task}')
