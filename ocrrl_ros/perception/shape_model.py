# SPDX-License-Identifier: Apache-2.0
"""Shapes that the tracker can follow: box, cylinder, open tub, rigid union of boxes, mesh."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
import itertools
from pathlib import Path

import numpy as np
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.core.se3 import quat_to_matrix
from ocrrl_ros.perception.mesh_grid import sampled_mesh, SampledMesh
from ocrrl_ros.perception.surfaces import boxes, REVOLUTION, revolved, Surfaces

SHAPES = ('box', 'cylinder', 'tub', 'boxes', 'mesh')
# Boxes that differ by less are the same, m.
_SAME_M = 1e-6


@dataclass(frozen=True, kw_only=True)
class TubModel:
    """
    A hollow truncated cone, open at the top; frame half way up its axis, z towards the mouth.

    The wall's rim is square to the wall, so the outer edge of a leaning rim lies a little below
    the full height and inside the mouth's radius.
    """

    bottom_m: float = field(default=0.06, metadata={'description': 'outer radius below, m'})
    mouth_m: float = field(
        default=0.09, metadata={'description': 'outer radius of the wall at full height, m'})
    height_m: float = field(default=0.05, metadata={'description': 'height, m'})
    wall_m: float = field(
        default=0.004, metadata={'description': 'thickness of wall and bottom, m'})

    def __post_init__(self) -> None:
        """Refuse tubs that narrow upwards and walls that leave no cavity."""
        if not 0.005 <= self.bottom_m <= self.mouth_m <= 0.5:
            raise ConfigError(
                f'bottom_m is {self.bottom_m} m and mouth_m {self.mouth_m} m; '
                'allowed: 0.005 <= bottom_m <= mouth_m <= 0.5 m')
        if not 0.005 <= self.height_m <= 1.0:
            raise ConfigError(f'height_m is {self.height_m} m; allowed: 0.005 .. 1.0 m')
        limit_m = 0.4 * min(self.bottom_m, self.height_m)
        if not 0.0005 <= self.wall_m <= limit_m:
            raise ConfigError(
                f'wall_m is {self.wall_m} m; allowed: 0.0005 .. {limit_m:g} m, which is 0.4 of '
                'the smaller of bottom_m and height_m')

    def surfaces(self) -> Surfaces:
        """Return the hollow shape and its filled hull."""
        half = 0.5 * self.height_m
        lean = np.arctan2(self.mouth_m - self.bottom_m, self.height_m)
        level = self.wall_m / np.cos(lean)
        drop = self.wall_m * np.sin(lean)
        outer = [[0.0, -half], [self.bottom_m, -half],
                 [self.mouth_m - drop * np.tan(lean), half - drop], [self.mouth_m - level, half]]
        floor = self.wall_m - half
        inner = [[self.bottom_m + self.wall_m * np.tan(lean) - level, floor], [0.0, floor]]
        return revolved(np.array(outer + inner), np.array([*outer, [0.0, half]]))


@dataclass(frozen=True, kw_only=True)
class CylinderModel:
    """A solid cylinder about z; frame in its middle."""

    radius_m: float = field(default=0.02, metadata={'description': 'radius, m'})
    height_m: float = field(default=0.10, metadata={'description': 'height along z, m'})

    def __post_init__(self) -> None:
        """Refuse what is too small to be seen or too large to be handled."""
        if not 0.0025 <= self.radius_m <= 0.5:
            raise ConfigError(f'radius_m is {self.radius_m} m; allowed: 0.0025 .. 0.5 m')
        if not 0.005 <= self.height_m <= 1.0:
            raise ConfigError(f'height_m is {self.height_m} m; allowed: 0.005 .. 1.0 m')

    def surfaces(self) -> Surfaces:
        """Return the shape, which is its own hull."""
        half = 0.5 * self.height_m
        profile = np.array(
            [[0.0, -half], [self.radius_m, -half], [self.radius_m, half], [0.0, half]])
        return revolved(profile, profile)


@dataclass(frozen=True, kw_only=True)
class MeshModel:
    """A closed mesh file in m, its bounding box about the frame."""

    file: str = field(default='', metadata={
        'description': 'OBJ, PLY, STL or what else trimesh reads; absolute or beside the YAML'})
    resolution: int = field(default=64, metadata={
        'description': 'grid steps along the longest edge of the bounding box; walls thinner than '
                       'two of them are not followed'})

    def __post_init__(self) -> None:
        """Refuse grids too coarse to hold a shape or too large for memory."""
        if not 16 <= self.resolution <= 192:
            raise ConfigError(f'resolution is {self.resolution} steps; allowed: 16 .. 192')

    def sampled(self) -> SampledMesh:
        """
        Read the file and sample it, which takes seconds.

        :raises ConfigError: it is no use; the message names the file.
        """
        return sampled_mesh(Path(self.file), self.resolution)


@dataclass(frozen=True, kw_only=True)
class BoxPart:
    """One box of a rigid union, parallel to the axes of the object's frame."""

    centre_m: tuple[float, float, float] = field(
        metadata={'description': 'centre in the object frame, m'})
    size_m: tuple[float, float, float] = field(metadata={'description': 'full edge lengths, m'})


