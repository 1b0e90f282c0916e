# SPDX-License-Identifier: Apache-2.0
"""The lowest point of an object is that of its solid parts."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.sim.clearance import lowest_point
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.tasks import get_task
from ocrrl_ros.sim.truth import InitialState
from ocrrl_ros.sim.world import SimWorld
import pytest


def lowest_of(task_name: str, object_id: str, pose: np.ndarray) -> float:
    """Return the lowest point of an object that is put at a pose (7,)."""
    task = get_task(task_name)
    world = SimWorld(task, load_domain('sim'), load_physics())
    start = task.sample_initial(np.random.default_rng(0), load_domain('sim'))
    poses = start.object_poses.copy()
    poses[task.object_ids.index(object_id)] = pose
    world.reset_to(InitialState(q=start.q, opening=1.0, object_poses=poses))
    return lowest_point(world.model, world.data, object_id)


def test_cube_on_its_edge_reaches_half_a_diagonal_down() -> None:
    turn = se3.quat_from_rotvec(np.array([np.pi / 4, 0.0, 0.0]))
    low = lowest_of('cube_lift', 'cube', se3.pose(np.array([0.5, 0.0, 0.1]), turn))
    assert low == pytest.approx(0.1 - 0.02 * np.sqrt(2.0), abs=1e-9)


def test_cup_stands_on_its_bottom_and_lies_on_its_wall() -> None:
    task = get_task('stand_cup')
    standing = se3.pose(np.array([0.5, 0.0, 0.2]), np.array([0.0, 0.0, 0.0, 1.0]))
    assert lowest_of('stand_cup', 'cup', standing) == pytest.approx(0.15, abs=2e-3)
    lying = task.sample_initial(np.random.default_rng(1), load_domain('sim')).object_poses[0]
    assert abs(lowest_of('stand_cup', 'cup', lying)) < 2e-3
