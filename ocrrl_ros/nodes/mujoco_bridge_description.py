# SPDX-License-Identifier: Apache-2.0
"""
The node ``robot_state_publisher``: what the robot is made of and where its links are.

Controllers such as CRISP's fetch ``robot_description`` as a parameter of the node of this name;
others listen to the topic. ``/tf`` and ``/tf_static`` need tf2_msgs, which the PyPI wheels lack.
"""

from __future__ import annotations

from typing import Any

from builtin_interfaces.msg import Time
from ocrrl_ros.core.resources import model_path
from ocrrl_ros.interfaces.conversions import transform_stamped
from ocrrl_ros.interfaces.optional import optional
from ocrrl_ros.interfaces.parameters import keep_clock
from ocrrl_ros.interfaces.qos import DEEP_RELIABLE, LATCHED, topic
from ocrrl_ros.sim.bridge_links import LinkPose, LinkTree
from ocrrl_ros.sim.bridge_readout import ArmReading
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.context import Context
from rclpy.node import Node
from std_msgs.msg import String


class RobotDescription:
    """A node of its own, in the bridge's process, polled by the bridge's loop."""

    def __init__(self, context: Context, namespace: str):
        """Declare the parameter and publish what never changes."""
        # Arguments such as a new name are meant for the bridge.
        self.node = Node(
            'robot_state_publisher', context=context, namespace=namespace,
            use_global_arguments=False)
        keep_clock(self.node)
        urdf = model_path('fr3', 'fr3.urdf').read_text(encoding='utf-8')
        self.node.declare_parameter('robot_description', urdf, ParameterDescriptor(
            description='URDF of arm and hand', read_only=True))
        self._publisher = self.node.create_publisher(
            String, 'robot_description', topic('robot_description').qos)
        self._publisher.publish(String(data=urdf))
        tf2 = optional('tf2_msgs.msg')
        self.transforms = None if tf2 is None else LinkTransforms(self.node, tf2.TFMessage)

    def close(self) -> None:
        """Take the node off the graph."""
        self.node.destroy_node()


class LinkTransforms:
    """
    Publishes ``/tf_static`` once and holds the message and publisher of ``/tf``.

    :param kind: tf2_msgs/TFMessage.
    """

    def __init__(self, node: Node, kind: Any):
        """Create the publishers; the names are absolute, as tf's listeners want them."""
        self._links = LinkTree()
        self._static = node.create_publisher(kind, '/tf_static', LATCHED)
        self._static.publish(kind(transforms=_transforms(self._links.fixed(), Time())))
        self.publisher = node.create_publisher(kind, '/tf', DEEP_RELIABLE)
        self.message = kind()

    def fill(self, reading: ArmReading, stamp: Time) -> None:
        """Write the links that move into the message."""
        self.message.transforms = _transforms(
            self._links.moving(reading.state.q, reading.finger_positions), stamp)


def _transforms(poses: list[LinkPose], stamp: Time) -> list[Any]:
    """Return the poses as stamped transforms."""
    found = [transform_stamped(pose, parent, child) for parent, child, pose in poses]
    for transform in found:
        transform.header.stamp = stamp
    return found