@dataclass(frozen=True, kw_only=True)
class ShapeModel:
    """
    What an object's surface is in its frame.

    Kernels see it as `surfaces.Surfaces`; a further primitive adds its kind there and its signed
    distance in `sdf.py` and `pose_kernels_numba.py`.
    """

    kind: str = field(default='box', metadata={'description': f'one of {SHAPES}'})
    size_m: tuple[float, float, float] = field(
        default=(0.04, 0.04, 0.04),
        metadata={'description': 'kind box: full edge lengths around the frame, m'})
    cylinder: CylinderModel = field(
        default_factory=CylinderModel, metadata={'description': 'kind cylinder: its measures'})
    tub: TubModel = field(
        default_factory=TubModel, metadata={'description': 'kind tub: its measures'})
    parts: tuple[BoxPart, ...] = field(
        default=(), metadata={'description': 'kind boxes: the boxes'})
    mesh: MeshModel = field(
        default_factory=MeshModel, metadata={'description': 'kind mesh: its file'})

    def __post_init__(self) -> None:
        """Refuse unknown kinds, unions of nothing, and edges outside 5 mm .. 1 m."""
        if self.kind not in SHAPES:
            raise UnknownNameError('shape kind', self.kind, SHAPES)
        if (self.kind == 'boxes') != bool(self.parts):
            raise ConfigError(
                f'shape kind is {self.kind} with {len(self.parts)} parts; allowed: at least one '
                'for kind boxes, none for others')
        if (self.kind == 'mesh') != bool(self.mesh.file):
            raise ConfigError(
                f'shape kind is {self.kind} with mesh.file {self.mesh.file!r}; allowed: a file '
                'for kind mesh, none for others')
        for size_m in [self.size_m, *(part.size_m for part in self.parts)]:
            if not all(0.005 <= edge <= 1.0 for edge in size_m):
                raise ConfigError(f'size_m is {size_m} m; allowed: 0.005 .. 1.0 m per edge')

    @cached_property
    def surfaces(self) -> Surfaces:
        """Return the shape as kernels take it."""
        if self.kind == 'mesh':
            return self.mesh.sampled().surfaces
        if self.kind == 'tub':
            return self.tub.surfaces()
        if self.kind == 'cylinder':
            return self.cylinder.surfaces()
        if self.kind == 'box':
            return boxes(np.array([[0.0, 0.0, 0.0, *(0.5 * np.array(self.size_m))]]))
        rows = np.array([[*part.centre_m, *(0.5 * np.array(part.size_m))] for part in self.parts])
        low = (rows[:, :3] - rows[:, 3:]).min(axis=0)
        high = (rows[:, :3] + rows[:, 3:]).max(axis=0)
        # The outline of a box consists of its edges, whatever holes lie between them.
        whole = all(_covers_edges(rows, low, high, axis) for axis in range(3))
        return boxes(rows, np.array([[*(0.5 * (low + high)), *(0.5 * (high - low))]])
                     if whole and len(rows) > 1 else None)

    @cached_property
    def bounds_m(self) -> np.ndarray:
        """Least and greatest coordinates (2, 3) of the shape in its frame, m."""
        if self.kind == 'mesh':
            return self.mesh.sampled().bounds_m
        if self.surfaces.kind == REVOLUTION:
            radius, half = self.surfaces.hull[:, 2].max(), self.surfaces.hull[:, 3].max()
            corner = np.array([radius, radius, half])
            return np.stack([-corner, corner])
        rows = self.surfaces.surface
        return np.stack([
            (rows[:, :3] - rows[:, 3:]).min(axis=0), (rows[:, :3] + rows[:, 3:]).max(axis=0)])

    @cached_property
    def edges_m(self) -> np.ndarray:
        """Edge lengths (3,) of the bounding box, m."""
        return self.bounds_m[1] - self.bounds_m[0]

    @cached_property
    def view_areas_m2(self) -> tuple[float, float]:
        """Least and greatest area of the bounding box as seen from any side, m^2."""
        x, y, z = self.edges_m
        faces = np.array([y * z, x * z, x * y])
        return float(faces.min()), float(np.linalg.norm(faces))

    @property
    def radius_m(self) -> float:
        """Radius of the sphere around the object frame that holds the shape, m."""
        return self.surfaces.reach

    def is_mapped_by(self, group: np.ndarray) -> bool:
        """
        Say whether every rotation of a group (S, 4) maps the shape onto itself.

        Of a union of boxes the boxes are what is mapped: the same body in other pieces may be
        refused. Points on a mesh must come to lie within a step of the grid from it.
        """
        matrices = quat_to_matrix(group)
        if self.kind == 'mesh':
            return self.mesh.sampled().is_mapped_by(matrices)
        if self.surfaces.kind == REVOLUTION:
            # Turns about z, and where its ends are alike also those that swap them.
            upright = matrices[:, 2, 2] > 1.0 - 1e-9
            swaps = (matrices[:, 2, 2] < -1.0 + 1e-9) & (self.kind == 'cylinder')
            return bool((upright | swaps).all())
        return all(_maps_boxes(matrix, self.surfaces.surface) for matrix in matrices)


