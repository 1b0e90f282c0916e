# SPDX-License-Identifier: Apache-2.0
"""The residual network and its optional gate, run by onnxruntime on one thread."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.bundle import Bundle
from ocrrl_ros.core.errors import BundleError, MissingDependencyError
from ocrrl_ros.policy.composition import ACTION_SIZE, ResidualBounds


def create_session(path: str, threads: int = 1):
    """
    Open an ONNX file for low-latency CPU inference.

    :raises MissingDependencyError: onnxruntime is not installed.
    :raises BundleError: the file is no valid model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            'onnxruntime (runs policies)', 'pip install onnxruntime') from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning workers would steal the core that the control loop runs on.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            path, options, providers=['CPUExecutionProvider'])
    except Exception as error:  # onnxruntime raises its own unexported types
        raise BundleError(f'{path} is no model that onnxruntime can load: {error}') from error


class ResidualNetwork:
    """
    Maps observations (N, D) float32 to actions (N, 7) in [-1, 1].

    Input and output buffers of the N = 1 case are bound once, which halves the call time.
    """

    def __init__(self, session, observation_size: int, bounds: ResidualBounds):
        """Bind buffers; the session's input must be (N, observation_size)."""
        shape = session.get_inputs()[0].shape
        if shape[-1] != observation_size:
            raise BundleError(
                f'residual expects {shape[-1]} observation entries; the layout has '
                f'{observation_size}')
        self.bounds = bounds
        self._session = session
        self._names = (session.get_inputs()[0].name, session.get_outputs()[0].name)
        self._input = np.zeros((1, observation_size), dtype=np.float32)
        self._output = np.zeros((1, ACTION_SIZE), dtype=np.float32)
        self._binding = session.io_binding()
        self._bind()

    def _bind(self) -> None:
        """Point the session at the two buffers."""
        name_in, name_out = self._names
        self._binding.bind_input(
            name_in, 'cpu', 0, np.float32, self._input.shape, self._input.ctypes.data)
        self._binding.bind_output(
            name_out, 'cpu', 0, np.float32, self._output.shape, self._output.ctypes.data)

    @classmethod
    def from_bundle(cls, bundle: Bundle, observation_size: int) -> ResidualNetwork:
        """
        Open a residual bundle.

        :raises BundleError: the model or its action scale cannot be used.
        """
        session = create_session(str(bundle.file('policy.onnx')))
        scale = bundle.manifest.action_scale
        known = {'translation_m', 'rotation_rad', 'gripper'}
        if set(scale) != known:
            raise BundleError(
                f'{bundle.path}: action_scale names {sorted(scale)}; needed: {sorted(known)}')
        return cls(session, observation_size, ResidualBounds(**scale))

    def act(self, observation: np.ndarray) -> np.ndarray:
        """Return actions (N, 7) in [-1, 1] for observations (N, D)."""
        if len(observation) == 1:
            self._input[:] = observation
            self._session.run_with_iobinding(self._binding)
            return self._output.copy()
        name_in, name_out = self._names
        return self._session.run([name_out], {name_in: observation.astype(np.float32)})[0]
