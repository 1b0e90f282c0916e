# SPDX-License-Identifier: Apache-2.0
"""Pose, Jacobian, gravity and inverse kinematics of the TCP."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.kinematics import FrankaKinematics, KinematicsConfig
import pytest

DOWN = np.array([1.0, 0.0, 0.0, 0.0])


@pytest.fixture(scope='module')
def kinematics() -> FrankaKinematics:
    """Return kinematics with default settings."""
    return FrankaKinematics()


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a seeded generator."""
    return np.random.default_rng(7)


def _random_q(kinematics: FrankaKinematics, rng: np.random.Generator, n: int) -> np.ndarray:
    """Return random positions (n, 7) within the limits."""
    return rng.uniform(kinematics.limits.position_lower, kinematics.limits.position_upper, (n, 7))


def test_ready_pose_is_where_franka_says(kinematics: FrankaKinematics) -> None:
    """TCP at (0.306891, 0, 0.486882), pointing down."""
    pose = kinematics.forward(kinematics.ready_position)
    np.testing.assert_allclose(pose[:3], [0.306891, 0.0, 0.486882], atol=1e-6)
    assert se3.quat_angle(pose[3:], DOWN) < 1e-9


def test_poses_are_canonical(
        kinematics: FrankaKinematics, rng: np.random.Generator) -> None:
    """Quaternions have unit norm and w >= 0, whatever Pinocchio returns."""
    for q in _random_q(kinematics, rng, 100):
        pose = kinematics.forward(q)
        assert pose[6] >= 0.0
        assert np.linalg.norm(pose[3:]) == pytest.approx(1.0, abs=1e-12)


def test_jacobian_equals_finite_differences(
        kinematics: FrankaKinematics, rng: np.random.Generator) -> None:
    """Columns are the TCP's twist in the base frame per unit joint velocity."""
    step = 1e-6
    for q in _random_q(kinematics, rng, 20):
        jacobian = kinematics.jacobian(q)
        for i in range(7):
            delta = step * np.eye(7)[i]
            ahead, behind = kinematics.forward(q + delta), kinematics.forward(q - delta)
            turn = se3.quat_to_rotvec(
                se3.quat_multiply(ahead[3:], se3.quat_conjugate(behind[3:])))
            twist = np.concatenate([ahead[:3] - behind[:3], turn]) / (2 * step)
            np.testing.assert_allclose(jacobian[:, i], twist, atol=1e-6)


def test_gravity_is_the_gradient_of_potential_energy(
        kinematics: FrankaKinematics, rng: np.random.Generator) -> None:
    """Torques equal the change of height of every mass, fingers included."""
    masses = {name: facts for name, facts in fr3.INERTIALS.items() if name != 'fr3_link0'}

    def potential(q: np.ndarray) -> float:
        return sum(
            9.81 * facts.mass
            * se3.pose_transform(kinematics.frame_pose(q, name), np.array(facts.com))[2]
            for name, facts in masses.items())

    for q in _random_q(kinematics, rng, 5):
        slope = [
            (potential(q + 1e-5 * unit) - potential(q - 1e-5 * unit)) / 2e-5
            for unit in np.eye(7)]
        np.testing.assert_allclose(kinematics.gravity(q), slope, atol=1e-5)


def test_solve_reaches_1000_targets_above_the_table(
        kinematics: FrankaKinematics, rng: np.random.Generator) -> None:
    """From a start 5 cm and 0.3 rad away, targets in the workspace are met within tolerance."""
    q, _ = kinematics.solve(
        se3.pose([0.5, 0.0, 0.2], DOWN), kinematics.ready_position, iterations=50)
    config = kinematics.config
    for _ in range(1000):
        position = rng.uniform([0.35, -0.3, 0.01], [0.65, 0.3, 0.4])
        axis = se3.quat_from_rotvec(
            np.array([*rng.uniform(-0.3, 0.3, 2), rng.uniform(-0.8, 0.8)]))
        target = se3.pose(position, se3.quat_multiply(axis, DOWN))
        near = se3.pose_multiply(target, se3.pose(
            rng.uniform(-0.05, 0.05, 3), se3.quat_from_rotvec(rng.uniform(-0.17, 0.17, 3))))
        start, _ = kinematics.solve(near, q, iterations=100)
        solution, is_converged = kinematics.solve(target, start, iterations=20)
        assert is_converged, target
        reached = kinematics.forward(solution)
        assert np.linalg.norm(reached[:3] - position) < 2 * config.position_tolerance_m
        assert se3.quat_angle(reached[3:], target[3:]) < 2 * config.rotation_tolerance_rad


def test_three_iterations_follow_a_chunk_step(
        kinematics: FrankaKinematics, rng: np.random.Generator) -> None:
    """A step of 20 mm and 0.2 rad, the residual's bound, converges with the default count."""
    start = kinematics.forward(kinematics.ready_position)
    for _ in range(200):
        offset = se3.pose(
            rng.uniform(-0.02, 0.02, 3) / np.sqrt(3),
            se3.quat_from_rotvec(rng.uniform(-0.2, 0.2, 3) / np.sqrt(3)))
        assert kinematics.solve(
            se3.pose_multiply(start, offset), kinematics.ready_position)[1]


