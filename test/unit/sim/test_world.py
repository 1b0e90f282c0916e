# SPDX-License-Identifier: Apache-2.0
"""The world steps exactly, delays what its domain delays, and refuses nonsense."""

import dataclasses

import numpy as np
from ocrrl_ros.core.errors import InputError, UnknownNameError
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.domain import ArmConfig, load_domain
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.tasks import get_task
from ocrrl_ros.sim.world import SimWorld
import pytest


def _delayed(action_s: float, observation_s: float) -> SimWorld:
    domain = dataclasses.replace(load_domain('sim'), arm=ArmConfig(
        action_delay_s=action_s, observation_delay_s=observation_s))
    world = SimWorld(get_task('cube_lift'), domain, load_physics())
    world.reset(np.random.default_rng(0))
    return world


def test_reset_puts_everything_where_the_start_state_says(make_world):
    world = make_world()
    np.testing.assert_allclose(world.object_pose('cube'), world.initial.object_poses[0])
    np.testing.assert_allclose(world.arm_state().q, world.initial.q)
    assert world.opening() == pytest.approx(1.0)
    assert world.time_s == 0.0
    assert len(world.init_sha256) == 64


def test_same_stream_gives_same_hash_and_same_future(make_world):
    one, two = make_world(seed=3), make_world(seed=3)
    assert one.init_sha256 == two.init_sha256
    for world in (one, two):
        world.set_joint_target(world.initial.q + 0.1)
        world.step(500)
    np.testing.assert_array_equal(one.render_state(), two.render_state())


