# SPDX-License-Identifier: Apache-2.0
"""The shapes that kernels know, as arrays: boxes, solids of revolution, sampled distances."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

BOXES, REVOLUTION, GRID = 0, 1, 2


class Surfaces(NamedTuple):
    """
    A shape in its object's frame, m.

    ``kind`` `BOXES`: rows (6,) are centre and half edges of axis-parallel boxes; ``hull`` holds
    boxes that have the same silhouette, holes in it filled. ``kind`` `REVOLUTION`: rows (6,) are
    edges of a profile in the plane of radius and z: start (2,), end (2,) and outward unit normal
    (2,). ``surface`` (M, 6) holds what measured points can lie on, ``hull`` (H, 6) the convex body
    that has the same silhouette.
    ``kind`` `GRID`: ``surface`` (S * X * Y, Z) are signed distances at places along z, rows along
    y, then x; first those of the surface, last (S is 1 or 2) those of the body that has the same
    silhouette. ``hull`` (3, 6): the place of the first sample and the steps; the place of the last
    sample and zeros; the surface's least and greatest coordinates. All are lengths, which scale
    with the shape. One type for all kinds: kernels are compiled once, and every further array
    would cost in all their calls. ``reach`` is the radius of the sphere about the frame that holds
    the shape.
    """

    kind: int
    surface: np.ndarray
    hull: np.ndarray
    reach: float


def boxes(rows: np.ndarray, hull: np.ndarray | None = None) -> Surfaces:
    """
    Return the union of rows (M, 6), each centre and half edges of a box.

    :param hull: (H, 6) boxes with the same silhouette, holes in it filled; the rows when None.
    """
    rows = np.ascontiguousarray(rows, dtype=float)
    reach = np.linalg.norm(np.abs(rows[:, :3]) + rows[:, 3:], axis=1).max()
    outline = rows if hull is None else np.ascontiguousarray(hull, dtype=float)
    return Surfaces(BOXES, rows, outline, float(reach))


def sampled(
        first_m: np.ndarray, step_m: float, samples: np.ndarray, bounds_m: np.ndarray,
        reach: float) -> Surfaces:
    """
    Return a shape by signed distances on a grid.

    :param first_m: (3,) place of the first sample.
    :param samples: (S, X, Y, Z) signed distances, m: of the surface, and behind it of the body
        that has the same silhouette where that is another. At least two along each axis.
    :param bounds_m: (2, 3) least and greatest coordinates of the surface.
    :param reach: radius of the sphere about the frame that holds the surface, m.
    """
    rows = np.ascontiguousarray(samples, dtype=float).reshape(-1, samples.shape[3])
    last_m = first_m + step_m * (np.array(samples.shape[1:]) - 1)
    header = np.array([
        [*first_m, step_m, step_m, step_m], [*last_m, 0.0, 0.0, 0.0], np.ravel(bounds_m)])
    return Surfaces(GRID, rows, header, float(reach))


def revolved(surface: np.ndarray, hull: np.ndarray) -> Surfaces:
    """
    Return a solid of revolution about z.

    :param surface: (V, 2) radius and z of the profile's corners, interior on the left.
    :param hull: (W, 2) the same of the convex profile around it.
    """
    reach = float(np.linalg.norm(hull, axis=1).max())
    return Surfaces(REVOLUTION, _edges(surface), _edges(hull), reach)


def scaled(shape: Surfaces, factor: float) -> Surfaces:
    """Return the same shape with all lengths times a factor."""
    def rows(values: np.ndarray) -> np.ndarray:
        result = values * factor
        if shape.kind == REVOLUTION:
            result[:, 4:] = values[:, 4:]
        return result

    surface = rows(shape.surface)
    hull = surface if shape.hull is shape.surface else rows(shape.hull)
    return shape._replace(surface=surface, hull=hull, reach=shape.reach * factor)


def _edges(corners: np.ndarray) -> np.ndarray:
    """Return the edges (V - 1, 6) between corners (V, 2) with their outward normals."""
    start, end = corners[:-1], corners[1:]
    along = (end - start) / np.linalg.norm(end - start, axis=1, keepdims=True)
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1)
    return np.ascontiguousarray(np.concatenate([start, end, normal], axis=1))
