# SPDX-License-Identifier: Apache-2.0
"""
The bodies that guards look at, and their distances by Pinocchio's geometry model.

The distances are the reference: they name what is near and judge `ocrrl bench limits`. The guards
themselves use the compiled ones of body_kernels.py, which are the same but for hand against base,
where a capsule around the hand's box counts.

Rods become capsules: a cylinder gets round ends, which only makes it longer. That of the base
stays a cylinder, as its round end would reach 7 cm into the workspace. Blocks stay boxes; the
fingers are one box that holds them at every opening. Pairs of links that are three or more apart
in the chain are looked at: the joints between nearer ones keep them apart within their limits.
Sizes are those of ocrrl_ros/robot/shapes.py, read off an outline to about 1 cm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.guard_config import HalfSpace
from ocrrl_ros.robot.shapes import Block, Rod, Shape, SHAPES
import pinocchio as pin

try:
    import coal
except ImportError:  # Pinocchio 2 calls the same library by its former name.
    import hppfcl as coal

_LINKS = (*(f'fr3_link{i}' for i in range(8)), fr3.HAND_FRAME)
HAND = _LINKS.index(fr3.HAND_FRAME)
FIRST_ABOVE_PLANES = 3
LINKS_APART = 3
# Both fingers from shut to wide open, in the hand's frame.
_FINGERS = Block(centre=(0.0, 0.0, 0.0850), half=(0.0110, 0.0660, 0.0280))


@dataclass(frozen=True)
class Part:
    """
    What bodies are compared with, and the first joint whose motion counts for that.

    :param links: first and last link that the others are compared with; None: the planes.
    """

    links: tuple[int, int] | None
    first_joint: int


#: Bodies by what they may hit; a part that few joints move is cleared for longer at a time.
PARTS = (Part((0, 1), 0), Part((2, 3), 2), Part((4, 8), 4), Part(None, 0))


@dataclass(frozen=True)
class Body:
    """
    A shape of a link.

    :param link: number of its link; the hand is ``HAND``.
    :param is_cylinder: a rod without round ends.
    """

    link: int
    shape: Shape
    is_cylinder: bool


def bodies() -> tuple[Body, ...]:
    """Return the bodies in the order of their links, the fingers last."""
    return tuple(
        Body(index, shape, index == 0 and isinstance(shape, Rod) and not shape.is_round)
        for index, link in enumerate(_LINKS)
        for shape in (*SHAPES[link], *((_FINGERS,) if index == HAND else ())))


class BodyModel:
    """Pairs of bodies of one part, with their smallest distance."""

    def __init__(self, model: pin.Model, planes: tuple[HalfSpace, ...], part: Part):
        """
        Build the geometry on a kinematic model.

        :param planes: (unit normal, offset in m, name); bodies stay where normal . x >= offset.
        """
        self._model, self._data = model, model.createData()
        self._geometry = pin.GeometryModel()
        self._link: list[int] = []
        self._names: list[str] = []
        for body in bodies():
            self._add(body)
        if part.links is None:
            self._pair_planes(planes)
        else:
            self._pair_links(*part.links)
        self._results = pin.GeometryData(self._geometry)

    def distance(self, q: np.ndarray) -> float:
        """Return the smallest distance in m at joint positions q (7,), negative inside."""
        return self._nearest(q)[0]

    def describe(self, q: np.ndarray) -> str:
        """Name the nearest pair at joint positions q (7,), or the plane."""
        pair = self._geometry.collisionPairs[self._nearest(q)[1]]
        first, second = self._names[pair.first], self._names[pair.second]
        if pair.first < len(self._link):
            return f'self-collision ({first} and {second})'
        return f'{first} ({second})'

    def _nearest(self, q: np.ndarray) -> tuple[float, int]:
        """Return the smallest distance and its pair."""
        index = pin.computeDistances(
            self._model, self._data, self._geometry, self._results, q)
        return self._results.distanceResults[index].min_distance, index

    def _pair_links(self, least: int, most: int) -> None:
        """Look at all bodies that are enough links after one of these."""
        for first, near in enumerate(self._link):
            for second, far in enumerate(self._link):
                if least <= near <= most and far - near >= LINKS_APART:
                    self._geometry.addCollisionPair(pin.CollisionPair(first, second))

    def _pair_planes(self, planes: tuple[HalfSpace, ...]) -> None:
        """Look at what is above the upper arm; the fingers may touch, the TCP guards them."""
        count = len(self._link)
        for normal, offset, name in planes:
            self._add_plane(normal, offset, name)
            for body in range(count - 1):
                if self._link[body] >= FIRST_ABOVE_PLANES:
                    self._geometry.addCollisionPair(
                        pin.CollisionPair(len(self._names) - 1, body))

    def _add(self, body: Body) -> None:
        """Add one shape of a link."""
        link = _LINKS[body.link]
        geometry, local = _geometry(body)
        frame_id = self._model.getFrameId(link)
        frame = self._model.frames[frame_id]
        parent = frame.parentJoint if hasattr(frame, 'parentJoint') else frame.parent
        self._place(link, parent, frame_id, frame.placement * local, geometry)
        self._link.append(body.link)

    def _add_plane(self, normal: tuple[float, float, float], offset: float, name: str) -> None:
        """Add the half-space that bodies stay out of."""
        self._place(name, 0, 0, pin.SE3.Identity(), coal.Halfspace(np.array(normal), offset))

    def _place(
            self, name: str, joint: int, frame: int, placement: pin.SE3,
            body: coal.CollisionGeometry) -> None:
        """Add a geometry object; names are told apart by their number."""
        self._geometry.addGeometryObject(pin.GeometryObject(
            f'{name}_{len(self._names)}', joint, frame, placement, body))
        self._names.append(name)


def _geometry(body: Body) -> tuple[coal.CollisionGeometry, pin.SE3]:
    """Return the geometry of a body and where it is in the link's frame."""
    shape = body.shape
    if isinstance(shape, Rod):
        start, end = np.array(shape.start, dtype=float), np.array(shape.end, dtype=float)
        length = float(np.linalg.norm(end - start))
        turn = pin.Quaternion.FromTwoVectors(np.array([0.0, 0.0, 1.0]), (end - start) / length)
        kind = coal.Cylinder if body.is_cylinder else coal.Capsule
        return kind(shape.radius, length), pin.SE3(turn.matrix(), 0.5 * (start + end))
    size = 2.0 * np.array(shape.half)
    return coal.Box(*size), pin.SE3(np.eye(3), np.array(shape.centre, dtype=float))
