# SPDX-License-Identifier: Apache-2.0
"""Settings of the deployment logic."""

from __future__ import annotations

import dataclasses

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.policy.action_chunk import ChunkConfig
from ocrrl_ros.policy.blend import BlendConfig
from ocrrl_ros.policy.object_poses import ObjectPoseConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class ControllerConfig:
    """Settings of the deployment logic."""

    policy_period_s: float = dataclasses.field(
        default=0.02, metadata={'description': 'time between policy ticks, s'})
    aim_ahead_s: float = dataclasses.field(
        default=0.05, metadata={
            'description': 'how far ahead the target lies, s; the policy period of training, '
                           'whatever the rate here, so that observation and command agree'})
    command_rate_hz: float = dataclasses.field(
        default=200.0, metadata={'description': 'rate of streamed commands, Hz'})
    max_state_age_s: float = dataclasses.field(
        default=0.1, metadata={'description': 'oldest joint state that the arm moves on, s'})
    require_deadman: bool = dataclasses.field(
        default=False, metadata={'description': 'move only while operator/deadman is held'})
    max_deadman_age_s: float = dataclasses.field(
        default=0.2, metadata={'description': 'deadman silence that latches a hold, s'})
    max_episode_age_s: float = dataclasses.field(
        default=1.0, metadata={'description': (
            'silence of episode/state, which is repeated every 0.2 s, that is a hold, s')})
    max_takeover_age_s: float = dataclasses.field(
        default=0.2, metadata={'description': (
            'silence of teleop/target_pose after which base and residual go on, s')})
    residual_gain: float = dataclasses.field(
        default=1.0, metadata={'description': (
            'operator gain on the residual, 0 .. 1; may be set while the node runs')})
    chunk: ChunkConfig = ChunkConfig()
    object_poses: ObjectPoseConfig = ObjectPoseConfig()
    blend: BlendConfig = BlendConfig()

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        ranges = {
            'policy_period_s': (0.002, 0.05), 'aim_ahead_s': (0.005, 0.2),
            'command_rate_hz': (20.0, 1000.0),
            'max_state_age_s': (0.005, 1.0), 'max_deadman_age_s': (0.05, 1.0),
            'max_takeover_age_s': (0.05, 1.0), 'max_episode_age_s': (0.5, 10.0),
            'residual_gain': (0.0, 1.0)}
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: {low} .. {high}')
