# SPDX-License-Identifier: Apache-2.0
"""Meshes as grids of signed distances, and the files that are refused."""

from mesh_shapes import l_block, l_block_of_boxes, mesh_object, primitive_mesh
import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception import grid_sdf
from ocrrl_ros.perception.adapters.foundation_pose.mesh import object_mesh
from ocrrl_ros.perception.mesh_distance import MeshDistance
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.sdf import (
    box_distance, entry, nearest_on_rays, surface_distance)
from ocrrl_ros.perception.shape_model import ShapeModel
from PIL import Image
import pytest
import trimesh

ORIGIN = np.array([-0.2, -0.4, 0.35])


@pytest.fixture(scope='module')
def l_grid(tmp_path_factory):
    """Return the L block as a grid."""
    return mesh_object(tmp_path_factory.mktemp('l'), l_block(), resolution=64).shape


@pytest.fixture(scope='module')
def cup_grid(tmp_path_factory):
    """Return the cup as a grid."""
    folder = tmp_path_factory.mktemp('cup')
    return mesh_object(folder, primitive_mesh('cup'), symmetry='revolution').shape


def rays_at(shape, count, seed=1):
    """Return rays from the origin towards places near a shape."""
    aims = np.random.default_rng(seed).uniform(-0.8, 0.8, (count, 3)) * shape.radius_m - ORIGIN
    return aims / np.linalg.norm(aims, axis=1, keepdims=True)


def test_distances_to_a_box_are_exact_on_all_its_features():
    box = trimesh.creation.box((0.08, 0.05, 0.03))
    found = MeshDistance(np.asarray(box.triangles), 0.001)
    points = np.random.default_rng(0).uniform(-0.06, 0.06, (3000, 3))
    np.testing.assert_allclose(
        found(points), box_distance(points, np.array([0.04, 0.025, 0.015])), atol=2e-6)


def test_inside_and_outside_are_told_apart_at_edges_and_corners():
    mesh = l_block()
    near = np.concatenate([mesh.vertices, mesh.triangles_center, mesh.vertices[mesh.edges].mean(
        axis=1)])
    points = near + np.random.default_rng(0).normal(0, 5e-4, (20, *near.shape))
    points = points.reshape(-1, 3)
    rows = l_block_of_boxes().shape.surfaces.surface
    inside = (np.abs(points[:, None] - rows[:, :3]) < rows[:, 3:]).all(axis=2).any(axis=1)
    found = MeshDistance(np.asarray(mesh.triangles), 0.001)(points)
    np.testing.assert_array_equal(found < 0.0, inside)


def test_a_grid_is_exact_near_the_surface_and_about_right_elsewhere():
    mesh, step = primitive_mesh('cup'), 0.003
    found = MeshDistance(np.asarray(mesh.triangles), 0.5 * step)
    count = np.array([36, 36, 44])
    first = -0.5 * step * (count - 1)
    places = first + step * np.argwhere(np.ones(count, dtype=bool))
    off = np.abs(found.on_grid(first, step, count).ravel() - found(places))
    near = np.abs(found(places)) < step
    assert near.sum() > 1000 and off[near].max() < 1e-12
    assert off.max() < 1.5 * step and np.quantile(off, 0.95) < 0.3 * step


def test_gradient_is_that_of_the_interpolated_distance(l_grid):
    points = np.random.default_rng(0).uniform(-0.08, 0.08, (500, 3))
    gradient = grid_sdf.distance(points, l_grid.surfaces, 0)[1]
    numeric = np.stack([
        (grid_sdf.distance(points + 1e-8 * axis, l_grid.surfaces, 0)[0]
         - grid_sdf.distance(points - 1e-8 * axis, l_grid.surfaces, 0)[0]) / 2e-8
        for axis in np.eye(3)], axis=-1)
    np.testing.assert_allclose(gradient, numeric, atol=1e-5)


def test_rays_enter_the_grid_where_they_enter_the_shape(l_grid):
    rays = rays_at(l_grid, 800)
    found, true = (entry(ORIGIN, rays, shape.surfaces)
                   for shape in (l_grid, l_block_of_boxes().shape))
    both = np.isfinite(found) & np.isfinite(true)
    assert both.sum() > 150 and (np.isfinite(found) != np.isfinite(true)).sum() < 8
    assert np.quantile(np.abs(found[both] - true[both]), 0.9) < 1e-4


