# SPDX-License-Identifier: Apache-2.0
"""NaN, Inf and 1e30 in every number that the residual policy hears: it survives, nothing jumps."""

import math

from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
import numpy as np
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.chunk_conversions import chunk_to_messages, joint_trajectory
from ocrrl_ros.policy.action_chunk import ActionChunk
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
from ocrrl_ros.robot.limits import JointLimits
from played_arm import Arm, PATIENT, READY, START
import pytest
from ros_harness import NodeProcess, running
from std_msgs.msg import Float64MultiArray
from tiny_bundles import tiny_residual
from wrong_numbers import place_text, places, put, Sweep

MODULE = 'ocrrl_ros.nodes.residual_policy_node'
TCP, JOINTS, GRIPPER = (f'base_policy/{name}_chunk' for name in ('tcp', 'joint', 'gripper'))
LIMITS = JointLimits.for_image()


class Sender:
    """Makes good messages of now, and sends what belongs together."""

    def __init__(self, arm):
        """Take the arm that is played."""
        self.arm = arm

    def chunk(self):
        """Return a TCP and a gripper half of now with as few points as there can be."""
        return chunk_to_messages(ActionChunk(
            self.arm.now_s(), 0.05, np.tile(self.arm.commanded(), (2, 1)), np.ones(2)))

    def seeds(self):
        """Return what makes a good message of each topic."""
        now_s = self.arm.now_s
        return {
            'franka/joint_states': lambda: conv.joint_state(
                ARM_JOINT_NAMES, self.arm.joints(), np.zeros(7), np.zeros(7), stamp_s=now_s()),
            'gripper/joint_states': lambda: conv.joint_state(['gripper'], [0.5]),
            'objects/cube/pose': lambda: conv.pose_with_covariance(
                START, np.zeros(36), 'base', now_s()),
            'teleop/target_pose': lambda: conv.pose_stamped(
                self.arm.commanded(), 'base', now_s()),
            'teleop/gripper': lambda: Float64MultiArray(data=[0.5]),
            TCP: lambda: self.chunk()[0], GRIPPER: lambda: self.chunk()[1],
            JOINTS: lambda: joint_trajectory(
                list(ARM_JOINT_NAMES), np.tile(self.arm.joints(), (2, 1)), 0.05, now_s())}

    def send(self, topic, message):
        """Publish a message; a half of a chunk with its other half."""
        if topic in (TCP, JOINTS):
            other = self.chunk()[1]
            other.header.stamp = message.header.stamp
            self.arm.publish(GRIPPER, other, qos.LATEST)
        if topic == GRIPPER:
            other = self.chunk()[0]
            other.header.stamp = message.header.stamp
            self.arm.publish(TCP, other, qos.LATEST)
        self.arm.publish(topic, message, qos.LATEST)


@pytest.fixture(scope='module')
def sweep(ros, probe, tmp_path_factory):
    """Give arm and sweep of a node whose episode runs; base and residual ask for no motion."""
    folder = tmp_path_factory.mktemp('wrong')
    bundle = tiny_residual(folder / 'bundle', np.zeros(7))
    node = NodeProcess(MODULE, folder / 'log.txt', {
        'residual': str(bundle), 'realtime_priority': 0, **PATIENT},
        ('-r', '__ns:=/wrong'))
    with running(node):
        arm = Arm(probe, node, 'wrong/')
        probe.until(lambda: arm.states, what='a first state of the node')
        sender = Sender(arm)
        found = Sweep(
            probe, node, 'residual_policy', 'wrong', sender.seeds(), sender.send)
        arm.start()
        arm.plan((0.0, 0.0, 0.0))
        arm.see_cube()
        arm.live_until(lambda: arm.states[-1].message == 'executing', 'the episode at work')
        yield arm, found


def limits_are_kept(targets):
    """Assert that joint targets keep positions and speeds; times are those of their stamps."""
    q = np.array([message.position for message in targets])
    times_s = np.array([conv.from_stamp(message.header.stamp) for message in targets])
    assert len(q) > 100 and np.isfinite(q).all()
    assert (q > LIMITS.position_lower).all() and (q < LIMITS.position_upper).all()
    lower, upper = LIMITS.velocity_bounds(q)
    steps_s = np.diff(times_s)[:, None]
    room = 1e-4 + 0.02 * steps_s
    assert (np.diff(q, axis=0) <= np.maximum(upper[1:], upper[:-1]) * steps_s + room).all()
    assert (np.diff(q, axis=0) >= np.minimum(lower[1:], lower[:-1]) * steps_s - room).all()


def test_a_wrong_number_on_any_topic_moves_nothing_and_is_named(sweep):
    arm, found = sweep
    assert {'franka/joint_states', 'gripper/joint_states', 'objects/cube/pose', TCP, JOINTS,
            GRIPPER, 'teleop/target_pose', 'teleop/gripper'} <= set(found.topics)
    beats = iter(range(10 ** 9))

    def beat():
        arm.live(0.01)
        if next(beats) % 20 == 0:
            arm.plan((0.0, 0.0, 0.0))
            arm.see_cube()

    for topic in found.topics:
        found.run_until_named(topic, beat)
    limits_are_kept(arm.targets)
    assert np.abs(np.array(arm.targets[-1].position) - READY).max() < 0.05
    assert all(0.0 <= message.data[0] <= 1.0 for message in arm.gripper)


def test_afterwards_the_node_works_as_before(sweep):
    arm, _ = sweep
    arm.plan()
    arm.see_cube()
    arm.live_until(lambda: arm.states[-1].message == 'executing', 'the episode at work')
    assert arm.process.process.poll() is None
    assert 'Traceback' not in arm.process.log


def test_places_are_found_in_nested_messages_arrays_and_sequences():
    stamped = PoseWithCovarianceStamped()
    found = places(stamped)
    assert len(found) == 7 + 36
    assert place_text(found[0]) == 'pose.pose.position.x'
    changed = put(stamped, ('pose', 'covariance', 7), math.inf)
    assert changed.pose.covariance[7] == math.inf and stamped.pose.covariance[7] == 0.0
    trajectory = joint_trajectory(['a', 'b'], np.zeros((3, 2)), 0.1, 0.0)
    assert len(places(trajectory)) == 6
    assert ('points', 2, 'positions', 1) in places(trajectory)
    assert places(PoseStamped())[-1] == ('pose', 'orientation', 'w')
