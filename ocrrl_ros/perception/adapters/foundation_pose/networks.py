# SPDX-License-Identifier: Apache-2.0
"""The two networks: what they are asked, in which names and shapes, and how it is checked."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.errors import BundleError
from ocrrl_ros.core.onnx_session import create_session, Provider, run_session
from ocrrl_ros.perception.adapters.foundation_pose.crops import CHANNELS, SIZE_PX

INPUTS = ('input1', 'input2')
REFINER_OUTPUTS, SCORER_OUTPUTS = ('output1', 'output2'), ('output1',)


class PairNetwork:
    """
    A network that compares rendered with observed crops.

    Names and shapes are those of NVIDIA's ``foundationpose:1.0.1_onnx`` (facts on perception,
    section 1.2): ``input1`` rendered, ``input2`` observed, both (N, 160, 160, 6) float32.

    :param outputs: names of the outputs that are read.
    :param batch: most pairs that are given at once.
    """

    def __init__(
            self, model: str | bytes, outputs: tuple[str, ...], *, batch: int,
            threads: int = 1, provider: Provider = 'cpu'):
        """
        Open the model.

        :raises BundleError: it is no model, or one of other names or shapes.
        """
        self._name = model if isinstance(model, str) else 'a model in memory'
        self._session = create_session(model, threads, provider)
        self._outputs, self._batch = outputs, batch
        shapes = {entry.name: list(entry.shape) for entry in self._session.get_inputs()}
        self._check_names('inputs', list(shapes), INPUTS)
        self._check_names(
            'outputs', [entry.name for entry in self._session.get_outputs()], outputs)
        for name in INPUTS:
            self._check_shape(name, shapes[name])

    def _check_names(self, what: str, found: list[str], needed: tuple[str, ...]) -> None:
        """Refuse a model of other names."""
        if not set(needed) <= set(found):
            raise BundleError(
                f'{self._name} has {what} {", ".join(found) or "(none)"}; needed: '
                f'{", ".join(needed)}')

    def _check_shape(self, name: str, shape: list) -> None:
        """Refuse an input of another shape where the model fixes it."""
        if len(shape) != 4 or isinstance(shape[0], int) or any(
                isinstance(side, int) and side != wanted
                for side, wanted in zip(shape[1:], (SIZE_PX, SIZE_PX, CHANNELS))):
            raise BundleError(
                f'{self._name}: {name} has shape {shape}; needed: (N, {SIZE_PX}, {SIZE_PX}, '
                f'{CHANNELS}) for any N, colours and points last')

    def __call__(self, rendered: np.ndarray, observed: np.ndarray) -> list[np.ndarray]:
        """
        Return each output for all pairs, (N, ...) each.

        :raises BundleError: the network has failed.
        """
        parts = [
            run_session(self._session, self._outputs, {
                INPUTS[0]: rendered[at:at + self._batch], INPUTS[1]: observed[at:at + self._batch]
            }, self._name) for at in range(0, len(rendered), self._batch)]
        return [np.concatenate(part) if len(part) > 1 else part[0] for part in zip(*parts)]


class Refiner:
    """Says by how much hypotheses are off."""

    def __init__(self, network: PairNetwork):
        """Take a network with the outputs of `REFINER_OUTPUTS`."""
        self._network = network

    def __call__(
            self, rendered: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Return shifts (N, 3) in radii of the object, and turns (N, 3) before their limiter.

        :raises BundleError: the network answers with other shapes.
        """
        shifts, turns = self._network(rendered, observed)
        for name, found in zip(REFINER_OUTPUTS, (shifts, turns)):
            _check_answer(name, found, (len(rendered), 3))
        return shifts, turns


class Scorer:
    """Says which of many hypotheses fits best; one score means nothing without the others."""

    def __init__(self, network: PairNetwork):
        """Take a network with the output of `SCORER_OUTPUTS`, its batch large enough for all."""
        self._network = network

    def __call__(self, rendered: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """
        Return scores (N,), higher is better.

        :raises BundleError: the network answers with another shape.
        """
        scores, = self._network(rendered, observed)
        _check_answer(SCORER_OUTPUTS[0], scores, (1, len(rendered)))
        return scores[0]


def _check_answer(name: str, found: np.ndarray, needed: tuple[int, ...]) -> None:
    """Refuse answers of another shape, and numbers that are none."""
    if found.shape != needed:
        raise BundleError(f'{name} has shape {found.shape}; needed: {needed}')
    if not np.isfinite(found).all():
        raise BundleError(f'{name} holds values that are not finite')
