# SPDX-License-Identifier: Apache-2.0
"""Homing that comes first lets go of nothing that a hand may hold, as after a restart."""

from ocrrl_ros.robot.gripper_commands import HandAction, Homed, Outcome
from ocrrl_ros.robot.gripper_config import HandDriverConfig
import pytest
from test_gripper_driver import failing, hand


@pytest.mark.parametrize('first', [0.0, 0.5])
def test_a_hand_that_may_hold_something_is_homed_when_an_opening_is_wished(first):
    played = hand(HandDriverConfig(home_first=True), stop_m=0.03)
    played.width_m = 0.03
    played.run(3.0, first)
    played.run(3.0, 0.0)
    assert (played.actions, played.phase) == (['grasp'], 'holding')
    assert played.status().homed is Homed.UNKNOWN
    played.run(6.0, 1.0)
    assert (played.actions, played.phase) == (['grasp', 'stop', 'home', 'move'], 'open')
    assert played.status().homed is Homed.YES


def test_homing_that_comes_first_waits_until_the_width_is_measured():
    played = hand(HandDriverConfig(home_first=True))
    played.measures = False
    played.run(3.0, 0.0)
    assert (played.actions, played.status().reason) == ([], 'homing waits for the measured width')
    played.measures = True
    played.run(6.0, 0.0)
    assert played.actions == ['stop', 'home', 'grasp']


def test_a_hand_whose_first_homing_was_broken_off_half_open_is_homed_again():
    played = hand(
        HandDriverConfig(home_first=True), answer=failing(HandAction.HOME, Outcome.FAILED, 1))
    played.run(0.5, 0.0)
    played.width_m = 0.04
    played.run(10.0, 0.0)
    assert played.actions == ['stop', 'home', 'home', 'grasp']
