# SPDX-License-Identifier: Apache-2.0
"""What an object looks like: shape, colour and symmetry, from `config/objects/<id>.yaml`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from ocrrl_ros.core.configuration import load_yaml
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.core.symmetry import GROUPS, symmetry_group

SHAPES = ('box',)


@dataclass(frozen=True, kw_only=True)
class ShapeModel:
    """
    A primitive centred on the object frame.

    Kernels dispatch on `kind`; a further primitive or a sampled mesh adds its kind here and its
    signed distance in `sdf.py` and `kernels_numba.py`.
    """

    kind: str = field(default='box', metadata={'description': f'one of {SHAPES}'})
    size_m: tuple[float, float, float] = field(
        default=(0.04, 0.04, 0.04), metadata={'description': 'full edge lengths, m'})

    def __post_init__(self) -> None:
        """Refuse unknown kinds and edges outside 5 mm .. 1 m."""
        if self.kind not in SHAPES:
            raise UnknownNameError('shape kind', self.kind, SHAPES)
        if not all(0.005 <= edge <= 1.0 for edge in self.size_m):
            raise ConfigError(f'size_m is {self.size_m} m; allowed: 0.005 .. 1.0 m per edge')

    @cached_property
    def half_m(self) -> np.ndarray:
        """Half edge lengths (3,), m."""
        return 0.5 * np.array(self.size_m)

    @cached_property
    def radius_m(self) -> float:
        """Radius of the sphere around the object frame that holds the shape, m."""
        return float(np.linalg.norm(self.half_m))


@dataclass(frozen=True, kw_only=True)
class ColourModel:
    """
    A cone of hues: which pixels may belong to the object.

    Hue and saturation hardly change with brightness, so one model serves faces in light and in
    shade.
    """

    hue_deg: float = field(default=0.0, metadata={'description': 'centre hue, deg (red = 0)'})
    hue_tolerance_deg: float = field(
        default=18.0, metadata={'description': 'half width of the hue cone, deg'})
    min_saturation: float = field(
        default=0.3, metadata={'description': 'least saturation at the cone axis, 0..1'})
    min_value: float = field(
        default=0.06, metadata={'description': 'darkest pixel whose hue is trusted, 0..1'})

    def __post_init__(self) -> None:
        """Refuse cones that are empty or wider than a quarter of the circle."""
        if not 0.0 <= self.hue_deg < 360.0:
            raise ConfigError(f'hue_deg is {self.hue_deg} deg; allowed: 0 .. 360')
        if not 1.0 <= self.hue_tolerance_deg <= 85.0:
            raise ConfigError(
                f'hue_tolerance_deg is {self.hue_tolerance_deg} deg; allowed: 1 .. 85')
        for name in ('min_saturation', 'min_value'):
            value = getattr(self, name)
            if not 0.0 <= value < 1.0:
                raise ConfigError(f'{name} is {value}; allowed: 0 .. 1')


@dataclass(frozen=True, kw_only=True)
class ObjectModel:
    """One trackable object."""

    object_id: str = field(metadata={'description': 'object id as used in topics, such as cube'})
    shape: ShapeModel = field(
        default_factory=ShapeModel, metadata={'description': 'geometry in the object frame'})
    colour: ColourModel = field(
        default_factory=ColourModel, metadata={'description': 'colour of its surface'})
    symmetry: str = field(default='none', metadata={'description': f'one of {GROUPS}'})

    def __post_init__(self) -> None:
        """Refuse ids that are no topic names and symmetries that the shape does not have."""
        if not self.object_id.isidentifier():
            raise ConfigError(f'object_id is {self.object_id!r}; allowed: letters, digits and _')
        if self.symmetry not in GROUPS:
            raise UnknownNameError('symmetry group', self.symmetry, GROUPS)
        x, y, z = self.shape.size_m
        if self.symmetry == 'cube' and not x == y == z:
            raise ConfigError(f'symmetry is cube but size_m is {self.shape.size_m} m')
        if self.symmetry == 'square_prism' and x != y:
            raise ConfigError(f'symmetry is square_prism but size_m is {self.shape.size_m} m')
        if self.symmetry == 'square_prism_x' and y != z:
            raise ConfigError(f'symmetry is square_prism_x but size_m is {self.shape.size_m} m')

    @cached_property
    def symmetries(self) -> np.ndarray:
        """Rotations (S, 4) that map the object onto itself."""
        return symmetry_group(self.symmetry)


def load_object(name_or_path: str | Path) -> ObjectModel:
    """
    Read an object from `config/objects/<name>.yaml` or from a YAML file.

    :raises ConfigError: no such object, or a key or value that is not allowed.
    """
    text = str(name_or_path)
    if text.endswith(('.yaml', '.yml')):
        return load_yaml(ObjectModel, text)
    folder = config_path('objects')
    path = folder / f'{text}.yaml'
    if not path.exists():
        known = [item.stem for item in folder.glob('*.yaml')]
        raise UnknownNameError('object', text, known, str(folder))
    return load_yaml(ObjectModel, path)
