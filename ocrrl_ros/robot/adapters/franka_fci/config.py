# SPDX-License-Identifier: Apache-2.0
"""Settings of the connection to the robot's FCI."""

from __future__ import annotations

from dataclasses import dataclass, field
import math

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.robot import fr3

#: More joint targets per second than pylibfranka's handler is made for; its own example has 50.
MAX_COMMAND_RATE_HZ = 50.0


def _check_numbers(name: str, values: tuple[float, ...], count: int, least: float) -> None:
    """
    Refuse a list of another length, or with numbers that are not finite or too small.

    :raises ConfigError: names the setting, its value and what is allowed.
    """
    if len(values) != count or not all(math.isfinite(v) and v >= least for v in values):
        at_least = '' if least == -math.inf else f' >= {least:g}'
        raise ConfigError(
            f'{name} is {list(values)}; allowed: {count} finite numbers{at_least}')


@dataclass(frozen=True, kw_only=True)
class CollisionConfig:
    """
    Where the robot sees a contact (lower) and where it stops (upper), moving or not.

    The defaults are the values of franka_ros2's examples.
    """

    lower_torque_nm: tuple[float, ...] = field(
        default=(25.0, 25.0, 22.0, 20.0, 19.0, 17.0, 14.0),
        metadata={'description': 'contact, per joint, Nm'})
    upper_torque_nm: tuple[float, ...] = field(
        default=(35.0, 35.0, 32.0, 30.0, 29.0, 27.0, 24.0),
        metadata={'description': 'collision, per joint, Nm'})
    lower_force: tuple[float, ...] = field(
        default=(30.0, 30.0, 30.0, 25.0, 25.0, 25.0),
        metadata={'description': 'contact, x y z in N and about x y z in Nm'})
    upper_force: tuple[float, ...] = field(
        default=(40.0, 40.0, 40.0, 35.0, 35.0, 35.0),
        metadata={'description': 'collision, x y z in N and about x y z in Nm'})

    def __post_init__(self) -> None:
        """Refuse wrong lengths and thresholds in the wrong order."""
        for kind, count in (('torque_nm', 7), ('force', 6)):
            lower, upper = getattr(self, f'lower_{kind}'), getattr(self, f'upper_{kind}')
            _check_numbers(f'collision.lower_{kind}', lower, count, 0.0)
            _check_numbers(f'collision.upper_{kind}', upper, count, 0.0)
            if any(high < low for low, high in zip(lower, upper)):
                raise ConfigError(
                    f'collision.upper_{kind} is {list(upper)}; allowed: no number below that of '
                    f'collision.lower_{kind}, {list(lower)}')


@dataclass(frozen=True, kw_only=True)
class LoadConfig:
    """What the flange carries besides the end effector that Desk knows."""

    mass_kg: float = field(
        default=0.0, metadata={'description': 'mass, kg; 0 leaves what the robot has'})
    flange_com_m: tuple[float, ...] = field(
        default=(0.0, 0.0, 0.0), metadata={'description': 'centre of mass in the flange, m'})
    inertia_kg_m2: tuple[float, ...] = field(
        default=(0.0,) * 9,
        metadata={'description': 'inertia about the centre of mass, 3x3 by columns, kg m^2'})

    def __post_init__(self) -> None:
        """Refuse what no load has."""
        if not 0.0 <= self.mass_kg <= 3.0:
            raise ConfigError(f'load.mass_kg is {self.mass_kg} kg; allowed: 0 .. 3')
        _check_numbers('load.flange_com_m', self.flange_com_m, 3, -math.inf)
        _check_numbers('load.inertia_kg_m2', self.inertia_kg_m2, 9, -math.inf)


@dataclass(frozen=True, kw_only=True)
class FciConfig:
    """Where the robot is, how it may move, and when a connection counts as lost."""

    robot_ip: str = field(default='', metadata={'description': 'address of the control box'})
    system_image: fr3.SystemImage = field(
        default='5.9', metadata={'description': "joint limits: '5.9' or newer, '5.8' or older"})
    max_joint_velocity_rad_s: tuple[float, ...] = field(
        default=(0.655, 0.655, 0.655, 0.655, 1.315, 1.315, 1.315),
        metadata={'description': 'fastest motion to a target, per joint, rad/s'})
    goal_tolerance_rad: float = field(default=0.01, metadata={
        'description': 'a target counts as reached within this, rad'})
    max_target_distance_rad: float = field(default=0.35, metadata={'description': (
        'a target further than this from the measured position in any joint is refused, rad')})
    target_timeout_s: float = field(default=0.5, metadata={'description': (
        'time without a target after which the arm stops where it is, s')})
    command_rate_hz: float = field(default=MAX_COMMAND_RATE_HZ, metadata={
        'description': 'most targets per second that go to the robot, Hz'})
    state_rate_hz: float = field(default=250.0, metadata={
        'description': "most of the robot's 1000 states per second that are passed on, Hz"})
    connect_timeout_s: float = field(default=5.0, metadata={
        'description': 'longest wait for the robot to accept a connection, s'})
    answer_timeout_s: float = field(default=3.0, metadata={
        'description': 'longest wait for a state or the start or end of a motion, s'})
    recovery_timeout_s: float = field(default=15.0, metadata={
        'description': 'longest error recovery, s'})
    reconnect_s: float = field(default=1.0, metadata={
        'description': 'pause before the first new attempt to connect, doubled each time, s'})
    reconnect_max_s: float = field(default=15.0, metadata={
        'description': 'longest pause between attempts to connect, s'})
    collision: CollisionConfig = CollisionConfig()
    load: LoadConfig = LoadConfig()

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not self.robot_ip:
            raise ConfigError('robot_ip is empty; give the address of the control box')
        if self.system_image not in fr3.POSITION_LIMITS:
            raise ConfigError(f'system_image is {self.system_image!r}; allowed: '
                              + ', '.join(sorted(fr3.POSITION_LIMITS)))
        _check_numbers('max_joint_velocity_rad_s', self.max_joint_velocity_rad_s, 7, 0.01)
        if any(v > most for v, most in zip(self.max_joint_velocity_rad_s, fr3.MAX_VELOCITY)):
            raise ConfigError(
                f'max_joint_velocity_rad_s is {list(self.max_joint_velocity_rad_s)}; allowed: '
                f'at most {list(fr3.MAX_VELOCITY)}')
        for name, low, high in (
                ('goal_tolerance_rad', 1e-4, 0.1), ('max_target_distance_rad', 0.01, 3.2),
                ('target_timeout_s', 0.05, 10.0), ('command_rate_hz', 1.0, MAX_COMMAND_RATE_HZ),
                ('state_rate_hz', 10.0, 1000.0), ('connect_timeout_s', 0.5, 60.0),
                ('answer_timeout_s', 0.5, 60.0), ('recovery_timeout_s', 0.5, 120.0),
                ('reconnect_s', 0.05, 600.0), ('reconnect_max_s', self.reconnect_s, 3600.0)):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(
                    f'{name} is {getattr(self, name)}; allowed: {low:g} .. {high:g}')
