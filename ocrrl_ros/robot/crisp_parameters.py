# SPDX-License-Identifier: Apache-2.0
"""
Whether a CRISP controller's parameters are those of the law that policies were trained with.

Names and meaning are those of crisp_controllers/CartesianController 2.3: in its joint role the
task gains are 0, ``nullspace.projector_type`` is ``none`` and the whole law is

    tau = clip(K (q_d - q) - D dq, nullspace.max_tau),  K = nullspace.stiffness * weights,
    D = nullspace.damping * weights, or 2 sqrt(K) where nullspace.damping is not positive.

A parameter that the controller does not have (older versions lack some) is named, not guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
import math
from typing import Any

from ocrrl_ros.robot.arming_config import ArmingConfig
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES, BASE_FRAME, TCP_FRAME
from ocrrl_ros.robot.robot_config import RobotConfig

_AXES = ('x', 'y', 'z')
_TASK = tuple(f'{part}_{axis}' for part in ('pos', 'rot') for axis in _AXES)
_VARIABLE_STIFFNESS = 'variable_stiffness.enabled'
_TINY = 1e-9


@dataclass(frozen=True)
class ParameterMismatch:
    """A parameter, or what follows from several, that is not as it has to be."""

    name: str
    value: object
    allowed: str

    def __str__(self) -> str:
        """Return name, value and what is allowed."""
        value = f'{self.value:.4g}' if isinstance(self.value, float) else repr(self.value)
        return f'{self.name} is {value}, allowed: {self.allowed}'


class CrispParameters:
    """
    Reads parameters by name and notes the names that are missing.

    :param values: parameters of one controller.
    """

    def __init__(self, values: Mapping[str, Any]):
        """Start with nothing missing."""
        self._values = values
        self.missing: list[str] = []

    def has(self, name: str) -> bool:
        """Return whether the controller has a parameter."""
        return name in self._values

    def get(self, name: str) -> Any:
        """Return a parameter, or None and note its name."""
        if name not in self._values:
            self.missing.append(name)
            return None
        return self._values[name]

    def number(self, name: str) -> float:
        """Return a parameter as a number; NaN where it is missing."""
        value = self.get(name)
        return math.nan if value is None else float(value)


def parameter_mismatches(
        values: Mapping[str, Any], config: ArmingConfig,
        robot: RobotConfig) -> tuple[list[ParameterMismatch], list[str]]:
    """
    Return what differs from the robot's configuration, and the names that are missing.

    :param values: parameters of the active controller.
    """
    found = CrispParameters(values)
    checks = _joint_role if config.target == 'target_joint' else _cartesian_role
    mismatches = [*checks(found, config, robot), *_common(found, config, robot)]
    return mismatches, found.missing


def needed_parameters(config: ArmingConfig, robot: RobotConfig) -> tuple[str, ...]:
    """Return the names of every parameter that is looked at."""
    _, names = parameter_mismatches({}, config, robot)
    return (*dict.fromkeys(names), _VARIABLE_STIFFNESS)


def _joint_role(
        found: CrispParameters, config: ArmingConfig,
        robot: RobotConfig) -> Iterator[ParameterMismatch]:
    """Yield what differs from ``JointImpedanceConfig``."""
    law = robot.joint_impedance
    for name in _TASK:
        yield from _at_most(found, f'task.k_{name}', 0.0)
        yield from _at_most(found, f'task.d_{name}', 0.0)
    yield from _equal(found, 'nullspace.projector_type', 'none')
    yield from _at_least(found, 'nullspace.max_tau', config.least_joint_torque_nm)
    gain, damping = found.number('nullspace.stiffness'), found.number('nullspace.damping')
    expected = zip(ARM_JOINT_NAMES, law.stiffness_gains(), law.damping_gains())
    for joint, stiffness, joint_damping in expected:
        name = f'nullspace.weights.{joint}.value'
        weight = found.number(name)
        yield from _near(
            f'nullspace.stiffness * {name}', gain * weight, float(stiffness), config, 'Nm/rad')
        is_given = damping > 0.0
        yield from _near(
            f'damping of {joint} (' + (
                'nullspace.damping * weight)' if is_given else '2 sqrt(stiffness * weight))'),
            damping * weight if is_given else 2.0 * math.sqrt(max(gain * weight, 0.0)),
            float(joint_damping), config, 'Nm s/rad')


def _cartesian_role(
        found: CrispParameters, config: ArmingConfig,
        robot: RobotConfig) -> Iterator[ParameterMismatch]:
    """Yield what differs from ``CartesianImpedanceConfig``."""
    law = robot.cartesian_impedance
    for part, gain, unit in (('pos', law.translation_stiffness, 'N/m'),
                             ('rot', law.rotation_stiffness, 'Nm/rad')):
        for axis in _AXES:
            name = f'task.k_{part}_{axis}'
            stiffness = found.number(name)
            yield from _near(name, stiffness, gain, config, unit)
            damping = found.number(f'task.d_{part}_{axis}')
            if damping > 0.0:
                yield from _near(
                    f'task.d_{part}_{axis}', damping, 2.0 * math.sqrt(gain), config, '')
    for prefix, clip, unit in (('', law.error_clip_m, 'm'), ('r', law.error_clip_rad, 'rad')):
        for axis in _AXES:
            name = f'task.error_clip.{prefix}{axis}'
            yield from _near(name, found.number(name), clip, config, unit)
    yield from _equal(found, 'limit_error', True)
    yield from _equal(found, 'use_operational_space', False)
    yield from _equal(found, 'end_effector_frame', TCP_FRAME)
    yield from _equal(found, 'base_frame', BASE_FRAME)
    for name, wanted, unit in (
            ('nullspace.stiffness', law.nullspace_stiffness, 'Nm/rad'),
            ('nullspace.max_tau', law.nullspace_max_tau, 'Nm')):
        yield from _near(name, found.number(name), wanted, config, unit)


def _common(
        found: CrispParameters, config: ArmingConfig,
        robot: RobotConfig) -> Iterator[ParameterMismatch]:
    """Yield what is wrong in either role."""
    law = (robot.joint_impedance if config.target == 'target_joint'
           else robot.cartesian_impedance)
    yield from _near(
        'max_delta_tau', found.number('max_delta_tau'), law.max_delta_tau, config, 'Nm/ms')
    yield from _equal(found, 'limit_torques', True)
    yield from _equal(found, 'stop_commands', False)
    # The robot adds gravity itself: a second time would push the arm up.
    yield from _equal(found, 'use_gravity_compensation', False)
    # A topic could change the gains; versions that cannot do that lack the parameter.
    if found.has(_VARIABLE_STIFFNESS):
        yield from _equal(found, _VARIABLE_STIFFNESS, False)
    joints = found.get('joints')
    if joints is not None and tuple(joints) != ARM_JOINT_NAMES:
        yield ParameterMismatch('joints', list(joints), str(list(ARM_JOINT_NAMES)))


def _near(
        name: str, value: float, wanted: float, config: ArmingConfig,
        unit: str) -> Iterator[ParameterMismatch]:
    """Yield a number that is further from the wanted one than the tolerance; NaN is missing."""
    if abs(value - wanted) > config.gain_tolerance * abs(wanted) + _TINY:
        share = 100.0 * config.gain_tolerance
        yield ParameterMismatch(name, value, f'{wanted:.4g} {unit}'.rstrip() + f' +- {share:g} %')


def _at_most(found: CrispParameters, name: str, limit: float) -> Iterator[ParameterMismatch]:
    """Yield a number above a limit."""
    if found.number(name) > limit + _TINY:
        yield ParameterMismatch(name, found.number(name), f'<= {limit:g}')


def _at_least(found: CrispParameters, name: str, limit: float) -> Iterator[ParameterMismatch]:
    """Yield a number below a limit."""
    value = found.number(name)
    if value < limit - _TINY:
        yield ParameterMismatch(name, value, f'>= {limit:g}')


def _equal(found: CrispParameters, name: str, wanted: object) -> Iterator[ParameterMismatch]:
    """Yield a value that is another."""
    value = found.get(name)
    if value is not None and value != wanted:
        yield ParameterMismatch(name, value, repr(wanted))
