# SPDX-License-Identifier: Apache-2.0
"""The arm's laws in the simulated world, and the change from one to the next."""
import dataclasses

import numpy as np
from ocrrl_ros.robot.impedance import CartesianImpedanceConfig
from ocrrl_ros.robot.robot_config import load_robot, RobotConfig
from ocrrl_ros.sim.bridge_arm import ArmDriver
from ocrrl_ros.sim.bridge_commands import ArmMode, JointTrajectoryPlan
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.tasks import get_task
from ocrrl_ros.sim.world import SimWorld
import pytest


class Bench:
    """A world with a driver, stepped together."""

    def __init__(self, world, robot=None):
        self.world, self.driver = world, ArmDriver(world, robot)
        self.commander = self.driver.commander
        self.start = world.arm_state().q.copy()

    @property
    def q(self):
        return self.world.arm_state().q.copy()

    def run(self, seconds):
        """Step, and return the largest speed of a joint in rad/s."""
        fastest = 0.0
        for _ in range(round(seconds / self.world.timestep_s)):
            self.driver.act(self.world.time_s)
            self.world.step()
            fastest = max(fastest, np.abs(self.world.arm_state().dq).max())
        return fastest

    def go_by_pose(self):
        """Move 5 cm through the Cartesian law and come to rest."""
        target = self.driver.kinematics.forward(self.start)
        target[:3] += [0.0, 0.05, 0.0]
        self.commander.on_pose_target(target)
        self.run(2.0)
        assert self.commander.mode is ArmMode.CARTESIAN
        assert np.abs(self.q - self.start).max() > 0.05


@pytest.fixture(scope='module')
def world():
    return SimWorld(get_task('cube_lift'), load_domain('sim'), load_physics())


@pytest.fixture
def bench(world):
    world.reset(np.random.default_rng(0))
    return Bench(world)


def test_trajectory_after_a_pose_target_starts_where_the_arm_is(bench):
    bench.go_by_pose()
    here = bench.q
    bench.commander.on_trajectory(
        JointTrajectoryPlan(np.array([2.0]), here[None]), bench.world.time_s)
    fastest = bench.run(2.0)
    assert fastest < 0.05
    np.testing.assert_allclose(bench.q, here, atol=5e-3)


def test_hold_of_the_desired_position_after_a_pose_target_moves_nothing(bench):
    # What a cancelled trajectory action and error recovery do.
    bench.go_by_pose()
    here = bench.q
    bench.commander.hold(bench.commander.q_desired)
    assert bench.run(0.5) < 0.05
    np.testing.assert_allclose(bench.q, here, atol=5e-3)


def test_hold_in_the_middle_of_a_cartesian_motion_stops_the_arm_there(bench):
    target = bench.driver.kinematics.forward(bench.start)
    target[:3] += [0.0, 0.08, 0.0]
    bench.commander.on_pose_target(target)
    bench.run(0.3)
    here = bench.q
    bench.commander.hold(bench.commander.q_desired)
    bench.run(1.0)
    moved, way = np.abs(bench.q - here).max(), np.abs(here - bench.start).max()
    assert way > 0.02
    assert moved < 0.5 * way


def test_slow_stream_of_joint_targets_meets_no_clip(bench):
    for i in range(100):
        bench.commander.on_joint_target(bench.start + 1e-4 * i, np.zeros(7))
        bench.run(0.01)
    clips = bench.driver.clips
    assert clips.ticks == 200
    assert (clips.error_share, clips.torque_rate_share) == (0.0, 0.0)


def test_jump_of_the_joint_target_counts_even_as_the_first_one(bench):
    bench.run(0.1)
    bench.commander.on_joint_target(bench.start + 0.1, np.zeros(7))
    bench.run(0.001)
    clips = bench.driver.clips
    assert (clips.ticks, clips.torque_rate_clipped, clips.error_clipped) == (1, 1, 0)


def test_error_above_half_a_radian_counts_as_long_as_it_lasts(bench):
    bench.commander.on_joint_target(bench.start + [0.6, 0, 0, 0, 0, 0, 0], np.zeros(7))
    bench.run(0.02)
    assert bench.driver.clips.error_share == 1.0
    bench.run(2.0)
    assert 0.0 < bench.driver.clips.error_share < 0.5


def test_holding_and_cartesian_ticks_are_not_counted(bench):
    bench.run(0.1)
    bench.go_by_pose()
    assert bench.driver.clips.ticks == 0


def test_shipped_robot_is_the_default_one():
    assert load_robot() == RobotConfig()


def test_stiffness_of_the_robot_settings_reaches_the_cartesian_law(world):
    def sag_m(stiffness):
        world.reset(np.random.default_rng(0))
        robot = dataclasses.replace(RobotConfig(), cartesian_impedance=CartesianImpedanceConfig(
            translation_stiffness=stiffness))
        bench = Bench(world, robot)
        tcp = bench.driver.kinematics.forward(bench.start)
        bench.commander.on_wrench(np.array([0.0, 15.0, 0.0, 0.0, 0.0, 0.0]), tcp)
        bench.run(1.5)
        return bench.driver.kinematics.forward(bench.q)[1] - tcp[1]

    assert sag_m(150.0) > 1.5 * sag_m(600.0)


def test_target_stiffness_acts_axis_by_axis(bench):
    tcp = bench.driver.kinematics.forward(bench.start)
    bench.commander.on_stiffness(np.array([600.0, 100.0, 600.0, 30.0, 30.0, 30.0]))
    bench.commander.on_wrench(np.array([12.0, 12.0, 0.0, 0.0, 0.0, 0.0]), tcp)
    bench.run(2.0)
    moved = bench.driver.kinematics.forward(bench.q)[:2] - tcp[:2]
    assert moved[1] > 2.0 * moved[0] > 0.0


def test_zero_stiffness_is_a_free_axis_and_no_failure(bench):
    tcp = bench.driver.kinematics.forward(bench.start)
    bench.commander.on_stiffness(np.array([0.0, 600.0, 600.0, 30.0, 30.0, 30.0]))
    bench.commander.on_pose_target(tcp + [0.05, 0, 0, 0, 0, 0, 0])
    bench.run(1.0)
    moved = bench.driver.kinematics.forward(bench.q)[0] - tcp[0]
    assert abs(moved) < 0.01
