# SPDX-License-Identifier: Apache-2.0
"""The shared physics holds a grasp by friction alone, at both steps."""

import mujoco
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.physics import load_physics, PhysicsConfig
import pytest


def test_file_equals_the_documented_defaults():
    assert load_physics() == PhysicsConfig()


def test_bad_settings_name_value_and_range():
    with pytest.raises(ConfigError, match='timestep_s is 0.02 s'):
        PhysicsConfig(timestep_s=0.02)
    with pytest.raises(ConfigError, match='impratio is 0.5'):
        PhysicsConfig(impratio=0.5)


def test_model_uses_the_settings(make_world):
    world = make_world(timestep_s=0.002)
    option = world.model.opt
    assert option.timestep == 0.002
    assert option.cone == mujoco.mjtCone.mjCONE_ELLIPTIC
    assert option.solver == mujoco.mjtSolver.mjSOL_NEWTON
    assert option.impratio == 10.0


def test_arm_actuators_are_the_impedance_law_scaled_by_the_domain(make_world):
    law = load_physics().arm
    for domain in ('sim', 'proxy'):
        world = make_world(domain)
        scale = world.domain.arm
        rows = world.readout.arm_ctrl
        np.testing.assert_allclose(
            world.model.actuator_gainprm[rows, 0],
            law.stiffness_gains() * scale.stiffness_scale)
        np.testing.assert_allclose(
            -world.model.actuator_biasprm[rows, 2], law.damping_gains() * scale.damping_scale)


def test_nothing_is_welded(make_world):
    kinds = make_world().model.eq_type
    assert int(mujoco.mjtEq.mjEQ_WELD) not in kinds
    assert int(mujoco.mjtEq.mjEQ_CONNECT) not in kinds


@pytest.mark.parametrize(('domain', 'timestep_s'), [
    ('sim', 0.001), ('sim', 0.002), ('proxy', 0.001)])
def test_lifted_cube_slips_less_than_a_millimetre_in_five_seconds(
        make_world, grasp_ready, domain, timestep_s):
    world = make_world(domain, timestep_s=timestep_s, estimates_torque=False)
    world.reset_to(grasp_ready)
    world.set_gripper(0.0)
    world.step(round(1.2 / timestep_s))
    kinematics, q = FrankaKinematics(), grasp_ready.q
    for height in np.linspace(0.02, 0.14, 60):
        q, _ = kinematics.solve(np.array([0.5, 0.0, height, 1.0, 0.0, 0.0, 0.0]), q)
        world.set_joint_target(q)
        world.step(round(0.02 / timestep_s))
    world.step(round(0.5 / timestep_s))

    def cube_in_hand() -> np.ndarray:
        return se3.pose_multiply(se3.pose_inverse(world.tcp_pose()), world.object_pose('cube'))
    before = cube_in_hand()
    world.step(round(5.0 / timestep_s))
    after = cube_in_hand()
    assert world.object_pose('cube')[2] > 0.10
    assert np.linalg.norm(after[:3] - before[:3]) < 1e-3
    assert se3.quat_angle(after[3:], before[3:]) < np.radians(1.0)
