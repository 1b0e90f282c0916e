# SPDX-License-Identifier: Apache-2.0
"""Build the deployment logic from a task and a bundle: the same for node, evaluation, bench."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ocrrl_ros.core.bundle import Bundle, load_bundle
from ocrrl_ros.policy.controller import ControllerConfig, ResidualController
from ocrrl_ros.policy.residual import ResidualNetwork
from ocrrl_ros.policy.target_follower import TargetFollower
from ocrrl_ros.policy.task_spec import load_task_spec
from ocrrl_ros.robot.command_shaping import CommandShaper, ShapingConfig
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.limits import JointLimits


def load_residual(folder: Path | str, task: str) -> tuple[ResidualNetwork, Bundle]:
    """
    Open a residual bundle for a task.

    :raises BundleError: missing, altered, for another task, or of another layout.
    """
    layout = load_task_spec(task).layout()
    bundle = load_bundle(folder, 'residual', task=task, layout_hash=layout.sha256)
    return ResidualNetwork.from_bundle(bundle, layout.size), bundle


def build_controller(
        task: str, residual: ResidualNetwork | None = None,
        config: ControllerConfig | None = None, limits: JointLimits | None = None,
        shaping: ShapingConfig | None = None, *, speed_scale: float = 1.0) -> ResidualController:
    """
    Assemble kinematics, command shaping and residual for one robot.

    :param residual: None runs the base policy alone.
    :param speed_scale: share of the shaped joint speed, 0 < x <= 1.
    :raises UnknownNameError: no such task.
    """
    layout = load_task_spec(task).layout()
    config = config or ControllerConfig()
    config = dataclasses.replace(
        config,
        chunk=dataclasses.replace(config.chunk, lookahead_s=layout.lookahead_s),
        object_poses=dataclasses.replace(
            config.object_poses, max_pose_age_s=layout.max_pose_age_s))
    kinematics = FrankaKinematics()
    shaper = CommandShaper(limits, shaping)
    shaper.set_speed_scale(speed_scale)
    return ResidualController(
        layout, kinematics, TargetFollower(kinematics, shaper), residual, config)
