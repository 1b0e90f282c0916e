# SPDX-License-Identifier: Apache-2.0
"""Mesh files: how they are read, and what is asked of all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ocrrl_ros.core.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    import trimesh

# Longest object; a mesh in millimetres is a thousand times too large.
LARGEST_M = 2.0
# A mesh is centred when its bounding box is, to this share of its diameter.
_CENTRED_SHARE = 0.01


def read_mesh(path: Path) -> trimesh.Trimesh:
    """
    Read a mesh file (OBJ, PLY, STL, glTF, ...); the parts of a scene become one mesh.

    :raises ConfigError: it cannot be read.
    :raises MissingDependencyError: trimesh is not installed.
    """
    try:
        import trimesh
    except ImportError as error:
        raise MissingDependencyError('trimesh (mesh files)', 'pip install trimesh') from error
    try:
        found = trimesh.load_mesh(path)
        mesh = found.to_mesh() if isinstance(found, trimesh.Scene) else found
        # What has no faces, such as a file of curves, fails here.
        np.asarray(mesh.vertices, float), np.asarray(mesh.faces, np.int32)
        return mesh
    except Exception as error:  # every format has errors of its own
        raise ConfigError(f'{path} is no mesh that can be read: {error}') from error


def check_centred(path: Path, centre_m: np.ndarray, diameter_m: float) -> None:
    """
    Refuse a mesh whose bounding box is not about the origin.

    FoundationPose and its Isaac ROS version move a mesh that is not centred by opposite signs:
    such a file is refused instead of being understood in one of two ways.

    :param centre_m: middle (3,) of its bounding box.
    :raises ConfigError: it is off.
    """
    if np.abs(centre_m).max() > _CENTRED_SHARE * diameter_m:
        raise ConfigError(
            f'{path}: the middle of the bounding box is at {centre_m.round(4).tolist()} m; '
            'move the mesh so that it is the origin')
