# SPDX-License-Identifier: Apache-2.0
"""Valid bundles with the smallest networks, so that tests need no trained model."""

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
    return _save(folder, 'base', _base_graph(nodes, constants), base_layout(), {})


def tiny_sampler(
        folder: Path, *, takes_noise: bool = True, layout: dict | None = None) -> Path:
    """
    Return a base bundle that plans to stay, 1 cm (1 sigma) of noise in every number.

    :param takes_noise: False leaves the network without the input that its layout names.
    :param layout: another one than that of bases that sample.
    """
    constants = [numpy_helper.from_array(value, name) for name, value in (
        ('first', np.array([0], dtype=np.int64)), ('last', np.array([10], dtype=np.int64)),
        ('axis', np.array([1], dtype=np.int64)), ('sigma', np.array(0.01, dtype=np.float32)))]
    constants.append(numpy_helper.from_array(np.zeros((1, 16, 10), np.float32), 'still'))
    nodes = [
        helper.make_node('Slice', ['proprio', 'first', 'last', 'axis'], ['state']),
        helper.make_node('Unsqueeze', ['state', 'axis'], ['point']),
        helper.make_node('Mul', ['noise' if takes_noise else 'still', 'sigma'], ['error']),
        helper.make_node('Add', ['point', 'error'], ['chunk'])]
    graph = _base_graph(nodes, constants, {'noise': ('n', 16, 10)} if takes_noise else {})
    return _save(folder, 'base', graph, layout or base_layout(draws_noise=True), {})


def _base_graph(nodes: list, constants: list, more: dict | None = None) -> onnx.GraphProto:
    """Return nodes that make ``chunk`` as a graph with all inputs of a base policy, and more."""
    # Inputs that no node uses must exist as well: real base policies have them.
    shapes = {'image': ('n', 3, 96, 128), 'proprio': ('n', 11), 'instruction': ('n', 64)}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
              for name, shape in (shapes | (more or {})).items()]
    output = helper.make_tensor_value_info('chunk', TensorProto.FLOAT, ['n', 16, 10])
    return helper.make_graph(nodes, 'tiny_base', inputs, [output], constants)


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
