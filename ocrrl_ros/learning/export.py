# SPDX-License-Identifier: Apache-2.0
"""Turn a torch module into ONNX bytes and prove that both compute the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import io
import warnings

import numpy as np
from ocrrl_ros.core.errors import BundleError
import torch

OPSET = 17
TOLERANCE = 1e-4


def export_onnx(
        module: torch.nn.Module, inputs: Mapping[str, torch.Tensor],
        output_names: Sequence[str], *, tolerance: float = TOLERANCE) -> tuple[bytes, float]:
    """
    Export a module whose forward takes the inputs in order; the first axis stays free.

    The bytes are run by onnxruntime on the given inputs, on the first row alone and on the rows
    in reverse order, and compared with torch.

    :param inputs: example inputs by name, each with at least two rows.
    :param output_names: one name per output of the module.
    :param tolerance: largest allowed absolute difference.
    :return: the ONNX model and the largest difference found.
    :raises BundleError: the two differ by more than the tolerance.
    """
    module = module.eval()
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter built on torch.export needs onnxscript, which the project does without.
        warnings.simplefilter('ignore', DeprecationWarning)
        torch.onnx.export(
            module, tuple(inputs.values()), buffer, dynamo=False, opset_version=OPSET,
            input_names=list(inputs), output_names=list(output_names),
            dynamic_axes={name: {0: 'n'} for name in (*inputs, *output_names)})
    content = buffer.getvalue()
    difference = largest_difference(module, content, inputs, output_names)
    if not difference <= tolerance:
        raise BundleError(
            f'the exported model differs from torch by {difference:.2e}; allowed: {tolerance}')
    return content, difference


def largest_difference(
        module: torch.nn.Module, content: bytes, inputs: Mapping[str, torch.Tensor],
        output_names: Sequence[str]) -> float:
    """Return the largest absolute difference between torch and onnxruntime on three batches."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        content, options, providers=['CPUExecutionProvider'])
    largest = 0.0
    for pick in (lambda x: x, lambda x: x[:1], lambda x: torch.flip(x, (0,))):
        batch = {name: pick(value).contiguous() for name, value in inputs.items()}
        with torch.no_grad():
            expected = module(*batch.values())
        expected = [expected] if torch.is_tensor(expected) else list(expected)
        found = session.run(
            list(output_names), {name: value.numpy() for name, value in batch.items()})
        for one, other in zip(found, expected):
            difference = np.abs(one - other.numpy())
            largest = max(largest, float(np.nan_to_num(difference, nan=np.inf).max()))
    return largest
