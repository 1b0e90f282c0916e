# SPDX-License-Identifier: Apache-2.0
"""The controller starts anew where the arm is, holds that give way, and says what it asks for."""

import dataclasses

from controller_rig import KINEMATICS, READY, Rig, START, TICK_S
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.policy.assembly import build_controller
from ocrrl_ros.policy.controller import ControllerState
from ocrrl_ros.robot.robot_config import load_robot
import pytest

PUSH = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.3])


def _tick(rig, q, dq=None):
    """One policy tick and one command while the arm is measured at q."""
    rig.controller.on_joint_state(q, np.zeros(7) if dq is None else dq, rig.now_s)
    action = rig.controller.policy_tick(rig.now_s)
    rig.command = rig.controller.command_tick(TICK_S)
    rig.now_s += TICK_S
    return action


def test_arm_that_was_pushed_off_its_command_is_taken_where_it_is():
    rig = Rig()
    rig.plan()
    rig.run(0.2)
    assert not rig.command.is_restart
    pushed = rig.command.q + PUSH
    assert _tick(rig, pushed) is not None
    assert rig.controller.arm.reseeds == 1 and rig.command.is_restart
    assert np.abs(rig.command.q - pushed).max() < 1e-3
    _tick(rig, rig.command.q)
    assert rig.controller.arm.reseeds == 1 and not rig.command.is_restart


def test_arm_that_follows_is_never_reseeded():
    rig = Rig()
    rig.plan((0.0, 0.1, -0.1))
    rig.run(0.7)
    assert rig.controller.arm.reseeds == 0


def test_arm_that_is_off_and_too_fast_is_a_fault():
    rig = Rig()
    rig.plan()
    rig.run(0.2)
    before = rig.command.q
    assert _tick(rig, before + PUSH, np.full(7, 3.0)) is None
    assert rig.controller.state is ControllerState.FAULT
    assert 'rad off its command' in rig.controller.reason and 'too fast' in rig.controller.reason
    assert np.abs(rig.command.q - before).max() < 0.01


def test_start_at_a_real_overspeed_is_refused_and_at_noise_is_rest():
    rig = Rig(start=False)
    rig.controller.on_joint_state(READY, np.full(7, 1.4), rig.now_s)
    with pytest.raises(InputError, match='too fast'):
        rig.controller.start_episode(rig.now_s)
    assert rig.controller.state is ControllerState.IDLE
    rig.controller.on_joint_state(READY, np.full(7, 0.04), rig.now_s)
    rig.controller.start_episode(rig.now_s)
    command = rig.controller.command_tick(TICK_S)
    assert (command.q == READY).all() and (command.dq == 0.0).all() and command.is_restart


def test_after_a_fault_the_command_starts_where_the_arm_is():
    rig = Rig()
    rig.plan()
    rig.run(0.2)
    rig.controller.on_robot('robot_mode is user_stopped')
    assert rig.controller.state is ControllerState.FAULT
    assert rig.controller.command_tick(TICK_S) is None
    guided = READY + 0.1
    rig.see_arm(guided)
    with pytest.raises(InputError, match='user_stopped'):
        rig.controller.resume(rig.now_s)
    rig.controller.on_robot('')
    rig.controller.resume(rig.now_s)
    command = rig.controller.command_tick(TICK_S)
    assert (command.q == guided).all() and command.is_restart
    assert rig.controller.state is ControllerState.RUNNING_BASE


def test_a_fault_stays_while_no_fresh_state_says_where_the_arm_is():
    rig = Rig()
    rig.controller.fault('reflex', is_silent=True)
    with pytest.raises(InputError, match='old'):
        rig.controller.resume(rig.now_s + 1.0)
    assert (rig.controller.state, rig.controller.reason) == (ControllerState.FAULT, 'reflex')


def test_hold_in_contact_gives_way_to_the_arm_and_resumes_from_there():
    rig = Rig()
    rig.plan((0.0, 0.0, -0.03))
    rig.run(0.5)
    rig.controller.hold('test')
    rig.run(0.2)
    blocked = rig.command.q - np.array([0.0, 0.03, 0.0, 0.0, 0.0, 0.0, 0.0])
    last, jumps = rig.command, []
    for _ in range(400):
        assert _tick(rig, blocked) is None
        jumps.append(np.abs(rig.command.dq - last.dq).max())
        last = rig.command
    assert np.allclose(rig.command.q, blocked, atol=1e-6)
    assert max(jumps) <= 8.0 * TICK_S + 1e-9
    rig.controller.resume(rig.now_s)
    rig.plan((0.0, 0.0, -0.03))
    rig.run(0.02)
    assert rig.controller.state is ControllerState.RUNNING_BASE
    assert np.abs(rig.command.q - blocked).max() < 5e-3


def test_hold_of_an_arm_at_its_command_moves_nothing():
    rig = Rig()
    rig.plan()
    rig.run(0.3)
    rig.controller.hold('test')
    rig.run(0.5)
    held = rig.command.q
    rig.run(2.0)
    assert (rig.command.q == held).all()


def test_refused_target_is_named_and_the_arm_brakes():
    robot = load_robot()
    rig = Rig(start=False)
    rig.controller = build_controller('cube_lift', robot=dataclasses.replace(
        robot, guard=dataclasses.replace(robot.guard, body_height_m=0.35)))
    rig.see_arm()
    rig.controller.start_episode(rig.now_s)
    rig.plan((0.0, 0.0, -0.3))
    rig.run(0.75)
    assert rig.controller.state is ControllerState.RUNNING_BASE
    assert rig.controller.reason.startswith('target refused: body height')
    assert START[2] - 0.28 < rig.tcp()[2] < START[2] - 0.01
    assert np.abs(rig.command.dq).max() < 1e-3


def test_predicted_torque_rate_is_offered():
    rig = Rig()
    rig.plan((0.0, 0.1, -0.1))
    rig.run(0.4)
    assert rig.controller.arm.follower.torque_rate.rate.shape == (7,)
    assert rig.controller.arm.follower.torque_rate.take_peak().max() > 10.0
    assert (rig.controller.arm.follower.torque_rate.take_peak() == 0.0).all()
    assert KINEMATICS.forward(READY)[0] == START[0]
