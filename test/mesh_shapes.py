# SPDX-License-Identifier: Apache-2.0
"""Objects whose shape is a mesh file, for tests."""
from pathlib import Path

import numpy as np
from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.perception.adapters.foundation_pose.mesh import object_mesh
from ocrrl_ros.perception.object_model import load_object, ObjectModel
import trimesh
import yaml

L_BLOCK = {'object_id': 'l_block', 'colour': {'hue_deg': 0.0}, 'shape': {
    'kind': 'boxes', 'parts': [
        {'centre_m': [-0.0275, 0.0, 0.0], 'size_m': [0.025, 0.06, 0.03]},
        {'centre_m': [0.0125, -0.0175, 0.0], 'size_m': [0.055, 0.025, 0.03]}]}}
_OUTLINE_M = np.array([
    [-0.015, -0.005], [-0.015, 0.03], [-0.04, 0.03], [-0.04, -0.03], [0.04, -0.03],
    [0.04, -0.005]])


def l_block() -> trimesh.Trimesh:
    """Return an L of 80 x 60 x 30 mm with legs 25 mm wide, closed."""
    count = len(_OUTLINE_M)
    vertices = np.concatenate([
        np.column_stack([_OUTLINE_M, np.full(count, height)]) for height in (-0.015, 0.015)])
    # From its inner corner all others are in sight.
    top = [[count, count + at, count + at + 1] for at in range(1, count - 1)]
    bottom = [[0, at + 1, at] for at in range(1, count - 1)]
    sides = [part for at in range(count) for part in (
        [at, (at + 1) % count, count + at],
        [(at + 1) % count, count + (at + 1) % count, count + at])]
    return trimesh.Trimesh(vertices, top + bottom + sides)


def l_block_of_boxes() -> ObjectModel:
    """Return the same L as a union of two boxes."""
    return from_mapping(ObjectModel, L_BLOCK, 'test')


def primitive_mesh(name: str) -> trimesh.Trimesh:
    """Return the mesh of an object that is a primitive, closed."""
    found = object_mesh(load_object(name))
    mesh = trimesh.Trimesh(found.vertices, found.faces)
    mesh.merge_vertices(merge_norm=True)
    return mesh


def mesh_object(
        folder: Path, mesh: trimesh.Trimesh, resolution: int = 40, name: str = 'thing',
        suffix: str = 'ply', **changes) -> ObjectModel:
    """Write a mesh and the YAML file of a red object of that shape, and load it."""
    mesh.export(folder / f'{name}.{suffix}')
    path = folder / f'{name}.yaml'
    path.write_text(yaml.safe_dump({
        'object_id': name, 'colour': {'hue_deg': 0.0}, 'shape': {
            'kind': 'mesh',
            'mesh': {'file': f'{name}.{suffix}', 'resolution': resolution}}} | changes))
    return load_object(path)
