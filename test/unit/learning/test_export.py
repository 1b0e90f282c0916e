# SPDX-License-Identifier: Apache-2.0
"""An exported model is only returned when it computes what torch computes."""

from __future__ import annotations

from ocrrl_ros.core.errors import BundleError
from ocrrl_ros.learning.export import export_onnx, largest_difference
import pytest
import torch
from torch import nn


class Affine(nn.Module):
    """A layer whose second output is its input."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both outputs."""
        return self.layer(x), x


class Counting(nn.Module):
    """Behaves differently on every call, as a module with hidden state would."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the input plus the number of calls so far."""
        self.calls += 1
        return x + self.calls


def test_export_keeps_names_and_a_free_batch_axis() -> None:
    torch.manual_seed(0)
    content, difference = export_onnx(Affine(), {'x': torch.rand(4, 3)}, ['y', 'copy'])
    import onnxruntime
    session = onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])
    assert [item.name for item in session.get_inputs()] == ['x']
    assert [item.name for item in session.get_outputs()] == ['y', 'copy']
    assert difference <= 1e-6


def test_a_model_that_differs_from_torch_is_refused() -> None:
    with pytest.raises(BundleError, match='differs from torch by'):
        export_onnx(Counting(), {'x': torch.rand(2, 3)}, ['y'])


def test_nan_counts_as_a_difference() -> None:
    module = Affine()
    content, _ = export_onnx(module, {'x': torch.rand(2, 3)}, ['y', 'copy'])
    with torch.no_grad():
        module.layer.bias[0] = float('nan')
    found = largest_difference(module, content, {'x': torch.rand(2, 3)}, ['y', 'copy'])
    assert found == float('inf') or found > 1e30
