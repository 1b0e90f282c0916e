# SPDX-License-Identifier: Apache-2.0
"""The residual network: what the actor sees to a bounded correction."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.bundle import Bundle
from ocrrl_ros.core.errors import BundleError
from ocrrl_ros.policy.composition import ACTION_SIZE, ResidualBounds
from ocrrl_ros.policy.onnx_network import create_session, OnnxNetwork


def bounds_of(bundle: Bundle) -> ResidualBounds:
    """
    Return the physical size of a residual bundle's actions.

    :raises BundleError: its action scale cannot be used.
    """
    scale = bundle.manifest.action_scale
    known = {'translation_m', 'rotation_rad', 'gripper'}
    if set(scale) != known:
        raise BundleError(
            f'{bundle.path}: action_scale names {sorted(scale)}; needed: {sorted(known)}')
    return ResidualBounds(**scale)


class ResidualNetwork:
    """Maps observations (N, D) float32 to actions (N, 7) in [-1, 1]."""

    def __init__(self, session, observation_size: int, bounds: ResidualBounds):
        """Bind the network; the session's input must be (N, observation_size)."""
        self.bounds = bounds
        self._network = OnnxNetwork(session, observation_size, ACTION_SIZE, 'residual')

    @classmethod
    def from_bundle(cls, bundle: Bundle, observation_size: int) -> ResidualNetwork:
        """
        Open a residual bundle.

        :raises BundleError: the model or its action scale cannot be used.
        """
        session = create_session(str(bundle.file('policy.onnx')))
        return cls(session, observation_size, bounds_of(bundle))

    def act(self, observation: np.ndarray) -> np.ndarray:
        """Return actions (N, 7) in [-1, 1] for observations (N, D)."""
        return self._network(observation)
