# SPDX-License-Identifier: Apache-2.0
"""What is kept of an episode: its record and its residual's statistics."""
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from ocrrl_ros.evaluation.faults.record import FaultRecord
from ocrrl_ros.evaluation.perturbations.record import DisturbanceRecord
from ocrrl_ros.policy.blend import BlendFactors
from ocrrl_ros.policy.composition import ResidualBounds
from ocrrl_ros.policy.controller import PolicyAction

SATURATED = 0.99
SMALLEST_SIGN = 0.02


@dataclass(frozen=True, kw_only=True)
class ResidualStatistics:
    """How hard the residual worked in one episode; all zero when it was off."""

    mean_translation_mm: float = 0.0
    mean_rotation_deg: float = 0.0
    saturated_share: float = 0.0
    """Share of policy ticks in which a translation or rotation component is at its bound."""
    sign_changes_per_s: float = 0.0
    """Sign changes per second and component of translation and rotation."""
    mean_gain: float = 0.0
    mean_weight: float = 0.0
    """Mean weight that gate and blend left; 1 without either."""
    mean_blend: float = 1.0
    """Mean weight that the blend left."""
    blended_share: float = 0.0
    """Share of policy ticks in which the blend changed anything."""


def residual_statistics(
        actions: list[PolicyAction], bounds: ResidualBounds) -> ResidualStatistics:
    """Summarise the residual of an episode's policy ticks."""
    if not actions or all(action.gain == 0.0 for action in actions):
        return ResidualStatistics()
    raw = np.array([action.action[:6] for action in actions])
    gain = np.array([action.gain for action in actions])
    weight = np.array([action.weight for action in actions])
    applied = np.clip(raw, -1.0, 1.0) * (gain * weight)[:, None] * bounds.scale()[:6]
    seconds = max(actions[-1].stamp_s - actions[0].stamp_s, 1e-3)
    movable = bounds.scale()[:6] > 0.0
    changes = 0
    for column in raw.T:
        signs = np.sign(column[np.abs(column) > SMALLEST_SIGN])
        changes += int(np.count_nonzero(signs[1:] != signs[:-1]))
    return ResidualStatistics(
        mean_translation_mm=float(1e3 * np.linalg.norm(applied[:, :3], axis=1).mean()),
        mean_rotation_deg=float(np.rad2deg(np.linalg.norm(applied[:, 3:], axis=1)).mean()),
        saturated_share=float((np.abs(raw[:, movable]) > SATURATED).any(axis=1).mean()),
        sign_changes_per_s=changes / 6.0 / seconds, mean_gain=float(gain.mean()),
        mean_weight=float(weight.mean()),
        mean_blend=float(np.mean([action.blend.weight for action in actions])),
        blended_share=float(np.mean([action.blend != BlendFactors() for action in actions])))


@dataclass(frozen=True, kw_only=True)
class EpisodeRecord:
    """One episode as it enters the result file."""

    episode: int
    outcome: bool
    failure_mode: str
    """`success` or one of `failure_modes.FAILURE_MODES`."""
    duration_s: float
    """Simulated seconds until success, failure or the time limit."""
    init_sha256: str
    wall_s: float
    hold_share: float
    """Share of policy ticks without a base action after the first one."""
    pose_valid_share: float
    """Share of policy ticks with a valid pose of every object."""
    clip_inactive_share: float | None
    """Share of command ticks in which the arm law's clips would have been inactive."""
    command_acceleration_rad_s2: float | None = None
    """Root mean square of the joint commands' acceleration, over ticks and joints."""
    command_jerk_rad_s3: float | None = None
    """The same of their jerk."""
    residual: ResidualStatistics = field(default_factory=ResidualStatistics)
    picked: str = ''
    """Id of the object that the hand lifted first; empty when it lifted none."""
    disturbance: DisturbanceRecord | None = None
    """What disturbed the episode; None where nothing was to."""
    fault: FaultRecord | None = None
    """What failed in the episode; None where nothing was to."""

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, mapping: dict[str, Any]) -> 'EpisodeRecord':
        """Read what `to_mapping` wrote."""
        values = {**mapping, 'residual': ResidualStatistics(**mapping['residual'])}
        if mapping.get('disturbance') is not None:
            values['disturbance'] = DisturbanceRecord(**mapping['disturbance'])
        if mapping.get('fault') is not None:
            values['fault'] = FaultRecord(**{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in mapping['fault'].items()})
        return cls(**values)
