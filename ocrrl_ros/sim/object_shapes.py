# SPDX-License-Identifier: Apache-2.0
"""Shapes of task objects, from primitives: box, cylinder, open tub, drawer in a cabinet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import mujoco
import numpy as np
from ocrrl_ros.core import se3

#: Role of a geom: seen and touched, seen alone, or touched alone.
Role = Literal['solid', 'look', 'touch']


class AddGeom(Protocol):
    """Adds one geom to a body."""

    def __call__(
            self, kind: mujoco.mjtGeom, size: np.ndarray, position: np.ndarray,
            quaternion: np.ndarray, mass_kg: float, role: Role = 'solid') -> None:
        """Add a geom of MuJoCo's sizes at a position in m and scalar-last quaternion."""


_BOX, _CYLINDER = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
_LEVEL = np.array([0.0, 0.0, 0.0, 1.0])
# What a tub stands on is two squares turned against each other, with eight corners on its bottom's
# edge: two dozen panels that touched the table too would be fifty contacts in every physics step,
# and on a cylinder a cup rolls round its edge for seconds like a dropped coin. So much do the
# panels end above the bottom, and so far inside the wall are the corners, so that a tub lying on
# its wall does not touch with them.
_PANEL_GAP_M = 0.001
_CORNER_GAP_M = 0.0003


class FreeShape(Protocol):
    """A rigid body that moves freely."""

    @property
    def half_extents_m(self) -> tuple[float, float, float]:
        """Return half the edges of the bounding box, centred on the body's frame, m."""

    def build(self, add: AddGeom, scale: float, mass_kg: float) -> None:
        """Add the geoms, all lengths times ``scale``; their masses sum to ``mass_kg``."""


@dataclass(frozen=True)
class Box:
    """A solid box around its frame."""

    half_extents_m: tuple[float, float, float]

    def build(self, add: AddGeom, scale: float, mass_kg: float) -> None:
        """Add one geom."""
        add(_BOX, np.multiply(self.half_extents_m, scale), np.zeros(3), _LEVEL, mass_kg)


@dataclass(frozen=True)
class BoxUnion:
    """
    Boxes parallel to the frame's axes that are one body; they may overlap.

    :param parts: centre and half edges of each, m; their bounding box is about the frame.
    """

    parts: tuple[tuple[tuple[float, float, float], tuple[float, float, float]], ...]

    @property
    def half_extents_m(self) -> tuple[float, float, float]:
        """Return half the edges of the bounding box, m."""
        x, y, z = np.max([np.add(np.abs(centre), half) for centre, half in self.parts], axis=0)
        return (float(x), float(y), float(z))

    def build(self, add: AddGeom, scale: float, mass_kg: float) -> None:
        """Add one geom per box, with masses by volume."""
        volumes = np.array([np.prod(half) for _, half in self.parts])
        for (centre, half), mass in zip(self.parts, mass_kg * volumes / volumes.sum()):
            add(_BOX, np.multiply(half, scale), np.multiply(centre, scale), _LEVEL, float(mass))


@dataclass(frozen=True)
class Cylinder:
    """A solid cylinder around the z axis of its frame, which is in its middle."""

    radius_m: float
    height_m: float

    @property
    def half_extents_m(self) -> tuple[float, float, float]:
        """Return half the edges of the bounding box, m."""
        return (self.radius_m, self.radius_m, 0.5 * self.height_m)

    def build(self, add: AddGeom, scale: float, mass_kg: float) -> None:
        """Add one geom."""
        size = np.array([self.radius_m, 0.5 * self.height_m, 0.0]) * scale
        add(_CYLINDER, size, np.zeros(3), _LEVEL, mass_kg)


