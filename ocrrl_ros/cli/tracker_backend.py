# SPDX-License-Identifier: Apache-2.0
"""Options of commands that run the tracker: what fits poses in it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.onnx_session import Provider

if TYPE_CHECKING:
    from ocrrl_ros.perception.pose_estimator import TrackerConfig


@dataclass(frozen=True, kw_only=True)
class TrackerBackend:
    """What fits poses: our own solver, or FoundationPose where both of its files are named."""

    refine_model: str = field(default='', metadata={
        'description': 'path of refine_model.onnx: FoundationPose fits poses, not our own solver'})
    score_model: str = field(default='', metadata={'description': 'path of score_model.onnx'})
    provider: Provider = field(
        default='cpu', metadata={'description': 'runs them: cpu, or cuda with onnxruntime-gpu'})

    def __post_init__(self) -> None:
        """Refuse one file without the other."""
        if bool(self.refine_model) != bool(self.score_model):
            raise ConfigError(
                f'refine_model is {self.refine_model!r} and score_model {self.score_model!r}; '
                'allowed: both or none')

    def tracker(self) -> TrackerConfig:
        """Return the settings of config/tracker.yaml with what fits poses."""
        from ocrrl_ros.perception.pose_estimator import load_tracker_config
        config = load_tracker_config()
        if not self.refine_model:
            return config
        return replace(config, pose_backend='foundation_pose', foundation_pose=replace(
            config.foundation_pose, refine_model=self.refine_model,
            score_model=self.score_model, provider=self.provider))
