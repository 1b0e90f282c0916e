# SPDX-License-Identifier: Apache-2.0
"""The controller asks a residual as often as its bundle says, and takes no other layout."""

from controller_rig import FakeResidual, KINEMATICS, Rig
import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.policy.assembly import build_controller
from ocrrl_ros.policy.controller import ResidualController
from ocrrl_ros.policy.target_follower import TargetFollower
from ocrrl_ros.policy.task_spec import load_task_spec
from ocrrl_ros.robot.command_shaping import CommandShaper
import pytest


class Counting(FakeResidual):
    """Answers with another offset every time."""

    def act(self, observation):
        """Return 0.1, 0.2, ... along x."""
        super().act(observation)
        return np.array([[0.1 * len(self.observations), 0, 0, 0, 0, 0, 0]])


@pytest.mark.parametrize(('acts_per', 'asked'), [('tick', 20), ('chunk', 2)])
def test_residual_answers_as_often_as_its_bundle_says_and_its_offset_is_held(acts_per, asked):
    residual = Counting(acts_per=acts_per)
    rig = Rig(residual)
    for _ in range(2):
        rig.see_cube()
        rig.plan((0.0, 0.0, -0.03))
        rig.run(0.2)
    assert len(rig.actions) == 20 and len(residual.observations) == asked
    offsets = [action.action[0] for action in rig.actions]
    expected = np.repeat([0.1, 0.2], 10) if acts_per == 'chunk' else 0.1 * np.arange(1, 21)
    np.testing.assert_allclose(offsets, expected)
    # The base goes on meanwhile; the gain of the poses is that of every tick.
    assert len({tuple(action.base_pose) for action in rig.actions[:10]}) == 10
    assert rig.actions[9].gain > rig.actions[8].gain > 0.0


def test_held_offset_ends_with_the_episode():
    residual = Counting(acts_per='chunk')
    rig = Rig(residual)
    rig.plan()
    rig.run(0.1)
    rig.controller.stop_episode()
    rig.controller.start_episode(rig.now_s)
    rig.plan()
    rig.run(0.1)
    assert len(residual.observations) == 2


def test_residual_of_another_layout_is_refused():
    residual = FakeResidual()
    residual.layout = load_task_spec('cube_lift').layout('world')
    assert build_controller('cube_lift', residual).layout.variant == 'world'
    with pytest.raises(ConfigError, match='3627dcad3012.*fda5a4a4d858 .relative'):
        ResidualController(
            load_task_spec('cube_lift').layout(), KINEMATICS, TargetFollower(
                KINEMATICS, CommandShaper()), residual)
