# SPDX-License-Identifier: Apache-2.0
"""FoundationPose in the place of the embedded fit: same prediction, confidence and gate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from ocrrl_ros.core.se3 import quat_to_matrix
from ocrrl_ros.perception.adapters.foundation_pose.config import FoundationPoseConfig
from ocrrl_ros.perception.adapters.foundation_pose.estimator import FoundationPose, load_networks
from ocrrl_ros.perception.adapters.foundation_pose.mesh import load_mesh, object_mesh
from ocrrl_ros.perception.frame import RgbdFrame
from ocrrl_ros.perception.object_model import ObjectModel
from ocrrl_ros.perception.pose_fitter import AssumedErrors
from ocrrl_ros.perception.rotation import to_pose
from ocrrl_ros.perception.sdf_tracker import Fit, Prior
from ocrrl_ros.perception.segmentation import Segment
from ocrrl_ros.perception.view import View


class FoundationPoseFitter:
    """
    Fits one object's pose with the two networks; a `perception.pose_fitter.PoseFitter`.

    :param model: its shape serves segmentation and confidence; the networks see its mesh file
        where it has one, else its shape.
    """

    def __init__(self, model: ObjectModel, config: FoundationPoseConfig):
        """
        Open the networks.

        :raises ConfigError: a model or mesh is not given or no use.
        :raises BundleError: a file is no such network.
        """
        mesh = load_mesh(Path(model.mesh)) if model.mesh else object_mesh(model)
        self._pose = FoundationPose(mesh, model.symmetries, *load_networks(config), config)
        self._errors = AssumedErrors(
            config.position_sigma_m, np.radians(config.rotation_sigma_deg), model.revolves)

    def search(self, view: View, segment: Segment) -> Fit | None:
        """Register the object under a segment; None where its depth says nothing."""
        frame = _true_depth(view)
        found = self._pose.register(frame, segment.whole_mask(frame.depth_m.shape))
        if found is None:
            return None
        rotation = quat_to_matrix(found.camera_T_object[3:])
        return Fit(
            rotation=rotation, translation=found.camera_T_object[:3].copy(),
            information=self._errors.information(rotation), cost=-float(found.scores[0]))

    def follow(self, view: View, segment: Segment, prior: Prior) -> Fit:
        """Refine a prediction and weigh both by what is known of their errors."""
        tracked = self._pose.track(
            _true_depth(view), to_pose(prior.rotation, prior.translation))
        fit = self._errors.weighed(
            quat_to_matrix(tracked.camera_T_object[3:]), tracked.camera_T_object[:3], prior)
        return replace(fit, refiner_update=self._errors.in_sigmas(
            tracked.shift_m, tracked.turn_rad))


def _true_depth(view: View) -> RgbdFrame:
    """Return the frame with its depth corrected by the scale that the table shows."""
    if view.depth_scale == 1.0:
        return view.frame
    return replace(
        view.frame, depth_m=view.frame.depth_m / np.float32(view.depth_scale))
