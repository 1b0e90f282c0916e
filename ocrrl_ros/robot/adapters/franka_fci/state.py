# SPDX-License-Identifier: Apache-2.0
"""One state of the robot as arrays, and as bytes between two processes."""

from __future__ import annotations

from dataclasses import dataclass, fields
import enum
import json
from typing import Any

import numpy as np


class RobotMode(enum.IntEnum):
    """What the control box says it is doing; the numbers are franka_msgs' and libfranka's."""

    OTHER = 0
    IDLE = 1
    MOVE = 2
    GUIDING = 3
    REFLEX = 4
    USER_STOPPED = 5
    AUTOMATIC_ERROR_RECOVERY = 6

    @property
    def label(self) -> str:
        """Return the name as people read it, such as ``user_stopped``."""
        return self.name.lower()

    @property
    def allows_motion(self) -> bool:
        """Return whether a motion may start or go on."""
        return self in (RobotMode.IDLE, RobotMode.MOVE)


@dataclass(frozen=True, kw_only=True)
class FciState:
    """
    What the robot said, in rad, Nm, N, m and s; poses in the base frame.

    ``received_s`` is CLOCK_MONOTONIC of this computer, ``robot_time_s`` the robot's own time
    since its start. Poses are the robot's: of the end effector that is set in Desk.
    """

    received_s: float
    robot_time_s: float
    mode: RobotMode
    success_rate: float
    """Share of commands that reached the robot in the last 100 states, by the robot's count."""
    q: np.ndarray
    dq: np.ndarray
    tau: np.ndarray
    """Measured joint torques (7,), gravity included."""
    q_desired: np.ndarray
    dq_desired: np.ndarray
    tau_external: np.ndarray
    base_T_ee: np.ndarray
    """Measured pose, homogeneous (4, 4)."""
    base_T_ee_desired: np.ndarray
    twist_desired: np.ndarray
    """(6,) in the base frame."""
    wrench_base: np.ndarray
    """External wrench (6,) in the base frame."""
    wrench_stiffness: np.ndarray
    """External wrench (6,) in the stiffness frame."""
    ee_mass_kg: float = 0.0
    """Mass of the end effector that is set in Desk."""
    load_mass_kg: float = 0.0
    """Mass of the load that was set besides."""
    errors: tuple[str, ...] = ()
    last_motion_errors: tuple[str, ...] = ()


#: Arrays of the state, by the names that pylibfranka has for them; (16,) are poses by columns.
_SOURCES = {
    'q': ('q', 7), 'dq': ('dq', 7), 'tau': ('tau_J', 7), 'q_desired': ('q_d', 7),
    'dq_desired': ('dq_d', 7), 'tau_external': ('tau_ext_hat_filtered', 7),
    'base_T_ee': ('O_T_EE', 16), 'base_T_ee_desired': ('O_T_EE_d', 16),
    'twist_desired': ('O_dP_EE_d', 6), 'wrench_base': ('O_F_ext_hat_K', 6),
    'wrench_stiffness': ('K_F_ext_hat_K', 6)}
_SCALARS = (
    'received_s', 'robot_time_s', 'mode', 'success_rate', 'ee_mass_kg', 'load_mass_kg')


def state_of_library(raw: Any, received_s: float) -> FciState:
    """Return the state that pylibfranka's ``RobotState`` holds."""
    arrays = {
        name: _shaped(np.array(getattr(raw, source)))
        for name, (source, _) in _SOURCES.items()}
    return FciState(
        received_s=received_s, robot_time_s=raw.time.to_sec(), mode=RobotMode(int(raw.robot_mode)),
        success_rate=raw.control_command_success_rate, ee_mass_kg=raw.m_ee,
        load_mass_kg=raw.m_load, **arrays,
        errors=_error_names(raw.current_errors),
        last_motion_errors=_error_names(raw.last_motion_errors))


def _shaped(values: np.ndarray) -> np.ndarray:
    """Return (16,) by columns as (4, 4), other arrays as they are."""
    return values.reshape(4, 4).T if len(values) == 16 else values


def _error_names(errors: Any) -> tuple[str, ...]:
    """Return the names of the errors that are raised; the library prints them as a JSON list."""
    return tuple(json.loads(str(errors))) if errors else ()


def pack_state(state: FciState) -> bytes:
    """Return the state as bytes."""
    numbers = np.concatenate([
        [float(getattr(state, name)) for name in _SCALARS],
        *(getattr(state, name).T.ravel() for name in _SOURCES)])
    words = ';'.join(','.join(names) for names in (state.errors, state.last_motion_errors))
    return numbers.tobytes() + words.encode()


def unpack_state(data: bytes) -> FciState:
    """Return the state of bytes from :func:`pack_state`."""
    numbers = np.frombuffer(data, count=_NUMBERS)
    values: dict[str, Any] = dict(zip(_SCALARS, numbers[:len(_SCALARS)].tolist()))
    values['mode'] = RobotMode(int(values['mode']))
    start = len(_SCALARS)
    for name, (_, size) in _SOURCES.items():
        values[name] = _shaped(numbers[start:start + size])
        start += size
    words = data[numbers.nbytes:].decode().split(';')
    values['errors'], values['last_motion_errors'] = (
        tuple(name for name in part.split(',') if name) for part in words)
    return FciState(**values)


_NUMBERS = len(_SCALARS) + sum(size for _, size in _SOURCES.values())
assert {*_SCALARS, *_SOURCES, 'errors', 'last_motion_errors'} == {
    field.name for field in fields(FciState)}
