# SPDX-License-Identifier: Apache-2.0
"""Settings of the FoundationPose backend, apart from the compiled code that they set."""

from __future__ import annotations

from dataclasses import dataclass, field

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.onnx_session import Provider
from ocrrl_ros.perception.confidence import ConfidenceConfig


# Weights of `config/tracker.yaml` without the sigmas: those of backends that are not ours are
# assumed, not observed, and say nothing about a frame. What they take from a good frame of the
# embedded fit is taken from the bias. Fitted to no network's output yet: `ocrrl perception
# calibrate-confidence`.
ASSUMED_ERRORS = ConfidenceConfig(
    bias=8.5, silhouette_error=-5.368, depth_outliers=-12.70, depth_rms=-1.146, scarcity=-0.7654,
    invalid_depth=0.0, free_space=-25.20, unmeasured=-23.05, truncated=-2.009, size_doubt=-4.885,
    innovation=-0.2240, position_sigma_mm=0.0, rotation_sigma_deg=0.0,
    # A step in the same unit as the innovation.
    refiner_update=-0.2240)


@dataclass(frozen=True, kw_only=True)
class FoundationPoseConfig:
    """Settings of the FoundationPose backend."""

    refine_model: str = field(
        default='', metadata={'description': 'path of refine_model.onnx'})
    score_model: str = field(default='', metadata={'description': 'path of score_model.onnx'})
    provider: Provider = field(
        default='cpu', metadata={'description': 'cpu, or cuda with onnxruntime-gpu'})
    threads: int = field(default=1, metadata={'description': 'threads of the inference library'})
    batch: int = field(default=42, metadata={'description': 'hypotheses refined at once'})
    register_iterations: int = field(
        default=5, metadata={'description': 'refinements of each hypothesis of a new object'})
    track_iterations: int = field(
        default=2, metadata={'description': 'refinements of a tracked object per frame'})
    min_views: int = field(
        default=40, metadata={'description': 'views of a new object all around, at least'})
    turn_step_deg: float = field(
        default=60.0, metadata={'description': 'step of its turn about the viewing axis, deg'})
    apart_deg: float = field(default=30.0, metadata={
        'description': 'hypotheses that look alike within this are one, deg'})
    erosion_m: float = field(default=0.001, metadata={
        'description': 'step between neighbours from which depth stands alone, m'})
    smoothing_m: float = field(default=0.01, metadata={
        'description': 'step between neighbours over which depth is not averaged, m'})

    confidence: ConfidenceConfig = field(
        default=ASSUMED_ERRORS, metadata={'description': 'probability of a good pose'})
    position_sigma_m: float = field(
        default=0.002, metadata={'description': 'error of a refined position per axis, m'})
    rotation_sigma_deg: float = field(
        default=1.5, metadata={'description': 'error of a refined rotation per axis, deg'})

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        for name in ('threads', 'batch', 'register_iterations', 'track_iterations', 'min_views'):
            if getattr(self, name) < 1:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: >= 1')
        for name in ('turn_step_deg', 'apart_deg', 'erosion_m', 'smoothing_m',
                     'position_sigma_m', 'rotation_sigma_deg'):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: > 0')
