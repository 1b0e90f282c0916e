# SPDX-License-Identifier: Apache-2.0
"""Scenes hold what task and domain ask for, and cameras show it where they should."""

import mujoco
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.readout import half_extents
from ocrrl_ros.sim.scene import build_model, CAMERA_NAME, mujoco_camera_pose
from ocrrl_ros.sim.tasks import get_task, known_tasks
import pytest


@pytest.mark.parametrize('domain', ['sim', 'proxy'])
@pytest.mark.parametrize('name', known_tasks())
def test_every_task_builds_in_every_domain(name, domain):
    task, world = get_task(name), load_domain(domain)
    model = build_model(task, world, load_physics())
    extents = half_extents(model, task)
    for index, item in enumerate(task.objects):
        scale = world.objects.size_scale if item.is_free else 1.0
        np.testing.assert_allclose(extents[index], np.multiply(item.half_extents_m, scale))
        np.testing.assert_allclose(
            model.body(item.object_id).mass[0], item.mass_kg * world.objects.mass_scale)
        assert model.geom(item.object_id).friction[0] == world.objects.friction


def test_camera_has_the_true_pose_and_looks_along_minus_z():
    domain = load_domain('proxy')
    model = build_model(get_task('cube_lift'), domain, load_physics())
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    camera = model.camera(CAMERA_NAME).id
    expected = mujoco_camera_pose(domain.camera.true_pose())
    np.testing.assert_allclose(data.cam_xpos[camera], domain.camera.eye_m, atol=1e-9)
    np.testing.assert_allclose(
        data.cam_xmat[camera].reshape(3, 3), se3.quat_to_matrix(expected[3:]), atol=1e-9)
    forward = -data.cam_xmat[camera].reshape(3, 3)[:, 2]
    towards = np.subtract(domain.camera.target_m, domain.camera.eye_m)
    np.testing.assert_allclose(forward, towards / np.linalg.norm(towards), atol=1e-9)


@pytest.mark.parametrize('domain', ['sim', 'proxy'])
def test_cube_appears_at_its_projected_pixels_and_depth(make_world, make_renderer, domain):
    world = make_world(domain)
    camera = world.domain.camera
    renderer = make_renderer(world.model)
    address = 1 + world.readout.free_qpos[0]
    signs = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T
    rng = np.random.default_rng(0)
    shifts = []
    for _ in range(8):
        state = world.render_state()
        state[address:address + 3] = rng.uniform((0.42, -0.15, 0.08), (0.58, 0.15, 0.15))
        state[address + 3:address + 7] = se3.quat_normalize(rng.normal(size=4))
        pose = world.readout.object_poses(state[1:])[0]
        # Depth with and without the cube: what changes is the cube, whatever the light.
        renderer.set_state(state)
        depth = renderer.depth()
        state[address + 2] = -5.0
        renderer.set_state(state)
        rows, columns = np.nonzero(np.abs(renderer.depth() - depth) > 1e-4)
        corners = se3.pose_transform(pose, signs * world.readout.half_extents[0])
        optical = se3.pose_transform(se3.pose_inverse(camera.true_pose()), corners)
        pixels = camera.true_intrinsics().project(optical)
        seen = np.array([[columns.min(), rows.min()], [columns.max(), rows.max()]])
        shift = seen - [pixels.min(axis=0), pixels.max(axis=0)]
        # A pixel shows the cube when its centre does: the outline lies up to 1 px outside.
        assert np.abs(shift).max() < 1.8
        shifts.append(shift.mean(axis=0))
        u, v = np.rint(pixels.mean(axis=0)).astype(int)
        assert optical[:, 2].min() - 1e-3 < depth[v, u] < optical[:, 2].max()
    np.testing.assert_allclose(np.mean(shifts, axis=0), 0.0, atol=0.3)


@pytest.mark.parametrize('domain', ['sim', 'proxy'])
def test_whole_start_range_is_in_view_up_to_ten_centimetres(domain):
    camera = load_domain(domain).camera
    points = np.array([
        [x, y, z] for x in (0.37, 0.63) for y in (-0.18, 0.18) for z in (0.0, 0.14)])
    optical = se3.pose_transform(se3.pose_inverse(camera.true_pose()), points)
    pixels = camera.true_intrinsics().project(optical)
    assert (pixels > 5).all()
    assert (pixels < (camera.width - 5, camera.height - 5)).all()
    assert 0.45 < optical[:, 2].min()
    assert optical[:, 2].max() < 1.0
