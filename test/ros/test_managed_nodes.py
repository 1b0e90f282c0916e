# SPDX-License-Identifier: Apache-2.0
"""The four lifecycle nodes as processes that wait to be told: what they hold in which state."""
import contextlib
import os
from pathlib import Path

from analytic_sam2 import analytic_decoder, analytic_encoder
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from mock_fci import mock_robot
import mock_fci_wire as wire
import numpy as np
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import episode_state
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.image_conversions import COLOUR_TOPIC
from ocrrl_ros.robot.fr3 import READY_POSITION
import pytest
from ros_harness import NodeProcess, running
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger
from test_fci_arm_node import hear_phases, streaming
from test_inputs_of_nodes import EXTRINSICS, FRAME, POSE, World
from tiny_bundles import tiny_base
from trajectory_msgs.msg import MultiDOFJointTrajectory

BAG = Path(__file__).resolve().parents[1] / 'data' / 'software_camera.bag'
NEAR = np.array(READY_POSITION) + 0.1


class Managed:
    """An operator beside a node: asks for transitions and reads the diagnosis."""

    def __init__(self, probe, node, name, namespace):
        self.probe, self.node = probe, node
        self._name, self._path = name, f'{namespace}/{name}'
        self._statuses = probe.listen(DiagnosticArray, '/diagnostics', qos.DEEP_RELIABLE)

    def change(self, label):
        """Return whether a transition succeeded."""
        return self.probe.call(ChangeState, f'{self._path}/change_state', ChangeState.Request(
            transition=Transition(label=label))).success

    def state(self):
        return self.probe.call(GetState, f'{self._path}/get_state').current_state.label

    def to(self, *labels):
        """Ask for transitions that succeed."""
        for label in labels:
            assert self.change(label), f'{label}: {self.node.log}'
        return self.state()

    def diagnosed(self, lifecycle, words=''):
        """Wait for a diagnosis of now with this state and these words, and return its level."""
        self._statuses.clear()

        def found():
            for array in self._statuses:
                for status in array.status:
                    values = {pair.key: pair.value for pair in status.values}
                    if status.name == self._name and values['lifecycle'] == lifecycle and (
                            words in status.message):
                        return status.level
        return self.probe.until(found, what=f'{lifecycle} {words} in {self._statuses}')

    def falls_silent(self, *heard, topic=''):
        """Nothing comes any more, and an input of the node has no subscriber."""
        self.probe.until(lambda: not topic or not self.probe.node.count_subscribers(topic),
                         what=f'no subscriber of {topic}')
        assert self.diagnosed('inactive', 'nothing is published') == DiagnosticStatus.WARN
        # Diagnoses, once a second, tell that time has passed.
        counts = [len(messages) for messages in heard]
        for _ in range(2):
            self.diagnosed('inactive')
        assert [len(messages) for messages in heard] == counts

    def errors(self):
        """Return the lines of errors in the log."""
        return [line for line in self.node.log.splitlines() if line.startswith('[ERROR]')]


@pytest.fixture
def probe(new_probe):
    """Give a node of the test's own that nothing else has published with."""
    return new_probe


@contextlib.contextmanager
def waiting(probe, folder, name, namespace, **parameters):
    """Give a node that is unconfigured, and has said so."""
    node = NodeProcess(
        f'ocrrl_ros.nodes.{name}_node', folder / 'log.txt', {'autostart': False, **parameters},
        ('-r', f'__ns:=/{namespace}') if namespace else ())
    with running(node):
        managed = Managed(probe, node, name, namespace)
        assert managed.diagnosed('unconfigured') == DiagnosticStatus.WARN
        assert managed.state() == 'unconfigured'
        yield managed
    assert node.process.returncode == 0 and 'Traceback' not in node.log, node.log


