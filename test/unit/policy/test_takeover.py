# SPDX-License-Identifier: Apache-2.0
"""A person's targets go before those of base and residual, and only while they are fresh."""

from controller_rig import FakeResidual, Rig, START, TICK_S
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.policy.controller import ControllerState
from ocrrl_ros.policy.takeover import Takeover
import pytest

ASIDE = START + np.array([0.0, 0.08, 0.0, 0.0, 0.0, 0.0, 0.0])


def steer(rig, duration_s, target=ASIDE):
    """Let a person steer to a target for a while."""
    for _ in range(round(duration_s / 0.05)):
        rig.controller.takeover.on_target(target, rig.now_s)
        rig.run(0.05)


def test_a_person_steers_instead_of_base_and_residual_and_it_is_recorded():
    rig = Rig(FakeResidual())
    rig.see_cube()
    rig.plan((0.0, 0.0, -0.03))
    rig.run(0.1)
    steer(rig, 1.0)
    assert rig.controller.state is ControllerState.TAKEOVER
    assert np.linalg.norm(rig.tcp()[:3] - ASIDE[:3]) < 2e-3
    action = rig.actions[-1]
    assert action.is_takeover and action.gain == 0.0 and not action.action.any()
    np.testing.assert_array_equal(action.command_pose, ASIDE)


def test_afterwards_the_base_must_plan_anew_from_where_the_arm_is():
    rig = Rig()
    rig.plan((0.0, 0.0, -0.03))
    steer(rig, 0.3)
    rig.run(0.3)
    assert rig.controller.state is ControllerState.HOLDING
    rig.plan((0.0, 0.0, -0.03))
    rig.run(0.1)
    assert rig.controller.state is ControllerState.RUNNING_BASE
    assert not rig.actions[-1].is_takeover


def test_a_person_can_move_an_arm_whose_base_is_stale_but_not_a_latched_one():
    rig = Rig()
    rig.run(0.1)
    assert rig.controller.state is ControllerState.HOLDING
    steer(rig, 0.2)
    assert rig.controller.state is ControllerState.TAKEOVER
    rig.controller.hold('test')
    rig.run(0.5)
    held = rig.command.q
    steer(rig, 0.3)
    assert rig.controller.machine.is_latched
    np.testing.assert_allclose(rig.command.q, held, atol=1e-6)


def test_takeover_and_its_end_keep_the_limits():
    rig = Rig()
    rig.plan((0.0, 0.0, -0.03))
    rig.run(0.2)
    shaper = rig.controller.arm.follower.shaper
    before = rig.command
    for tick in range(200):
        if tick < 100:
            rig.controller.takeover.on_target(ASIDE, rig.now_s)
        rig.run(TICK_S)
        change = np.abs(rig.command.dq - before.dq) / TICK_S
        assert (change <= shaper.max_acceleration + 1e-6).all()
        before = rig.command


def test_the_gripper_stays_unless_the_person_says_otherwise():
    rig = Rig()
    rig.plan((0.0, 0.0, -0.03), opening=0.3)
    rig.run(0.2)
    steer(rig, 0.1)
    assert rig.command.gripper == 0.3
    rig.controller.takeover.on_opening(1.0)
    steer(rig, 0.1)
    assert rig.command.gripper == 1.0


@pytest.mark.parametrize('pose', [np.full(7, np.nan), np.zeros(7), np.zeros(6)])
def test_targets_that_are_no_poses_are_refused_and_the_last_one_ages(pose):
    takeover = Takeover(0.2)
    takeover.on_target(START, 1.0)
    with pytest.raises(InputError, match='teleop target'):
        takeover.on_target(pose, 1.1)
    assert takeover.target(1.15) is not None and takeover.target(1.25) is None


def test_openings_out_of_range_are_refused():
    with pytest.raises(InputError, match='teleop opening is 1.5'):
        Takeover(0.2).on_opening(1.5)
