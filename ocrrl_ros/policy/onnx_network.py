# SPDX-License-Identifier: Apache-2.0
"""Small ONNX networks of the control loop, run by onnxruntime on one thread."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.errors import BundleError


class OnnxNetwork:
    """
    Maps observations (N, D) float32 to outputs (N, A) float32.

    Input and output buffers of the N = 1 case are bound once, which halves the call time.

    :param name: what the network is called in error messages.
    """

    def __init__(self, session, observation_size: int, output_size: int, name: str):
        """
        Bind buffers.

        :raises BundleError: the model maps other sizes than (N, D) to (N, A).
        """
        model_in, model_out = session.get_inputs()[0], session.get_outputs()[0]
        if model_in.shape[-1] != observation_size:
            raise BundleError(
                f'{name} expects {model_in.shape[-1]} observation entries; the layout has '
                f'{observation_size}')
        # A width that the exporter left free is a name; then the output buffer decides.
        width = model_out.shape[-1]
        if len(model_out.shape) != 2 or isinstance(width, int) and width != output_size:
            raise BundleError(
                f'{name} answers with shape {model_out.shape}; needed: (n, {output_size})')
        self._session = session
        self._names = (model_in.name, model_out.name)
        self._input = np.zeros((1, observation_size), dtype=np.float32)
        self._output = np.zeros((1, output_size), dtype=np.float32)
        self._binding = session.io_binding()
        self._binding.bind_input(
            model_in.name, 'cpu', 0, np.float32, self._input.shape, self._input.ctypes.data)
        self._binding.bind_output(
            model_out.name, 'cpu', 0, np.float32, self._output.shape, self._output.ctypes.data)

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """Return outputs (N, A) for observations (N, D)."""
        if len(observation) == 1:
            self._input[:] = observation
            self._session.run_with_iobinding(self._binding)
            return self._output.copy()
        name_in, name_out = self._names
        return self._session.run([name_out], {name_in: observation.astype(np.float32)})[0]
