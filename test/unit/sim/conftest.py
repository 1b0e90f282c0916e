# SPDX-License-Identifier: Apache-2.0
"""Worlds that the tests of this folder share."""

from collections.abc import Callable

import numpy as np
from ocrrl_ros.core.errors import MissingDependencyError
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.renderer import SceneRenderer
from ocrrl_ros.sim.tasks import get_task, InitialState
from ocrrl_ros.sim.world import SimWorld
import pytest


@pytest.fixture
def make_world() -> Callable[..., SimWorld]:
    """Return a builder of Cube Lift worlds at rest in a drawn start state."""
    def make(domain: str = 'sim', seed: int = 0, **settings: float) -> SimWorld:
        world = SimWorld(
            get_task('cube_lift'), load_domain(domain), load_physics(), **settings)
        world.reset(np.random.default_rng(seed))
        return world
    return make


@pytest.fixture
def make_renderer() -> Callable[..., SceneRenderer]:
    """Return a builder of renderers; skips where OpenGL is missing."""
    opened = []

    def make(*arguments: object, **settings: int) -> SceneRenderer:
        try:
            opened.append(SceneRenderer(*arguments, **settings))
        except MissingDependencyError as error:
            pytest.skip(str(error))
        return opened[-1]
    yield make
    for renderer in opened:
        renderer.close()


@pytest.fixture
def grasp_ready() -> InitialState:
    """Return a start state with the open hand around the cube."""
    q = np.array(fr3.READY_POSITION)
    kinematics = FrankaKinematics()
    for _ in range(60):
        q, _ = kinematics.solve(np.array([0.5, 0.0, 0.02, 1.0, 0.0, 0.0, 0.0]), q)
    cube = np.array([[0.5, 0.003, 0.02, 0.0, 0.0, 0.0, 1.0]])
    return InitialState(q=q, opening=1.0, object_poses=cube)
