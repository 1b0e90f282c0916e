# SPDX-License-Identifier: Apache-2.0
"""The node `pose_estimator` whose detections come as PoseStamped: vision_msgs is no wheel."""
import sys

from geometry_msgs.msg import PoseStamped
from ocrrl_ros.interfaces.conversions import from_stamp, pose_to_array
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import SENSOR_DATA
from ocrrl_ros.interfaces.spin import loop_node
from ocrrl_ros.nodes.pose_estimator_node import PoseEstimatorNode
from stand_in_vision_msgs import detection, detections


class PosesAsDetections:
    """Turns each pose into an array of one detection, as Isaac ROS sends it."""

    def __init__(self, node, topic):
        self._poses = PolledSubscription(node, PoseStamped, topic, SENSOR_DATA)

    def take_all(self):
        return [detections(
            message.header.frame_id, from_stamp(message.header.stamp),
            detection(pose_to_array(message.pose))) for message in self._poses.take_all()]


def subscribe(node, topics):
    return {topic: PosesAsDetections(node, topic) for topic in topics}


if __name__ == '__main__':
    sys.exit(loop_node(lambda: PoseEstimatorNode(make_detections=subscribe), 'pose_estimator'))
