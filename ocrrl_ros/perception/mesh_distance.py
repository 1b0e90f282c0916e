# SPDX-License-Identifier: Apache-2.0
"""
Signed distances of a closed triangle mesh to any points, with numpy and scipy alone.

The nearest triangle is looked for among those of the nearest points of a fine lattice on the
surface, and its distance is exact. The sign is that of the offset against the normal of the
feature (face, edge or vertex) that is nearest, which for edges and vertices is the mean of their
faces, weighed by angle (Baerentzen and Aanaes 2005).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

# Lattice points whose triangles are looked at. Near an edge and nearer to the surface than the
# lattice is fine, many of one face may come before the first of the other, which decides the sign.
_CANDIDATES, _CANDIDATES_NEAR = 4, 24
_NEAR_SPACINGS = 2.0
_CHUNK = 40_000


class MeshDistance:
    """
    Signed distance to one mesh.

    :param corners: (F, 3, 3) corners of its triangles, m; closed, with normals outwards, and
        corners that meet the same to the last bit.
    :param spacing_m: of the lattice on its surface.
    """

    def __init__(self, corners: np.ndarray, spacing_m: float) -> None:
        """Lay the lattice and find the normals of all features."""
        areas = np.linalg.norm(_normals(corners), axis=1)
        self._corners = corners[areas > 1e-14]
        self._features = _feature_normals(self._corners)
        self.lattice, self._owner = _lattice(self._corners, spacing_m)
        self._tree = cKDTree(self.lattice)
        self._near_m = _NEAR_SPACINGS * spacing_m

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return signed distances (P,) of points (P, 3), m, negative inside."""
        return self._nearest(points)[0]

    def on_grid(self, first_m: np.ndarray, step_m: float, count: np.ndarray) -> np.ndarray:
        """
        Return signed distances (X, Y, Z) at the places of a grid.

        They are exact within a step of the surface. Farther away the nearest triangle is that of
        the nearest such place, which is about right and several times faster.

        :param first_m: (3,) first place, around which and `count` (3,) places along each axis the
            surface lies.
        """
        band = np.zeros(count, dtype=bool)
        band[tuple(np.rint((self.lattice - first_m) / step_m).astype(int).T)] = True
        band = ndimage.binary_dilation(band, np.ones((3, 3, 3), dtype=bool))
        values, owner = np.zeros(count), np.zeros(count, dtype=int)
        values[band], owner[band] = self._nearest(first_m + step_m * np.argwhere(band))
        source = ndimage.distance_transform_edt(
            ~band, return_distances=False, return_indices=True)
        far = np.argwhere(~band)
        for at in range(0, len(far), _CHUNK):
            place = tuple(far[at:at + _CHUNK].T)
            known = tuple(axis[place] for axis in source)
            offset, _ = _offset(
                first_m + step_m * far[at:at + _CHUNK], self._corners[owner[known]])
            values[place] = np.copysign(np.linalg.norm(offset, axis=1), values[known])
        return values

    def _nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return signed distances (P,) of points (P, 3) and the triangles that are nearest."""
        parts = [self._refined(points[at:at + _CHUNK]) for at in range(0, len(points), _CHUNK)]
        return tuple(np.concatenate(part) for part in zip(*parts))

    def _refined(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return distances (P,) and triangles (P,) of some points, near ones with more care."""
        found, owner = self._signed(points, _CANDIDATES)
        near = np.abs(found) < self._near_m
        found[near], owner[near] = self._signed(points[near], _CANDIDATES_NEAR)
        return found, owner

    def _signed(self, points: np.ndarray, candidates: int) -> tuple[np.ndarray, np.ndarray]:
        """Return distances (P,) and triangles (P,) by those of so many lattice points."""
        count = min(candidates, len(self.lattice))
        faces = self._owner[self._tree.query(points, k=count)[1].reshape(len(points), count)]
        best = np.full(len(points), np.inf)
        signed, owner = np.zeros(len(points)), faces[:, 0].copy()
        for rank in range(count):
            # A face that an earlier candidate had is not looked at again.
            new = np.flatnonzero((faces[:, :rank] != faces[:, rank:rank + 1]).all(axis=1))
            face = faces[new, rank]
            offset, feature = _offset(points[new], self._corners[face])
            length = np.sqrt((offset * offset).sum(axis=1))
            closer = length < best[new]
            side = (offset * self._features[face, feature]).sum(axis=1)
            where = new[closer]
            best[where] = length[closer]
            owner[where] = face[closer]
            signed[where] = np.where(side < 0.0, -length, length)[closer]
        return signed, owner


