# SPDX-License-Identifier: Apache-2.0
"""Valid bundles with the smallest networks, so that node tests need no trained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ocrrl_ros.core.bundle import hash_layout, Manifest, save_bundle
from ocrrl_ros.core.se3 import rotation_6d
from ocrrl_ros.policy.adapters.onnx_policy import base_layout
from ocrrl_ros.policy.task_spec import load_task_spec
import onnx
from onnx import helper, numpy_helper, TensorProto

_OPSET = 17


def _save(folder: Path, kind: str, graph: onnx.GraphProto, layout: dict, scale: dict) -> Path:
    """Write the graph as a bundle for Cube Lift."""
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', _OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    save_bundle(folder, {'policy.onnx': model.SerializeToString()}, Manifest(
        kind=kind, tasks=('cube_lift',), layout=layout, layout_hash=hash_layout(layout),
        action_scale=scale, rate_hz=20.0, seed=0, training={}, metrics={}))
    return folder


def _repeat_rows(source: str, constant: np.ndarray, output: str) -> tuple[list, list]:
    """Return nodes and constants that give ``constant`` once per row of the source."""
    values = [
        numpy_helper.from_array(constant.astype(np.float32)[None], 'answer'),
        numpy_helper.from_array(np.array([0], dtype=np.int64), 'first'),
        numpy_helper.from_array(np.array([1], dtype=np.int64), 'second'),
        numpy_helper.from_array(np.ones(constant.ndim, dtype=np.int64), 'ones')]
    nodes = [
        helper.make_node('Shape', [source], ['shape']),
        helper.make_node('Slice', ['shape', 'first', 'second'], ['rows']),
        helper.make_node('Concat', ['rows', 'ones'], ['repeats'], axis=0),
        helper.make_node('Tile', ['answer', 'repeats'], [output])]
    return nodes, values


def tiny_base(folder: Path, start: np.ndarray, offset: np.ndarray, opening: float = 1.0) -> Path:
    """
    Return a base bundle that always plans one straight move.

    :param start: (7,) first TCP target.
    :param offset: (3,) displacement over the 16 points, m.
    """
    share = np.linspace(0.0, 1.0, 16)[:, None]
    chunk = np.concatenate(
        [
            start[:3] + share * offset, np.tile(rotation_6d(start[3:]), (16, 1)),
            np.full((16, 1), opening),
        ],
        axis=1)
    nodes, constants = _repeat_rows('proprio', chunk, 'chunk')
    # The unused inputs must exist: real base policies have them.
    inputs = [
        helper.make_tensor_value_info('image', TensorProto.FLOAT, ['n', 3, 96, 128]),
        helper.make_tensor_value_info('proprio', TensorProto.FLOAT, ['n', 11]),
        helper.make_tensor_value_info('instruction', TensorProto.FLOAT, ['n', 64])]
    output = helper.make_tensor_value_info('chunk', TensorProto.FLOAT, ['n', 16, 10])
    graph = helper.make_graph(nodes, 'tiny_base', inputs, [output], constants)
    return _save(folder, 'base', graph, base_layout(), {})


def tiny_residual(folder: Path, action: np.ndarray) -> Path:
    """Return a residual bundle that always answers ``action`` (7,) in [-1, 1]."""
    layout = load_task_spec('cube_lift').layout()
    nodes, constants = _repeat_rows('observation', np.asarray(action, dtype=float), 'action')
    graph = helper.make_graph(
        nodes, 'tiny_residual',
        [helper.make_tensor_value_info('observation', TensorProto.FLOAT, ['n', layout.size])],
        [helper.make_tensor_value_info('action', TensorProto.FLOAT, ['n', 7])], constants)
    return _save(
        folder, 'residual', graph, layout.describe(),
        {'translation_m': 0.02, 'rotation_rad': 0.2, 'gripper': 1.0})
