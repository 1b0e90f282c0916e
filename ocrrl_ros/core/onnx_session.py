# SPDX-License-Identifier: Apache-2.0
"""Open ONNX models with onnxruntime, sparing with threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from ocrrl_ros.core.errors import BundleError, MissingDependencyError

Provider = Literal['cpu', 'cuda']
"""What runs a network: the processor, or an NVIDIA GPU (needs onnxruntime-gpu)."""
_PROVIDERS = {'cpu': ['CPUExecutionProvider'],
              'cuda': ['CUDAExecutionProvider', 'CPUExecutionProvider']}


def create_session(
        model: str | bytes, threads: int = 1, provider: Provider = 'cpu', *, name: str = ''):
    """
    Open an ONNX model for inference of low latency.

    :param model: path of the file, or its bytes. Bytes are all of the model: what points to
        weights in another file is refused.
    :param name: what the model is called in messages; its path where that is given.
    :raises MissingDependencyError: onnxruntime, or its support of the provider, is not installed.
    :raises BundleError: the file is no valid model.
    """
    called = name or (model if isinstance(model, str) else 'a model in memory')
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            'onnxruntime (runs policies)', 'pip install onnxruntime') from error
    if _PROVIDERS[provider][0] not in onnxruntime.get_available_providers():
        raise MissingDependencyError(
            f"onnxruntime's {_PROVIDERS[provider][0]}", 'pip install onnxruntime-gpu')
    if isinstance(model, bytes):
        refuse_outside_weights(model, called)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning workers would steal the core that the control loop runs on.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model, options, providers=_PROVIDERS[provider])
    except Exception as error:  # onnxruntime raises its own unexported types
        raise BundleError(f'{called} is no model that onnxruntime can load: {error}') from error
    check_provider(session, provider)
    return session


def check_provider(session: Any, provider: Provider) -> None:
    """
    Refuse a session that fell back to the processor: onnxruntime does so without a word.

    :raises MissingDependencyError: CUDA's libraries do not load, or there is no GPU.
    """
    used, wanted = session.get_providers()[0], _PROVIDERS[provider][0]
    if used != wanted:
        raise MissingDependencyError(
            f"a GPU and CUDA's libraries for {wanted} (onnxruntime took {used} instead)",
            "pip install 'onnxruntime-gpu[cuda,cudnn]', or set provider to cpu")


def run_session(
        session: Any, outputs: Sequence[str], inputs: Mapping[str, np.ndarray],
        name: str) -> list[np.ndarray]:
    """
    Return the outputs of a model.

    :param name: what the model is called in messages.
    :raises BundleError: it failed, as where a GPU's memory is full or a shape does not suit it.
    """
    try:
        return session.run(list(outputs), dict(inputs))
    except Exception as error:  # onnxruntime raises its own unexported types
        raise BundleError(f'{name} has failed: {error}') from error


def refuse_outside_weights(model: bytes, name: str) -> None:
    """
    Refuse a model that has weights in other files, which no hash of the model covers.

    onnxruntime would look for them in the working directory, up to 1.23 anywhere on the disk.

    :raises MissingDependencyError: onnx is not installed.
    :raises BundleError: there is such a tensor, or the bytes are no model.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingDependencyError('onnx (checks policies)', 'pip install onnx') from error
    try:
        content = onnx.load_model_from_string(model)
    except Exception as error:  # protobuf's own type, under a name that depends on its version
        raise BundleError(f'{name} is no model that onnx can read: {error}') from error
    for message in _messages(content):
        if message.DESCRIPTOR.name == 'TensorProto' and (
                message.external_data or message.data_location):
            raise BundleError(
                f'{name} has the weights {message.name!r} in another file; allowed: all in one')


def _messages(message: Any) -> Iterator[Any]:
    """Yield a protobuf message and every one inside it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in (value,) if hasattr(value, 'DESCRIPTOR') else value:
                yield from _messages(inner)
