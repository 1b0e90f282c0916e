# SPDX-License-Identifier: Apache-2.0
"""A finished residual that says what it would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ocrrl_ros.core.bundle import Bundle
from ocrrl_ros.core.errors import BundleError
from ocrrl_ros.learning.gated_policy import GatedPolicy
from ocrrl_ros.policy.assembly import load_residual
from ocrrl_ros.policy.composition import ResidualBounds
from ocrrl_ros.policy.gate import ResidualGate
from ocrrl_ros.policy.image_residual import ImageResidualNetwork
from ocrrl_ros.policy.residual import ResidualNetwork
from ocrrl_ros.policy.task_spec import load_task_spec


class Teacher:
    """
    Maps critic observations (N, C) to what a pose residual would do (N, A), gate included.

    :param size: number D of the actor's entries, the first ones.
    :param gate: of as many robots; None lets the whole residual act.
    """

    def __init__(self, network: ResidualNetwork, size: int, gate: ResidualGate | None = None):
        """Keep the networks."""
        self.bounds: ResidualBounds = network.bounds
        self._act = lambda critic_obs: network.act(critic_obs[:, :size])
        self._gated = None if gate is None else GatedPolicy(self._act, gate, size)

    @classmethod
    def from_bundle(
            cls, folder: Path | str, task: str, num_robots: int) -> tuple[Teacher, Bundle]:
        """
        Open a residual bundle as a teacher.

        :raises BundleError: it cannot be used for the task, sees images itself, or does not
            answer in every tick on what critics see first.
        """
        network, bundle = load_residual(folder, task)
        if isinstance(network, ImageResidualNetwork):
            raise BundleError(
                f'{bundle.path} sees images; a teacher must see object poses')
        layout = network.layout
        if layout != load_task_spec(task).layout() or network.acts_per != 'tick':
            raise BundleError(
                f'{bundle.path} has observation layout {layout.variant!r} and acts_per '
                f"{network.acts_per!r}; allowed for a teacher: 'relative', 'tick'")
        size = layout.size
        return cls(network, size, ResidualGate.from_bundle(bundle, size, num_robots)), bundle

    def __call__(self, critic_obs: np.ndarray) -> np.ndarray:
        """Return the actions (N, A) float32 of this tick; call once a tick."""
        return (self._gated or self._act)(critic_obs).astype(np.float32)

    def reset(self, rows: np.ndarray) -> None:
        """Start new episodes of the given robots."""
        if self._gated is not None:
            self._gated.reset(rows)

    def state_dict(self) -> dict[str, Any]:
        """Return what the next answers depend on."""
        return {'gated': None if self._gated is None else self._gated.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        if self._gated is not None:
            self._gated.load_state_dict(state['gated'])
