# SPDX-License-Identifier: Apache-2.0
"""Lost states are counted, targets are checked."""
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.robot.adapters.franka_fci.packets import PacketCounter
from ocrrl_ros.robot.adapters.franka_fci.target_gate import TargetGate
from ocrrl_ros.robot.fr3 import READY_POSITION
from ocrrl_ros.robot.limits import JointLimits
import pytest

Q = np.array(READY_POSITION)


def test_gaps_in_the_robots_time_are_lost_states():
    counter = PacketCounter()
    for milliseconds in (10, 11, 12, 15, 16, 20):
        counter.add(milliseconds * 1e-3)
    assert (counter.received, counter.lost, counter.longest_gap) == (6, 5, 3)
    assert counter.share == pytest.approx(6 / 11)


def test_the_share_is_that_of_the_newest_second():
    counter = PacketCounter()
    for milliseconds in [*range(0, 1000, 2), *range(1000, 2500)]:
        counter.add(milliseconds * 1e-3)
    assert counter.lost == 500
    assert counter.share == 1.0


def test_a_robot_that_starts_anew_has_lost_nothing_by_that():
    counter = PacketCounter()
    for seconds in (100.0, 100.001, 0.0, 0.001):
        counter.add(seconds)
    assert (counter.lost, counter.share) == (0, 1.0)


def test_a_target_near_the_arm_passes_and_others_are_named():
    gate = TargetGate(JointLimits.for_image(), 0.2)
    gate.check(Q + 0.19, Q)
    with pytest.raises(InputError, match='fr3_joint3 is 0.2100 rad, 0.210 rad from .* 0.2 rad'):
        gate.check(Q + [0, 0, 0.21, 0, 0, 0, 0], Q)
    with pytest.raises(InputError, match='fr3_joint4 is -0.1000 rad; allowed: -3.*'):
        gate.check(Q + [0, 0, 0, 3 * np.pi / 4 - 0.1, 0, 0, 0], Q)
    with pytest.raises(InputError, match='7 finite numbers'):
        gate.check(np.append(Q[:6], np.nan), Q)
    with pytest.raises(InputError, match='7 finite numbers'):
        gate.check(Q[:6], Q)
