# SPDX-License-Identifier: Apache-2.0
"""
Whether the arm, at joint positions, keeps clear of itself and of the table it stands on.

The outline is that of ``shapes.py``, good to about 1 cm, with the fingers open; objects on the
table are unknown here.
"""

from __future__ import annotations

from collections.abc import Iterator

import coal
import numpy as np
from ocrrl_ros.core.resources import model_path
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.shapes import Block, Shape, SHAPES
import pinocchio as pin

_TABLE = 'table'
# One chain of bodies; hand and fingers count as one body. Neighbours touch by construction.
_FIRST_OVER_TABLE = 3
_ORDER = {name: min(i, 8) for i, name in enumerate(SHAPES)}


class ArmClearance:
    """
    Callable: joint positions (7,) in rad to what they come too close to, or None.

    :param margin_m: least distance between two links.
    :param table_margin_m: least height above the table of hand, fingers and the arm from link 3
        on; what is below stands on it, or cannot reach it.
    :param table_z_m: height of the table in the base frame.
    """

    def __init__(
            self, margin_m: float = 0.01, table_margin_m: float = 0.002, table_z_m: float = 0.0):
        """Build the collision model."""
        full = pin.buildModelFromUrdf(str(model_path('fr3', 'fr3.urdf')))
        fingers = [full.getJointId(name) for name in fr3.FINGER_JOINT_NAMES]
        posture = pin.neutral(full)
        for joint in fingers:
            posture[full.joints[joint].idx_q] = fr3.FINGER_RANGE_M[1]
        self._model = pin.buildReducedModel(full, fingers, posture)
        self._data = self._model.createData()
        self._shapes = pin.GeometryModel()
        links = list(self._add_links())
        table = self._shapes.addGeometryObject(pin.GeometryObject(
            _TABLE, 0, 0, pin.SE3.Identity(), coal.Halfspace(np.array([0, 0, 1.0]), table_z_m)))
        margins = []
        for i, (first, link) in enumerate(links):
            for second, other in links[:i]:
                if _may_collide(other, link):
                    self._shapes.addCollisionPair(pin.CollisionPair(second, first))
                    margins.append(margin_m)
            if _ORDER[link] >= _FIRST_OVER_TABLE:
                self._shapes.addCollisionPair(pin.CollisionPair(first, table))
                margins.append(table_margin_m)
        self._found = pin.GeometryData(self._shapes)
        for request, margin in zip(self._found.collisionRequests, margins):
            request.security_margin = margin

    def __call__(self, q: np.ndarray) -> str | None:
        """Return which bodies come too close at joint positions (7,), or None."""
        if not pin.computeCollisions(
                self._model, self._data, self._shapes, self._found, np.asarray(q, float), True):
            return None
        # Pairs are looked at in order up to the first that collides.
        pair = next(
            pair for pair, result in zip(
                self._shapes.collisionPairs, self._found.collisionResults)
            if result.isCollision())
        names = [self._shapes.geometryObjects[i].name.partition('#')[0]
                 for i in (pair.first, pair.second)]
        return f'{names[0]} comes too close to {names[1]}'

    def _add_links(self) -> Iterator[tuple[int, str]]:
        """Add every shape; yield its index and the link it belongs to."""
        for link, shapes in SHAPES.items():
            frame = self._model.frames[self._model.getFrameId(link)]
            for i, shape in enumerate(shapes):
                geometry, placement = _geometry(shape)
                yield self._shapes.addGeometryObject(pin.GeometryObject(
                    f'{link}#{i}', frame.parentJoint, self._model.getFrameId(link),
                    frame.placement * placement, geometry)), link


def _may_collide(first: str, second: str) -> bool:
    """Return whether two links are checked against each other."""
    return abs(_ORDER[first] - _ORDER[second]) > 1


def _geometry(shape: Shape) -> tuple[coal.CollisionGeometry, pin.SE3]:
    """Return a shape and its pose in the link frame."""
    if isinstance(shape, Block):
        return coal.Box(*(2.0 * half for half in shape.half)), pin.SE3(
            np.eye(3), np.array(shape.centre, dtype=float))
    start, end = np.array(shape.start, dtype=float), np.array(shape.end, dtype=float)
    length = float(np.linalg.norm(end - start))
    kind = coal.Capsule if shape.is_round else coal.Cylinder
    turn = pin.Quaternion.FromTwoVectors(np.array([0, 0, 1.0]), (end - start) / length)
    return kind(shape.radius, length), pin.SE3(turn.matrix(), (start + end) / 2.0)
