# SPDX-License-Identifier: Apache-2.0
"""Write a trained residual as a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ocrrl_ros.core.bundle import Bundle, Manifest, save_bundle
from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.learning.export import export_onnx
from ocrrl_ros.learning.networks import ResidualPolicy
from ocrrl_ros.policy.composition import ResidualBounds
from ocrrl_ros.policy.observation import ObservationLayout
import torch

TOLERANCE = 1e-5
"""Largest difference allowed between torch and the exported graph."""


def export_residual(
    folder: Path, policy: ResidualPolicy, examples: torch.Tensor, *, task: str,
    layout: ObservationLayout, bounds: ResidualBounds, rate_hz: float, seed: int,
    training: dict[str, Any], metrics: dict[str, Any],
) -> Bundle:
    """
    Export to ONNX, compare with torch on real observations, and save the bundle.

    :param examples: raw observations (M, D), M >= 2, that both must agree on.
    :param training: settings of the run and hash of the base bundle.
    :param metrics: figures, each with its n.
    :raises BundleError: the exported graph computes something else.
    """
    content, difference = export_onnx(
        policy, {'observation': examples}, ['action'], tolerance=TOLERANCE)
    manifest = Manifest(
        kind='residual', tasks=(task,), layout=layout.describe(), layout_hash=layout.sha256,
        action_scale=to_mapping(bounds), rate_hz=rate_hz, seed=seed, training=training,
        metrics=metrics | {'export_difference': {'largest': difference, 'n': len(examples)}})
    return save_bundle(folder, {'policy.onnx': content}, manifest)
