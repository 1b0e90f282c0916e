# SPDX-License-Identifier: Apache-2.0
"""
ONNX networks of FoundationPose's names and shapes, which compute instead of having learned.

The refiner makes one step of point-to-plane ICP: normals from the rendered points, residuals along
them to the observed points of the same pixels, the normal equations of six unknowns inverted by
Newton-Schulz steps. The scorer counts agreement. They stand in for weights that cannot ship.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto
from onnx_graph import Graph

LARGEST_TURN_RAD = 0.349066
_SIDE = 160
_STEPS = 26


def _pairs(side: int = _SIDE, names=('input1', 'input2')) -> dict[str, list]:
    """Return names and shapes of the inputs."""
    return {name: ['N', side, side, 6] for name in names}


def _length2(g: Graph, vectors: str) -> str:
    """Return squared lengths with the last axis kept."""
    return g('ReduceSum', g('Mul', vectors, vectors), g.constant([-1], np.int64), keepdims=1)


def _both(g: Graph, *flags: str) -> str:
    """Return 1.0 where all flags are 1.0."""
    found = flags[0]
    for flag in flags[1:]:
        found = g('Mul', found, flag)
    return found


def _flag(g: Graph, kind: str, value: str, bound: float) -> str:
    """Return 1.0 where a comparison holds."""
    return g('Cast', g(kind, value, bound), to=TensorProto.FLOAT)


def _cross(g: Graph, a: str, b: str) -> str:
    """Return cross products along the last axis."""
    turned = [
        [g('Gather', item, g.constant(order, np.int64), axis=3)
         for order in ((1, 2, 0), (2, 0, 1))] for item in (a, b)]
    return g('Sub', g('Mul', turned[0][0], turned[1][1]), g('Mul', turned[0][1], turned[1][0]))


def analytic_refiner(
        side: int = _SIDE, names=('input1', 'input2'), reach: float = 0.95) -> bytes:
    """Return a refiner; `reach` 0 leaves neither turn nor shift."""
    g = Graph()
    rendered, observed = (g.cut(name, [3], [6], [3]) for name in names)
    last, inside = side - 1, side - 2
    p, q = (g.cut(item, [1, 1], [last, last], [1, 2]) for item in (rendered, observed))
    left, right = (g.cut(rendered, [1, at], [last, at + inside], [1, 2]) for at in (0, 2))
    above, below = (g.cut(rendered, [at, 1], [at + inside, last], [1, 2]) for at in (0, 2))
    along, down = g('Sub', right, left), g('Sub', below, above)
    normal = _cross(g, along, down)
    normal = g('Div', normal, g('Sqrt', g('Add', _length2(g, normal), 1e-12)))
    apart = g('Sub', q, p)
    flags = [_flag(g, 'Greater', _length2(g, item), 1e-9)
             for item in (p, q, left, right, above, below)]
    flags += [_flag(g, 'Less', _length2(g, item), bound)
              for item, bound in ((along, 0.02), (down, 0.02), (apart, 0.3))]
    used = _both(g, *flags)
    residual = g('ReduceSum', g('Mul', normal, apart), g.constant([-1], np.int64), keepdims=1)
    jacobian = g('Mul', g('Concat', normal, _cross(g, p, normal), axis=3), used)
    rows = g.shaped(jacobian, inside * inside, 6)
    across = g('Transpose', rows, perm=[0, 2, 1])
    target = g('MatMul', across, g.shaped(g('Mul', residual, used), inside * inside, 1))
    eye = np.eye(6, dtype=np.float32)[None]
    square = g('MatMul', across, rows)
    trace = g('Add', g('ReduceSum', g('Mul', square, eye), g.constant([1, 2], np.int64),
                       keepdims=1), 1e-3)
    scaled = g('Add', g('Div', square, trace), 1e-3 * eye)
    inverse = g('Mul', eye, g('Add', g('Mul', trace, 0.0), 0.98))
    for _ in range(_STEPS):
        inverse = g('MatMul', inverse, g('Sub', 2.0 * eye, g('MatMul', scaled, inverse)))
    step = g.shaped(g('Div', g('MatMul', inverse, target), trace), 6)
    g('Clip', g.cut(step, [0], [3], [1]), -0.5 * reach, 0.5 * reach, name='output1')
    turn = g('Div', g.cut(step, [3], [6], [1]), -LARGEST_TURN_RAD)
    g('Atanh', g('Clip', turn, -reach, reach), name='output2')
    return g.model(_pairs(side, names), {'output1': ['N', 3], 'output2': ['N', 3]})


def analytic_scorer() -> bytes:
    """Return a scorer: pixels that agree, less those that do not."""
    g = Graph()
    p, q = (g.cut(name, [3], [6], [3]) for name in ('input1', 'input2'))
    drawn, seen = (_flag(g, 'Greater', _length2(g, item), 1e-9) for item in (p, q))
    agree = g('Mul', g('Exp', g('Mul', _length2(g, g('Sub', p, q)), -1.0 / 0.04 ** 2)), seen)
    score = g('Mul', drawn, g('Sub', g('Mul', agree, 2.0), 1.0))
    total = g('ReduceSum', score, g.constant([1, 2, 3], np.int64), keepdims=0)
    g('Unsqueeze', total, g.constant([0], np.int64), name='output1')
    return g.model(_pairs(), {'output1': [1, 'N']})
