# SPDX-License-Identifier: Apache-2.0
"""Write a trained residual as a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocrrl_ros.core.bundle import Bundle, Manifest, save_bundle
from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.core.onnx_session import create_session
from ocrrl_ros.learning.export import export_onnx
from ocrrl_ros.learning.gate_training import GateNetwork
from ocrrl_ros.policy.action_hold import ResidualRate
from ocrrl_ros.policy.composition import ResidualBounds
from ocrrl_ros.policy.gate import GATE_FILE, ResidualGate
from ocrrl_ros.policy.observation import ObservationLayout
import torch

TOLERANCE = 1e-5
"""Largest difference allowed between torch and the exported graph."""
GATE_TOLERANCE = 1e-3
"""The same of a gate, whose temperature magnifies rounding."""


@dataclass(frozen=True)
class GateModel:
    """A gate as it ships: the exported graph and the low-pass behind it."""

    content: bytes
    smoothing_s: float
    difference: float
    """Largest difference between torch and the graph on the examples."""

    def build(self, observation_size: int, num_robots: int = 1) -> ResidualGate:
        """Return the gate that deployment would run, for N robots."""
        return ResidualGate(
            create_session(self.content), observation_size, self.smoothing_s, num_robots)


def export_gate(gate: GateNetwork, examples: torch.Tensor, smoothing_s: float) -> GateModel:
    """
    Export a gate and compare it with torch on real observations.

    :param examples: raw observations (M, D), M >= 2.
    :raises BundleError: the exported graph computes something else.
    """
    content, difference = export_onnx(
        gate, {'observation': examples}, ['weight'], tolerance=GATE_TOLERANCE)
    return GateModel(content, smoothing_s, difference)


def export_residual(
    folder: Path, policy: torch.nn.Module, inputs: Mapping[str, torch.Tensor], *, task: str,
    layout: ObservationLayout, bounds: ResidualBounds, rate_hz: float, seed: int,
    training: dict[str, Any], metrics: dict[str, Any], gate: GateModel | None = None,
    acts_per: ResidualRate = 'tick',
) -> Bundle:
    """
    Export to ONNX, compare with torch on real observations, and save the bundle.

    :param inputs: raw inputs of the policy by name, (M, ...) with M >= 2, that both must agree on;
        `observation` is one.
    :param training: settings of the run and hash of the base bundle.
    :param metrics: figures, each with its n.
    :param gate: goes into the same bundle when given.
    :param acts_per: how often it is to answer where it is deployed.
    :raises BundleError: the exported graph computes something else.
    """
    content, difference = export_onnx(policy, inputs, ['action'], tolerance=TOLERANCE)
    files, settings = {'policy.onnx': content}, {}
    differences = {'largest': difference}
    if gate is not None:
        files[GATE_FILE], settings = gate.content, {'smoothing_s': gate.smoothing_s}
        differences['gate'] = gate.difference
    manifest = Manifest(
        kind='residual', tasks=(task,), layout=layout.describe(), layout_hash=layout.sha256,
        action_scale=to_mapping(bounds), rate_hz=rate_hz, seed=seed, training=training,
        gate=settings, acts_per=acts_per,
        metrics=metrics | {'export_difference': differences | {'n': len(inputs['observation'])}})
    return save_bundle(folder, files, manifest)
