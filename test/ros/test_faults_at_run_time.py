# SPDX-License-Identifier: Apache-2.0
"""What happens beside a running policy: another publisher of targets, a bundle that changes."""

import numpy as np
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import qos
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
from played_arm import Arm, PATIENT, READY
import pytest
from ros_harness import NodeProcess, running
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from tiny_bundles import tiny_residual

MODULE = 'ocrrl_ros.nodes.residual_policy_node'


@pytest.fixture
def policy(ros, probe, tmp_path):
    """Give the arm of a policy that moves it, and the policy's bundle."""
    bundle = tiny_residual(tmp_path / 'bundle', np.array([1.0, 0, 0, 0, 0, 0, 0]))
    parameters = {'residual': str(bundle), 'realtime_priority': 0, **PATIENT}
    namespace = tmp_path.name.replace('-', '_')
    node = NodeProcess(
        MODULE, tmp_path / 'log.txt', parameters, ('-r', f'__ns:=/{namespace}'))
    with running(node):
        arm = Arm(probe, node, f'{namespace}/')
        arm.bundle, arm.parameters = bundle, parameters
        probe.until(lambda: arm.states, what='a first state of the node')
        arm.start()
        move(arm)
        yield arm


def move(arm):
    """Plan until the policy moves the arm."""
    def moving():
        if arm.states[-1].message != 'executing':
            arm.plan()
        return arm.states[-1].message == 'executing'

    arm.plan()
    arm.live_until(moving, 'a motion')


def test_two_publishers_of_targets_are_a_fault_and_silence_until_resume(policy):
    arm, topic = policy, f'{policy.namespace}target_joint'
    other = arm.probe.node.create_publisher(JointState, topic, qos.LATEST)
    other.publish(conv.joint_state(ARM_JOINT_NAMES, READY, np.zeros(7)))
    arm.live_until(lambda: 'publishers on' in arm.states[-1].message, 'the fault')
    values = {pair.key: pair.value for pair in arm.states[-1].values}
    assert values['state'] == 'fault'
    arm.live(0.3)
    count = len(arm.targets)
    arm.plan()
    arm.live(0.5)
    assert len(arm.targets) == count
    refused = arm.call(Trigger, 'residual_policy/resume')
    assert not refused.success and 'publishers on' in refused.message
    arm.probe.node.destroy_publisher(other)
    arm.probe.until(lambda: arm.probe.node.count_publishers(topic) == 1, what='one publisher')

    def resumed():
        arm.live(0.1)
        return arm.call(Trigger, 'residual_policy/resume').success

    arm.live_until(resumed, 'the resume')
    move(arm)
    arm.live_until(lambda: len(arm.targets) > count, 'targets')


def test_a_bundle_that_is_swapped_at_run_time_changes_nothing_until_the_node_refuses_it(
        policy, tmp_path):
    network = policy.bundle / 'policy.onnx'
    network.write_bytes(b'\0' * network.stat().st_size)
    (policy.bundle / 'manifest.json').write_text('{"kind": "other"}')
    policy.live(0.3)
    move(policy)
    count = len(policy.actions)
    policy.plan()
    policy.see_cube()
    policy.live_until(lambda: any(
        conv.named_vector_to_dict(message)['residual.x'] == 1.0
        for message in policy.actions[count:]), 'the residual that was loaded')
    assert policy.process.process.poll() is None
    again = NodeProcess(
        MODULE, tmp_path / 'again.txt', policy.parameters, ('-r', '__ns:=/again'))
    with running(again):
        assert again.wait(240.0) == 1
    assert str(policy.bundle) in again.log
    assert 'Traceback' not in again.log


def test_only_the_network_swapped_is_refused_by_its_hash_at_the_next_start(policy, tmp_path):
    network = policy.bundle / 'policy.onnx'
    network.write_bytes(network.read_bytes()[:-10])
    again = NodeProcess(
        MODULE, tmp_path / 'again.txt', policy.parameters, ('-r', '__ns:=/again'))
    with running(again):
        assert again.wait(240.0) == 1
    assert 'policy.onnx' in again.log and 'truncated or altered' in again.log
