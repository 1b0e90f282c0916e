# SPDX-License-Identifier: Apache-2.0
"""Object estimates as vision_msgs/Detection3DArray, for those who speak it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.interfaces.conversions import fill_pose, to_stamp
from ocrrl_ros.interfaces.object_status import BASE_FRAME
from ocrrl_ros.perception.estimate import ObjectEstimate


def detection_array(
        vision: Any, estimates: Iterable[ObjectEstimate], bounds_m: Mapping[str, np.ndarray],
        stamp_s: float) -> Any:
    """
    Return the objects whose poses are valid.

    Boxes are as Isaac ROS fills them (facts on perception, section 1.3): the pose of the middle
    of the object's bounding box, and its size. Isaac ROS leaves ``results`` empty; here one says
    which object it is, the pose of its frame with covariance, and the confidence as score.

    :param vision: module ``vision_msgs.msg``.
    :param bounds_m: (2, 3) least and greatest coordinates of each object in its frame, by id.
    """
    message = vision.Detection3DArray()
    message.header.stamp, message.header.frame_id = to_stamp(stamp_s), BASE_FRAME
    message.detections = [
        _detection(vision, estimate, bounds_m[estimate.object_id], message.header)
        for estimate in estimates if estimate.valid]
    return message


def _detection(vision: Any, estimate: ObjectEstimate, bounds_m: np.ndarray, header: Any) -> Any:
    """Return one object."""
    detection = vision.Detection3D()
    detection.header, detection.id = header, estimate.object_id
    middle = se3.pose(bounds_m.mean(axis=0), se3.pose_identity()[3:])
    fill_pose(detection.bbox.center, se3.pose_multiply(estimate.base_T_object, middle))
    size = detection.bbox.size
    size.x, size.y, size.z = (float(edge) for edge in bounds_m[1] - bounds_m[0])
    result = vision.ObjectHypothesisWithPose()
    result.hypothesis.class_id = estimate.object_id
    result.hypothesis.score = float(estimate.confidence)
    fill_pose(result.pose.pose, estimate.base_T_object)
    result.pose.covariance = np.asarray(estimate.covariance, float).reshape(36)
    detection.results = [result]
    return detection
