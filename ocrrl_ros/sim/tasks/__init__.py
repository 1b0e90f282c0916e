# SPDX-License-Identifier: Apache-2.0
"""Registry of tasks; adding one is a file beside this one and a line below."""

from __future__ import annotations

from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.sim.tasks.close_drawer import CloseDrawer
from ocrrl_ros.sim.tasks.cube_lift import CubeLift
from ocrrl_ros.sim.tasks.lift_named import LiftGreenOfTwo, LiftRedOfTwo
from ocrrl_ros.sim.tasks.pick_place import PickPlace
from ocrrl_ros.sim.tasks.stack_cube import StackCube
from ocrrl_ros.sim.tasks.stand_cup import StandCup
from ocrrl_ros.sim.tasks.task import (
    initial_sha256, lowest_points, ObjectSpec, SUCCESS_VERSION, SuccessCounter, Task, Workspace)
from ocrrl_ros.sim.truth import InitialState, TaskState

_TASKS = {task.name: task for task in (
    CubeLift, PickPlace, StackCube, CloseDrawer, StandCup, LiftRedOfTwo, LiftGreenOfTwo)}

__all__ = [
    'get_task', 'initial_sha256', 'InitialState', 'known_tasks', 'lowest_points', 'ObjectSpec',
    'SUCCESS_VERSION', 'SuccessCounter', 'Task', 'TaskState', 'Workspace',
]


def known_tasks() -> tuple[str, ...]:
    """Return the names of all tasks."""
    return tuple(sorted(_TASKS))


def get_task(name: str) -> Task:
    """
    Return a task by name.

    :raises UnknownNameError: the message lists the known tasks.
    """
    if name not in _TASKS:
        raise UnknownNameError('task', name, known_tasks(), '--task')
    return _TASKS[name]()
