# SPDX-License-Identifier: Apache-2.0
"""Messages with the fields of vision_msgs 4, which is no wheel."""

from types import SimpleNamespace

from geometry_msgs.msg import Pose, PoseWithCovariance, Vector3
from ocrrl_ros.interfaces.conversions import array_to_pose, to_stamp
from std_msgs.msg import Header


class Detection3DArray:
    """Stand-in for vision_msgs/Detection3DArray."""

    def __init__(self):
        """Be empty."""
        self.header, self.detections = Header(), []


class Detection3D:
    """Stand-in for vision_msgs/Detection3D."""

    def __init__(self):
        """Be the message that nobody has filled."""
        self.header, self.id, self.results = Header(), '', []
        self.bbox = SimpleNamespace(center=Pose(), size=Vector3())


class ObjectHypothesisWithPose:
    """Stand-in for vision_msgs/ObjectHypothesisWithPose."""

    def __init__(self):
        """Be the message that nobody has filled."""
        self.hypothesis = SimpleNamespace(class_id='', score=0.0)
        self.pose = PoseWithCovariance()


def vision_msgs():
    """Return stand-ins for module ``vision_msgs.msg``."""
    return SimpleNamespace(
        Detection3DArray=Detection3DArray, Detection3D=Detection3D,
        ObjectHypothesisWithPose=ObjectHypothesisWithPose)


def hypothesis(class_id, score, pose=None):
    """Return one entry of ``results``, without a pose where None is given."""
    result = ObjectHypothesisWithPose()
    result.hypothesis.class_id, result.hypothesis.score = class_id, score
    if pose is not None:
        result.pose.pose = array_to_pose(pose)
    return result


def detection(pose, *results):
    """Return a detection with a pose (7,) of its box and hypotheses, as Isaac ROS without any."""
    found = Detection3D()
    found.bbox.center, found.results = array_to_pose(pose), list(results)
    return found


def detections(frame_id, stamp_s, *found):
    """Return an array of detections."""
    message = Detection3DArray()
    message.header.frame_id, message.header.stamp = frame_id, to_stamp(stamp_s)
    message.detections = list(found)
    return message
