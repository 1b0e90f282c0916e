# SPDX-License-Identifier: Apache-2.0
"""What an object's pose is fitted with: the part of a track that is exchanged."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Protocol

from ocrrl_ros.perception.object_model import ObjectModel
from ocrrl_ros.perception.sdf_tracker import (
    Fit, Observation, Prior, SdfTracker, SolverConfig)
from ocrrl_ros.perception.segmentation import Segment
from ocrrl_ros.perception.view import View


class PoseFitter(Protocol):
    """
    Fits the pose of one object to one frame.

    Prediction, confidence, gate and the rest are `ObjectTracker`'s, whatever fits.
    """

    def search(self, view: View, segment: Segment) -> Fit | None:
        """Find the pose of what a segment shows, without a prediction; None if it cannot."""

    def follow(self, view: View, segment: Segment, prior: Prior) -> Fit:
        """
        Return the most likely pose, given a prediction and a segment near it.

        Its information is that of the frame alone.
        """


class EmbeddedFitter:
    """Signed distance and silhouette of a primitive shape, on the CPU."""

    def __init__(self, model: ObjectModel, config: SolverConfig, kernels: ModuleType):
        """Prepare the solver."""
        self._tracker = SdfTracker(model, config, kernels)

    def search(self, view: View, segment: Segment) -> Fit:
        """Try start rotations all around."""
        observation = self._tracker.observe(segment, view.plane)
        return self._doubted(observation, self._tracker.initialise(segment, observation))

    def follow(self, view: View, segment: Segment, prior: Prior) -> Fit:
        """Descend from the prediction."""
        observation = self._tracker.observe(segment, view.plane)
        return self._doubted(observation, self._tracker.track(
            observation, prior.rotation, prior.translation, prior))

    def _doubted(self, observation: Observation, fit: Fit) -> Fit:
        """Return a fit that says whether another size would explain the picture better."""
        return replace(fit, size_doubt=self._tracker.size_doubt(observation, fit))