def test_solutions_stay_inside_the_limits(
        kinematics: FrankaKinematics, rng: np.random.Generator) -> None:
    """Unreachable targets give the nearest posture within limits, and say so."""
    lower, upper = kinematics.limits.box(kinematics.config.limit_speed_rad_s)
    for _ in range(200):
        target = se3.pose(
            rng.uniform(-1.5, 1.5, 3), se3.quat_normalize(rng.normal(size=4)))
        q, is_converged = kinematics.solve(target, kinematics.ready_position, iterations=30)
        assert (q >= lower - 1e-12).all()
        assert (q <= upper + 1e-12).all()
        if np.linalg.norm(target[:3] - [0, 0, 0.333]) > 1.2:
            assert not is_converged


def _tilt_up(kinematics: FrankaKinematics, yaw_rad: float) -> tuple[np.ndarray, bool]:
    """Turn the hand from down with a yaw to level, lower it, and return the last solution."""
    down = se3.quat_multiply(se3.quat_from_rotvec(np.array([0.0, 0.0, yaw_rad])), DOWN)
    level = se3.matrix_to_quat(np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]))
    turn = se3.quat_to_rotvec(se3.quat_multiply(se3.quat_conjugate(down), level))
    way = [
        se3.pose(np.array([0.5, 0.0, 0.25]) + share * np.array([0.08, 0.0, -0.05]),
                 se3.quat_multiply(down, se3.quat_from_rotvec(share * turn)))
        for share in np.linspace(0.0, 1.0, 60)]
    way += [se3.pose(np.array([0.58, 0.0, height]), level)
            for height in np.linspace(0.2, 0.055, 60)]
    q, _ = kinematics.solve(way[0], kinematics.ready_position, iterations=100)
    for target in way:
        q, _ = kinematics.solve(target, q)
    return kinematics.solve(way[-1], q, iterations=20)


@pytest.mark.parametrize('yaw_deg', [-60, -40, -20, 0, 20, 40, 60])
def test_wrist_does_not_turn_over_where_joints_5_and_7_pass_each_other(
        kinematics: FrankaKinematics, yaw_deg: int) -> None:
    """A hand that turns from down to level arrives, whichever way it was yawed."""
    q, is_converged = _tilt_up(kinematics, np.deg2rad(yaw_deg))
    assert is_converged
    assert abs(q[4]) <= kinematics.config.wrist_range_rad


def test_without_a_wrist_range_the_same_turn_ends_in_a_corner_of_the_limits() -> None:
    """The range is what prevents it: with all of joint 5 some turns are never completed."""
    free = FrankaKinematics(KinematicsConfig(wrist_range_rad=np.pi))
    q, is_converged = _tilt_up(free, np.deg2rad(-40))
    assert not is_converged
    assert abs(q[4]) > 2.0


def test_a_wrist_beyond_its_range_goes_no_further_out(kinematics: FrankaKinematics) -> None:
    """An arm that was guided there starts without a jump and may come back."""
    start = kinematics.ready_position.copy()
    start[4] = 1.5
    target = kinematics.forward(start)
    q, is_converged = kinematics.solve(target, start)
    assert is_converged
    assert 1.2 < q[4] <= 1.5


def test_posture_returns_toward_ready_without_moving_the_tcp(
        kinematics: FrankaKinematics) -> None:
    """Repeated solves of one pose swing the elbow back, which keeps postures repeatable."""
    target = kinematics.forward(kinematics.ready_position)
    q = kinematics.ready_position + 0.3 * np.array([1, 0, -1, 0, 0, 0, 0])
    q, _ = kinematics.solve(target, q, iterations=30)
    before = np.linalg.norm(q - kinematics.ready_position)
    for _ in range(60):
        q, is_converged = kinematics.solve(target, q)
        assert is_converged
    assert np.linalg.norm(q - kinematics.ready_position) < 0.3 * before


@pytest.mark.parametrize('where', ['target', 'start'])
def test_nan_is_refused(kinematics: FrankaKinematics, where: str) -> None:
    """A NaN names itself instead of spreading."""
    target, start = kinematics.forward(kinematics.ready_position), np.zeros(7)
    (target if where == 'target' else start)[0] = np.nan
    with pytest.raises(InputError, match='finite'):
        kinematics.solve(target, start)


def test_bad_settings_name_the_allowed_range() -> None:
    """Zero iterations and unknown frames are refused."""
    with pytest.raises(ConfigError, match='iterations is 0'):
        KinematicsConfig(iterations=0)
    with pytest.raises(InputError, match='no_such_frame'):
        FrankaKinematics().frame_pose(np.zeros(7), 'no_such_frame')