def test_base_policy_loads_plans_and_forgets_as_it_is_told(probe, tmp_path):
    bundle = tmp_path / 'base'
    with waiting(probe, tmp_path, 'base_policy', 'managed', bundle=str(bundle)) as managed:
        world = World(probe, managed.node, 'managed')
        chunks = probe.listen(
            MultiDOFJointTrajectory, 'managed/base_policy/tcp_chunk', qos.DEEP_RELIABLE)

        assert not managed.change('configure') and managed.state() == 'unconfigured'
        error, = managed.errors()
        assert 'cannot configure' in error and str(bundle) in error
        managed.diagnosed('unconfigured', str(bundle))

        tiny_base(bundle, POSE, np.zeros(3))
        assert managed.to('configure') == 'inactive'
        managed.diagnosed('inactive', 'inactive: nothing is published')
        assert managed.to('activate') == 'active'
        world.start_episode(1)
        world.until(lambda: world.feel(1.0), lambda: chunks, 'a chunk')
        assert managed.diagnosed('active') is not None

        assert managed.to('deactivate') == 'inactive'
        managed.falls_silent(chunks, topic=f'/managed/{COLOUR_TOPIC}')
        chunks.clear()
        # The episode goes on: it is heard of again.
        assert managed.to('activate') == 'active'
        world.until(lambda: world.feel(1.0), lambda: chunks, 'a chunk again')

        assert managed.to('deactivate', 'cleanup') == 'unconfigured'
        (bundle / 'policy.onnx').write_bytes(b'')
        assert not managed.change('configure') and managed.state() == 'unconfigured'
        managed.diagnosed('unconfigured', 'policy.onnx')
        assert managed.to('shutdown') == 'finalized'
        assert managed.diagnosed('finalized') == DiagnosticStatus.WARN


def test_a_node_that_shares_a_process_is_told_alone_and_by_a_parameter_file(probe, tmp_path):
    bundle = tiny_base(tmp_path / 'base', POSE, np.zeros(3))
    (tmp_path / 'file.yaml').write_text(
        f'base_policy: {{ros__parameters: {{autostart: false, bundle: {bundle}}}}}\n')
    node = NodeProcess(
        'ocrrl_ros.nodes.composed_node', tmp_path / 'log.txt', {},
        ('--params-file', str(tmp_path / 'file.yaml')), ('episode,base_policy',))
    states = probe.listen(String, episode_state.TOPIC, qos.LATCHED)
    with running(node):
        managed = Managed(probe, node, 'base_policy', '')
        managed.diagnosed('unconfigured')
        probe.until(lambda: states, what='a state of the other node')
        assert managed.to('configure', 'activate') == 'active'
        managed.diagnosed('active')
        assert managed.to('deactivate', 'cleanup') == 'unconfigured'
    assert node.process.returncode == 0 and 'Traceback' not in node.log, node.log


def test_pose_estimator_loads_tracks_and_falls_silent_as_it_is_told(probe, tmp_path):
    models = {name: tmp_path / f'{name}.onnx' for name in ('encoder', 'decoder')}
    settings = {f'sam2.{name}_model': str(path) for name, path in models.items()}
    with waiting(probe, tmp_path, 'pose_estimator', 'tracking', mask_backend='sam2_onnx',
                 **settings) as managed:
        world = World(probe, managed.node, 'tracking')
        statuses = probe.listen(DiagnosticArray, 'tracking/objects/status', qos.DEEP_RELIABLE)
        assert not managed.change('configure') and managed.state() == 'unconfigured'
        error, = managed.errors()
        assert 'encoder.onnx' in error
        models['encoder'].write_bytes(analytic_encoder())
        models['decoder'].write_bytes(analytic_decoder())
        assert managed.to('configure') == 'inactive'
        # Compiling took longer than a period, and is none.
        managed.diagnosed('inactive', 'inactive: nothing is published')
        assert managed.to('activate') == 'active'
        world.publish(EXTRINSICS, conv.transform_stamped(POSE, 'base', FRAME), qos.LATCHED)
        world.until(world.see, lambda: statuses, 'a status of the objects')
        assert managed.to('deactivate') == 'inactive'
        managed.falls_silent(statuses, topic=f'/tracking/{COLOUR_TOPIC}')
        statuses.clear()
        assert managed.to('activate') == 'active'
        world.until(world.see, lambda: statuses, 'a status again')
        assert managed.to('deactivate', 'cleanup') == 'unconfigured'
        probe.until(lambda: not probe.node.count_publishers('/tracking/objects/status'),
                    what='no publisher')


def test_camera_holds_the_device_only_while_it_is_active(probe, rs, tmp_path):
    recording = tmp_path / 'recording.bag'

    def holds():
        opened = Path(f'/proc/{managed.node.process.pid}/fd').iterdir()
        return any(os.path.realpath(link) == str(recording) for link in opened)

    with waiting(probe, tmp_path, 'camera', 'seeing', rosbag_filename=str(recording)) as managed:
        images = probe.listen(Image, f'seeing/{COLOUR_TOPIC}', qos.DEEP_RELIABLE)
        assert managed.to('configure') == 'inactive'
        assert not managed.change('activate') and managed.state() == 'inactive'
        error, = managed.errors()
        assert 'cannot activate' in error and 'recording.bag' in error
        managed.diagnosed('inactive', 'which is no file')
        recording.write_bytes(BAG.read_bytes())
        assert not holds() and managed.to('activate') == 'active'
        probe.until(lambda: len(images) > 3, what='images')
        assert holds()
        assert managed.to('deactivate') == 'inactive' and not holds()
        managed.falls_silent(images)
        images.clear()
        assert managed.to('activate') == 'active'
        probe.until(lambda: len(images) > 3, what='images again')
        assert managed.to('deactivate', 'cleanup', 'configure', 'activate') == 'active'


