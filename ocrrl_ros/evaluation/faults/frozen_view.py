# SPDX-License-Identifier: Apache-2.0
"""The world as a camera sees it whose picture stands still."""
import copy

import numpy as np
from ocrrl_ros.evaluation.pose_sources import World
from ocrrl_ros.sim.truth import TaskState


class FrozenView:
    """
    What a camera saw at one moment, while time goes on.

    The state to render is the same object every time: whoever renders knows by that that it is
    the same picture, noise included.
    """

    def __init__(self, world: World):
        """Take the picture of now."""
        self._world = world
        self._task_state = copy.deepcopy(world.task_state())
        self._render_state = world.render_state()

    @property
    def time_s(self) -> float:
        """Return the time of now."""
        return self._world.time_s

    def task_state(self) -> TaskState:
        """Return what was true when the picture froze."""
        return self._task_state

    def render_state(self) -> np.ndarray:
        """Return what was to be seen when the picture froze."""
        return self._render_state
