# SPDX-License-Identifier: Apache-2.0
"""Meshes as the tracker follows them: signed distances on a grid."""

from __future__ import annotations

from dataclasses import dataclass
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception.grid_sdf import distance
from ocrrl_ros.perception.mesh_distance import MeshDistance
from ocrrl_ros.perception.mesh_file import check_centred, LARGEST_M, read_mesh
from ocrrl_ros.perception.surfaces import sampled, Surfaces

if TYPE_CHECKING:
    import trimesh

SMALLEST_M = 0.005
# Steps of the grid beyond the bounding box: farther out its border stands for all.
_MARGIN = 6
_VIEWS = 30
_LOOKED_AT = 4000
# Silhouettes that cover this share of the convex hull's from every side are those of the hull.
_COVERED = 0.97


@dataclass(frozen=True, kw_only=True)
class SampledMesh:
    """
    A mesh by its distances.

    ``bounds_m`` (2, 3) are its least and greatest coordinates, ``points`` (L, 3) lie on its
    surface, ``step_m`` is that of the grid.
    """

    surfaces: Surfaces
    bounds_m: np.ndarray
    points: np.ndarray
    step_m: float

    def is_mapped_by(self, matrices: np.ndarray) -> bool:
        """Say whether rotations (S, 3, 3) move no surface point farther than a step from it."""
        some = self.points[::max(1, len(self.points) // _LOOKED_AT)]
        return all(
            np.abs(distance(some @ matrix.T, self.surfaces, 0)[0]).max() < self.step_m
            for matrix in matrices)


def sampled_mesh(path: Path, resolution: int) -> SampledMesh:
    """
    Read a mesh and sample its signed distance; what was read last is kept in memory.

    :param resolution: steps of the grid along the longest edge of the bounding box.
    :raises ConfigError: the file cannot be read, or the mesh is empty, open, turned inside out in
        parts, not centred or out of all proportion; the message names the file.
    :raises MissingDependencyError: trimesh is not installed.
    """
    try:
        changed_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise ConfigError(f'{path} is no mesh that can be read: {error}') from error
    return _sampled_mesh(path, changed_ns, resolution)


@functools.lru_cache(maxsize=8)
def _sampled_mesh(path: Path, changed_ns: int, resolution: int) -> SampledMesh:
    """Read and sample one version of a file."""
    mesh = _checked(path, read_mesh(path))
    low, high = np.asarray(mesh.bounds, float)
    step = float((high - low).max()) / resolution
    count = np.ceil((high - low) / step).astype(int) + 1 + 2 * _MARGIN
    first = 0.5 * (low + high) - 0.5 * step * (count - 1)
    surface = MeshDistance(np.asarray(mesh.triangles, float), 0.5 * step)
    samples = [surface.on_grid(first, step, count)]
    hull = mesh.convex_hull
    if mesh.volume < 0.999 * hull.volume:
        around = MeshDistance(np.asarray(hull.triangles, float), 0.5 * step)
        if _looks_filled(surface.lattice, around.lattice, step):
            samples.append(around.on_grid(first, step, count))
    reach = np.linalg.norm(np.asarray(mesh.vertices, float), axis=1).max()
    bounds = np.stack([low, high])
    return SampledMesh(
        surfaces=sampled(first, step, np.stack(samples), bounds, reach), bounds_m=bounds,
        points=surface.lattice, step_m=step)


def _checked(path: Path, mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Return a mesh of whole corners, faces outwards; refuse one without inside or right size."""
    if not len(mesh.vertices) or not len(mesh.faces):
        raise ConfigError(
            f'{path}: mesh has {len(mesh.vertices)} vertices and {len(mesh.faces)} faces; '
            'allowed: at least four faces')
    low, high = np.asarray(mesh.bounds, float)
    largest = float((high - low).max())
    if not SMALLEST_M <= largest <= LARGEST_M:
        raise ConfigError(
            f'{path}: the longest edge of the bounding box is {largest:g} m; allowed: '
            f'{SMALLEST_M:g} .. {LARGEST_M:g} m (is it in millimetres?)')
    check_centred(path, 0.5 * (low + high), float(np.linalg.norm(high - low)))
    mesh = mesh.copy()
    # Where texture or shading changes, a file has a corner twice, which is no opening.
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    if not mesh.is_watertight:
        raise ConfigError(
            f'{path}: the mesh is not closed, so it has no inside; allowed: every edge between '
            'two faces')
    if not mesh.is_winding_consistent or abs(mesh.volume) < 1e-12:
        raise ConfigError(
            f'{path}: the faces do not all look outwards, or enclose nothing '
            f'({mesh.volume:g} m3); allowed: one orientation, a volume')
    if mesh.volume < 0.0:
        mesh.invert()
    return mesh


def _looks_filled(points: np.ndarray, hull_points: np.ndarray, step_m: float) -> bool:
    """
    Say whether a mesh has the silhouettes of its convex hull, such as a cup.

    :param points: (L, 3) on the mesh, half a step apart; `hull_points` the same on its hull.
    """
    at = (np.arange(_VIEWS) + 0.5) / _VIEWS
    height, turn = 2.0 * at - 1.0, np.pi * (1.0 + 5.0 ** 0.5) * np.arange(_VIEWS)
    for z, angle in zip(height, turn):
        width = np.sqrt(1.0 - z * z)
        across = np.array([
            [-np.sin(angle), np.cos(angle), 0.0],
            [-z * np.cos(angle), -z * np.sin(angle), width]])
        covered, whole = (_pixels(part @ across.T / step_m) for part in (points, hull_points))
        if covered < _COVERED * whole:
            return False
    return True


def _pixels(flat: np.ndarray) -> int:
    """Return how many pixels of edge 1 points (L, 2) fall into."""
    at = np.floor(flat - flat.min(axis=0)).astype(int)
    seen = np.zeros(at.max(axis=0) + 1, dtype=bool)
    seen[at[:, 0], at[:, 1]] = True
    return int(seen.sum())
