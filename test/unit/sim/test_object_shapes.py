# SPDX-License-Identifier: Apache-2.0
"""Shapes have the mass, size and frame that their descriptions give, and rest where they start."""

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.object_shapes import Box, BoxUnion, Cylinder, Drawer, lying_pose, Tub
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.tasks import get_task, known_tasks
from ocrrl_ros.sim.world import SimWorld
import pytest

CORNERS = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T
RING = BoxUnion((((0.03, 0.0, 0.0), (0.01, 0.04, 0.02)), ((-0.03, 0.0, 0.0), (0.01, 0.04, 0.02)),
                 ((0.0, 0.03, 0.0), (0.02, 0.01, 0.01))))
CUP = Tub(bottom_m=0.025, mouth_m=0.0375, height_m=0.100, wall_m=0.003)


def parts(shape, scale=1.0, mass_kg=0.3):
    """Return (size, pose, mass) of every box that can be touched."""
    found = []

    def add(kind, size, position, quaternion, mass, role='solid'):
        if role != 'look':
            found.append((size, se3.pose(position, quaternion), mass))

    shape.build(add, scale, mass_kg)
    return found


@pytest.mark.parametrize('shape', [Box((0.01, 0.02, 0.03)), Cylinder(0.01, 0.1), RING, CUP])
def test_parts_carry_the_mass_between_them(shape):
    assert sum(mass for _, _, mass in parts(shape)) == pytest.approx(0.3)


def test_a_union_shares_its_mass_by_volume_and_grows_with_the_scale():
    assert RING.half_extents_m == pytest.approx((0.04, 0.04, 0.02))
    found = parts(RING, scale=1.1)
    np.testing.assert_allclose([mass for _, _, mass in found], 0.3 * np.array([4, 4, 1]) / 9)
    reach = np.max([np.abs(pose[:3]) + size for size, pose, _ in found], axis=0)
    np.testing.assert_allclose(reach, np.multiply(RING.half_extents_m, 1.1))


def test_a_cylinder_is_one_geom_along_z():
    (size, pose, _), = parts(Cylinder(0.01, 0.1), scale=1.1)
    np.testing.assert_allclose(size[:2], [0.011, 0.055])
    np.testing.assert_allclose(pose, [0, 0, 0, 0, 0, 0, 1])


@pytest.mark.parametrize('scale', [0.9, 1.0, 1.1])
def test_tub_fills_its_bounding_box(scale):
    points = np.concatenate([
        se3.pose_transform(pose, CORNERS * size) for size, pose, _ in parts(CUP, scale)[1:]])
    half = np.multiply(CUP.half_extents_m, scale)
    assert np.abs(points[:, 2]).max() == pytest.approx(half[2], abs=1e-9)
    assert np.linalg.norm(points[:, :2], axis=1).max() == pytest.approx(
        half[0], rel=0.01)


def test_tub_is_hollow_and_open_towards_its_mouth():
    inside = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.045], [0.02, 0.0, 0.03]])
    for size, pose, _ in parts(CUP)[1:]:
        local = se3.pose_transform(se3.pose_inverse(pose), inside)
        assert not (np.abs(local) <= size).all(axis=1).any()


@pytest.mark.parametrize('yaw', [-1.0, 0.0, 0.7])
def test_lying_tub_touches_the_table_with_its_mouth_towards_the_yaw(yaw):
    pose = lying_pose(CUP, 1.0, 0.5, 0.1, yaw)
    points = np.concatenate([
        se3.pose_transform(pose, se3.pose_transform(part, CORNERS * size))
        for size, part, _ in parts(CUP)[1:]])
    assert points[:, 2].min() == pytest.approx(0.0, abs=3e-4)
    axis = se3.quat_rotate(pose[3:], np.array([0.0, 0.0, 1.0]))
    assert np.arctan2(axis[1], axis[0]) == pytest.approx(yaw)


def test_drawer_moves_against_its_x_axis_when_it_opens():
    shape = Drawer()
    joints = np.array([0.4, -0.1, 0.5, 0.08])
    pose, closed = shape.pose(joints), shape.closed_pose(joints)
    offset = se3.pose_multiply(se3.pose_inverse(closed), pose)
    np.testing.assert_allclose(offset[:3], [-0.08, 0.0, 0.0], atol=1e-12)
    assert joints[3] == 0.08


@pytest.mark.parametrize('domain', ['sim', 'proxy'])
@pytest.mark.parametrize('name', known_tasks())
def test_objects_rest_where_they_start_and_sensors_agree_with_the_joints(name, domain):
    world = SimWorld(get_task(name), load_domain(domain), load_physics())
    for seed in range(3):
        world.reset(np.random.default_rng(seed))
        world.step(500)
        poses = world.readout.object_poses(world.data.qpos)
        drift = np.abs(poses[:, :3] - world.initial.object_poses[:, :3]).max()
        assert drift < 0.003
        np.testing.assert_allclose(poses, world.task_state().object_poses[0], atol=1e-5)


def test_cabinet_stands_against_a_strong_push():
    world = SimWorld(get_task('close_drawer'), load_domain('sim'), load_physics())
    world.reset(np.random.default_rng(0))
    before = world.task_state().joint_positions[0, :3].copy()
    world.apply_push('cabinet', np.array([30.0, 30.0, 0.0, 0.0, 0.0, 5.0]), 0.5)
    world.step(600)
    np.testing.assert_allclose(world.task_state().joint_positions[0, :3], before, atol=1e-4)


@pytest.mark.parametrize(('force_n', 'moves'), [(3.0, False), (8.0, True)])
def test_drawer_moves_when_pushed_harder_than_its_friction(force_n, moves):
    world = SimWorld(get_task('close_drawer'), load_domain('sim'), load_physics())
    world.reset(np.random.default_rng(0))
    state = world.task_state()
    opening = state.joint_positions[0, 3]
    push = force_n * se3.quat_rotate(state.object_poses[0, 0, 3:], np.array([1.0, 0.0, 0.0]))
    world.apply_push('drawer', np.concatenate([push, np.zeros(3)]), 0.5)
    world.step(500)
    assert (opening - world.task_state().joint_positions[0, 3] > 0.01) == moves


def test_drawer_joints_follow_from_where_it_was_seen_open_and_shut() -> None:
    shape, joints = Drawer(), np.array([0.45, -0.08, -2.3, 0.09])
    opened, shut = shape.pose(joints), shape.closed_pose(joints)
    np.testing.assert_allclose(shape.joints_between(opened, shut), joints, atol=1e-12)
    beyond = se3.pose_multiply(shut, np.array([0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]))
    assert shape.joints_between(beyond, shut)[3] == 0.0
