# SPDX-License-Identifier: Apache-2.0
"""The latched state is published when its cause changes, not when a number in it does."""

from diagnostic_msgs.msg import DiagnosticStatus
import numpy as np
from ocrrl_ros.interfaces.policy_outputs import action_vector, PolicyOutputs
from ocrrl_ros.policy.assembly import build_controller
from ocrrl_ros.policy.blend import BlendFactors
from ocrrl_ros.policy.controller import PolicyAction
import pytest
import rclpy


@pytest.fixture
def outputs(ros_context):
    node = rclpy.create_node('outputs_test', context=ros_context)
    yield PolicyOutputs(node)
    node.destroy_node()


def test_ageing_inputs_are_told_once(outputs):
    controller = build_controller('cube_lift')
    controller.machine.start('go')
    assert outputs.state(controller)
    told = []
    for reason in (
            'joint state is 0.101 s old, allowed: 0.1 s',
            'joint state is 0.123 s old, allowed: 0.1 s',
            'joint state is 11.2 s old, allowed: 0.1 s',
            'base policy is stale: the chunk ended 0.01 s ago',
            'base policy is stale: the chunk ended 0.12 s ago',
            'base policy is stale: the chunk is 2.01 s old, allowed: 2.0 s'):
        controller.machine.hold(reason)
        told.append(outputs.state(controller))
    assert told == [True, False, False, True, False, True]


def test_new_gain_and_refused_start_are_told(outputs, monkeypatch):
    controller, sent = build_controller('cube_lift'), []
    monkeypatch.setattr(outputs._state, 'publish', sent.append)
    outputs.state(controller)
    controller.set_residual_gain(0.5)
    assert outputs.state(controller)
    controller.refuse_start('cannot start: no joint state')
    assert outputs.state(controller)
    assert sent[-1].level == DiagnosticStatus.WARN and sent[0].level == DiagnosticStatus.OK
    assert sent[-1].message == 'cannot start: no joint state'


def test_gain_and_weight_of_the_gate_are_recorded_apart():
    pose = np.array([0.5, 0.0, 0.3, 0.0, 0.0, 0.0, 1.0])
    action = PolicyAction(
        1.0, pose, 1.0, np.zeros(7), 0.8, pose, 1.0, True, weight=0.25,
        blend=BlendFactors(novelty=0.5, poses=0.75, smoothing=0.125))
    values = action_vector(action)
    assert (values['gain'], values['weight']) == (0.8, 0.25)
    assert [values[f'blend.{name}'] for name in ('novelty', 'poses', 'smoothing')] == [
        0.5, 0.75, 0.125]


def test_latches_and_faults_are_errors_and_a_takeover_is_recorded(outputs, monkeypatch):
    controller, sent = build_controller('cube_lift'), []
    monkeypatch.setattr(outputs._state, 'publish', sent.append)
    controller.hold('operator')
    outputs.state(controller)
    controller.fault('reflex')
    outputs.state(controller)
    assert [message.level for message in sent] == [DiagnosticStatus.ERROR] * 2
    values = [{item.key: item.value for item in message.values} for message in sent]
    assert [value['state'] for value in values] == ['holding', 'fault']
    assert [value['latched'] for value in values] == ['True', 'False']
    pose = np.array([0.5, 0.0, 0.3, 0.0, 0.0, 0.0, 1.0])
    action = PolicyAction(1.0, pose, 1.0, np.zeros(7), 0.0, pose, 1.0, True, is_takeover=True)
    assert action_vector(action)['takeover'] == 1.0
