# SPDX-License-Identifier: Apache-2.0
"""An arm whose driver is gone for long is left alone, and taken up where it is then."""
from controller_rig import READY, Rig
import numpy as np
from ocrrl_ros.policy.controller import ControllerState


def away(seconds):
    """Return a rig whose arm has been silent for so long while it moved."""
    rig = Rig()
    rig.plan(offset=(0.0, 0.2, 0.0))
    rig.run(0.3)
    rig.run(seconds, see_arm=False)
    return rig


def test_a_short_silence_leaves_the_hold_as_it_is():
    rig = away(0.8)
    held = rig.command.q
    assert rig.controller.command_tick(0.005) is not None
    rig.see_arm(held)
    rig.run(0.1)
    assert rig.controller.arm.reseeds == 0


def test_after_a_second_nothing_is_sent_and_the_command_starts_anew_where_the_arm_is():
    rig = away(1.5)
    assert rig.controller.state is ControllerState.HOLDING
    assert 'joint state is' in rig.controller.reason
    assert rig.controller.command_tick(0.005) is None
    elsewhere = READY + np.array([0.5, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0])
    rig.command = None
    for _ in range(4):
        rig.controller.on_joint_state(elsewhere, np.zeros(7), rig.now_s)
        rig.plan(offset=(0.0, 0.0, 0.0))
        rig.controller.policy_tick(rig.now_s)
        rig.now_s += 0.02
    command = rig.controller.command_tick(0.005)
    assert command.is_restart and np.abs(command.q - elsewhere).max() < 0.01
    assert rig.controller.state is ControllerState.RUNNING_BASE
    assert rig.controller.arm.reseeds == 1


def test_a_latched_hold_falls_silent_too_and_waits_for_resume():
    rig = Rig()
    rig.plan()
    rig.run(0.2)
    rig.controller.hold('hold requested')
    rig.run(1.5, see_arm=False)
    assert rig.controller.command_tick(0.005) is None
    rig.command = None
    rig.run(0.1)
    assert rig.controller.state is ControllerState.HOLDING
    rig.controller.resume(rig.now_s)
    rig.plan(offset=(0.0, 0.0, 0.0))
    rig.run(0.1)
    assert rig.controller.state is ControllerState.RUNNING_BASE and rig.command is not None


def test_two_short_silences_do_not_add_up():
    rig = away(0.7)
    for _ in range(3):
        rig.plan(offset=(0.0, 0.0, 0.0))
        rig.run(0.5)
        assert rig.controller.state is ControllerState.RUNNING_BASE
        rig.run(0.7, see_arm=False)
        assert rig.controller.command_tick(0.005) is not None
