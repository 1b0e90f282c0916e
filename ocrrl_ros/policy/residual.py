# SPDX-License-Identifier: Apache-2.0
"""The residual network: what the actor sees to a bounded correction."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from ocrrl_ros.core.bundle import Bundle
from ocrrl_ros.core.errors import BundleError, InputError
from ocrrl_ros.core.onnx_session import create_session
from ocrrl_ros.policy.action_hold import ResidualRate
from ocrrl_ros.policy.blend import ObservationSpread
from ocrrl_ros.policy.composition import ACTION_SIZE, ResidualBounds
from ocrrl_ros.policy.observation import ObservationLayout
from ocrrl_ros.policy.onnx_network import OnnxNetwork


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


def checked_action(actions: np.ndarray) -> np.ndarray:
    """
    Return the one action (7,) of a network's answer (1, 7).

    :raises InputError: a number is not finite.
    """
    action = actions[0].astype(float)
    if not np.isfinite(action).all():
        raise InputError(f'residual network returned {action.tolist()}')
    return action


class Residual(Protocol):
    """What the controller needs of a residual network."""

    bounds: ResidualBounds
    layout: ObservationLayout
    acts_per: ResidualRate

    def act(self, observation: np.ndarray) -> np.ndarray:
        """Return actions (N, 7) in [-1, 1]."""


class ResidualNetwork:
    """
    Maps observations (N, D) float32 to actions (N, 7) in [-1, 1].

    :param layout: observation layout that it was trained for, of size D.
    :param acts_per: whether it answers in every tick, or once per chunk of the base.
    :param spread: of the observations that it was trained on, where that is known.
    """

    def __init__(
            self, session, layout: ObservationLayout, bounds: ResidualBounds,
            acts_per: ResidualRate = 'tick', spread: ObservationSpread | None = None):
        """Bind the network; the session's input must be (N, D)."""
        self.bounds, self.layout, self.acts_per = bounds, layout, acts_per
        self.spread = spread
        self._network = OnnxNetwork(session, layout.size, ACTION_SIZE, 'residual')

    @classmethod
    def from_bundle(cls, bundle: Bundle, layout: ObservationLayout) -> ResidualNetwork:
        """
        Open a residual bundle.

        :param layout: the one that the bundle was checked against.
        :raises BundleError: the model or its action scale cannot be used.
        """
        model, name = bundle.read('policy.onnx'), str(bundle.path / 'policy.onnx')
        return cls(
            create_session(model, name=name), layout, bounds_of(bundle), bundle.manifest.acts_per,
            ObservationSpread.from_model(model, layout.fields(), name))

    def act(self, observation: np.ndarray) -> np.ndarray:
        """Return actions (N, 7) in [-1, 1] for observations (N, D)."""
        return self._network(observation)
