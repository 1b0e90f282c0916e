# SPDX-License-Identifier: Apache-2.0
"""A controller keeps to its robot's file and refuses what contradicts its residual's layout."""

import dataclasses

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.policy.action_chunk import ActionChunk, ChunkConfig
from ocrrl_ros.policy.assembly import build_controller
from ocrrl_ros.policy.controller import ControllerConfig, ResidualController
from ocrrl_ros.policy.object_poses import ObjectPoseConfig
from ocrrl_ros.robot.fr3 import READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.limits import JointLimits
from ocrrl_ros.robot.robot_config import load_robot
import pytest

READY = np.array(READY_POSITION)
#: Inside the limits of system image 5.9, beyond those of 5.8 (joint 7).
ONLY_IN_59 = np.where(np.arange(7) == 6, 3.03, READY)


def _limits(controller: ResidualController) -> tuple[JointLimits, JointLimits]:
    """Return the limits that kinematics and command shaping keep to."""
    return controller._kinematics.limits, controller.arm.follower.shaper.limits


def _same(one: JointLimits, other: JointLimits) -> bool:
    """Return whether every limit is equal."""
    return all(np.array_equal(getattr(one, field.name), getattr(other, field.name))
               for field in dataclasses.fields(JointLimits))


@pytest.mark.parametrize(('config', 'words'), [
    (ControllerConfig(chunk=ChunkConfig(lookahead_s=0.4)), 'chunk.lookahead_s is 0.4 s.*0.3 s'),
    (ControllerConfig(object_poses=ObjectPoseConfig(max_pose_age_s=0.5)),
     'object_poses.max_pose_age_s is 0.5 s.*0.2 s')])
def test_time_that_contradicts_the_layout_is_refused(
        config: ControllerConfig, words: str) -> None:
    """The message names the value and that of the layout."""
    with pytest.raises(ConfigError, match=words):
        build_controller('cube_lift', config=config)


def test_shipped_robot_has_the_limits_of_image_59_and_the_default_shaping() -> None:
    """Kinematics and shaping are those that the shipped policies were trained with."""
    controller = build_controller('cube_lift')
    assert all(_same(limits, JointLimits.for_image('5.9')) for limits in _limits(controller))
    assert controller._kinematics.config == FrankaKinematics().config
    controller.on_joint_state(ONLY_IN_59, np.zeros(7), 1.0)
    controller.start_episode(1.0)


def test_changed_robot_file_changes_the_limits_in_force(tmp_path) -> None:
    """An arm with an older image is kept inside the narrower limits."""
    changed = tmp_path / 'mine.yaml'
    text = config_path('robots', 'fr3.yaml').read_text(encoding='utf-8')
    changed.write_text(text.replace("system_image: '5.9'", "system_image: '5.8'").replace(
        'velocity_fraction: 0.5', 'velocity_fraction: 0.2'), encoding='utf-8')
    controller = build_controller('cube_lift', robot=load_robot(changed))
    assert all(_same(limits, JointLimits.for_image('5.8')) for limits in _limits(controller))
    np.testing.assert_allclose(
        controller.arm.follower.shaper.max_velocity,
        0.4 * build_controller('cube_lift').arm.follower.shaper.max_velocity)
    controller.on_joint_state(ONLY_IN_59, np.zeros(7), 1.0)
    with pytest.raises(InputError, match='joint limits'):
        controller.start_episode(1.0)


def test_slower_arm_follows_the_same_plan_at_the_speed_of_its_file(tmp_path) -> None:
    """What the file says reaches the commands."""
    changed = tmp_path / 'slow.yaml'
    changed.write_text('shaping: {velocity_fraction: 0.01}\n', encoding='utf-8')
    fastest = {}
    for name in ('fr3', changed):
        controller = build_controller('cube_lift', robot=load_robot(name))
        controller.on_joint_state(READY, np.zeros(7), 0.0)
        controller.start_episode(0.0)
        start = FrankaKinematics().forward(READY)
        poses = np.tile(start, (16, 1))
        poses[:, 1] += np.linspace(0.0, 0.2, 16)
        controller.on_chunk(ActionChunk(0.0, 0.05, poses, np.ones(16)), 0.0)
        speeds = []
        for tick in range(60):
            now_s = tick * 0.005
            controller.on_joint_state(READY, np.zeros(7), now_s)
            controller.policy_tick(now_s)
            speeds.append(np.abs(controller.command_tick(0.005).dq).max())
        fastest[name] = max(speeds)
    limit = JointLimits.for_image().velocity.max() * 0.01
    assert fastest[changed] <= limit + 1e-9 < fastest['fr3']
