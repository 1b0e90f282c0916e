# SPDX-License-Identifier: Apache-2.0
"""Numbers that are finite and cannot be true are refused, and the last good input stays."""
from controller_rig import READY, Rig, START
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.core.se3 import pose
from ocrrl_ros.policy.action_chunk import ActionChunk
from ocrrl_ros.policy.controller import ControllerState
from ocrrl_ros.policy.plausible import check_joint_state, check_near
from ocrrl_ros.policy.takeover import Takeover
from ocrrl_ros.robot.limits import JointLimits
import pytest

LIMITS = JointLimits.for_image()
WRONG = [np.nan, np.inf, -np.inf, 1e30, -1e30]


def changed(values, index, wrong):
    """Return a copy with one number replaced."""
    copy = np.array(values, dtype=float)
    copy.flat[index] = wrong
    return copy


@pytest.mark.parametrize('wrong', WRONG)
@pytest.mark.parametrize('joint', range(7))
def test_a_joint_state_with_one_wrong_number_is_refused_and_the_last_one_stays(wrong, joint):
    rig = Rig(start=False)
    for q, dq in ((changed(READY, joint, wrong), np.zeros(7)),
                  (READY, changed(np.zeros(7), joint, wrong))):
        with pytest.raises(InputError, match='joint state has'):
            rig.controller.on_joint_state(q, dq, rig.now_s)
    assert np.array_equal(rig.controller.arm.q, READY)


def test_a_joint_state_a_little_beyond_a_limit_is_left_to_the_start():
    q, dq = check_joint_state(LIMITS.position_upper + 0.1, np.full(7, 2.0), LIMITS)
    assert q[0] == LIMITS.position_upper[0] + 0.1 and dq[6] == 2.0


@pytest.mark.parametrize('wrong', WRONG)
@pytest.mark.parametrize('index', range(7))
def test_poses_with_one_wrong_number_are_refused_wherever_they_come_from(wrong, index):
    bad = changed(START, index, wrong)
    with pytest.raises(InputError, match='pose from here'):
        check_near(bad, 'here')
    with pytest.raises(InputError, match='teleop target'):
        Takeover(0.2).on_target(bad, 0.0)
    with pytest.raises(InputError, match='base policy chunk'):
        ActionChunk(0.0, 0.05, np.stack([START, bad]), np.ones(2))
    rig = Rig()
    with pytest.raises(InputError, match='object cube'):
        rig.controller.on_object_pose('cube', bad, np.zeros(36), rig.now_s)


def test_a_pose_as_far_as_the_arm_could_work_is_taken():
    far = pose(np.array([1.5, -1.5, 1.5]), START[3:])
    assert np.allclose(check_near(far, 'here')[:3], far[:3])


@pytest.mark.parametrize('wrong', [np.nan, np.inf])
def test_a_pose_with_a_covariance_that_is_not_finite_is_refused(wrong):
    rig = Rig()
    with pytest.raises(InputError, match='covariance'):
        rig.controller.on_object_pose(
            'cube', START, changed(np.zeros(36), 0, wrong), rig.now_s)


def test_garbled_messages_between_good_ones_change_no_command():
    calm, disturbed = Rig(), Rig()
    for rig in (calm, disturbed):
        rig.plan()
    for _ in range(40):
        calm.run(0.01)
        with pytest.raises(InputError):
            disturbed.controller.on_joint_state(
                np.full(7, 1e30), np.zeros(7), disturbed.now_s)
        disturbed.run(0.01)
        assert np.array_equal(calm.command.q, disturbed.command.q)
    assert disturbed.controller.state is ControllerState.RUNNING_BASE


def test_an_overtaken_joint_state_is_ignored_and_one_of_another_clock_is_not():
    rig = Rig(start=False)
    rig.controller.on_joint_state(READY + 0.01, np.zeros(7), rig.now_s - 0.06)
    assert np.array_equal(rig.controller.arm.q, READY)
    rig.controller.on_joint_state(READY + 0.01, np.zeros(7), rig.now_s - 9.0)
    assert np.array_equal(rig.controller.arm.q, READY + 0.01)


def test_an_arm_is_not_said_to_be_lost_by_where_it_was_some_time_ago():
    rig = Rig(max_state_age_s=1.0)
    rig.plan(offset=(0.0, 0.3, 0.0))
    rig.run(0.3)
    behind = READY + np.array([0.6, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    rig.controller.arm.q = behind
    assert rig.controller.arm.lost(rig.now_s + 0.06) == ''
    assert rig.controller.arm.reseeds == 0
    rig.controller.arm.lost(rig.now_s)
    assert rig.controller.arm.reseeds == 1


@pytest.mark.parametrize('wrong', [*WRONG, 4.0])
def test_planned_joints_beyond_their_limits_are_refused(wrong):
    with pytest.raises(InputError, match='a point has joint positions'):
        Rig(start=False).controller.forward(changed(READY, 3, wrong))
