# SPDX-License-Identifier: Apache-2.0
"""Gains, clips and the Cartesian law."""

from __future__ import annotations

import mujoco
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.core.resources import model_path
from ocrrl_ros.robot.impedance import (
    CartesianImpedance, CartesianImpedanceConfig, JointImpedanceConfig, JointImpedanceMonitor)
from ocrrl_ros.robot.kinematics import FrankaKinematics
import pytest

KINEMATICS = FrankaKinematics()
READY = KINEMATICS.ready_position


def _law(**config: float) -> CartesianImpedance:
    """Return a law with the FR3's limits."""
    limits = KINEMATICS.limits
    return CartesianImpedance(
        CartesianImpedanceConfig(**config), limits.position_lower, limits.position_upper)


def _torque(law: CartesianImpedance, q: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the law's torque at rest."""
    return law.torque(
        q, np.zeros(7), base_T_tcp=KINEMATICS.forward(q), jacobian=KINEMATICS.jacobian(q),
        base_T_target=target, q_nullspace=q)


def test_joint_gains_are_those_of_crisp() -> None:
    """K = 5 x weights and D = 2 sqrt(K)."""
    config = JointImpedanceConfig()
    np.testing.assert_allclose(
        config.stiffness_gains(), [750, 750, 750, 750, 250, 150, 50])
    np.testing.assert_allclose(config.damping_gains() ** 2, 4 * config.stiffness_gains())
    np.testing.assert_allclose(config.velocity_lead_s()[0], 2 / np.sqrt(750))


def test_monitor_counts_only_what_crisp_would_clip() -> None:
    """A 0.6 rad error and a jump of the target count; smooth motion does not."""
    monitor = JointImpedanceMonitor(JointImpedanceConfig())
    zero = np.zeros(7)
    for i in range(100):
        assert not monitor.update(zero + 1e-4 * i, zero, zero, 0.001)
    assert monitor.update(zero + 0.02, zero, zero, 0.001)
    assert (monitor.ticks, monitor.error_clipped, monitor.torque_rate_clipped) == (101, 0, 1)
    monitor.reset()
    assert monitor.update(zero + 0.6, zero, zero, 0.001)
    assert (monitor.error_clipped, monitor.torque_rate_clipped) == (1, 1)


def test_monitor_takes_the_velocity_of_the_target_into_account() -> None:
    """A target that begins to move asks for a torque at once; one that stands does not."""
    monitor = JointImpedanceMonitor(JointImpedanceConfig())
    zero = np.zeros(7)
    monitor.update(zero, zero, zero, 0.001)
    assert not monitor.update(zero, zero, zero, 0.001, dq_target=zero)
    assert monitor.update(zero, zero, zero, 0.001, dq_target=zero + 0.1)


def test_monitor_compares_the_first_tick_with_the_torque_that_acts() -> None:
    """A jump that is the first target counts, once the monitor knows what came before."""
    monitor = JointImpedanceMonitor(JointImpedanceConfig())
    zero = np.zeros(7)
    monitor.reset(zero)
    assert monitor.update(zero + 0.1, zero, zero, 0.001)
    assert (monitor.torque_rate_share, monitor.error_share) == (1.0, 0.0)


def test_error_is_clipped_per_axis() -> None:
    """10 cm and 0.5 rad at most, whatever the target."""
    law = _law()
    far = se3.pose([1.0, -1.0, 0.05], se3.quat_from_rotvec(np.array([1.0, 0.0, 0.0])))
    error = law.clipped_error(se3.pose_identity(), far)
    np.testing.assert_allclose(error, [0.1, -0.1, 0.05, 0.5, 0.0, 0.0], atol=1e-12)


def test_torque_changes_by_half_a_newton_metre_per_millisecond_at_most() -> None:
    """A jump of the target is spread over time."""
    law = _law(output_filter=0.0)
    target = KINEMATICS.forward(READY)
    target[:3] += 0.1
    last = np.zeros(7)
    for _ in range(100):
        tau = _torque(law, READY, target)
        assert (np.abs(tau - last) <= 0.5 + 1e-9).all()
        last = tau
    assert np.abs(last).max() > 5.0


def test_static_torque_is_the_stiffness_seen_through_the_jacobian() -> None:
    """Once rate limit and filter have settled, tau = J^T K e."""
    law = _law()
    target = KINEMATICS.forward(READY)
    target[2] += 0.01
    for _ in range(500):
        tau = _torque(law, READY, target)
    np.testing.assert_allclose(
        tau, KINEMATICS.jacobian(READY).T @ [0, 0, 6.0, 0, 0, 0], atol=1e-6)


def test_each_axis_has_its_own_stiffness_and_damping() -> None:
    """Six stiffnesses, none of them averaged: tau = J^T (K e - D v)."""
    stiffness = np.array([100.0, 400.0, 900.0, 0.0, 25.0, 36.0])
    limits = KINEMATICS.limits
    law = CartesianImpedance(
        CartesianImpedanceConfig(output_filter=0.0, max_delta_tau=1e6, nullspace_stiffness=1e-9),
        limits.position_lower, limits.position_upper, stiffness)
    jacobian = KINEMATICS.jacobian(READY)
    dq = np.linspace(-0.02, 0.02, 7)
    here = KINEMATICS.forward(READY)
    there = se3.pose(here[:3] + 0.01, se3.quat_multiply(
        se3.quat_from_rotvec(np.array([0.02, 0.03, 0.04])), here[3:]))
    tau = law.torque(
        READY, dq, base_T_tcp=here, jacobian=jacobian, base_T_target=there, q_nullspace=READY)
    error = np.array([0.01, 0.01, 0.01, 0.02, 0.03, 0.04])
    force = stiffness * error - 2.0 * np.sqrt(stiffness) * (jacobian @ dq)
    np.testing.assert_allclose(tau, jacobian.T @ force, atol=1e-5)


@pytest.mark.parametrize('stiffness', [[100.0] * 5, [-1.0] + [1.0] * 5, [np.nan] * 6])
def test_unusable_stiffness_is_refused(stiffness: list) -> None:
    """The message gives what was asked for and what is allowed."""
    limits = KINEMATICS.limits
    with pytest.raises(InputError, match='stiffness is .*allowed: 6 finite numbers >= 0'):
        CartesianImpedance(
            CartesianImpedanceConfig(), limits.position_lower, limits.position_upper,
            np.array(stiffness))


def test_posture_torque_does_not_push_the_tcp() -> None:
    """The null-space term gives no TCP force up to the regularisation."""
    law = _law(output_filter=0.0, max_delta_tau=1e6, nullspace_max_tau=1e3, regularization=1e-9)
    tau = law.torque(
        READY, np.zeros(7), base_T_tcp=KINEMATICS.forward(READY),
        jacobian=KINEMATICS.jacobian(READY), base_T_target=KINEMATICS.forward(READY),
        q_nullspace=READY + 0.1)
    assert np.linalg.norm(tau) > 1e-3
    wrench = np.linalg.lstsq(KINEMATICS.jacobian(READY).T, tau, rcond=None)[0]
    np.testing.assert_allclose(wrench, 0.0, atol=1e-6)


def test_joint_limits_push_back() -> None:
    """At a limit the repulsion is 5 Nm, 0.1 rad before it none."""
    law = _law(output_filter=0.0, max_delta_tau=1e6)
    q = READY.copy()
    q[3] = KINEMATICS.limits.position_upper[3]
    assert _torque(law, q, KINEMATICS.forward(q))[3] == pytest.approx(-5.0, abs=1e-9)
    q[3] -= 0.1
    assert _torque(law, q, KINEMATICS.forward(q))[3] == pytest.approx(0.0, abs=1e-9)


def test_law_brings_the_simulated_arm_to_its_target() -> None:
    """Closed loop with MuJoCo, friction off: 5 cm and 0.2 rad away in 2 s."""
    model = mujoco.MjModel.from_xml_path(str(model_path('fr3', 'fr3.xml')))
    model.opt.timestep, model.dof_frictionloss[:] = 0.001, 0.0
    model.actuator_gainprm[:7] = model.actuator_biasprm[:7] = 0.0
    data = mujoco.MjData(model)
    data.qpos[:7] = READY
    law = _law()
    target = se3.pose_multiply(
        KINEMATICS.forward(READY),
        se3.pose([0.03, 0.03, 0.02], se3.quat_from_rotvec(np.array([0.0, 0.1, 0.2]))))
    for _ in range(2000):
        q = data.qpos[:7].copy()
        data.qfrc_applied[:7] = law.torque(
            q, data.qvel[:7].copy(), base_T_tcp=KINEMATICS.forward(q),
            jacobian=KINEMATICS.jacobian(q), base_T_target=target, q_nullspace=READY)
        mujoco.mj_step(model, data)
    reached = KINEMATICS.forward(data.qpos[:7].copy())
    assert np.linalg.norm(reached[:3] - target[:3]) < 2e-3
    assert se3.quat_angle(reached[3:], target[3:]) < 0.02


@pytest.mark.parametrize(('cls', 'name', 'value'), [
    (JointImpedanceConfig, 'stiffness', -5.0),
    (JointImpedanceConfig, 'weights', (0.0,) * 7),
    (CartesianImpedanceConfig, 'error_clip_m', 0.0),
    (CartesianImpedanceConfig, 'output_filter', 1.0)])
def test_settings_outside_their_range_are_refused(cls: type, name: str, value: float) -> None:
    """The message names the setting."""
    with pytest.raises(ConfigError, match=name):
        cls(**{name: value})