def _normals(corners: np.ndarray) -> np.ndarray:
    """Return normals (F, 3) of triangles (F, 3, 3), as long as twice their areas."""
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _feature_normals(corners: np.ndarray) -> np.ndarray:
    """
    Return normals (F, 7, 3) of each triangle's features.

    0 the face; 1 .. 3 the edges from corner 0, 1 and 2 to the next; 4 .. 6 the corners.
    """
    count = len(corners)
    normal = _normals(corners)
    normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    _, vertex = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    vertex = vertex.reshape(count, 3)
    after = np.roll(vertex, -1, axis=1)
    _, edge = np.unique(
        np.sort(np.stack([vertex, after], axis=-1).reshape(-1, 2), axis=1), axis=0,
        return_inverse=True)
    edge = edge.reshape(count, 3)
    to_next = np.roll(corners, -1, axis=1) - corners
    to_next = to_next / np.linalg.norm(to_next, axis=2, keepdims=True)
    cosine = -(to_next * np.roll(to_next, 1, axis=1)).sum(axis=2)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    of_edges = np.zeros((edge.max() + 1, 3))
    of_vertices = np.zeros((vertex.max() + 1, 3))
    for corner in range(3):
        np.add.at(of_edges, edge[:, corner], normal)
        np.add.at(of_vertices, vertex[:, corner], angle[:, corner, None] * normal)
    return np.concatenate([normal[:, None], of_edges[edge], of_vertices[vertex]], axis=1)


def _lattice(corners: np.ndarray, spacing_m: float) -> tuple[np.ndarray, np.ndarray]:
    """
    Return points (L, 3) on triangles, no farther apart than the spacing, and their owners (L,).

    Rows run along the longest edge, so that slivers get no more points than their area needs.
    """
    lengths = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)
    longest = np.argmax(lengths, axis=1)
    turned = np.take_along_axis(
        corners, ((longest[:, None] + np.arange(3)) % 3)[..., None], axis=1)
    base = lengths.max(axis=1)
    height = np.linalg.norm(_normals(corners), axis=1) / base
    steps = np.ceil(np.stack([base, height], axis=1) / spacing_m).astype(int)
    points, owner = [], []
    for along, rows in np.unique(steps, axis=0):
        faces = np.flatnonzero((steps == (along, rows)).all(axis=1))
        share = _shares(along, rows)
        points.append(np.einsum('lc,fcx->flx', share, turned[faces]).reshape(-1, 3))
        owner.append(np.repeat(faces, len(share)))
    return np.concatenate(points), np.concatenate(owner)


def _shares(along: int, rows: int) -> np.ndarray:
    """Return the weights (L, 3) of corners in rows of points, ``along`` steps in the first."""
    found = []
    for row in range(rows + 1):
        up = row / rows
        across = np.linspace(0.0, 1.0 - up, int(np.ceil(along * (1.0 - up))) + 1)
        found.append(np.stack([1.0 - up - across, across, np.full_like(across, up)], axis=1))
    return np.concatenate(found)


def _offset(points: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Return offsets (P, 3) from the nearest point of one triangle per point, and its feature (P,).

    Features are numbered as in `_feature_normals`.
    """
    normal = _normals(corners)
    normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    over = np.ones(len(points), dtype=bool)
    best = np.full(len(points), np.inf)
    offset, feature = np.zeros_like(points), np.zeros(len(points), dtype=int)
    for corner in range(3):
        along = corners[:, (corner + 1) % 3] - corners[:, corner]
        away = points - corners[:, corner]
        over &= (np.cross(normal, along) * away).sum(axis=1) >= 0.0
        share = (away * along).sum(axis=1) / (along * along).sum(axis=1)
        gap = away - np.clip(share, 0.0, 1.0)[:, None] * along
        squared = (gap * gap).sum(axis=1)
        closer = squared < best
        best = np.where(closer, squared, best)
        offset[closer] = gap[closer]
        kind = np.where(share <= 0.0, 4 + corner, np.where(
            share >= 1.0, 4 + (corner + 1) % 3, 1 + corner))
        feature[closer] = kind[closer]
    height = ((points - corners[:, 0]) * normal).sum(axis=1)
    offset[over] = height[over, None] * normal[over]
    feature[over] = 0
    return offset, feature
