# SPDX-License-Identifier: Apache-2.0
"""Write small ONNX graphs by hand, for tests whose networks compute instead of having learned."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto


class Graph:
    """Collects the nodes of a graph; every call returns the name of its result."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, value, kind=np.float32) -> str:
        name = f'c{len(self.constants)}'
        self.constants.append(numpy_helper.from_array(np.array(value, kind), name))
        return name

    def __call__(self, kind: str, *inputs, **attributes) -> str:
        name = attributes.pop('name', f'n{len(self.nodes)}')
        names = [item if isinstance(item, str) else self.constant(item) for item in inputs]
        self.nodes.append(helper.make_node(kind, names, [name], **attributes))
        return name

    def cut(self, source: str, starts, ends, axes) -> str:
        """Slice along axes."""
        whole = [self.constant(item, np.int64) for item in (starts, ends, axes)]
        return self('Slice', source, *whole)

    def shaped(self, source: str, *shape) -> str:
        """Reshape; the first axis stays as it is."""
        return self('Reshape', source, self.constant([0, *shape], np.int64))

    def model(self, inputs: dict[str, list], outputs: dict[str, list]) -> bytes:
        """Return the model; all of its inputs and outputs are float32."""
        ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                 for name, shape in part.items()] for part in (inputs, outputs)]
        graph = helper.make_graph(self.nodes, 'analytic', *ends, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)])
        model.ir_version = 8
        onnx.checker.check_model(model)
        return model.SerializeToString()
