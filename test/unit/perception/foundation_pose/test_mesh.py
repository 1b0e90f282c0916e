# SPDX-License-Identifier: Apache-2.0
"""Tests of meshes from primitives and files."""
import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception.adapters.foundation_pose.mesh import load_mesh, Mesh, object_mesh
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.sdf import surface_distance
from PIL import Image
import pytest
import trimesh

OBJECTS = ('cube', 'block', 'bowl', 'cup', 'drawer', 'peg', 'box_with_hole')


def distance(points, surfaces):
    """Return how far points (P, 3) are from a surface that is looked at from all sides, m."""
    corners = np.stack(np.meshgrid(*[[-1.0, 1.0]] * 3), axis=-1).reshape(-1, 3)
    return np.min([np.abs(surface_distance(
        points, np.tile(corner, (len(points), 1)), surfaces)[0]) for corner in corners], axis=0)


def as_trimesh(mesh):
    """Return the mesh for trimesh to judge, vertices at the same place joined."""
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=True, merge_norm=True)


@pytest.mark.parametrize('name', OBJECTS)
def test_every_object_has_a_mesh_on_its_surface(name):
    model = load_object(name)
    mesh = object_mesh(model)
    assert np.allclose(mesh.vertices.min(axis=0), model.shape.bounds_m[0], atol=1e-3)
    assert np.allclose(mesh.vertices.max(axis=0), model.shape.bounds_m[1], atol=1e-3)
    assert distance(mesh.vertices, model.shape.surfaces).max() < 1e-6
    # Middles of faces too: of a round wall they lie inside of it by what a chord cuts off.
    middles = mesh.vertices[mesh.faces].mean(axis=1)
    assert distance(middles, model.shape.surfaces).max() < (
        5e-4 if model.shape.kind == 'tub' else 1e-2)


@pytest.mark.parametrize('name', ['cube', 'block', 'cup', 'bowl', 'peg'])
def test_meshes_are_closed_and_seen_from_outside(name):
    found = as_trimesh(object_mesh(load_object(name)))
    assert found.is_watertight
    assert found.volume > 0.0


def test_size_and_middle_are_those_of_the_object():
    mesh = object_mesh(load_object('block'))
    assert mesh.diameter_m == pytest.approx(np.sqrt(0.08 ** 2 + 2 * 0.04 ** 2))
    assert np.allclose(mesh.centre, 0.0)
    drawer = object_mesh(load_object('drawer'))
    assert np.linalg.norm(drawer.centre) > 0.01
    assert set(map(tuple, mesh.colours)) == {(230, 23, 23)}


@pytest.mark.parametrize('suffix', ['ply', 'obj', 'stl', 'glb'])
def test_files_come_back_as_they_were(tmp_path, suffix):
    path = tmp_path / f'part.{suffix}'
    box = trimesh.creation.box((0.08, 0.05, 0.03))
    box.visual.vertex_colors = np.tile(np.array([10, 200, 30, 255], np.uint8), (8, 1))
    box.export(path)
    mesh = load_mesh(path)
    assert mesh.diameter_m == pytest.approx(np.linalg.norm([0.08, 0.05, 0.03]), rel=1e-6)
    assert as_trimesh(mesh).volume == pytest.approx(0.08 * 0.05 * 0.03, rel=1e-5)
    expected = (170, 170, 170) if suffix == 'stl' else (10, 200, 30)
    assert np.abs(mesh.colours.astype(int) - expected).max() <= 1


def written(path, mesh):
    """Write a mesh to a file and return its path."""
    mesh.export(path)
    return path


def test_files_that_are_no_use_are_refused_by_name(tmp_path):
    off = trimesh.creation.box((0.1, 0.1, 0.1))
    off.apply_translation([0.0, 0.0, 0.05])
    with pytest.raises(ConfigError, match=r'off.ply: the middle .* is at \[0.0, 0.0, 0.05\] m'):
        load_mesh(written(tmp_path / 'off.ply', off))
    large = trimesh.creation.box((100.0, 80.0, 50.0))
    with pytest.raises(ConfigError, match=r'large.ply: .*diameter of 137.* millimetres\?'):
        load_mesh(written(tmp_path / 'large.ply', large))
    (tmp_path / 'text.obj').write_text('nothing\n')
    with pytest.raises(ConfigError, match='text.obj'):
        load_mesh(tmp_path / 'text.obj')
    with pytest.raises(ConfigError, match='none.ply is no mesh that can be read'):
        load_mesh(tmp_path / 'none.ply')


@pytest.mark.parametrize(('change', 'message'), [
    ({'faces': np.zeros((0, 3), np.int32)}, '3 vertices and 0 faces'),
    ({'vertices': np.zeros((0, 3))}, '0 vertices'),
    ({'faces': np.array([[0, 1, 3]], np.int32)}, r'of vertices 0 \.\. 3; there are 3'),
    ({'vertices': np.array([[0, 0, 0], [1, 0, 0], [np.nan, 0, 0]])}, 'not finite'),
    ({'vertices': np.zeros((3, 3))}, 'diameter of 0 m')])
def test_meshes_that_cannot_be_are_refused(change, message):
    triangle = {
        'vertices': np.eye(3) * 0.1, 'faces': np.array([[0, 1, 2]], np.int32),
        'colours': np.zeros((3, 3), np.uint8)}
    Mesh(**triangle)
    with pytest.raises(ConfigError, match=message):
        Mesh(**{**triangle, **change})


def test_the_colour_of_a_texture_becomes_the_vertices(tmp_path):
    box = trimesh.creation.box((0.08, 0.05, 0.03))
    picture = Image.new('RGB', (8, 8), (20, 40, 220))
    box.visual = trimesh.visual.TextureVisuals(
        uv=np.full((len(box.vertices), 2), 0.5),
        material=trimesh.visual.material.SimpleMaterial(image=picture))
    mesh = load_mesh(written(tmp_path / 'box.obj', box))
    assert np.abs(mesh.colours.astype(int) - (20, 40, 220)).max() <= 2
