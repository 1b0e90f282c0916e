# SPDX-License-Identifier: Apache-2.0
"""Commands, TCP and object of one episode at every command tick."""
from dataclasses import dataclass

import numpy as np
from ocrrl_ros.policy.controller import Command, PolicyAction
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.tasks import TaskState

_NO_JOINTS = np.full(7, np.nan)
_NO_POSE = np.full(7, np.nan)


@dataclass(frozen=True, kw_only=True)
class Motion:
    """An episode as arrays of T command ticks."""

    time_s: np.ndarray
    """(T,) time before the physics steps of the tick."""
    command_q: np.ndarray
    """(T, 7) published joint targets, rad; NaN before the first."""
    target: np.ndarray
    """(T, 7) composed TCP target of the last policy tick, base frame; NaN before the first."""
    tcp: np.ndarray
    """base_T_tcp (T, 7), truth."""
    item: np.ndarray
    """base_T_object (T, 7) of the task's first object, truth."""
    held: np.ndarray
    """(T,) bool, whether the hand holds that object."""

    def __len__(self) -> int:
        """Return T."""
        return len(self.time_s)

    def first_tick(self, time_s: float) -> int:
        """Return the first tick at or after a time."""
        return int(np.searchsorted(self.time_s, time_s - 1e-9))

    def command_poses(self, kinematics: FrankaKinematics, first: int, last: int) -> np.ndarray:
        """Return base_T_tcp (last - first, 7) of the published joint targets."""
        rows = [_NO_POSE if np.isnan(q[0]) else kinematics.forward(q)
                for q in self.command_q[first:last]]
        return np.reshape(rows, (-1, 7))


class MotionTrace:
    """Collects a motion tick by tick."""

    def __init__(self) -> None:
        """Start empty."""
        self._rows: list[tuple] = []

    def add(self, now_s: float, state: TaskState, held: bool, command: Command | None,
            action: PolicyAction | None) -> None:
        """Remember a command tick."""
        self._rows.append((
            now_s, _NO_JOINTS if command is None else command.q,
            _NO_POSE if action is None else action.command_pose, state.base_T_tcp[0].copy(),
            state.object_poses[0, 0].copy(), held))

    def motion(self) -> Motion:
        """Return the arrays."""
        time_s, command_q, target, tcp, item, held = zip(*self._rows)
        return Motion(
            time_s=np.array(time_s), command_q=np.array(command_q), target=np.array(target),
            tcp=np.array(tcp), item=np.array(item), held=np.array(held, dtype=bool))


def same_until(one: Motion, two: Motion, begin_s: float) -> bool:
    """Tell whether two motions are the same to the last bit up to and including a tick."""
    count = one.first_tick(begin_s) + 1
    return all(
        np.array_equal(getattr(one, name)[:count], getattr(two, name)[:count], equal_nan=True)
        for name in ('time_s', 'command_q', 'target', 'tcp', 'item'))
