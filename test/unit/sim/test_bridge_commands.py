# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings, strategies as st
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.sim.bridge_commands import ArmCommander, ArmMode, JointTrajectoryPlan
import pytest

Q = np.linspace(-0.3, 0.3, 7)
POSE = np.array([0.4, 0.0, 0.4, 1.0, 0.0, 0.0, 0.0])


def test_arm_holds_first_and_is_told_so_once():
    commander = ArmCommander(Q)
    q, dq = commander.joint_command(0.0)
    np.testing.assert_array_equal(q, Q)
    np.testing.assert_array_equal(dq, 0.0)
    assert commander.joint_command(0.001) is None


def test_last_accepted_kind_of_target_wins():
    commander = ArmCommander(Q)
    commander.on_pose_target(POSE)
    assert commander.mode is ArmMode.CARTESIAN
    assert commander.joint_command(0.0) is None
    commander.on_joint_target(Q + 0.1, np.zeros(7))
    assert commander.mode is ArmMode.JOINT
    assert commander.pose is None
    np.testing.assert_array_equal(commander.joint_command(0.0)[0], Q + 0.1)
    commander.on_trajectory(JointTrajectoryPlan(np.array([1.0]), Q[None]), 0.0)
    assert commander.mode is ArmMode.TRAJECTORY


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(), min_size=0, max_size=9))
def test_joint_target_that_is_refused_changes_nothing(values):
    commander = ArmCommander(Q)
    good = len(values) == 7 and np.isfinite(values).all()
    if good:
        commander.on_joint_target(np.array(values), np.zeros(7))
        return
    with pytest.raises(InputError, match='7 finite numbers'):
        commander.on_joint_target(np.array(values), np.zeros(7))
    assert commander.mode is ArmMode.HOLD
    np.testing.assert_array_equal(commander.q_desired, Q)


def test_unusable_pose_wrench_and_stiffness_are_refused():
    commander = ArmCommander(Q)
    with pytest.raises(InputError, match='norm'):
        commander.on_pose_target(POSE * [1, 1, 1, 2, 1, 1, 1])
    with pytest.raises(InputError, match='target_wrench'):
        commander.on_wrench(np.full(6, np.nan), POSE)
    with pytest.raises(InputError, match='target_stiffness'):
        commander.on_stiffness(np.array([100.0] * 5 + [-1.0]))
    assert commander.mode is ArmMode.HOLD


def test_wrench_brings_a_joint_mode_to_a_cartesian_hold():
    commander = ArmCommander(Q)
    commander.on_wrench(np.ones(6), POSE)
    assert commander.mode is ArmMode.CARTESIAN
    np.testing.assert_array_equal(commander.pose, POSE)


def test_stiffness_is_capped_as_in_crisp():
    commander = ArmCommander(Q)
    commander.on_stiffness(np.array([5000.0, 100.0, 100.0, 500.0, 5.0, 5.0]))
    np.testing.assert_array_equal(commander.stiffness, [900, 100, 100, 60, 5, 5])


def test_trajectory_starts_from_the_present_desired_position():
    commander = ArmCommander(Q)
    commander.on_trajectory(JointTrajectoryPlan(np.array([2.0]), (Q + 1.0)[None]), 10.0)
    np.testing.assert_allclose(commander.joint_command(10.0)[0], Q)
    np.testing.assert_allclose(commander.joint_command(11.0)[0], Q + 0.5)
    np.testing.assert_allclose(commander.joint_command(99.0)[0], Q + 1.0)


def test_trajectory_with_velocities_is_a_cubic_that_meets_them():
    times, positions = np.array([0.0, 1.0]), np.stack([Q, Q + 1.0])
    velocities = np.stack([np.zeros(7), np.full(7, 0.5)])
    plan = JointTrajectoryPlan(times, positions, velocities)
    step = 1e-5
    np.testing.assert_allclose(
        (plan.sample(1.0 - 1e-9) - plan.sample(1.0 - step)) / step, 0.5, atol=1e-3)
    np.testing.assert_allclose((plan.sample(step) - plan.sample(0.0)) / step, 0.0, atol=1e-3)


@pytest.mark.parametrize('velocities', [None, np.array([np.zeros(7), np.full(7, 0.5)])])
def test_velocity_of_a_trajectory_is_the_slope_of_its_positions(velocities):
    plan = JointTrajectoryPlan(np.array([0.0, 2.0]), np.stack([Q, Q + 1.0]), velocities)
    step = 1e-6
    for elapsed_s in (0.1, 1.0, 1.9):
        slope = (plan.sample(elapsed_s + step) - plan.sample(elapsed_s - step)) / (2 * step)
        np.testing.assert_allclose(plan.velocity(elapsed_s), slope, atol=1e-6)
    np.testing.assert_array_equal(plan.velocity(2.5), 0.0)


def test_trajectory_reports_its_velocity_and_commands_none():
    commander = ArmCommander(Q)
    commander.on_trajectory(JointTrajectoryPlan(np.array([2.0]), (Q + 1.0)[None]), 10.0)
    np.testing.assert_array_equal(commander.joint_command(11.0)[1], 0.0)
    np.testing.assert_allclose(commander.dq_desired, 0.5)
    commander.joint_command(13.0)
    np.testing.assert_array_equal(commander.dq_desired, 0.0)


def test_what_follows_a_cartesian_motion_starts_from_the_measured_position():
    commander = ArmCommander(Q)
    commander.on_pose_target(POSE)
    commander.on_cartesian_motion(Q + 0.3)
    commander.on_trajectory(JointTrajectoryPlan(np.array([2.0]), (Q + 1.0)[None]), 10.0)
    np.testing.assert_allclose(commander.joint_command(10.0)[0], Q + 0.3)


@pytest.mark.parametrize('times, positions', [
    ([1.0, 0.5], np.zeros((2, 7))), ([-1.0], np.zeros((1, 7))), ([1.0], np.zeros((1, 6))),
    ([1.0], np.full((1, 7), np.nan)), ([], np.zeros((0, 7)))])
def test_impossible_trajectory_is_refused(times, positions):
    with pytest.raises(InputError, match='trajectory'):
        JointTrajectoryPlan(np.array(times), positions)


@pytest.mark.parametrize('wrong', [np.nan, np.inf, 1e30, -1e30])
def test_targets_that_the_physics_would_not_survive_are_refused_and_change_nothing(wrong):
    commander = ArmCommander(Q)
    bad = Q.copy()
    bad[3] = wrong
    for attempt in (
            lambda: commander.on_joint_target(bad, np.zeros(7)),
            lambda: commander.on_joint_target(Q, bad),
            lambda: commander.on_pose_target(np.array([wrong, *POSE[1:]])),
            lambda: commander.on_wrench(np.array([0.0, 0, 0, 0, 0, wrong]), POSE),
            lambda: JointTrajectoryPlan(np.array([1.0]), bad[None]),
            lambda: JointTrajectoryPlan(np.array([1.0]), Q[None], bad[None])):
        with pytest.raises(InputError):
            attempt()
    np.testing.assert_array_equal(commander.joint_command(0.0)[0], Q)
