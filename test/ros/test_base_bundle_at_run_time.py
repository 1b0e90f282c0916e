# SPDX-License-Identifier: Apache-2.0
"""The bundle of a base policy that changes while the node runs."""

import numpy as np
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.episode_state import to_message, TOPIC
from ocrrl_ros.policy.episode_clock import EpisodeState
from ros_harness import NodeProcess, running
from test_wrong_numbers_to_nodes import conv_values, Stage, START
from tiny_bundles import tiny_base
from trajectory_msgs.msg import MultiDOFJointTrajectory

MODULE, OFFSET = 'ocrrl_ros.nodes.base_policy_node', np.array([0.0, 0.03, -0.02])


def base_policy(tmp_path, name, bundle):
    """Return the node as a process in a namespace."""
    return NodeProcess(
        MODULE, tmp_path / f'{name}.txt', {'bundle': str(bundle)}, ('-r', f'__ns:=/{name}'))


class Planning(Stage):
    """A base policy in an episode, and everything that it sees."""

    def __init__(self, probe, node, namespace):
        super().__init__(probe, node, 'base_policy', namespace)
        self.chunks = probe.listen(
            MultiDOFJointTrajectory, f'{namespace}/base_policy/tcp_chunk', qos.DEEP_RELIABLE)

    def begin(self):
        """Start the episode."""
        self.send(TOPIC, to_message(EpisodeState(
            number=1, running=True, task='cube_lift', started_s=self.now_s())))

    def feel(self):
        """Show a picture, where the arm is, and the opening."""
        self.send('current_pose', conv.pose_stamped(START, 'base', self.now_s()))
        self.send('gripper/joint_states', conv.joint_state(['gripper'], [1.0]))
        self.see()

    def plans_as_loaded(self):
        """Wait for plans of pictures that are still to come; compare them with the network's."""
        self.chunks.clear()
        began_s = self.now_s()
        self.until(lambda: self.chunks and conv.from_stamp(
            self.chunks[-1].header.stamp) > began_s, 'a plan', self.feel)
        for point, at in ((0, START[:3]), (-1, START[:3] + OFFSET)):
            planned = conv_values(self.chunks[-1].points[point].transforms[0])
            np.testing.assert_allclose(planned[:3], at, atol=1e-5)


def test_a_base_whose_bundle_is_swapped_plans_on_and_is_refused_by_name_when_it_starts_again(
        ros, probe, tmp_path):
    bundle = tiny_base(tmp_path / 'bundle', START, OFFSET)
    network, manifest = bundle / 'policy.onnx', bundle / 'manifest.json'
    whole = manifest.read_text()
    with running(base_policy(tmp_path, 'swapped', bundle)) as node:
        stage = Planning(probe, node, 'swapped')
        stage.begin()
        stage.plans_as_loaded()
        network.write_bytes(b'\0' * network.stat().st_size)
        manifest.write_text('{"kind": "other"}')
        stage.plans_as_loaded()
        # The next episode does not load it either.
        stage.begin()
        stage.plans_as_loaded()
        assert node.process.poll() is None
    assert node.process.returncode == 0 and 'Traceback' not in node.log, node.log
    manifest.write_text(whole)
    for name, words in (
            ('altered', [str(network), 'truncated or altered']), ('other', [str(bundle)])):
        with running(base_policy(tmp_path, name, bundle)) as node:
            assert node.wait() == 1, node.log
        fatal = [line for line in node.log.splitlines() if 'FATAL' in line]
        assert len(fatal) == 1 and all(word in fatal[0] for word in words), node.log
        assert 'Traceback' not in node.log
        manifest.write_text('{"kind": "other"}')
