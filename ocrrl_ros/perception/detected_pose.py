# SPDX-License-Identifier: Apache-2.0
"""A pose that another program found in an image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ocrrl_ros.core.se3 import quat_to_matrix
from ocrrl_ros.perception.rotation import to_pose
from ocrrl_ros.perception.view import View


class DetectedPose(NamedTuple):
    """``pose`` (7,) of an object in the optical frame, or in ``base`` where ``in_base``."""

    pose: np.ndarray
    in_base: bool = False


def in_camera(detected: DetectedPose, view: View, from_depth: bool) -> np.ndarray:
    """
    Return a detected pose (7,) in the optical frame of a view.

    :param from_depth: a pose given in the optical frame was found in the depth image, and is as
        far off along its ray as depth is by its scale.
    """
    pose = np.array(detected.pose, float)
    if detected.in_base:
        return to_pose(*view.to_camera(quat_to_matrix(pose[3:]), pose[:3]))
    if from_depth:
        pose[:3] /= view.depth_scale
    return pose
