# SPDX-License-Identifier: Apache-2.0
"""
Base action + bounded residual = command.

The residual is an offset of the base's absolute target, in the target's own frame; it does not
integrate, so its reach is its bound (facts/residual_rl.md section 1.5). A gain of 0 returns the
base action bit for bit.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.policy import kernels

ACTION_SIZE = 7
_POSE = np.zeros(7)
ACTION_NAMES = ('x', 'y', 'z', 'rx', 'ry', 'rz', 'gripper')


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResidualBounds:
    """Physical size of a residual action of 1 (protocol.md section 5)."""

    translation_m: float = dataclasses.field(
        default=0.02, metadata={'description': 'bound of the offset along each axis, m'})
    rotation_rad: float = dataclasses.field(
        default=0.2, metadata={'description': 'bound of the rotation vector components, rad'})
    gripper: float = dataclasses.field(
        default=1.0, metadata={'description': 'bound of the opening offset; 1 is a full flip'})

    def __post_init__(self) -> None:
        """Refuse bounds that are no correction any more."""
        for name, top in (('translation_m', 0.1), ('rotation_rad', 1.0), ('gripper', 1.0)):
            value = getattr(self, name)
            if not 0.0 <= value <= top:
                raise ConfigError(f'{name} is {value}; allowed: 0 .. {top}')

    def scale(self) -> np.ndarray:
        """Return the bound of each action component (7,)."""
        return np.array([self.translation_m] * 3 + [self.rotation_rad] * 3 + [self.gripper])


def compose(
        base_pose: np.ndarray, base_gripper: np.ndarray, action: np.ndarray,
        bounds: ResidualBounds, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Apply residual actions to base actions.

    :param base_pose: (N, 7) base targets, robot base frame.
    :param base_gripper: (N,) opening 0 .. 1.
    :param action: (N, 7) in [-1, 1]: translation, rotation vector, opening.
    :param gain: (N,) in [0, 1]; 0 returns the base action unchanged.
    :return: composed poses (N, 7) and openings (N,).
    """
    return kernels.compose(base_pose, base_gripper, action, bounds.scale(), gain, _POSE)


def decompose(
        base_pose: np.ndarray, base_gripper: np.ndarray, pose: np.ndarray, gripper: np.ndarray,
        bounds: ResidualBounds) -> np.ndarray:
    """
    Return the residual actions (N, 7) in [-1, 1] that bring base actions nearest to commands.

    The inverse of ``compose`` at gain 1 where the difference lies within the bounds, which must
    be above 0; beyond, each component is cut.

    :param pose: (N, 7) wanted commands, robot base frame.
    :param gripper: (N,) wanted openings 0 .. 1.
    """
    base_T_command = se3.pose_multiply(se3.pose_inverse(base_pose), pose)
    offset = np.concatenate([
        base_T_command[:, :3], se3.quat_to_rotvec(base_T_command[:, 3:]),
        (gripper - base_gripper)[:, None]], axis=1)
    return np.clip(offset / bounds.scale(), -1.0, 1.0)
