# SPDX-License-Identifier: Apache-2.0
"""Open ONNX models with onnxruntime, sparing with threads."""

from __future__ import annotations

from typing import Literal

from ocrrl_ros.core.errors import BundleError, MissingDependencyError

Provider = Literal['cpu', 'cuda']
"""What runs a network: the processor, or an NVIDIA GPU (needs onnxruntime-gpu)."""
_PROVIDERS = {'cpu': ['CPUExecutionProvider'],
              'cuda': ['CUDAExecutionProvider', 'CPUExecutionProvider']}


def create_session(model: str | bytes, threads: int = 1, provider: Provider = 'cpu'):
    """
    Open an ONNX model for inference of low latency.

    :param model: path of the file, or its bytes.
    :raises MissingDependencyError: onnxruntime, or its support of the provider, is not installed.
    :raises BundleError: the file is no valid model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            'onnxruntime (runs policies)', 'pip install onnxruntime') from error
    if _PROVIDERS[provider][0] not in onnxruntime.get_available_providers():
        raise MissingDependencyError(
            f"onnxruntime's {_PROVIDERS[provider][0]}", 'pip install onnxruntime-gpu')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning workers would steal the core that the control loop runs on.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=_PROVIDERS[provider])
    except Exception as error:  # onnxruntime raises its own unexported types
        name = model if isinstance(model, str) else 'a model in memory'
        raise BundleError(f'{name} is no model that onnxruntime can load: {error}') from error
