# SPDX-License-Identifier: Apache-2.0
"""
The gate of a residual: how much of it acts, from what the actor itself sees.

A residual that mends a weak base can spoil a good one. The gate opens where the residual is
expected to raise the probability of success and stays closed where the base does as well alone.
"""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.bundle import Bundle
from ocrrl_ros.core.errors import BundleError, InputError
from ocrrl_ros.core.onnx_session import create_session
from ocrrl_ros.policy.onnx_network import OnnxNetwork

GATE_FILE = 'gate.onnx'
_SETTINGS = {'smoothing_s'}


class ResidualGate:
    """
    Weight of the residual of N robots, 0 closed .. 1 open, smooth in time.

    The network answers for a moment; its answer passes a first-order low-pass, so that the
    weight cannot chatter. An episode starts closed.
    """

    def __init__(
            self, session, observation_size: int, smoothing_s: float, num_robots: int = 1):
        """
        Start closed.

        :param smoothing_s: time constant of the low-pass, s; 0 follows the network at once.
        :raises BundleError: the network or the time constant cannot be used.
        """
        if not 0.0 <= smoothing_s <= 5.0:
            raise BundleError(f'smoothing_s of {GATE_FILE} is {smoothing_s} s; allowed: 0 .. 5')
        self.smoothing_s = smoothing_s
        self._network = OnnxNetwork(session, observation_size, 1, GATE_FILE)
        self._weight = np.zeros(num_robots)
        self._updated_s = np.full(num_robots, np.nan)

    @classmethod
    def from_bundle(
            cls, bundle: Bundle, observation_size: int, num_robots: int = 1,
    ) -> ResidualGate | None:
        """
        Open the gate of a residual bundle, or return None where it has none.

        :raises BundleError: the model or its settings cannot be used.
        """
        settings = bundle.manifest.gate
        if GATE_FILE not in bundle.manifest.files:
            if settings:
                raise BundleError(f'{bundle.path}: gate is set, but files names no {GATE_FILE}')
            return None
        if set(settings) != _SETTINGS:
            raise BundleError(
                f'{bundle.path}: gate names {sorted(settings)}; needed: {sorted(_SETTINGS)}')
        session = create_session(bundle.read(GATE_FILE), name=str(bundle.path / GATE_FILE))
        return cls(session, observation_size, settings['smoothing_s'], num_robots)

    def reset(self, rows: np.ndarray | slice = slice(None)) -> None:
        """Start new episodes of the given robots: closed."""
        self._weight[rows] = 0.0
        self._updated_s[rows] = np.nan

    def weight(self, observation: np.ndarray, now_s: float) -> np.ndarray:
        """
        Return the weights (N,) in [0, 1] of now.

        :param observation: (N, D) of the actor.
        :param now_s: time; must not run backwards between resets.
        :raises InputError: the network answered with a number that is not finite.
        """
        answer = self._network(observation)[:, 0].astype(float)
        if not np.isfinite(answer).all():
            raise InputError(f'{GATE_FILE} returned {answer.tolist()}')
        # fmax takes the number where the other is none: no time has passed in a new episode.
        elapsed_s = np.fmax(now_s - self._updated_s, 0.0)
        share = 1.0 - np.exp(-elapsed_s / self.smoothing_s) if self.smoothing_s > 0.0 else 1.0
        # np.clip takes several times as long, in every policy tick.
        self._weight += share * (np.minimum(np.maximum(answer, 0.0), 1.0) - self._weight)
        self._updated_s[:] = now_s
        return self._weight.copy()
