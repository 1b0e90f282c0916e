# SPDX-License-Identifier: Apache-2.0
"""Tests of the mesh renderer against ray casting, and of the depth filters against plain loops."""
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.perception.adapters.foundation_pose.mesh import object_mesh
from ocrrl_ros.perception.adapters.foundation_pose.raster_numba import draw, eroded, smoothed
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.sdf import entry
import pytest

CAMERA = np.array([400.0, 410.0, 79.5, 59.5])
SHAPE = (120, 160)


def drawn(vertices, faces, colours=None, cameras=CAMERA[None]):
    """Return colours and points of N pictures."""
    vertices = np.ascontiguousarray(np.atleast_3d(vertices), float)
    colours = np.full((vertices.shape[1], 3), 100.0) if colours is None else colours
    rgb = np.full((len(vertices), *SHAPE, 3), np.nan, np.float32)
    points = np.full_like(rgb, np.nan)
    draw(vertices, np.asarray(faces, np.int32), np.asarray(colours, float), cameras, rgb, points)
    return rgb, points


def rays():
    """Return directions (H, W, 3) with z = 1."""
    rows, columns = np.indices(SHAPE)
    return np.stack([(columns - CAMERA[2]) / CAMERA[0], (rows - CAMERA[3]) / CAMERA[1],
                     np.ones(SHAPE)], axis=-1)


@pytest.mark.parametrize('name', ['cube', 'block', 'cup', 'bowl'])
def test_points_are_where_rays_meet_the_object(name):
    model = load_object(name)
    mesh = object_mesh(model)
    rng = np.random.default_rng(0)
    poses = np.array([se3.pose(
        np.array([*rng.uniform(-0.03, 0.03, 2), 0.5]),
        se3.quat_normalize(rng.normal(size=4))) for _ in range(3)])
    _, points = drawn(se3.pose_transform(poses[:, None], mesh.vertices[None]), mesh.faces,
                      cameras=np.tile(CAMERA, (3, 1)))
    for pose, found in zip(poses, points):
        view = se3.pose_inverse(pose)
        ray = rays().reshape(-1, 3)
        length = np.linalg.norm(ray, axis=1)
        directions = ray / length[:, None] @ se3.quat_to_matrix(view[3:]).T
        true = (entry(view[:3], directions, model.shape.surfaces) / length).reshape(SHAPE)
        both = (found[..., 2] > 0.0) & np.isfinite(true)
        seen = (found[..., 2] > 0.0) | np.isfinite(true)
        assert seen.sum() > 500
        # Outlines differ by the chords of round walls and half a pixel.
        assert both.sum() > 0.97 * seen.sum()
        off = np.abs(found[..., 2] - np.where(both, true, 0.0))[both]
        assert np.median(off) < 2e-4
        assert np.quantile(off, 0.97) < 2e-3
        assert np.allclose(
            found[both], rays()[both] * found[both][:, 2:], atol=1e-6)


def test_what_is_nearer_hides_what_is_farther_in_any_order():
    near = np.array([[-0.1, -0.1, 0.5], [0.1, -0.1, 0.5], [0.0, 0.15, 0.5]])
    far = near + np.array([0.0, 0.0, 0.2])
    for order in ([[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [0, 1, 2]]):
        _, points = drawn(np.concatenate([near, far])[None], order)
        assert points[0, 59, 79, 2] == pytest.approx(0.5)


def test_colours_change_with_the_surface_and_not_with_the_picture():
    """The middle of an edge that leads away is nearer to its far end in the picture."""
    corners = np.array([
        [-0.1, -0.05, 0.3], [0.3, -0.05, 0.9], [0.3, 0.25, 0.9], [-0.1, 0.25, 0.3]])
    colours = np.array([[0, 0, 0], [100, 0, 0], [100, 0, 0], [0, 0, 0]])
    rgb, points = drawn(corners[None], [[0, 1, 2], [0, 2, 3]], colours)
    seen = points[0, ..., 2] > 0.0
    share = (points[0, ..., 2] - 0.3) / 0.6
    # The surface leads away by 0.6 m on 0.4 m; light falls on it along the rays.
    facing = np.abs(rays() @ np.array([0.6, 0.0, -0.4])) / (
        np.linalg.norm(rays(), axis=-1) * np.hypot(0.6, 0.4))
    assert seen.sum() > 1000
    assert np.allclose(
        rgb[0][seen][:, 0], (100.0 * share * (0.8 + 0.5 * facing))[seen], atol=0.02)


def test_faces_towards_the_camera_are_brightest():
    flat = np.array([[-0.1, -0.1, 0.5], [0.1, -0.1, 0.5], [0.0, 0.1, 0.5]])
    steep = flat + np.array([[0, 0, -0.1], [0, 0, 0.1], [0, 0, 0.0]])
    values = [drawn(corners[None], [[0, 1, 2]])[0].max() for corners in (flat, steep)]
    assert values[0] == pytest.approx(130.0, abs=0.5)
    assert 80.0 < values[1] < 125.0


def test_what_reaches_behind_the_camera_is_not_drawn():
    corners = np.array([[-0.1, -0.1, 0.5], [0.1, -0.1, 0.5], [0.0, 0.1, -0.5]])
    rgb, points = drawn(corners[None], [[0, 1, 2]])
    assert not rgb.any()
    assert not points.any()


def neighbours(depth, v, u, radius=2):
    """Return the readings around a pixel, itself among them."""
    return depth[max(0, v - radius):v + radius + 1, max(0, u - radius):u + radius + 1]


@pytest.fixture
def depth():
    """Return a step with noise, holes and lone readings."""
    rng = np.random.default_rng(0)
    found = np.where(np.arange(24) < 12, 0.5, 0.6) * np.ones((16, 1))
    found += rng.normal(scale=0.0005, size=found.shape)
    found[rng.random(found.shape) < 0.1] = 0.0
    found[4, 6] = 0.3
    return found.astype(np.float32)


def test_lone_readings_are_taken_away(depth):
    out = np.empty_like(depth)
    eroded(depth, 2, 0.005, 0.8, out)
    assert out[4, 6] == 0.0
    for v, u in np.ndindex(depth.shape):
        around = neighbours(depth, v, u)
        bad = ((around <= 0.0) | (np.abs(around - depth[v, u]) > np.float32(0.005))).mean()
        assert out[v, u] == (depth[v, u] if depth[v, u] > 0.0 and bad <= 0.8 else 0.0)


def test_surfaces_are_smoothed_and_steps_are_kept(depth):
    depth[4, 6] = 0.5
    out = np.empty_like(depth)
    smoothed(depth, 2, 2.0, 0.01, out)
    assert np.array_equal(out > 0.0, depth > 0.0)
    left, right = out[:, :12][out[:, :12] > 0.0], out[:, 12:][out[:, 12:] > 0.0]
    assert abs(left.mean() - 0.5) < 2e-4
    assert abs(right.mean() - 0.6) < 2e-4
    assert left.std() < 0.5 * depth[:, :12][depth[:, :12] > 0.0].std()
