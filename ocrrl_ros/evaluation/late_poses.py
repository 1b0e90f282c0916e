# SPDX-License-Identifier: Apache-2.0
"""What a pose is worth when it arrives: compared with where the object is by then."""
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.evaluation.tracker_sequences import TrueObject
from ocrrl_ros.perception.estimate import ObjectEstimate
from ocrrl_ros.perception.object_model import ObjectModel

LATE_FRAMES = 2
"""Frames between image and use: at 30 Hz 67 ms, about a camera's delay and the tracker's time."""


@dataclass(frozen=True, kw_only=True)
class LateError:
    """
    Errors of a pose at its time of use, of which the second ones are moved on.

    Position errors in m, rotation errors over symmetries in rad.
    """

    seen_m: float
    seen_rad: float
    moved_m: float
    moved_rad: float


class LatePoses:
    """Keeps the valid estimates of the last frames of one sequence."""

    def __init__(self, models: Mapping[str, ObjectModel]):
        """Take the tracked objects by id."""
        self._models = models
        self._waiting: deque[dict[str, tuple[np.ndarray, np.ndarray]]] = deque()

    def add(
            self, seen: Mapping[str, ObjectEstimate],
            moved: Mapping[str, ObjectEstimate]) -> None:
        """Take the estimates of a frame, as seen and moved on by LATE_FRAMES."""
        self._waiting.append({
            name: (seen[name].base_T_object, moved[name].base_T_object)
            for name in seen if seen[name].valid})

    def arrive(self, truth: Mapping[str, TrueObject]) -> dict[str, LateError]:
        """Return the errors of what arrives now, by id: call it before the frame's ``add``."""
        if len(self._waiting) < LATE_FRAMES:
            return {}
        late = self._waiting.popleft()
        return {
            name: LateError(
                seen_m=_distance(seen, truth[name].pose), moved_m=_distance(
                    moved, truth[name].pose),
                seen_rad=self._angle(name, seen, truth[name].pose),
                moved_rad=self._angle(name, moved, truth[name].pose))
            for name, (seen, moved) in late.items() if name in truth}

    def _angle(self, name: str, pose: np.ndarray, true_pose: np.ndarray) -> float:
        """Return the rotation error over the object's symmetries, rad."""
        turned = self._models[name].nearest_rotation(pose[3:], true_pose[3:])
        return float(se3.quat_angle(turned, true_pose[3:]))


def _distance(pose: np.ndarray, true_pose: np.ndarray) -> float:
    """Return the position error, m."""
    return float(np.linalg.norm(pose[:3] - true_pose[:3]))
