# SPDX-License-Identifier: Apache-2.0
"""
Start states from the middle of a task, so that training sees its end from the beginning.

A residual that learns a task of several stages sees the last one only after it has mastered those
before. Episodes that start along a way that leads to the goal mend that (reset curricula, as in
reverse forward curriculum learning, arXiv 2405.03379). The way is the scripted expert's, with
offsets, in the very worlds of the training environment; nothing of it reaches the policy but the
states that episodes start from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ocrrl_ros.sim.truth import InitialState


@dataclass(frozen=True, kw_only=True)
class MidStart:
    """
    One state to start from, at rest.

    :param world: index of its world in the pool of compiled models.
    :param initial: arm, finger gap as an opening, objects.
    :param start_poses: base_T_object (K, 7) at the start of the episode that it was taken from.
    :param is_closed: whether the hand is closing or holding.
    """

    world: int
    initial: InitialState
    start_poses: np.ndarray
    is_closed: bool


class StartPool:
    """Collects states and draws from them."""

    def __init__(self, share: float):
        """
        Start empty.

        :param share: share of the episodes that start from a collected state.
        """
        self.share = share
        self.states: list[MidStart] = []

    def draw(self, rng: np.random.Generator, count: int) -> list[MidStart | None]:
        """Return what each of some episodes starts from; None is the task's own start."""
        if not self.states:
            return [None] * count
        chosen = rng.uniform(size=count) < self.share
        which = rng.integers(0, len(self.states), count)
        return [self.states[index] if mid else None for mid, index in zip(chosen, which)]