@dataclass(frozen=True)
class Tub:
    """
    A hollow truncated cone, open at the top: flat panels around a flat bottom.

    Frame: half way up the axis, z towards the mouth.

    :param bottom_m: outer radius of the bottom.
    :param mouth_m: outer radius of the mouth.
    :param panels: flat panels of the wall; outer radii are those of the flats.
    """

    bottom_m: float
    mouth_m: float
    height_m: float
    wall_m: float
    panels: int = 24

    @property
    def half_extents_m(self) -> tuple[float, float, float]:
        """Return half the edges of the bounding box, m."""
        radius = max(self.bottom_m, self.mouth_m)
        return (radius, radius, 0.5 * self.height_m)

    @property
    def lean_rad(self) -> float:
        """Return the angle between wall and axis, rad, positive for a wider mouth."""
        return float(np.arctan2(self.mouth_m - self.bottom_m, self.height_m))

    def build(self, add: AddGeom, scale: float, mass_kg: float) -> None:
        """Add wall panels and bottom, with masses by volume."""
        height, wall = self.height_m * scale, self.wall_m * scale
        bottom, mouth = self.bottom_m * scale, self.mouth_m * scale
        lean = self.lean_rad
        # A leaning panel of this length ends at the height of the tub at both ends.
        slant = (height - wall * np.sin(abs(lean))) / np.cos(lean)
        # Panels wide enough to leave no gap at the wide end stick out at the narrow one: those
        # are for the eye alone, what is touched fits half way up.
        tangent = np.tan(np.pi / self.panels)
        half = np.array([
            0.5 * wall, 0.5 * (bottom + mouth) * tangent, 0.5 * (slant - _PANEL_GAP_M)])
        seen = np.array([0.5 * wall, max(bottom, mouth) * tangent, 0.5 * slant])
        radius = 0.5 * (bottom + mouth) - 0.5 * wall / np.cos(lean)
        disc = np.array([bottom - _CORNER_GAP_M, 0.5 * wall, 0.0])
        mean_m = 0.5 * (bottom + mouth)
        wall_volume = 2 * np.pi * mean_m * slant * wall
        disc_volume = np.pi * disc[0] ** 2 * wall
        density = mass_kg / (wall_volume + disc_volume)
        under = np.array([0.0, 0.0, -0.5 * height + 0.5 * wall])
        add(_CYLINDER, disc, under, _LEVEL, 0.0, 'look')
        square = np.array([disc[0] / np.sqrt(2.0), disc[0] / np.sqrt(2.0), 0.5 * wall])
        for turn_rad in (0.0, 0.25 * np.pi):
            add(_BOX, square, under, se3.quat_from_rotvec(np.array([0.0, 0.0, turn_rad])),
                0.5 * density * disc_volume, 'touch')
        # Local z runs up the wall: first lean outwards about y, then turn about the axis.
        tilt = se3.quat_from_rotvec(np.array([0.0, lean, 0.0]))
        for index in range(self.panels):
            angle = 2 * np.pi * index / self.panels
            turn = se3.quat_from_rotvec(np.array([0.0, 0.0, angle]))
            centre = radius * np.array([np.cos(angle), np.sin(angle), 0.0])
            quaternion = se3.quat_multiply(turn, tilt)
            raised = centre + se3.quat_rotate(
                quaternion, np.array([0.0, 0.0, 0.5 * _PANEL_GAP_M]))
            add(_BOX, half, raised, quaternion, density * wall_volume / self.panels, 'touch')
            add(_BOX, seen, centre, quaternion, 0.0, 'look')


