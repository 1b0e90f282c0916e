# SPDX-License-Identifier: Apache-2.0
"""The whole graph: robot (simulated or real), perception and policy."""

from ocrrl_ros.interfaces.launch_support import graph_description


def generate_launch_description():
    """Return the graph; ``ros2 launch ocrrl deploy.launch.py --show-args`` lists arguments."""
    return graph_description()
