# SPDX-License-Identifier: Apache-2.0
"""Publish what is known of the objects: poses, status, detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseWithCovarianceStamped
from ocrrl_ros.interfaces.detections import detection_array
from ocrrl_ros.interfaces.object_status import lost_message, pose_message, status_array
from ocrrl_ros.interfaces.optional import optional
from ocrrl_ros.interfaces.qos import RELIABLE
from ocrrl_ros.perception.estimate import ObjectEstimate
from ocrrl_ros.perception.object_model import ObjectModel
from rclpy.node import Node


class ObjectOutputs:
    """Publishers of ``objects/…``; detections are published where vision_msgs is installed."""

    def __init__(self, node: Node, objects: Sequence[ObjectModel]):
        """Create the publishers."""
        self._bounds_m = {model.object_id: model.shape.bounds_m for model in objects}
        self._poses = {
            name: node.create_publisher(
                PoseWithCovarianceStamped, f'objects/{name}/pose', RELIABLE)
            for name in self._bounds_m}
        self._status = node.create_publisher(DiagnosticArray, 'objects/status', RELIABLE)
        self._vision = optional('vision_msgs.msg')
        if self._vision is not None:
            self._detections = node.create_publisher(
                self._vision.Detection3DArray, 'objects/detections', RELIABLE)
        self._latest: dict[str, ObjectEstimate] = {}
        self._notes: dict[str, str] = {}

    def publish(
            self, estimates: Mapping[str, ObjectEstimate], stamp_s: float,
            notes: Mapping[str, str] | None = None) -> None:
        """
        Publish poses of some objects, and the status of all.

        :param estimates: of the frame of the stamp, by object id.
        :param notes: what the status of objects says more than their state.
        """
        for name, estimate in estimates.items():
            if estimate.valid:
                self._poses[name].publish(pose_message(estimate))
            elif estimate.just_lost:
                self._poses[name].publish(lost_message(estimate))
            self._notes.pop(name, None)
        self._latest.update(estimates)
        self._notes.update(notes or {})
        self._status.publish(status_array(self._latest.values(), stamp_s, self._notes))
        if self._vision is not None and self._detections.get_subscription_count():
            self._detections.publish(detection_array(
                self._vision, estimates.values(), self._bounds_m, stamp_s))