@dataclass(frozen=True)
class Drawer:
    """
    A drawer on a slide in a cabinet that stands fixed on the table.

    Frame of the drawer: centre of its front, x into the cabinet (closing), z up. Frame of the
    cabinet: on the table below the front of the closed drawer. Four joints: x and y of the
    cabinet in m, its yaw in rad, and the opening in m.
    """

    width_m: float = 0.20
    height_m: float = 0.10
    depth_m: float = 0.18
    front_m: float = 0.012
    centre_height_m: float = 0.070
    handle_m: float = 0.028
    travel_m: float = 0.130

    @property
    def half_extents_m(self) -> tuple[float, float, float]:
        """Return half the edges of the front with its handle, m."""
        return (self.handle_m, 0.5 * self.width_m, 0.5 * self.height_m)

    def pose(self, joints: np.ndarray) -> np.ndarray:
        """Return base_T_drawer (..., 7) for joints [x m, y m, yaw rad, opening m] (..., 4)."""
        yaw, opening = joints[..., 2], joints[..., 3]
        position = np.stack([
            joints[..., 0] - np.cos(yaw) * opening, joints[..., 1] - np.sin(yaw) * opening,
            np.full(yaw.shape, self.centre_height_m)], axis=-1)
        zero = np.zeros_like(yaw)
        return se3.pose(position, se3.quat_from_rotvec(np.stack([zero, zero, yaw], axis=-1)))

    def closed_pose(self, joints: np.ndarray) -> np.ndarray:
        """Return base_T_drawer (..., 7) of the closed drawer in the same cabinet."""
        closed = np.array(joints, dtype=float)
        closed[..., 3] = 0.0
        return self.pose(closed)

    def joints_between(self, opened: np.ndarray, shut: np.ndarray) -> np.ndarray:
        """
        Return the joints (4,) of a drawer that was seen open and seen shut.

        :param opened: base_T_drawer (7,) as it stands open.
        :param shut: base_T_drawer (7,) of the same drawer shut; it says where the cabinet is.
        """
        inwards = se3.quat_rotate(shut[3:], np.array([1.0, 0.0, 0.0]))[:2]
        inwards /= np.linalg.norm(inwards)
        opening = np.clip((shut[:2] - opened[:2]) @ inwards, 0.0, self.travel_m)
        return np.array([shut[0], shut[1], np.arctan2(inwards[1], inwards[0]), opening])

    def build_drawer(self, add: AddGeom, mass_kg: float) -> None:
        """Add front, handle and tray; the front carries half of the mass."""
        front = np.array([0.5 * self.front_m, 0.5 * self.width_m, 0.5 * self.height_m])
        add(_BOX, front, np.array([front[0], 0.0, 0.0]), _LEVEL, 0.5 * mass_kg)
        bar = np.array([0.006, 0.05, 0.008])
        add(_BOX, bar, np.array([-self.handle_m + bar[0], 0.0, 0.0]), _LEVEL, 0.05 * mass_kg)
        for side in (-1.0, 1.0):
            post = np.array([0.5 * self.handle_m, 0.006, 0.006])
            add(_BOX, post, np.array([-post[0], side * 0.042, 0.0]), _LEVEL, 0.025 * mass_kg)
        tray = np.array([0.5 * self.depth_m - 0.01, 0.5 * self.width_m - 0.015, 0.004])
        add(_BOX, tray, np.array([tray[0] + self.front_m, 0.0, -front[2] + 0.012]), _LEVEL,
            0.4 * mass_kg)

    def build_cabinet(self, add: AddGeom, mass_kg: float) -> None:
        """Add top, bottom, sides and back around the drawer."""
        depth, thick = 0.5 * self.depth_m, 0.006
        top = self.centre_height_m + 0.5 * self.height_m + 2 * thick
        half_width = 0.5 * self.width_m + 2 * thick
        share = mass_kg / 5
        centre_x = self.front_m + depth
        for height in (thick, top):
            add(_BOX, np.array([depth, half_width, thick]),
                np.array([centre_x, 0.0, height]), _LEVEL, share)
        for side in (-1.0, 1.0):
            add(_BOX, np.array([depth, thick, 0.5 * top]),
                np.array([centre_x, side * half_width, 0.5 * top]), _LEVEL, share)
        add(_BOX, np.array([thick, half_width, 0.5 * top]),
            np.array([centre_x + depth, 0.0, 0.5 * top]), _LEVEL, share)


def lying_pose(tub: Tub, scale: float, x_m: float, y_m: float, yaw_rad: float) -> np.ndarray:
    """
    Return base_T_tub (7,) of a tub that lies on its wall, mouth towards ``yaw_rad``.

    One panel lies flat on the table, so that nothing rolls at the start.
    """
    lean = tub.lean_rad
    # z of the tub level and along yaw, its -x (a panel's outside) down, then the wall's lean.
    down = se3.quat_from_rotvec(np.array([0.0, 0.5 * np.pi - lean, 0.0]))
    turn = se3.quat_from_rotvec(np.array([0.0, 0.0, yaw_rad]))
    quaternion = se3.quat_multiply(turn, down)
    mean_m = 0.5 * (tub.bottom_m + tub.mouth_m) * scale
    # Distance of the axis' middle from the wall's outer face.
    height = mean_m * np.cos(lean)
    return se3.pose(np.array([x_m, y_m, height]), quaternion)
