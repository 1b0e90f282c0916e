# SPDX-License-Identifier: Apache-2.0
"""Scenes that the tracker bench looks at beside the tasks: objects that no task has."""
from collections.abc import Sequence
import dataclasses

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.object_shapes import BoxUnion, Cylinder
from ocrrl_ros.sim.tasks import get_task, InitialState, known_tasks, ObjectSpec, Task, TaskState
from ocrrl_ros.sim.tasks.stack_cube import CENTRE_M, CUBE, SPREAD_M
from ocrrl_ros.sim.tasks.task import sample_arm

ACTING_ROW = 'grasp'
APART_M = 0.13
_WALL_M, _OUT_M, _HALF_M = 0.014, 0.026, 0.04


class PegInHoleScene(Task):
    """
    A peg, a box with a hole for it and a cube, as they lie on the table; only to be looked at.

    Start: all at x 0.50 ± 0.10 m, y ± 0.15 m, more than 0.13 m apart, any yaw; the peg lies or
    stands, each half of the time.
    """

    name = 'peg_in_hole_scene'
    instruction = 'look at the peg, the box with its hole and the cube'
    objects = (
        ObjectSpec(object_id='peg', shape=Cylinder(0.010, 0.100), mass_kg=0.040),
        ObjectSpec(object_id='box_with_hole', mass_kg=0.250, shape=BoxUnion((
            ((_OUT_M, 0.0, 0.0), (_WALL_M, _HALF_M, 0.02)),
            ((-_OUT_M, 0.0, 0.0), (_WALL_M, _HALF_M, 0.02)),
            ((0.0, _OUT_M, 0.0), (_HALF_M, _WALL_M, 0.02)),
            ((0.0, -_OUT_M, 0.0), (_HALF_M, _WALL_M, 0.02))))),
        CUBE)
    colours = {'peg': (0.75, 0.11, 0.64), 'box_with_hole': (0.53, 0.70, 0.10)}
    horizon_s = 10.0
    hold_ticks = 1
    reward_weights: dict[str, float] = {}

    def sample_initial(self, rng: np.random.Generator, domain: Domain) -> InitialState:
        """Draw the arm posture, three places, three yaws, and whether the peg stands."""
        q = sample_arm(rng)
        places = _three_apart(rng)
        yaws, stands = rng.uniform(-np.pi, np.pi, 3), rng.random() < 0.5
        heights = np.array([item.half_extents_m[2] for item in self.objects])
        turns = se3.quat_from_rotvec(np.column_stack([np.zeros((3, 2)), yaws]))
        if not stands:
            heights[0] = self.objects[0].half_extents_m[0]
            turns[0] = se3.quat_multiply(
                turns[0], se3.quat_from_rotvec(np.array([0.0, 0.5 * np.pi, 0.0])))
        heights = heights * domain.objects.size_scale
        return InitialState(
            q=q, opening=1.0, object_poses=se3.pose(np.column_stack([places, heights]), turns))

    def reward(self, state: TaskState) -> dict[str, np.ndarray]:
        """Return nothing: nobody acts."""
        return {}

    def success_now(self, state: TaskState) -> np.ndarray:
        """Return (N,) false: nobody acts."""
        return np.zeros(len(state), dtype=bool)


def _three_apart(rng: np.random.Generator) -> np.ndarray:
    """Return three places (3, 2) in the table's plane, m, by one draw from ``rng``."""
    draws = np.random.default_rng(int(rng.integers(2 ** 63)))
    while True:
        places = np.array(CENTRE_M) + draws.uniform(-1.0, 1.0, (3, 2)) * SPREAD_M
        gaps = np.linalg.norm(places - np.roll(places, 1, axis=0), axis=1)
        if gaps.min() > APART_M:
            return places


_SCENES = {scene.name: scene for scene in (PegInHoleScene,)}


def seen_task(name: str) -> Task:
    """
    Return a task or a scene by name.

    :raises UnknownNameError: neither; the message lists both.
    """
    if name in _SCENES:
        return _SCENES[name]()
    if name not in known_tasks():
        raise UnknownNameError('task', name, (*known_tasks(), *_SCENES), '--task')
    return get_task(name)


def in_colours_of(task: Task, domain: Domain) -> Domain:
    """Return the domain with the colours of a scene's objects that it does not know."""
    colours = getattr(task, 'colours', {}) | domain.looks.objects
    return dataclasses.replace(
        domain, looks=dataclasses.replace(domain.looks, objects=colours))


def check_rows(task: str, rows: Sequence[str]) -> None:
    """
    Refuse to let somebody act in what is only looked at.

    :raises ConfigError: the row `ACTING_ROW` of a scene.
    """
    if task in _SCENES and ACTING_ROW in rows:
        raise ConfigError(
            f'rows are {tuple(rows)}, but {task} is a scene that is only looked at; allowed: '
            f'every row but {ACTING_ROW}')
