# SPDX-License-Identifier: Apache-2.0
"""
How disturbances act on the simulated world: forces, velocities, an overridden hand.

A slide and a twist set velocities before each physics step and leave contacts to the solver, so
that nothing is driven through a body; a push acts at the height of the table, where it slides an
object and does not tip it.
"""
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.evaluation.perturbations.schedule import Plan
from ocrrl_ros.evaluation.perturbations.settings import DisturbanceConfig, STALL
from ocrrl_ros.sim.object_shapes import Tub
from ocrrl_ros.sim.world import SimWorld

GRAVITY_M_S2 = 9.81
HAND_BODY = 'fr3_hand'
MARGIN_M = 0.04
"""An object is not to be moved nearer to the border of the workspace than this."""
CLEAR_M = 0.12
"""Nor its centre nearer to the centre of another object."""
DIRECTIONS = 8


class Injector:
    """Carries out one planned disturbance."""

    def __init__(self, plan: Plan, sizes: DisturbanceConfig):
        """Start an episode without having done anything."""
        self._plan = plan
        self._sizes = sizes
        self._begin_s: float | None = None
        self.force_n = 0.0
        """Force that was applied, N; 0 for kinds that apply none."""

    @property
    def begin_s(self) -> float | None:
        """Return the time of the first physics step that was disturbed, None before."""
        return self._begin_s

    def begin(self, world: SimWorld) -> None:
        """Begin now, with the next physics step."""
        self._begin_s = world.time_s
        begin = {'push': self._begin_push, 'slide': self._begin_slide,
                 'twist': self._begin_twist, 'poke': self._begin_poke}.get(self._plan.kind)
        if begin is not None:
            begin(world)

    def hand(self, opening: float, now_s: float) -> float:
        """Return the opening that the hand is really given in place of the commanded one."""
        return 1.0 if self._plan.kind == 'drop' and self._lasts(self._sizes.drop_s, now_s) \
            else opening

    def stalls_base(self, now_s: float) -> bool:
        """Tell whether the base neither plans nor delivers now."""
        return self._plan.kind == STALL and self._lasts(self._plan.size, now_s)

    def _lasts(self, duration_s: float, now_s: float) -> bool:
        """Tell whether something that began with the disturbance still lasts."""
        return self._begin_s is not None and now_s < self._begin_s + duration_s - 1e-9

    def _begin_push(self, world: SimWorld) -> None:
        """Apply a force that moves the object as far as planned."""
        name, duration_s = world.task.object_ids[0], self._sizes.push_s
        body = world.model.body(name)
        mass_kg = float(body.mass[0])
        if world.task.objects[0].is_free:
            direction = self._direction(world)
            brake_n = world.domain.objects.friction * mass_kg * GRAVITY_M_S2
            lever = np.array([0.0, 0.0, -world.data.xipos[body.id][2]])
        else:
            direction = drawer_direction(world, self._plan.size)
            brake_n, lever = world.domain.objects.drawer_friction_n, np.zeros(3)
        self.force_n = push_force_n(self._plan.size, duration_s, mass_kg, brake_n)
        force = self.force_n * direction
        world.apply_push(name, np.concatenate([force, np.cross(lever, force)]), duration_s)

    def _begin_slide(self, world: SimWorld) -> None:
        """Drag the object along a line."""
        velocity = self._direction(world)[:2] * self._plan.size / self._sizes.slide_s
        world.drag_object(world.task.object_ids[0], velocity, 0.0, self._sizes.slide_s)

    def _begin_twist(self, world: SimWorld) -> None:
        """Turn the object about the vertical."""
        sense = 1.0 if self._plan.direction_rad >= 0.0 else -1.0
        rate = sense * np.deg2rad(self._plan.size) / self._sizes.twist_s
        world.drag_object(world.task.object_ids[0], np.zeros(2), rate, self._sizes.twist_s)

    def _begin_poke(self, world: SimWorld) -> None:
        """Apply the force at the hand."""
        self.force_n = self._plan.size
        angle = self._plan.direction_rad
        force = self.force_n * np.array([np.cos(angle), np.sin(angle), 0.0])
        world.apply_push(
            HAND_BODY, np.concatenate([force, np.zeros(3)]), self._sizes.poke_s)

    def _direction(self, world: SimWorld) -> np.ndarray:
        """Return the horizontal direction (3,) in which the object is moved."""
        poses = np.stack([world.object_pose(name) for name in world.task.object_ids])
        angle = self._plan.direction_rad
        axis = np.zeros(3)
        if isinstance(world.task.objects[0].shape, Tub):
            axis = se3.quat_rotate(poses[0, 3:], np.array([0.0, 0.0, 1.0]))
        count = DIRECTIONS
        if np.hypot(axis[0], axis[1]) > 0.5:
            # A lying cup rolls away when it is pushed across its axis.
            along = np.arctan2(axis[1], axis[0])
            angle, count = along + (np.pi if np.cos(angle - along) < 0.0 else 0.0), 2
        turn = clear_direction(
            angle, poses[:, :2], self._plan.size, np.array(world.task.workspace.low_m[:2]),
            np.array(world.task.workspace.high_m[:2]), count)
        return np.array([np.cos(turn), np.sin(turn), 0.0])


def push_force_n(distance_m: float, duration_s: float, mass_kg: float, brake_n: float) -> float:
    """
    Return the force that, acting for ``duration_s`` against a brake, moves a mass ``distance_m``.

    Constant acceleration to a speed v, then the brake to rest: v T / 2 + v^2 m / (2 b) = d.
    """
    half_s = 0.5 * duration_s
    slowing = brake_n / mass_kg
    speed = slowing * (np.sqrt(half_s ** 2 + 2.0 * distance_m / slowing) - half_s)
    return float(mass_kg * speed / duration_s + brake_n)


def clear_direction(
        angle_rad: float, places_xy: np.ndarray, distance_m: float, low_xy: np.ndarray,
        high_xy: np.ndarray, count: int = DIRECTIONS) -> float:
    """
    Return the first free direction of ``count``, from the wanted one on round the circle.

    Free is one that ends inside the workspace and away from all other objects; the wanted one
    when there is none.

    :param places_xy: (K, 2) centres of the objects, m; the first is the one that is moved.
    """
    for step in range(count):
        turn = angle_rad + 2.0 * np.pi * step / count
        end = places_xy[0] + distance_m * np.array([np.cos(turn), np.sin(turn)])
        inside = (end > low_xy + MARGIN_M).all() and (end < high_xy - MARGIN_M).all()
        gaps = np.linalg.norm(places_xy[1:] - end, axis=1)
        if inside and (gaps > CLEAR_M).all():
            return float(turn)
    return float(angle_rad)


def drawer_direction(world: SimWorld, distance_m: float) -> np.ndarray:
    """Return the direction (3,) that opens a drawer, or closes it where no room is left."""
    joint = world.model.joint(world.task.joint_names[-1])
    opening_m = float(world.data.qpos[joint.qposadr[0]])
    room_m = world.task.objects[0].shape.travel_m - opening_m
    return world.data.xaxis[joint.id] * (1.0 if room_m > distance_m else -1.0)
