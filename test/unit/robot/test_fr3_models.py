# SPDX-License-Identifier: Apache-2.0
"""The generated URDF and MJCF agree with the table of facts and with each other."""

from __future__ import annotations

import math

import mujoco
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.resources import model_path
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.generate import generated_files
from ocrrl_ros.robot.impedance import JointImpedanceConfig
from ocrrl_ros.robot.shapes import SHAPES
import pinocchio as pin
import pytest

LOWER, UPPER = (np.array(bound) for bound in fr3.POSITION_LIMITS['5.9'])
BODIES = (*(f'fr3_link{i}' for i in range(8)), 'fr3_hand', 'fr3_leftfinger', 'fr3_rightfinger')


@pytest.fixture(scope='module')
def mjcf() -> mujoco.MjModel:
    """Load the generated MJCF."""
    return mujoco.MjModel.from_xml_path(str(model_path('fr3', 'fr3.xml')))


@pytest.fixture(scope='module')
def urdf() -> pin.Model:
    """Load the generated URDF."""
    return pin.buildModelFromUrdf(str(model_path('fr3', 'fr3.urdf')))


def _row(a: float, d: float, alpha: float, theta: float) -> np.ndarray:
    """Return the modified Denavit-Hartenberg transform (4, 4)."""
    ca, sa, ct, st = math.cos(alpha), math.sin(alpha), math.cos(theta), math.sin(theta)
    return np.array([
        [ct, -st, 0, a],
        [st * ca, ct * ca, -sa, -d * sa],
        [st * sa, ct * sa, ca, d * ca],
        [0, 0, 0, 1]])


def denavit_hartenberg_tcp(q: np.ndarray) -> np.ndarray:
    """Return the TCP's transform (4, 4) in the base from the table's rows alone."""
    transform = np.eye(4)
    for row, angle in zip(fr3.MODIFIED_DH, q):
        transform = transform @ _row(*row, angle)
    transform = transform @ _row(*fr3.FLANGE_DH, 0.0) @ _row(0, 0, 0, fr3.HAND_YAW_RAD)
    return transform @ _row(0, fr3.TCP_Z_M, 0, 0)


@pytest.mark.parametrize('name', ['fr3.urdf', 'fr3.xml'])
def test_generated_files_are_up_to_date(name: str) -> None:
    """Files on disk equal what the generator writes."""
    assert model_path('fr3', name).read_text(encoding='utf-8') == generated_files()[name], (
        'run: python -m ocrrl_ros.robot.generate')


def test_urdf_tcp_equals_modified_dh_product(urdf: pin.Model) -> None:
    """1000 random configurations agree to 1e-9."""
    data, tcp = urdf.createData(), urdf.getFrameId(fr3.TCP_FRAME)
    for q in np.random.default_rng(1).uniform(LOWER, UPPER, (1000, 7)):
        pin.framesForwardKinematics(urdf, data, np.concatenate([q, [0.0, 0.0]]))
        np.testing.assert_allclose(
            data.oMf[tcp].homogeneous, denavit_hartenberg_tcp(q), atol=1e-9)


def test_every_body_is_at_the_same_pose_in_both_models(
        mjcf: mujoco.MjModel, urdf: pin.Model) -> None:
    """URDF frames and MJCF bodies agree, fingers and TCP included."""
    data, frames = mujoco.MjData(mjcf), urdf.createData()
    rng = np.random.default_rng(2)
    for _ in range(50):
        q = np.concatenate([rng.uniform(LOWER, UPPER), rng.uniform(0.0, 0.04, 2)])
        data.qpos[:] = q
        mujoco.mj_kinematics(mjcf, data)
        pin.framesForwardKinematics(urdf, frames, q)
        for name in BODIES:
            frame = frames.oMf[urdf.getFrameId(name)]
            np.testing.assert_allclose(data.body(name).xpos, frame.translation, atol=1e-12)
            np.testing.assert_allclose(
                data.body(name).xmat.reshape(3, 3), frame.rotation, atol=1e-9)
        np.testing.assert_allclose(
            data.site(fr3.TCP_FRAME).xpos,
            frames.oMf[urdf.getFrameId(fr3.TCP_FRAME)].translation, atol=1e-12)


def test_joint_names_and_order(mjcf: mujoco.MjModel, urdf: pin.Model) -> None:
    """Both models list arm, then fingers, as every consumer expects."""
    names = [*fr3.ARM_JOINT_NAMES, *fr3.FINGER_JOINT_NAMES]
    assert [mjcf.joint(i).name for i in range(mjcf.njnt)] == names
    assert list(urdf.names)[1:] == names
    assert [mjcf.actuator(i).name for i in range(mjcf.nu)] == [
        *fr3.ARM_ACTUATOR_NAMES, fr3.GRIPPER_ACTUATOR_NAME]


@pytest.mark.parametrize('name', BODIES)
def test_mjcf_inertials_equal_the_table(mjcf: mujoco.MjModel, name: str) -> None:
    """Mass, centre of mass and the whole inertia matrix survive the compiler."""
    body, facts = mjcf.body(name), fr3.INERTIALS[name]
    assert body.mass[0] == pytest.approx(facts.mass, rel=1e-12)
    np.testing.assert_allclose(body.ipos, facts.com, atol=1e-12)
    axes = se3.quat_to_matrix(np.roll(body.iquat, -1))
    np.testing.assert_allclose(
        axes @ np.diag(body.inertia) @ axes.T, facts.matrix(), rtol=1e-6, atol=1e-9)
    assert mjcf.body_gravcomp[body.id] == 1.0


