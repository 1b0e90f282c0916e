# SPDX-License-Identifier: Apache-2.0
"""The residual policy node with a residual that sees the camera's picture."""

from pathlib import Path

import numpy as np
from ocrrl_ros.core.bundle import Manifest, save_bundle
from ocrrl_ros.interfaces import conversions as conv, qos
from ocrrl_ros.interfaces.image_conversions import COLOUR_TOPIC, image_message
from ocrrl_ros.policy.image_observation import ImageLayout
import onnx
from onnx import helper, numpy_helper, TensorProto
from played_arm import Arm, PATIENT
import pytest
from ros_harness import NodeProcess, running

LAYOUT = ImageLayout(width=32, height=24)


def bright_residual(folder: Path) -> Path:
    """Return a bundle whose action along x is the picture's mean brightness, 0 .. 1."""
    share = np.array([[1.0 / 255.0, 0, 0, 0, 0, 0, 0]], dtype=np.float32)
    nodes = [
        helper.make_node('Cast', ['image'], ['pixels'], to=TensorProto.FLOAT),
        helper.make_node('ReduceMean', ['pixels'], ['mean'], axes=[2, 3], keepdims=0),
        helper.make_node('ReduceMean', ['mean'], ['brightness'], axes=[1], keepdims=1),
        helper.make_node('MatMul', ['brightness', 'share'], ['action'])]
    graph = helper.make_graph(
        nodes, 'bright',
        [helper.make_tensor_value_info('observation', TensorProto.FLOAT, ['n', LAYOUT.size]),
         helper.make_tensor_value_info('image', TensorProto.UINT8, ['n', *LAYOUT.image_shape])],
        [helper.make_tensor_value_info('action', TensorProto.FLOAT, ['n', 7])],
        [numpy_helper.from_array(share, 'share')])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=9)
    save_bundle(folder, {'policy.onnx': model.SerializeToString()}, Manifest(
        kind='residual', tasks=('cube_lift',), layout=LAYOUT.describe(),
        layout_hash=LAYOUT.sha256, rate_hz=20.0, seed=0, training={}, metrics={},
        action_scale={'translation_m': 0.02, 'rotation_rad': 0.2, 'gripper': 1.0}))
    onnx.checker.check_model(model)
    return folder


@pytest.fixture(name='episode')
def _episode(ros, probe, tmp_path):
    """Give a running episode of a node that sees, and end it afterwards."""
    node = NodeProcess('ocrrl_ros.nodes.residual_policy_node', tmp_path / 'log.txt', {
        'residual': str(bright_residual(tmp_path / 'bundle')), 'realtime_priority': 0,
        **PATIENT})
    with running(node):
        arm = Arm(probe, node)
        probe.until(lambda: arm.states, what='a first state of the node')
        arm.start()
        yield arm
        arm.stop()


def test_picture_of_the_base_policys_camera_reaches_the_residual(episode):
    episode.plan((0.0, 0.0, 0.0))
    episode.live_until(lambda: episode.actions, 'a first action')
    action = conv.named_vector_to_dict(episode.actions[-1])
    assert action['gain'] == action['residual.x'] == 0.0

    def has_seen() -> bool:
        """Show a picture of now and a plan, and tell whether the residual acts in full."""
        episode.publish(COLOUR_TOPIC, image_message(
            np.full((480, 640, 3), 204, np.uint8), 'rgb8', 'camera', episode.now_s()), qos.IMAGE)
        episode.plan((0.0, 0.0, 0.0))
        episode.live(0.03)
        return conv.named_vector_to_dict(episode.actions[-1])['gain'] == 1.0

    episode.live_until(has_seen, 'a residual at full gain')
    action = conv.named_vector_to_dict(episode.actions[-1])
    assert np.isclose(action['residual.x'], 0.8, atol=1e-5)
    shift = np.hypot(action['command.x'] - action['base.x'],
                     action['command.y'] - action['base.y'])
    assert np.isclose(shift, 0.016, atol=1e-6)
