# SPDX-License-Identifier: Apache-2.0
"""Triangle meshes with colours, from files or from the primitives of `config/objects`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception.mesh_file import check_centred, LARGEST_M, read_mesh
from ocrrl_ros.perception.object_model import ObjectModel
from ocrrl_ros.perception.surfaces import BOXES

# Vertices whose farthest pair is looked for.
_PAIRED = 2000
_AROUND = 48
_GREY = 170
# Corners of a box by the signs of its axes, and its faces, seen from outside anticlockwise.
_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
_BOX_FACES = np.array([
    [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
    [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]], np.int32)


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """
    Triangles in the object's frame.

    :param vertices: (V, 3) m.
    :param faces: (F, 3) indices of vertices.
    :param colours: (V, 3) uint8.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray

    def __post_init__(self) -> None:
        """Refuse meshes of nothing, with holes in their numbers or out of all proportion."""
        if not len(self.vertices) or not len(self.faces):
            raise ConfigError(f'mesh has {len(self.vertices)} vertices and {len(self.faces)} '
                              'faces; allowed: at least one face')
        if not np.isfinite(self.vertices).all():
            raise ConfigError('mesh has vertices that are not finite')
        if self.faces.min() < 0 or self.faces.max() >= len(self.vertices):
            raise ConfigError(f'mesh has faces of vertices {self.faces.min()} .. '
                              f'{self.faces.max()}; there are {len(self.vertices)}')
        if not 0.0 < self.diameter_m <= LARGEST_M:
            raise ConfigError(f'mesh has a diameter of {self.diameter_m:g} m; allowed: above 0, '
                              f'up to {LARGEST_M:g} m (is it in millimetres?)')

    @cached_property
    def centre(self) -> np.ndarray:
        """Middle (3,) of the bounding box, m; the networks know the object by it."""
        return 0.5 * (self.vertices.min(axis=0) + self.vertices.max(axis=0))

    @cached_property
    def diameter_m(self) -> float:
        """Largest distance of two vertices, m, of at most 2000 that lie farthest out."""
        away = np.linalg.norm(self.vertices - self.centre, axis=1)
        outer = self.vertices[np.argsort(-away)[:_PAIRED]]
        return float(max(np.linalg.norm(outer - point, axis=1).max() for point in outer))


def object_mesh(model: ObjectModel) -> Mesh:
    """
    Return the mesh of an object's shape: its own file, or a primitive in its colour.

    One without a colour is grey.
    """
    if model.shape.kind == 'mesh':
        return load_mesh(Path(model.shape.mesh.file))
    surfaces = model.shape.surfaces
    vertices, faces = (_boxes if surfaces.kind == BOXES else _revolved)(surfaces.surface)
    return Mesh(vertices=vertices, faces=faces, colours=np.tile(
        np.round(255.0 * model.shown_rgb).astype(np.uint8), (len(vertices), 1)))


def _boxes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices and faces of boxes (M, 6), each centre and half edges."""
    vertices = np.concatenate([row[:3] + _CORNERS * row[3:] for row in rows])
    faces = np.concatenate([_BOX_FACES + 8 * index for index in range(len(rows))])
    return vertices, faces


def _revolved(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices and faces of a profile's edges (E, 6) turned about z."""
    turn = np.linspace(0.0, 2.0 * np.pi, _AROUND, endpoint=False)
    around = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    vertices, faces = [], []
    here = np.arange(_AROUND)
    then = (here + 1) % _AROUND
    for index, edge in enumerate(edges):
        for radius, height in (edge[:2], edge[2:4]):
            vertices.append(np.column_stack([radius * around, np.full(_AROUND, height)]))
        low = 2 * _AROUND * index
        high = low + _AROUND
        # At the axis a ring is one point, and one triangle of each pair is none.
        if edge[0] > 0.0:
            faces.append(np.stack([low + here, low + then, high + then], axis=1))
        if edge[2] > 0.0:
            faces.append(np.stack([low + here, high + then, high + here], axis=1))
    return np.concatenate(vertices), np.concatenate(faces).astype(np.int32)


def load_mesh(path: Path) -> Mesh:
    """
    Read a mesh file (OBJ, PLY, STL, glTF, ...) in metres, its bounding box about the origin.

    :raises ConfigError: it cannot be read, is empty, not centred or out of all proportion.
    :raises MissingDependencyError: trimesh is not installed.
    """
    found = read_mesh(path)
    vertices, faces = np.asarray(found.vertices, float), np.asarray(found.faces, np.int32)
    try:
        mesh = Mesh(vertices=vertices.reshape(-1, 3), faces=faces.reshape(-1, 3),
                    colours=_colours(found, len(vertices)))
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from error
    check_centred(path, mesh.centre, mesh.diameter_m)
    return mesh


def _colours(found, count: int) -> np.ndarray:
    """Return the colours (V, 3) of a mesh's vertices, grey where it has none."""
    visual = found.visual
    if visual.kind == 'texture':
        visual = visual.to_color()
    if not visual.defined or len(visual.vertex_colors) != count:
        return np.full((count, 3), _GREY, np.uint8)
    return np.asarray(visual.vertex_colors, np.uint8)[:, :3]
