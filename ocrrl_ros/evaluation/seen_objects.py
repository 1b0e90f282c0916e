# SPDX-License-Identifier: Apache-2.0
"""Truth with the object poses of a pose source: what a scripted expert without truth goes by."""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses

import numpy as np
from ocrrl_ros.evaluation.pose_sources import PoseReading
from ocrrl_ros.sim.truth import TaskState


class SeenObjects:
    """
    The newest pose of every object; one that is lost stays where it was last seen.

    Contacts, the hand and a cabinet's place stay true: the control is about poses.
    """

    def __init__(self, object_ids: tuple[str, ...]):
        """Start without having seen anything."""
        self._ids = object_ids
        self._poses: dict[str, np.ndarray] = {}

    def reset(self) -> None:
        """Forget the poses of the last episode."""
        self._poses.clear()

    def take(self, readings: Iterable[PoseReading]) -> None:
        """Keep the poses that arrived."""
        for reading in readings:
            if reading.covariance[0] >= 0.0:
                self._poses[reading.object_id] = reading.base_T_object

    def believed(self, truth: TaskState) -> TaskState | None:
        """Return the truth with the poses that were seen, None before all objects were."""
        if len(self._poses) < len(self._ids):
            return None
        poses = np.stack([self._poses[name] for name in self._ids])[None]
        return dataclasses.replace(truth, object_poses=poses)