def test_mass_matrices_agree(mjcf: mujoco.MjModel, urdf: pin.Model) -> None:
    """Inertia of the whole arm, armature apart, is the same in both models."""
    data, frames = mujoco.MjData(mjcf), urdf.createData()
    full = np.zeros((9, 9))
    for q in np.random.default_rng(3).uniform(LOWER, UPPER, (20, 7)):
        data.qpos[:] = np.concatenate([q, [0.02, 0.02]])
        mujoco.mj_forward(mjcf, data)
        for column, unit in zip(full.T, np.eye(9)):
            product = np.zeros(9)
            mujoco.mj_mulM(mjcf, data, product, unit)
            column[:] = product
        mass = pin.crba(urdf, frames, data.qpos.copy())
        mass = np.triu(mass) + np.triu(mass, 1).T
        np.testing.assert_allclose(full - np.diag(mjcf.dof_armature), mass, atol=1e-8)


def test_arm_actuators_are_the_joint_impedance(mjcf: mujoco.MjModel) -> None:
    """Gains, torque limits and ranges come from the configuration and the table."""
    config = JointImpedanceConfig()
    np.testing.assert_allclose(mjcf.actuator_gainprm[:7, 0], config.stiffness_gains())
    np.testing.assert_allclose(mjcf.actuator_biasprm[:7, 1], -config.stiffness_gains())
    np.testing.assert_allclose(mjcf.actuator_biasprm[:7, 2], -config.damping_gains())
    np.testing.assert_allclose(mjcf.actuator_forcerange[:7, 1], fr3.MAX_TORQUE)
    np.testing.assert_allclose(mjcf.actuator_ctrlrange[:7], np.stack([LOWER, UPPER], axis=1))
    np.testing.assert_allclose(mjcf.dof_armature[:7], fr3.JOINT_ARMATURE)
    np.testing.assert_allclose(mjcf.dof_frictionloss[:7], fr3.JOINT_FRICTION)


def test_only_hand_fingers_and_pads_collide(mjcf: mujoco.MjModel) -> None:
    """Arm shapes are for the eye; every geom that collides hangs on the hand."""
    colliding = {
        mjcf.body(mjcf.geom_bodyid[i]).name for i in range(mjcf.ngeom)
        if mjcf.geom_contype[i] or mjcf.geom_conaffinity[i]}
    assert colliding == {'fr3_hand', 'fr3_leftfinger', 'fr3_rightfinger'}
    assert set(SHAPES) == set(BODIES)
    for name in fr3.PAD_GEOM_NAMES:
        assert mjcf.geom(name).condim[0] == 4


def test_pads_meet_at_the_tcp_when_closed(mjcf: mujoco.MjModel) -> None:
    """The gap between the pads equals the width, and the TCP lies at their middle."""
    data = mujoco.MjData(mjcf)
    data.qpos[:7] = fr3.READY_POSITION
    data.qpos[7:] = 0.03
    mujoco.mj_forward(mjcf, data)
    left, right = (data.geom(name).xpos for name in fr3.PAD_GEOM_NAMES)
    thickness = 2 * mjcf.geom('left_pad').size[1]
    assert np.linalg.norm(left - right) - thickness == pytest.approx(0.06, abs=1e-9)
    np.testing.assert_allclose(0.5 * (left + right), data.site(fr3.TCP_FRAME).xpos, atol=1e-3)


def test_arm_holds_the_ready_pose_within_friction(mjcf: mujoco.MjModel) -> None:
    """With gravity compensation a constant target keeps the arm where it is."""
    data = mujoco.MjData(mjcf)
    data.qpos[:7] = data.ctrl[:7] = fr3.READY_POSITION
    mujoco.mj_step(mjcf, data, 1000)
    np.testing.assert_allclose(data.qpos[:7], fr3.READY_POSITION, atol=1e-6)


def test_fingers_move_together_and_reach_their_target(mjcf: mujoco.MjModel) -> None:
    """The servo opens both fingers alike."""
    data = mujoco.MjData(mjcf)
    data.qpos[:7] = data.ctrl[:7] = fr3.READY_POSITION
    data.ctrl[7] = 0.03
    for _ in range(500):
        mujoco.mj_step(mjcf, data)
        assert abs(data.qpos[7] - data.qpos[8]) < 2e-3
    np.testing.assert_allclose(data.qpos[7:], 0.03, atol=2e-4)


@pytest.mark.parametrize('timestep_s', [0.001, 0.002])
def test_fingers_squeeze_with_the_configured_force(timestep_s: float) -> None:
    """A block between the pads feels 35 N from each finger and stays at rest."""
    spec = mujoco.MjSpec.from_file(str(model_path('fr3', 'fr3.xml')))
    spec.option.timestep = timestep_s
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    block = spec.worldbody.add_body(pos=[0.306891, 0.0, 0.486882], gravcomp=1.0)
    block.add_freejoint()
    block.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.015, 0.02, 0.015], mass=0.08)
    model = spec.compile()
    data = mujoco.MjData(model)
    data.qpos[:7] = data.ctrl[:7] = fr3.READY_POSITION
    data.qpos[7:9] = 0.03
    force = np.zeros(6)
    mujoco.mj_step(model, data, round(0.5 / timestep_s))
    pads = {model.geom(name).id: 0.0 for name in fr3.PAD_GEOM_NAMES}
    for i in range(data.ncon):
        mujoco.mj_contactForce(model, data, i, force)
        for geom in data.contact[i].geom:
            if geom in pads:
                pads[geom] += force[0]
    np.testing.assert_allclose(list(pads.values()), 35.0, rtol=0.05)
    assert np.abs(data.qvel[7:9]).max() < 1e-3
