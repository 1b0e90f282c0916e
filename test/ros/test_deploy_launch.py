# SPDX-License-Identifier: Apache-2.0
"""deploy.launch.py under launch_testing: every node comes up, runs an episode and exits with 0."""

import os
from pathlib import Path
import tempfile
import time
import unittest

import numpy as np
from ocrrl_ros.robot.fr3 import READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
import pytest
from tiny_bundles import tiny_base, tiny_residual

REASON = 'launch, launch_ros and launch_testing are no PyPI packages: ROS 2 Jazzy has them'
launch = pytest.importorskip('launch', reason=REASON)
pytest.importorskip('launch_ros', reason=REASON)
launch_testing = pytest.importorskip('launch_testing', reason=REASON)
try:
    from ament_index_python.packages import get_package_share_directory
    SHARE = Path(get_package_share_directory('ocrrl'))
except LookupError:
    pytest.skip('package ocrrl is not in the ament index: colcon build, then source '
                'install/setup.bash', allow_module_level=True)

DOMAIN_ID = 11 + (os.getpid() + 45) % 90
NODES = {'mujoco_bridge', 'episode', 'pose_estimator', 'base_policy', 'residual_policy'}
WALL_LIMIT_S = 90.0


@pytest.mark.launch_test
def generate_test_description():
    """Include the launch file in lockstep with the smallest bundles, on a domain of its own."""
    import launch.actions
    import launch.launch_description_sources
    import launch_testing.actions
    folder = tempfile.TemporaryDirectory(prefix='ocrrl_launch_')
    start = FrankaKinematics().forward(np.array(READY_POSITION))
    arguments = {
        'domain': 'sim', 'lockstep': 'true',
        'vla': str(tiny_base(Path(folder.name) / 'base', start, np.array([0.0, 0.0, -0.05]))),
        'residual': str(tiny_residual(Path(folder.name) / 'residual', np.zeros(7)))}
    environment = {
        'ROS_DOMAIN_ID': str(DOMAIN_ID), 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'MUJOCO_GL': os.environ.get('MUJOCO_GL', 'egl')}
    return launch.LaunchDescription([
        *(launch.actions.SetEnvironmentVariable(*item) for item in environment.items()),
        launch.actions.IncludeLaunchDescription(
            launch.launch_description_sources.PythonLaunchDescriptionSource(
                str(SHARE / 'launch' / 'deploy.launch.py')),
            launch_arguments=arguments.items()),
        launch_testing.actions.ReadyToTest()]), {'folder': folder}


class TestGraph(unittest.TestCase):
    """While the graph runs."""

    def setUp(self):
        """Join the graph's domain with a context of our own."""
        import rclpy
        from rclpy.context import Context
        self.context = Context()
        rclpy.init(args=[], context=self.context, domain_id=DOMAIN_ID)
        self.node = rclpy.create_node('launch_test', context=self.context)

    def tearDown(self):
        """Leave it."""
        self.node.destroy_node()
        self.context.try_shutdown()

    def until(self, predicate, what):
        """Poll until the predicate holds."""
        end_s = time.monotonic() + WALL_LIMIT_S
        while not predicate():
            self.assertLess(time.monotonic(), end_s, what)
            time.sleep(0.01)

    def test_every_node_comes_up_and_an_episode_moves_the_arm_on_chunks(self):
        """Start an episode through its service once the residual policy is idle."""
        from diagnostic_msgs.msg import DiagnosticStatus
        from ocrrl_ros.interfaces.polling import PolledClient, PolledSubscription
        from ocrrl_ros.interfaces.qos import LATCHED
        from std_srvs.srv import Trigger
        states = PolledSubscription(
            self.node, DiagnosticStatus, 'residual_policy/state', LATCHED)
        told = []
        self.until(lambda: NODES <= set(self.node.get_node_names()), f'nodes {NODES}')
        self.until(lambda: told.extend(states.take_all()) or told, 'a state')
        start = PolledClient(self.node, Trigger, 'episode/start')
        self.until(start.is_ready, 'the service episode/start')
        start.send()
        answers = []
        self.until(lambda: answers.append(start.take()) or answers[-1], 'an answer')
        self.assertTrue(answers[-1].success, answers[-1].message)
        self.until(lambda: told.extend(states.take_all()) or told[-1].message == 'executing',
                   'a residual policy that executes chunks')


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    """After launch has interrupted everything."""

    def test_every_process_ends_with_code_zero(self, proc_info):
        """Nothing crashed, and nothing had to be killed."""
        import launch_testing.asserts
        launch_testing.asserts.assertExitCodes(proc_info)
