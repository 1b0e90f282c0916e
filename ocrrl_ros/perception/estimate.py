# SPDX-License-Identifier: Apache-2.0
"""What perception says about one object in one frame."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from ocrrl_ros.core.se3 import quat_to_matrix

UNOBSERVED_M, UNOBSERVED_RAD = 0.05, np.radians(30.0)
"""Standard deviations above which a direction counts as not observed."""


class TrackState(Enum):
    """What may be done with an estimate."""

    OK = 'ok'
    """Seen in this frame and trusted."""
    WARN = 'warn'
    """Seen in this frame, not trusted (yet)."""
    STALE = 'stale'
    """Not seen in this frame; the pose is predicted."""
    ERROR = 'error'
    """Lost or never found; the pose is the last one known."""


@dataclass(frozen=True, kw_only=True)
class ObjectEstimate:
    """
    One object in one frame.

    ``base_T_object`` (7,), the symmetric equivalent nearest the previous estimate;
    ``covariance`` (6, 6) of translation (m) and rotation vector (rad) in the base frame;
    ``confidence`` the probability that the pose is good; ``valid`` whether the gate is open;
    ``just_lost`` True in the one frame that closed it; ``parts`` the figures behind the
    confidence, by name.
    """

    object_id: str
    stamp_s: float
    base_T_object: np.ndarray
    covariance: np.ndarray
    confidence: float
    state: TrackState
    valid: bool
    just_lost: bool
    parts: dict[str, float]

    @property
    def unobserved(self) -> tuple[str, ...]:
        """
        Name what the image leaves open, by the object's own axes.

        ``x`` .. ``z`` for a position and ``rx`` .. ``rz`` for a turn of which less is known than
        `UNOBSERVED_M` and `UNOBSERVED_RAD`.
        """
        axes = quat_to_matrix(self.base_T_object[3:])
        along = [np.sqrt(np.einsum('ij,ik,kj->j', axes, block, axes)) for block in (
            self.covariance[:3, :3], self.covariance[3:, 3:])]
        limits = UNOBSERVED_M, UNOBSERVED_RAD
        return tuple(
            kind + axis for kind, sigmas, limit in zip(('', 'r'), along, limits)
            for axis, sigma in zip('xyz', sigmas) if sigma > limit)
