# SPDX-License-Identifier: Apache-2.0
import importlib.util
import os

import pytest

HAS_ROS = importlib.util.find_spec('rclpy') is not None
# Without ROS 2 these modules cannot even be imported; everything else still runs.
collect_ignore_glob = [] if HAS_ROS else ['test_*.py']


@pytest.fixture(scope='session')
def ros_context():
    """Give an rclpy context that hears nobody and is heard by nobody."""
    import rclpy
    context = rclpy.Context()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'OFF')
        rclpy.init(context=context, domain_id=231)
    yield context
    rclpy.shutdown(context=context)