def test_future_does_not_depend_on_how_steps_are_bundled(make_world):
    states = []
    for bundle in (1, 5, 20, 100):
        world = make_world()
        world.set_joint_target(world.initial.q + 0.1)
        world.set_gripper(0.0)
        for _ in range(400 // bundle):
            world.step(bundle)
        states.append(world.render_state())
    for state in states[1:]:
        np.testing.assert_array_equal(state, states[0])


def test_time_does_not_drift(make_world):
    world = make_world()
    for _ in range(1000):
        world.step(3)
    assert world.time_s == 3000 * 0.001


def test_cube_rests_where_it_was_put(make_world):
    world = make_world()
    world.step(1000)
    np.testing.assert_allclose(
        world.object_pose('cube'), world.initial.object_poses[0], atol=2e-4)


def test_arm_reaches_its_target_and_forward_kinematics_agree(make_world):
    world = make_world()
    target = world.initial.q + np.array([0.1, 0.1, -0.1, 0.1, 0.1, -0.1, 0.1])
    world.set_joint_target(target)
    world.step(2000)
    q = world.arm_state().q
    # Dry friction stops the arm up to friction / stiffness short of the target.
    np.testing.assert_allclose(q, target, atol=0.01)
    np.testing.assert_allclose(FrankaKinematics().forward(q), world.tcp_pose(), atol=1e-4)


def test_velocity_of_the_target_removes_the_lag(make_world):
    lags = []
    for feed_forward in (False, True):
        world = make_world()
        rate = np.array([0.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        for index in range(200):
            target = world.initial.q + rate * 0.005 * (index + 1)
            world.set_joint_target(target, rate if feed_forward else None)
            world.step(5)
        lags.append(target[0] - world.arm_state().q[0])
    assert lags[0] > 0.018
    assert abs(lags[1]) < 0.005


def test_commands_act_after_the_action_delay():
    world = _delayed(0.010, 0.0)
    world.set_joint_target(world.initial.q + 0.2)
    world.step(10)
    assert np.abs(world.arm_state().dq).max() < 1e-6
    world.step(5)
    assert np.abs(world.arm_state().dq).max() > 1e-3


def test_state_is_reported_after_the_observation_delay():
    late, prompt = _delayed(0.0, 0.007), _delayed(0.0, 0.0)
    for world in (late, prompt):
        world.set_joint_target(world.initial.q + 0.2)
        world.step(1)
    for _ in range(19):
        late.step(1)
    for _ in range(12):
        prompt.step(1)
    assert late.arm_state().stamp_s == pytest.approx(0.013)
    np.testing.assert_array_equal(late.arm_state().q, prompt.arm_state().q)


def test_hand_closes_at_its_speed_after_its_latency(make_world):
    world = make_world()
    world.set_gripper(0.0)
    world.step(90)
    assert world.task_state().width[0] == pytest.approx(0.08, abs=1e-3)
    world.step(500)
    expected = 0.08 - 0.1 * (0.590 - 0.104)
    assert world.task_state().width[0] == pytest.approx(expected, abs=4e-3)
    world.step(1000)
    assert world.opening() == pytest.approx(0.0, abs=0.01)
    assert world.task_state().width_speed[0] == pytest.approx(0.0, abs=1e-3)


def test_push_moves_the_arm_for_its_duration_and_shows_as_external_torque(make_world):
    world = make_world()
    world.apply_push('fr3_hand', np.array([30.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
    world.step(30)
    jacobian = FrankaKinematics().jacobian(world.arm_state().q)
    during = world.arm_state().tau_external
    # The push acts at the hand's centre of mass, not at the TCP: compare joint 1 to 4 loosely.
    expected = jacobian[:3].T @ np.array([30.0, 0.0, 0.0])
    np.testing.assert_allclose(during[:4], expected[:4], atol=4.0)
    assert np.abs(during).max() > 5.0
    world.step(40)
    np.testing.assert_allclose(world.arm_state().tau_external, 0.0, atol=1e-6)


def test_free_motion_shows_no_external_torque(make_world):
    world = make_world()
    world.set_joint_target(world.initial.q + 0.2)
    world.step(100)
    assert np.abs(world.arm_state().dq).max() > 0.1
    np.testing.assert_allclose(world.arm_state().tau_external, 0.0, atol=1e-9)


def test_torque_command_floats_until_the_next_position_command(make_world):
    world = make_world()
    world.set_joint_torque(np.zeros(7))
    world.step(500)
    np.testing.assert_allclose(world.arm_state().q, world.initial.q, atol=1e-3)
    world.set_joint_torque(np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0]))
    world.step(100)
    assert world.arm_state().dq[6] > 0.5
    assert world.arm_state().tau[6] == pytest.approx(2.0)
    world.set_joint_target(world.initial.q)
    world.step(2000)
    np.testing.assert_allclose(world.arm_state().q, world.initial.q, atol=0.01)


def test_fingers_report_contact_with_the_cube(make_world, grasp_ready):
    world = make_world()
    world.reset_to(grasp_ready)
    assert not world.task_state().finger_contact.any()
    world.set_gripper(0.0)
    world.step(1200)
    assert world.task_state().finger_contact.all()
    assert world.task_state().width[0] == pytest.approx(0.04, abs=1e-3)


def test_render_state_round_trips_the_configuration(make_world):
    world = make_world()
    world.step(7)
    state = world.render_state()
    assert state[0] == pytest.approx(0.007)
    np.testing.assert_array_equal(state[1:], world.data.qpos)


@pytest.mark.parametrize('bad', [np.zeros(6), np.full(7, np.nan)])
def test_bad_targets_are_refused_and_change_nothing(make_world, bad):
    world = make_world()
    with pytest.raises(InputError, match='7 finite numbers'):
        world.set_joint_target(bad)
    with pytest.raises(InputError, match='7 finite numbers'):
        world.set_joint_torque(bad)
    world.step(100)
    np.testing.assert_allclose(world.arm_state().q, world.initial.q, atol=1e-4)


def test_bad_names_and_numbers_say_what_is_allowed(make_world):
    world = make_world()
    with pytest.raises(InputError, match=r'1\.5; allowed: 0 closed'):
        world.set_gripper(1.5)
    with pytest.raises(InputError, match='6 finite numbers'):
        world.apply_push('cube', np.zeros(3))
    with pytest.raises(UnknownNameError, match=r"'elbow'.*fr3_hand"):
        world.apply_push('elbow', np.zeros(6))
    with pytest.raises(UnknownNameError, match=r"'bowl'.*cube"):
        world.object_pose('bowl')
