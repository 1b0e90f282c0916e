# SPDX-License-Identifier: Apache-2.0
"""
Rules that name why a grasp failed, and what is counted of failures (protocol section 3).

The rules look at the first closing of the gripper, because that is what the base policy planned;
an object that was lifted and lost again is a drop whatever came before. What comes after a good
grasp, and tasks without one, is in `task_failures.py`.
"""
from dataclasses import dataclass

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import InputError

SUCCESS = 'success'
GRASP_MODES = ('drop', 'workspace', 'no_grasp', 'hover', 'short', 'angle', 'grip_time', 'slip')
PLACE_MODES = ('not_released', 'misplaced', 'not_turned_up', 'fell', 'disturbed', 'unsettled')
PUSH_MODES = ('missed', 'askew', 'reopened', 'stopped_short')
FAILURE_MODES = GRASP_MODES + PLACE_MODES + PUSH_MODES
HOVER_M = 0.015
SHORT_M = 0.015
ANGLE_RAD = np.deg2rad(15.0)
GRIP_TIME_S = 0.3
LIFTED_M = 0.010


@dataclass(frozen=True)
class GraspTrace:
    """
    One episode at 20 Hz, all in the base frame and simulator truth.

    :param time_s: (T,) times.
    :param base_T_tcp: (T, 7) TCP poses.
    :param gripper_command: (T,) commanded opening, 0 closed .. 1 open.
    :param base_T_object: (T, 7) poses of the object that is to be grasped.
    :param lowest_m: (T,) height of the object's lowest point above the table.
    :param both_touch: (T,) whether both fingers touch the object.
    """

    time_s: np.ndarray
    base_T_tcp: np.ndarray
    gripper_command: np.ndarray
    base_T_object: np.ndarray
    lowest_m: np.ndarray
    both_touch: np.ndarray

    def __post_init__(self) -> None:
        """Refuse arrays of different length."""
        lengths = {len(value) for value in vars(self).values()}
        if len(lengths) != 1:
            raise InputError(f'a grasp trace has arrays of lengths {sorted(lengths)}')


def first_closing(gripper_command: np.ndarray) -> int | None:
    """Find the tick at which the commanded opening first falls below one half."""
    closed = np.flatnonzero(np.asarray(gripper_command) < 0.5)
    return int(closed[0]) if closed.size else None


def approach_angle(base_T_tcp: np.ndarray, base_T_object: np.ndarray, yaw_period: float,
                   finger_axis: int | None = None) -> float:
    """
    Compute the angle in rad between the hand and its nearest way of grasping the object.

    The hand's approach axis must point down and its finger axis must lie along an object axis;
    ``yaw_period`` is the object's symmetry about the vertical (pi / 2 for a cube),
    ``finger_axis`` the object axis along which the fingers close; any level one when None.
    """
    tcp = se3.quat_to_matrix(base_T_tcp[3:])
    body = se3.quat_to_matrix(base_T_object[3:])
    tilt = np.arccos(np.clip(-tcp[2, 2], -1.0, 1.0))
    axis = np.argsort(np.abs(body[2]))[0] if finger_axis is None else finger_axis
    level = body[:, axis]
    yaw = np.arctan2(tcp[1, 1], tcp[0, 1]) - np.arctan2(level[1], level[0])
    yaw = (yaw + yaw_period / 2) % yaw_period - yaw_period / 2
    return float(max(tilt, abs(yaw)))


def _grip_is_mistimed(trace: GraspTrace, closing: int) -> bool:
    """Tell whether the hand was at its lowest more than 0.3 s before or after the closing."""
    window = trace.time_s <= trace.time_s[closing] + 1.5
    height = trace.base_T_tcp[window, 2]
    low = np.flatnonzero(height <= height.min() + 0.010)
    times = trace.time_s[window][low]
    early = times[0] - trace.time_s[closing] > GRIP_TIME_S
    late = trace.time_s[closing] - times[-1] > GRIP_TIME_S
    return bool(early or late)


def lifted(trace: GraspTrace) -> np.ndarray:
    """Return (T,) bool, whether both fingers hold the object clear of the table."""
    return trace.both_touch & (trace.lowest_m > LIFTED_M)


def classify(trace: GraspTrace, *, left_workspace: bool, yaw_period: float = np.pi / 2,
             finger_axis: int | None = None) -> str:
    """
    Name the failure mode of a failed episode.

    :param left_workspace: whether an object left the workspace.
    :param yaw_period: see `approach_angle`, as ``finger_axis``.
    :return: one of GRASP_MODES.
    """
    if lifted(trace).any():
        return 'drop'
    if left_workspace:
        return 'workspace'
    closing = first_closing(trace.gripper_command)
    if closing is None:
        return 'no_grasp'
    tcp, body = trace.base_T_tcp[closing], trace.base_T_object[closing]
    offset = tcp[:3] - body[:3]
    if offset[2] > HOVER_M:
        return 'grip_time' if _grip_is_mistimed(trace, closing) else 'hover'
    if np.hypot(offset[0], offset[1]) > SHORT_M:
        return 'short'
    if approach_angle(tcp, body, yaw_period, finger_axis) > ANGLE_RAD:
        return 'angle'
    if _grip_is_mistimed(trace, closing):
        return 'grip_time'
    return 'slip'


def count_modes(modes: list[str]) -> dict[str, int]:
    """Count the episodes of each failure mode; successes are left out."""
    return {mode: modes.count(mode) for mode in FAILURE_MODES if mode in modes}


def total_variation(first: list[str], second: list[str]) -> float:
    """Compute the total variation distance between two samples' failure modes (0 equal .. 1)."""
    a = [mode for mode in first if mode != SUCCESS]
    b = [mode for mode in second if mode != SUCCESS]
    if not a or not b:
        raise InputError('total variation needs failed episodes on both sides')
    return 0.5 * sum(abs(a.count(mode) / len(a) - b.count(mode) / len(b))
                     for mode in set(a) | set(b))