def test_least_distances_along_rays_are_those_of_the_shape(l_grid):
    rays, shape = rays_at(l_grid, 400), l_block_of_boxes().shape.surfaces
    found, _, places = nearest_on_rays(ORIGIN, rays, l_grid.surfaces)
    true = nearest_on_rays(ORIGIN, rays, shape)[0]
    # Within a union of boxes the boxes' own distances are not the union's.
    near = (true > 0.0) & (true < 0.005)
    assert near.sum() > 20
    assert np.quantile(np.abs(found - true)[near], 0.95) < 4e-4
    np.testing.assert_allclose(np.cross(places - ORIGIN, rays), 0.0, atol=1e-12)
    along = np.linspace(0.3, 0.9, 2000)
    for ray, least in zip(rays[near], found[near]):
        samples = grid_sdf.distance(ORIGIN + along[:, None] * ray, l_grid.surfaces, -1)[0]
        assert least < samples.min() + 1e-5


def test_a_ray_between_two_legs_is_nearest_to_the_nearer_one(l_grid):
    # It passes the end of one leg, 4 mm away, before it comes to the inner corner, 9 mm away.
    ray = np.array([-1.0, -1.0, 0.0]) / np.sqrt(2.0)
    start = np.array([0.04, -0.005, 0.0]) + 0.004 * np.array([1.0, 1.0, 0.0])
    origin = start - 0.3 * np.array([-1.0, 1.0, 0.0]) / np.sqrt(2.0)
    direction = np.array([[-1.0, 1.0, 0.0]]) / np.sqrt(2.0)
    found = nearest_on_rays(origin, direction, l_grid.surfaces)[0]
    true = nearest_on_rays(origin, direction, l_block_of_boxes().shape.surfaces)[0]
    assert ray @ direction[0] == pytest.approx(0.0)
    np.testing.assert_allclose(found, true, atol=3e-4)


def test_a_cup_has_the_silhouette_of_its_hull_and_an_l_its_own(cup_grid, l_grid):
    for shape, bodies in ((cup_grid, 2), (l_grid, 1)):
        first, step, last = np.split(shape.surfaces.hull[:2].ravel()[:9], 3)
        assert len(shape.surfaces.surface) == bodies * np.prod(
            np.rint((last - first) / step + 1.0)[:2])
    rays, cup = rays_at(cup_grid, 400), load_object('cup').shape.surfaces
    found, true = (nearest_on_rays(ORIGIN, rays, shape)[0] for shape in (cup_grid.surfaces, cup))
    near = np.abs(true) < 0.003
    assert near.sum() > 40 and np.quantile(np.abs(found - true)[near], 0.95) < 8e-4


def test_a_plate_is_measured_to_the_face_that_is_seen(tmp_path):
    size_m = (0.06, 0.04, 0.006)
    plate = mesh_object(tmp_path, trimesh.creation.box(size_m)).shape.surfaces
    true_plate = ShapeModel(size_m=size_m).surfaces
    rays = np.array([[0.3, 0.0, -1.0], [0.2, -0.5, 2.0]])
    for height in (-0.005, -0.002, 0.0011, 0.004):
        points = np.tile([0.01, -0.005, height], (2, 1))
        found, normal = surface_distance(points, rays, plate)
        true, facing = surface_distance(points, rays, true_plate)
        np.testing.assert_allclose(found, true, atol=1e-5)
        np.testing.assert_allclose(normal, facing, atol=1e-2)


def test_a_shape_whose_lengths_are_all_doubled_has_twice_the_distances(l_grid):
    shape, points = l_grid.surfaces, np.random.default_rng(0).uniform(-0.08, 0.08, (200, 3))
    double = shape._replace(
        surface=2.0 * shape.surface, hull=2.0 * shape.hull, reach=2.0 * shape.reach)
    for once, twice in zip(grid_sdf.distance(points, shape, 0),
                           grid_sdf.distance(2.0 * points, double, 0)):
        np.testing.assert_allclose(twice, once if once.ndim > 1 else 2.0 * once, atol=1e-12)


