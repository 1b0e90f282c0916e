# SPDX-License-Identifier: Apache-2.0
"""What an object's pose is fitted with: the part of a track that is exchanged."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Protocol

import numpy as np
from ocrrl_ros.perception.object_model import ObjectModel
from ocrrl_ros.perception.object_size import ObjectSize, SizeConfig
from ocrrl_ros.perception.rotation import rotation_exp, rotation_log
from ocrrl_ros.perception.sdf_tracker import (
    Fit, Observation, Prior, SdfTracker, SolverConfig)
from ocrrl_ros.perception.segmentation import Segment
from ocrrl_ros.perception.view import View

DOUBTED = 0.3
"""From this doubt on it may be another thing: nothing is learned of it."""
RESIZED = 0.001
"""Shapes follow the size in steps of this share."""


class PoseFitter(Protocol):
    """
    Fits the pose of one object to one frame.

    Prediction, confidence, gate and the rest are `ObjectTracker`'s, whatever fits.
    """

    def search(self, view: View, segment: Segment) -> Fit | None:
        """Find the pose of what a segment shows, without a prediction; None if it cannot."""

    def follow(self, view: View, segment: Segment, prior: Prior) -> Fit | None:
        """
        Return the most likely pose, given a prediction and a segment near it.

        Its information is that of the frame alone. None where nothing is known of the frame.
        """


class AssumedErrors:
    """
    Weighs poses whose errors are assumed, not observed, against predictions.

    :param position_sigma_m: standard deviation of a position per axis, m.
    :param rotation_sigma_rad: standard deviation of a rotation per axis, rad.
    :param revolves: whether a turn about the object's z axis cannot be seen.
    """

    def __init__(self, position_sigma_m: float, rotation_sigma_rad: float, revolves: bool):
        """Prepare the information."""
        self._sigmas = position_sigma_m, rotation_sigma_rad
        sigmas = np.repeat(self._sigmas, 3)
        self._information = np.diag(1.0 / sigmas ** 2)
        self._revolves = revolves

    def information(self, rotation: np.ndarray) -> np.ndarray:
        """Return what a fit says (6, 6); nothing about a turn that cannot be seen."""
        if not self._revolves:
            return self._information
        hidden = np.zeros((6, 6))
        hidden[3:, 3:] = np.outer(rotation[:, 2], rotation[:, 2])
        keep = np.eye(6) - hidden
        return keep @ self._information @ keep

    def in_sigmas(self, shift_m: float, turn_rad: float) -> float:
        """Return a step's length in standard deviations."""
        return float(np.hypot(shift_m / self._sigmas[0], turn_rad / self._sigmas[1]))

    def weighed(self, rotation: np.ndarray, translation: np.ndarray, prior: Prior) -> Fit:
        """Return the mean of a pose, (3, 3) and (3,), and a prediction of it."""
        information = self.information(rotation)
        error = np.concatenate([
            translation - prior.translation, rotation_log(rotation @ prior.rotation.T)])
        step = np.linalg.solve(information + prior.information, information @ error)
        return Fit(
            rotation=rotation_exp(step[3:]) @ prior.rotation,
            translation=prior.translation + step[:3], information=information,
            cost=float(error @ information @ error))


class EmbeddedFitter:
    """Signed distance and silhouette of a primitive shape, on the CPU, and the object's size."""

    def __init__(self, model: ObjectModel, config: SolverConfig, kernels: ModuleType,
                 size: SizeConfig | None = None):
        """Prepare the solver."""
        size = size or SizeConfig()
        self._size = ObjectSize(size)
        self._tracker = SdfTracker(model, config, kernels, size.compared)

    def search(self, view: View, segment: Segment) -> Fit:
        """Try start rotations all around."""
        observation = self._tracker.observe(segment, view.plane)
        return self._doubted(observation, self._tracker.initialise(segment, observation))

    def follow(self, view: View, segment: Segment, prior: Prior) -> Fit:
        """Descend from the prediction."""
        observation = self._tracker.observe(segment, view.plane)
        fit = self._doubted(observation, self._tracker.track(
            observation, prior.rotation, prior.translation, prior))
        if fit.size_doubt < DOUBTED and self._size.wants_frame():
            self._learn_size(observation, fit)
        return fit

    def _doubted(self, observation: Observation, fit: Fit) -> Fit:
        """Return a fit that says whether a far other size would explain the picture better."""
        return replace(
            fit, size_doubt=self._tracker.size_doubt(observation, fit), size=self._tracker.size,
            shape=self._tracker.shape)

    def _learn_size(self, observation: Observation, fit: Fit) -> None:
        """Take what a frame says about the size; the next one is fitted with that."""
        self._size.update(*self._tracker.size_costs(observation, fit))
        if abs(self._size.factor - self._tracker.size) > RESIZED:
            self._tracker.resize(self._size.factor)
