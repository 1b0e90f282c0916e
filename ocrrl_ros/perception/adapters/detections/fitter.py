# SPDX-License-Identifier: Apache-2.0
"""A detected pose in the place of the embedded fit: same prediction, confidence and gate."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.se3 import matrix_to_quat, quat_to_matrix
from ocrrl_ros.perception.adapters.detections.config import DetectionsConfig
from ocrrl_ros.perception.object_model import ObjectModel
from ocrrl_ros.perception.pose_fitter import AssumedErrors
from ocrrl_ros.perception.sdf_tracker import Fit, Prior
from ocrrl_ros.perception.segmentation import Segment
from ocrrl_ros.perception.view import View


class DetectionFitter:
    """
    Takes one object's pose from what was detected in the view.

    Image and depth judge it as they judge any other fit; it is a `pose_fitter.PoseFitter`.
    """

    def __init__(self, model: ObjectModel, config: DetectionsConfig):
        """Assume the errors of the settings."""
        self._model = model
        self._errors = AssumedErrors(
            config.position_sigma_m, np.radians(config.rotation_sigma_deg), model.revolves)

    def search(self, view: View, segment: Segment) -> Fit | None:
        """Return the detected pose; None where there is none."""
        pose = view.detected.get(self._model.object_id)
        if pose is None:
            return None
        rotation = quat_to_matrix(self._model.nearest_rotation(pose[3:]))
        return Fit(
            rotation=rotation, translation=np.array(pose[:3]),
            information=self._errors.information(rotation), cost=0.0)

    def follow(self, view: View, segment: Segment, prior: Prior) -> Fit | None:
        """
        Weigh a detected pose against a prediction; None where there is none.

        Of poses that look the same the one nearest the prediction is meant: detectors do not
        stay with one.
        """
        pose = view.detected.get(self._model.object_id)
        if pose is None:
            return None
        turned = self._model.nearest_rotation(pose[3:], matrix_to_quat(prior.rotation))
        return self._errors.weighed(quat_to_matrix(turned), pose[:3], prior)