def test_a_library_that_is_missing_is_a_refusal_that_the_node_survives(
        probe, tmp_path, monkeypatch):
    packages = tmp_path / 'packages'
    packages.mkdir()
    for name in ('pyrealsense2', 'pylibfranka'):
        (packages / f'{name}.py').write_text('raise ImportError("not for this Python")\n')
    monkeypatch.setenv('PYTHONPATH', str(packages), prepend=':')
    for name, parameters in (('camera', {}), ('fci_arm', {'robot_ip': '127.0.0.77'})):
        with waiting(probe, tmp_path, name, f'bare_{name}', **parameters) as managed:
            assert not managed.change('configure') and managed.state() == 'unconfigured'
            error, = managed.errors()
            assert 'pip install py' in error and 'not for this Python' in error
            managed.diagnosed('unconfigured', 'pip install')


@pytest.fixture
def robot(pylibfranka):
    """Give a mock robot."""
    with mock_robot() as found:
        yield found


def disconnected(probe, robot):
    """Wait until the robot sees that nobody is connected."""
    return probe.until(lambda: not robot.status()['is_connected'], what='the disconnection')


def test_fci_arm_is_connected_only_while_it_is_active(probe, robot, tmp_path):
    joints = probe.listen(JointState, 'franka/joint_states', qos.SENSOR_DATA)
    phase = hear_phases(probe)
    with waiting(probe, tmp_path, 'fci_arm', '', robot_ip=robot.address) as managed:
        assert phase('closed')[0] == DiagnosticStatus.WARN
        assert managed.to('configure') == 'inactive'
        answer = probe.call(Trigger, 'fci_arm/stop')
        assert not answer.success and 'there is no connection' in answer.message
        managed.diagnosed('inactive', 'closed: no connection while the node is inactive')
        assert robot.status()['connections'] == 0 and not joints

        assert managed.to('activate') == 'active'
        phase('idle')
        probe.until(lambda: joints, what='joint states')
        assert robot.status()['is_connected']

        assert managed.to('deactivate') == 'inactive'
        disconnected(probe, robot)
        phase('closed')
        managed.falls_silent(joints, topic='/target_joint')

        assert managed.to('activate') == 'active'
        phase('idle')
        assert managed.to('deactivate', 'cleanup') == 'unconfigured'
        disconnected(probe, robot)
        assert robot.status()['connections'] == 2 and robot.status()['log'] == []


def test_a_motion_of_fci_arm_ends_with_its_state_and_does_not_go_on_by_itself(
        probe, robot, tmp_path):
    joints = probe.listen(JointState, 'franka/joint_states', qos.SENSOR_DATA)
    phase = hear_phases(probe)
    with waiting(probe, tmp_path, 'fci_arm', '', robot_ip=robot.address) as managed:
        managed.to('configure', 'activate')
        phase('idle')
        streaming(probe, NEAR, lambda: joints and joints[-1].velocity[0] > 0.05, 'motion')
        assert managed.to('deactivate') == 'inactive'
        disconnected(probe, robot)
        status = robot.status()
        assert status['log'][-1] in ('finish', 'stop') and 'finish' in status['log']
        assert status['mode'] == wire.IDLE and status['moves'] == 1

        # Whoever streams targets does so still.
        assert managed.to('activate') == 'active'
        streaming(probe, NEAR, lambda: 'no target is taken' in managed.node.log, 'the refusal')
        assert phase('stopped')[1]['reason'].startswith('the connection was lost during a motion')
        assert robot.status()['moves'] == 1
        assert probe.call(Trigger, 'fci_arm/error_recovery').success
        streaming(probe, NEAR, lambda: robot.status()['moves'] == 2, 'a motion')
        assert probe.call(Trigger, 'fci_arm/stop').success
        phase('stopped')

        # What was stopped stays so; what was recovered does not have to be again.
        for left_in, recovers in (('stopped', True), ('idle', False)):
            managed.to('deactivate')
            phase('closed')
            managed.to('activate')
            phase(left_in)
            if recovers:
                assert probe.call(Trigger, 'fci_arm/error_recovery').success
                phase('idle')
        assert robot.status()['connections'] == 4 and robot.status()['moves'] == 2
