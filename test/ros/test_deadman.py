# SPDX-License-Identifier: Apache-2.0
"""The dead-man switch as the node hears it: every release counts, and one publisher alone."""

import time

from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.deadman_inbox import DeadmanInbox
from ocrrl_ros.policy.assembly import build_controller
from ocrrl_ros.policy.controller import ControllerConfig
from played_arm import READY
import pytest
import rclpy
from std_msgs.msg import Bool

TOPIC = 'operator/deadman'


class Switch:
    """An episode under a dead-man switch, and who presses it."""

    def __init__(self, probe, node):
        self.probe = probe
        self.controller = build_controller(
            'cube_lift', None, ControllerConfig(require_deadman=True))
        self.inbox = DeadmanInbox(node, self.controller)
        self.now_s = 10.0
        self.press(True)
        probe.until(lambda: self.take() == '', what='a pressed switch')
        self.controller.on_joint_state(READY, 0.0 * READY, self.now_s)
        self.controller.start_episode(self.now_s)

    def press(self, *values):
        """Publish these."""
        for value in values:
            self.probe.publish(TOPIC, Bool(data=value), qos.RELIABLE)

    def take(self):
        """Take what has come and return what is wrong with the switch."""
        self.inbox.take(self.now_s)
        return self.controller.deadman.problem(self.now_s)


@pytest.fixture(name='switch')
def _switch(ros, probe):
    """Give a pressed switch in an episode."""
    node = rclpy.create_node('deadman_owner')
    yield Switch(probe, node)
    node.destroy_node()


def test_a_release_that_is_taken_together_with_the_next_press_latches(switch):
    switch.press(False, True)
    # Both are there when it is looked.
    time.sleep(0.3)
    switch.probe.until(lambda: switch.take() == '' and switch.controller.machine.is_latched)
    assert switch.controller.reason == 'dead-man switch released'


def test_a_second_publisher_counts_as_released_until_it_has_gone(switch):
    other = switch.probe.node.create_publisher(Bool, TOPIC, qos.RELIABLE)
    words = 'dead-man switch counts as released: 2 publishers on operator/deadman; allowed: one'

    def pressed(wanted):
        switch.press(True)
        time.sleep(0.01)
        return switch.take() == wanted

    switch.probe.until(lambda: pressed(words), what='the second publisher')
    assert switch.controller.machine.is_latched and switch.controller.reason == words
    switch.probe.node.destroy_publisher(other)
    switch.probe.until(lambda: pressed(''), what='one publisher alone')
    assert switch.controller.machine.is_latched