def test_bounds_and_radius_are_the_mesh_s(l_grid):
    true = l_block_of_boxes().shape
    np.testing.assert_allclose(l_grid.bounds_m, true.bounds_m, atol=1e-9)
    np.testing.assert_allclose(l_grid.view_areas_m2, true.view_areas_m2, rtol=1e-6)
    assert l_grid.radius_m == pytest.approx(true.radius_m)


def test_symmetry_of_a_mesh_is_checked_by_distances(tmp_path):
    brick = trimesh.creation.box((0.08, 0.04, 0.04))
    assert len(mesh_object(tmp_path, brick, symmetry='square_prism_x').symmetries) == 8
    with pytest.raises(ConfigError, match='thing.yaml: symmetry is cube'):
        mesh_object(tmp_path, brick, symmetry='cube')
    rod = trimesh.creation.cylinder(0.01, 0.1, sections=48)
    assert mesh_object(tmp_path, rod, name='rod', symmetry='cylinder').revolves


def test_a_mesh_that_is_inside_out_is_turned(tmp_path):
    box = trimesh.creation.box((0.08, 0.04, 0.04))
    box.invert()
    shape = mesh_object(tmp_path, box, resolution=16).shape
    assert grid_sdf.distance(np.zeros((1, 3)), shape.surfaces, 0)[0][0] < -0.015


def test_corners_that_differ_in_texture_alone_are_no_opening(tmp_path):
    box = trimesh.creation.box((0.08, 0.04, 0.04))
    box.unmerge_vertices()
    box.visual = trimesh.visual.TextureVisuals(
        uv=np.random.default_rng(0).random((len(box.vertices), 2)),
        material=trimesh.visual.material.SimpleMaterial(image=Image.new('RGB', (8, 8))))
    shape = mesh_object(tmp_path, box, resolution=16, suffix='obj').shape
    assert not trimesh.load_mesh(tmp_path / 'thing.obj').is_watertight
    assert grid_sdf.distance(np.zeros((1, 3)), shape.surfaces, 0)[0][0] < -0.015


def open_box():
    """Return a box without one face."""
    box = trimesh.creation.box((0.08, 0.04, 0.04))
    box.update_faces(np.arange(len(box.faces)) > 0)
    return box


def moved_box():
    """Return a box that stands on the origin."""
    box = trimesh.creation.box((0.08, 0.04, 0.04))
    box.apply_translation([0.0, 0.0, 0.02])
    return box


@pytest.mark.parametrize('mesh, message', [
    (open_box(), 'thing.ply: the mesh is not closed'),
    (moved_box(), r'thing.ply: the middle .* is at \[0.0, 0.0, 0.02\] m'),
    (trimesh.creation.box((80.0, 40.0, 40.0)), 'thing.ply: .* 80 m; .* in millimetres'),
    (trimesh.Trimesh([[0.0, 0.0, 0.0]]), 'thing.ply: mesh has 0 vertices and 0 faces')])
def test_meshes_without_an_inside_or_a_plausible_size_are_refused_by_name(tmp_path, mesh, message):
    with pytest.raises(ConfigError, match=message):
        mesh_object(tmp_path, mesh)


def test_files_that_are_missing_or_no_mesh_are_refused_by_name(tmp_path):
    path = tmp_path / 'thing.yaml'
    path.write_text('object_id: thing\nshape: {kind: mesh, mesh: {file: none.stl}}\n')
    with pytest.raises(ConfigError, match='none.stl is no mesh'):
        load_object(path)
    (tmp_path / 'none.stl').write_text('no mesh\n')
    with pytest.raises(ConfigError, match='none.stl'):
        load_object(path)
    path.write_text('object_id: thing\nshape: {kind: mesh}\n')
    with pytest.raises(ConfigError, match='mesh.file'):
        load_object(path)
    path.write_text('object_id: thing\nshape: {kind: mesh, mesh: {file: a.stl, resolution: 4}}\n')
    with pytest.raises(ConfigError, match='resolution'):
        load_object(path)


def test_foundation_pose_sees_the_same_file(tmp_path):
    model = mesh_object(tmp_path, l_block(), resolution=16)
    np.testing.assert_allclose(object_mesh(model).vertices, l_block().vertices, atol=1e-7)