def _covers_edges(rows: np.ndarray, low: np.ndarray, high: np.ndarray, axis: int) -> bool:
    """Say whether boxes (M, 6) cover the four edges along an axis of the box that holds them."""
    across = [other for other in range(3) if other != axis]
    at_low = np.abs(rows[:, :3] - rows[:, 3:] - low) < _SAME_M
    at_high = np.abs(rows[:, :3] + rows[:, 3:] - high) < _SAME_M
    for first, second in itertools.product((at_low, at_high), repeat=2):
        touching = rows[first[:, across[0]] & second[:, across[1]]]
        covered = low[axis]
        for start, end in sorted(
                zip(touching[:, axis] - touching[:, axis + 3],
                    touching[:, axis] + touching[:, axis + 3])):
            if start > covered + _SAME_M:
                return False
            covered = max(covered, end)
        if covered < high[axis] - _SAME_M:
            return False
    return True


def _maps_boxes(matrix: np.ndarray, rows: np.ndarray) -> bool:
    """Say whether a rotation (3, 3) maps boxes (M, 6), centres and half edges, onto them."""
    if np.abs(np.abs(matrix).max(axis=1) - 1.0).max() > 1e-9:
        return False
    turned = np.hstack([rows[:, :3] @ matrix.T, rows[:, 3:] @ np.abs(matrix).T])
    alike = np.abs(turned[:, None] - rows).max(axis=2) < _SAME_M
    return bool(alike.any(axis=0).all() and alike.any(axis=1).all())
