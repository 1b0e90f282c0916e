# SPDX-License-Identifier: Apache-2.0
"""What an object looks like: shape, colour and symmetry, from `config/objects/<id>.yaml`."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ocrrl_ros.core.configuration import load_yaml
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.core.se3 import quat_multiply
from ocrrl_ros.core.symmetry import (
    canonical_rotation, CYLINDER, GROUPS, REVOLUTION, symmetry_group)
from ocrrl_ros.perception.rotation import unspun
from ocrrl_ros.perception.shape_model import ShapeModel

IDENTITY_QUAT = np.array([0.0, 0.0, 0.0, 1.0])
FLIP_QUAT = np.array([1.0, 0.0, 0.0, 0.0])


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

    @property
    def cone(self) -> np.ndarray:
        """Return (4,) for the kernel that scores colours."""
        hue, width = np.radians(self.hue_deg), np.radians(self.hue_tolerance_deg)
        return np.array([np.cos(hue), np.sin(hue), 1.0 / np.tan(width), 255.0 * self.min_value])


@dataclass(frozen=True, kw_only=True)
class ObjectModel:
    """One trackable object."""

    object_id: str = field(metadata={'description': 'object id as used in topics, such as cube'})
    shape: ShapeModel = field(
        default_factory=ShapeModel, metadata={'description': 'geometry in the object frame'})
    colour: ColourModel | None = field(default=None, metadata={
        'description': 'colour of its surface; left out: not known, it is told by depth alone'})
    symmetry: str = field(default='none', metadata={'description': f'one of {GROUPS}'})
    upright: bool = field(
        default=False,
        metadata={'description': 'it only ever turns about the vertical: searched so'})
    mesh: str = field(default='', metadata={
        'description': 'mesh file for FoundationPose, m, beside this one or absolute; empty: it '
                       'sees the shape'})

    def __post_init__(self) -> None:
        """Refuse ids that are no topic names and symmetries that the shape does not have."""
        if not self.object_id.isidentifier():
            raise ConfigError(f'object_id is {self.object_id!r}; allowed: letters, digits and _')
        if self.symmetry not in GROUPS:
            raise UnknownNameError('symmetry group', self.symmetry, GROUPS)
        # A mesh is known when its file is, see `load_object`.
        if self.shape.kind != 'mesh':
            self.check_symmetry()

    def check_symmetry(self) -> None:
        """
        Refuse a group with rotations that do not map the shape onto itself.

        :raises ConfigError: there is one.
        """
        if not self.shape.is_mapped_by(self.symmetries):
            edges = ' x '.join(f'{edge:g}' for edge in self.shape.edges_m)
            raise ConfigError(
                f'symmetry is {self.symmetry}, and not every rotation of it maps the shape onto '
                f'itself: kind {self.shape.kind}, size_m of its bounding box {edges} m')

    @property
    def revolves(self) -> bool:
        """Whether turning about the object's z axis cannot be seen."""
        return self.symmetry in (REVOLUTION, CYLINDER)

    @property
    def shown_rgb(self) -> np.ndarray:
        """Return a colour (3,) to draw it in, red, green and blue, 0..1; grey if unknown."""
        if self.colour is None:
            return np.full(3, 0.6)
        return np.array(colorsys.hsv_to_rgb(self.colour.hue_deg / 360.0, 0.9, 0.9))

    @cached_property
    def symmetries(self) -> np.ndarray:
        """Rotations (S, 4) that map the object onto itself."""
        return symmetry_group(self.symmetry)

    def nearest_rotation(
            self, rotation: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
        """
        Return the rotation (4,) that looks the same and is nearest to a reference (4,).

        About a revolution axis the turn is chosen from all, not from the steps of the group, so
        that what is reported never jumps. The reference is the identity when None.
        """
        if not self.revolves:
            return canonical_rotation(rotation, self.symmetries, reference)
        reference = IDENTITY_QUAT if reference is None else reference
        found = unspun(rotation, reference)
        if self.symmetry == CYLINDER:
            flipped = unspun(quat_multiply(rotation, FLIP_QUAT), reference)
            return max(found, flipped, key=lambda turned: abs(float(turned @ reference)))
        return found


def load_object(name_or_path: str | Path) -> ObjectModel:
    """
    Read an object from `config/objects/<name>.yaml` or from a YAML file.

    :raises ConfigError: no such object, or a key or value that is not allowed.
    """
    text = str(name_or_path)
    if text.endswith(('.yaml', '.yml')):
        return _load(Path(text))
    folder = config_path('objects')
    path = folder / f'{text}.yaml'
    if not path.exists():
        known = [item.stem for item in folder.glob('*.yaml')]
        raise UnknownNameError('object', text, known, str(folder))
    return _load(path)


def _load(path: Path) -> ObjectModel:
    """Read a YAML file; meshes that it names lie beside it."""
    model = load_yaml(ObjectModel, path)
    if model.shape.kind == 'mesh':
        file = str(path.parent / model.shape.mesh.file)
        model = replace(model, shape=replace(
            model.shape, mesh=replace(model.shape.mesh, file=file)))
        try:
            model.check_symmetry()
        except ConfigError as error:
            raise ConfigError(f'{path}: {error}') from error
    return replace(model, mesh=str(path.parent / model.mesh)) if model.mesh else model
