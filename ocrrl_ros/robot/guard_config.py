# SPDX-License-Identifier: Apache-2.0
"""Where arm and hand may not go, and how fast the TCP may move; docs/safety.md explains each."""

from __future__ import annotations

from dataclasses import dataclass, field
import math

from ocrrl_ros.core.errors import ConfigError

Point = tuple[float, float, float]
Plane = tuple[float, float, float, float, float, float]
#: Unit normal n, offset d in m, name: a point x is inside where n . x >= d.
HalfSpace = tuple[Point, float, str]


@dataclass(frozen=True, kw_only=True)
class GuardConfig:
    """Cartesian guards of the commanded path, in the robot's base frame."""

    tcp_speed_m_s: float = field(
        default=1.0, metadata={'description': 'largest speed of the TCP, m/s'})
    workspace_lower_m: Point = field(
        default=(0.0, -0.7, -0.15), metadata={'description': (
            'lower corner of the box that the TCP stays in, m')})
    workspace_upper_m: Point = field(
        default=(0.85, 0.7, 1.0), metadata={'description': (
            'upper corner of the box that the TCP stays in, m')})
    minimum_height_m: float = field(
        default=0.010, metadata={'description': (
            'the TCP stays above this height, m; the fingers reach 9 mm below it')})
    body_height_m: float = field(
        default=0.0, metadata={'description': (
            'hand and arm from link 3 on stay above this height, m: that of the table for an arm '
            'that stands on one')})
    keep_out_planes: tuple[Plane, ...] = field(
        default=(), metadata={'description': (
            'planes as point and normal, px py pz nx ny nz, m: TCP, hand and the arm from link 3 '
            'on stay on the side that the normal points to')})
    goal_reserve_m: float = field(
        default=0.005, metadata={'description': (
            'targets of the TCP are moved at least this far inside box, height and planes, m')})
    min_singular_value: float = field(
        default=0.0, metadata={'description': (
            'least singular value of the Jacobian (m and rad): the distance to singularities; 0: '
            'not looked at')})
    self_distance_m: float = field(
        default=0.0, metadata={'description': (
            'least distance between links of the primitive model that are no neighbours, m')})

    def __post_init__(self) -> None:
        """Refuse values that leave no room or mean nothing."""
        if not 0.01 <= self.tcp_speed_m_s <= 3.0:
            raise ConfigError(f'tcp_speed_m_s is {self.tcp_speed_m_s} m/s; allowed: 0.01 .. 3')
        if not 0.001 <= self.goal_reserve_m <= 0.05:
            raise ConfigError(f'goal_reserve_m is {self.goal_reserve_m} m; allowed: 0.001 .. 0.05')
        if not 0.0 <= self.min_singular_value <= 0.2:
            raise ConfigError(
                f'min_singular_value is {self.min_singular_value}; allowed: 0 .. 0.2')
        if not 0.0 <= self.self_distance_m <= 0.05:
            raise ConfigError(
                f'self_distance_m is {self.self_distance_m} m; allowed: 0 .. 0.05')
        self._check_box()
        for plane in self.keep_out_planes:
            if not all(map(math.isfinite, plane)) or math.hypot(*plane[3:]) < 1e-6:
                raise ConfigError(
                    f'keep_out_planes has {plane}; allowed: six finite numbers, px py pz nx ny '
                    'nz, with a normal that is not zero')

    def _check_box(self) -> None:
        """Refuse a box without an inside."""
        for name in ('minimum_height_m', 'body_height_m'):
            if not math.isfinite(getattr(self, name)):
                raise ConfigError(
                    f'{name} is {getattr(self, name)} m; allowed: a finite number')
        lower = (*self.workspace_lower_m[:2],
                 max(self.workspace_lower_m[2], self.minimum_height_m))
        room = [high - low for low, high in zip(lower, self.workspace_upper_m)]
        if not all(side > 2.0 * self.goal_reserve_m for side in room):
            raise ConfigError(
                f'workspace {lower} .. {self.workspace_upper_m} m leaves no room; allowed: sides '
                f'of more than {2.0 * self.goal_reserve_m} m')

    def planes(self) -> tuple[HalfSpace, ...]:
        """
        Return the allowed half-spaces of the TCP: unit normal, offset in m, name.

        A point x is inside where normal . x >= offset.
        """
        planes: list[HalfSpace] = []
        for axis, name in enumerate('xyz'):
            for sign, side, corner in (
                    (1.0, 'lower', self.workspace_lower_m),
                    (-1.0, 'upper', self.workspace_upper_m)):
                x, y, z = (sign if i == axis else 0.0 for i in range(3))
                planes.append(
                    ((x, y, z), sign * corner[axis], f'workspace box ({side} {name})'))
        planes.append(((0.0, 0.0, 1.0), self.minimum_height_m, 'minimum height'))
        return (*planes, *self._keep_out())

    def body_planes(self) -> tuple[HalfSpace, ...]:
        """Return the allowed half-spaces of hand and arm: unit normal, offset in m, name."""
        return (((0.0, 0.0, 1.0), self.body_height_m, 'body height'), *self._keep_out())

    def _keep_out(self) -> tuple[HalfSpace, ...]:
        """Return the planes that hold for TCP, hand and arm alike."""
        planes: list[HalfSpace] = []
        for index, plane in enumerate(self.keep_out_planes):
            length = math.hypot(*plane[3:])
            x, y, z = (value / length for value in plane[3:])
            offset = x * plane[0] + y * plane[1] + z * plane[2]
            planes.append(((x, y, z), offset, f'keep-out plane {index}'))
        return tuple(planes)
