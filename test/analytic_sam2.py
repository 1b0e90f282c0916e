# SPDX-License-Identifier: Apache-2.0
"""
ONNX networks with the names and shapes of an export of SAM 2, which compute.

The encoder keeps the picture's colours among its finest features. The decoder's mask is what has
the colour of the prompt's middle, inside of the box where there is one. They stand in for
weights that do not ship.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto
from onnx_graph import Graph

_SIDE, _MASK = 1024, 256
FEATURES = {'image_embed': [1, 256, 64, 64], 'high_res_feats_0': [1, 32, 256, 256],
            'high_res_feats_1': [1, 64, 128, 128]}


def analytic_encoder(image: str = 'image') -> bytes:
    """Return an encoder."""
    g = Graph()
    for name, (_, channels, side, _) in FEATURES.items():
        step = _SIDE // side
        kept = np.zeros((channels, 3, 1, 1), np.float32)
        kept[:3, :, 0, 0] = np.eye(3)
        small = g('AveragePool', image, kernel_shape=[step, step], strides=[step, step])
        g('Conv', small, kept, name=name)
    return g.model({image: [1, 3, _SIDE, _SIDE]}, FEATURES)


def analytic_decoder(quality: float = 0.9, masks: int = 3) -> bytes:
    """Return a decoder whose best mask is the middle one of three."""
    g = Graph()
    axis = (np.arange(_MASK, dtype=np.float32) + 0.5) * (_SIDE / _MASK)
    columns, rows = axis.reshape(1, 1, 1, -1), axis.reshape(1, 1, -1, 1)
    fine = g.cut('high_res_feats_0', [0], [3], [1])
    middle = g('ReduceMean', 'point_coords', axes=[0, 1], keepdims=0)
    pixel = g('Cast', g('Div', middle, _SIDE / _MASK), to=TensorProto.INT64)
    across = g('Gather', pixel, g.constant([1, 0], np.int64), axis=0)
    colour = g('GatherND', g('Transpose', fine, perm=[2, 3, 0, 1]), across)
    apart = g('Sub', fine, g('Reshape', colour, g.constant([1, 3, 1, 1], np.int64)))
    distance2 = g('ReduceSum', g('Mul', apart, apart), g.constant([1], np.int64), keepdims=1)
    alike = g('Mul', g('Sub', 1.0, distance2), 6.0)
    # Labels of corners are 2 and 3; without them everything is inside.
    loose = g('Mul', g('Cast', g('Less', g('ReduceMax', 'point_labels', keepdims=0), 1.5),
                       to=TensorProto.FLOAT), 1e5)
    inside = None
    for index, places in enumerate((columns, rows)):
        along = g.cut('point_coords', [index], [index + 1], [2])
        low = g('Sub', g('ReduceMin', along, keepdims=0), loose)
        high = g('Add', g('ReduceMax', along, keepdims=0), loose)
        within = g('Mul', *(g('Cast', g('Greater', *pair), to=TensorProto.FLOAT) for pair in (
            (g.constant(places), low), (high, g.constant(places)))))
        inside = within if inside is None else g('Mul', inside, within)
    logits = g('Sub', g('Mul', g('Add', alike, 6.0), inside), 6.0)
    none = g('Sub', g('Mul', logits, 0.0), 6.0)
    order = [none] * masks
    order[masks // 2] = logits
    g('Concat', *order, axis=1, name='low_res_masks')
    found = g('Cast', g('Greater', g('ReduceMax', logits, keepdims=0), 0.0), to=TensorProto.FLOAT)
    scores = np.full((1, masks), 0.1, np.float32)
    scores[0, masks // 2] = quality
    g('Mul', g.constant(scores), found, name='iou_predictions')
    return g.model(
        {**FEATURES, 'point_coords': [1, 'P', 2], 'point_labels': [1, 'P'],
         'mask_input': [1, 1, _MASK, _MASK], 'has_mask_input': [1]},
        {'low_res_masks': [1, masks, _MASK, _MASK], 'iou_predictions': [1, masks]})
